// Text of others inside JSON strings: error messages, log lines.
#pragma once

#include <string>
#include <string_view>

namespace tailrace::http {

// Appends `text` as a JSON string with its quotes. Pure ASCII comes out: control characters, DEL
// and everything beyond are written as \u00XX of the byte, so that no text can forge a line or a
// terminal sequence; what is not ASCII is readable only as bytes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace tailrace::http
