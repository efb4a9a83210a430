// See request.h.
#include "server/request.h"

#include <stdexcept>

namespace tailrace::http {

void Request::settle(const char* old_base) noexcept {
  query_.set_text(head_.view(head_.query));
  // An escaped path has all its parameters in decoded_path_; else all lie in the head, whose old
  // memory may be gone: so numbers are subtracted, not pointers.
  if (old_base == head_.base || !decoded_path_.empty()) return;
  for (unsigned i = 0; i < params_.count; ++i) {
    params_.values[i].data =
        head_.base + (reinterpret_cast<std::uintptr_t>(params_.values[i].data) -
                      reinterpret_cast<std::uintptr_t>(old_base));
  }
}

std::string_view Request::param_text(std::string_view name) const {
  for (unsigned i = 0; i < params_.count; ++i) {
    if (route_->params[i] == name) return params_.values[i].view();
  }
  throw std::logic_error("the route's pattern has no parameter " + std::string(name));
}

std::optional<std::string_view> Request::query_text(std::string_view name) {
  switch (query_.parse()) {
    case Query::Result::kOk:
      break;
    case Query::Result::kBadEscape:
      throw BadRequest("malformed escape in the query");
    case Query::Result::kTooManyPairs:
      throw BadRequest("too many query parameters");
  }
  return query_.find(name);
}

void Request::throw_no_such_path() { throw HttpError(404, "not_found", "no such path"); }

void Request::throw_bad_query(std::string_view name) {
  throw BadRequest("malformed query parameter " + std::string(name));
}

}  // namespace tailrace::http
