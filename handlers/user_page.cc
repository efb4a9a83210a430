#include "handlers/user_page.h"

namespace tailrace::api {

PageRequest read_page(Request& request) {
  PageRequest page;
  page.offset = request.query<std::int64_t>("offset").value_or(page.offset);
  page.limit = request.query<std::int64_t>("limit").value_or(page.limit);
  if (page.offset < 0) throw BadRequest("offset must be 0 or more");
  if (page.limit < 1 || page.limit > PageRequest::kMaxLimit) {
    throw BadRequest("limit must be between 1 and 1000");
  }
  return page;
}

void fill_page(const Store& store, const PageRequest& request, UserPage& page) {
  page.total = store.size();
  page.users.reserve(static_cast<std::size_t>(request.limit));
  store.visit(request.offset, request.limit, [&](User& user) { page.users.push_back(&user); });
}

}  // namespace tailrace::api
