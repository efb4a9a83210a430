// The cursor's walk with a buffer to write to.
#include "server/json/minify.h"

#include "server/json/cursor.h"
#include "server/json/structural_index.h"

namespace tailrace::json {

std::optional<Error> minify(std::string_view padded_text, http::Buffer& out, const Limits& limits) {
  const internal::StructuralIndex index(padded_text.size() > limits.max_bytes ? std::string_view()
                                                                              : padded_text);
  internal::Cursor in(padded_text, index, limits);
  if (!in.ok()) return in.take_error();
  char* const begin = out.reserve(padded_text.size());
  if (begin == nullptr) {
    return Error{413, 0, "", "the document is too large to be echoed"};
  }
  char* end = begin;
  const internal::Position behind = in.copy_value(in.begin(), end);
  if (behind == nullptr || !in.finish(behind)) return in.take_error();
  out.commit(static_cast<std::size_t>(end - begin));
  return std::nullopt;
}

}  // namespace tailrace::json
