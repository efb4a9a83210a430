// See json_body.h.
#include "server/json_body.h"

namespace tailrace::http::internal {

void require_json(const Request& request) {
  const std::string_view declared = request.content_type();
  std::string_view type = declared.substr(0, declared.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  if (equal_ignoring_case(type, kJsonType)) return;
  if (type.size() > 5 && equal_ignoring_case(type.substr(type.size() - 5), "+json")) return;
  throw HttpError(415, declared.empty() ? "Content-Type is missing: send application/json"
                                        : "send application/json");
}

void throw_decode_error(const tailrace::json::Error& error) {
  throw HttpError(error.status, error.text());
}

}  // namespace tailrace::http::internal
