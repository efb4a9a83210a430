// What the tuned styles (/api, /pooled) answer alike about users.
#pragma once

#include <string_view>

#include "handlers/store.h"
#include "handlers/user.h"
#include "server/tailrace.h"

namespace tailrace::api {

// GET and DELETE of {id}: found users are encoded straight from the store.
Response show_user(const Store& store, Request& request);
Response erase_user(Store& store, Request& request);

// 201, with the user's place below `collection`.
Response created_user(std::string_view collection, const User& user);

}  // namespace tailrace::api
