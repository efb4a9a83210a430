// What the naive style writes its answers with: text grown by concatenation, a new String for each piece,
// and log arguments boxed into std::any on the way to a log that is switched off.
#pragma once

#include <any>
#include <string_view>
#include <vector>

#include "gcruntime/gcruntime.h"
#include "handlers/event.h"
#include "handlers/user.h"

namespace tailrace::api {

gc::String naive_quote(std::string_view text);
gc::String naive_number(std::int64_t number);
// Copies the user first, as one does to be sure that nobody changes it meanwhile.
gc::String naive_json(const User& published);
gc::String naive_json(const gc::Vector<gc::String>& texts);

// A formatted line for a debug log that nobody reads: the arguments are boxed and the text is made
// all the same.
void log_naively(std::string_view message, const std::vector<std::any>& arguments);

}  // namespace tailrace::api
