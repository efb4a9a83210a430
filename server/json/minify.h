// minify: checks a whole JSON document and writes it without white space.
//
// Strict RFC 8259 in UTF-8: what this accepts is valid JSON, at most Limits::max_depth arrays and
// objects deep; half surrogate pairs and a byte order mark are refused too. Members keep their
// order, numbers and strings their spelling. Members of the same name are all kept, in order: RFC
// 8259 allows them, and an echo must not choose.
#pragma once

#include <optional>
#include <string_view>

#include "server/buffer.h"
#include "server/json/error.h"

namespace tailrace::json {

// Appends to `out`; nothing if there is an error (whose path is empty; the offset says where).
// `padded_text` is followed by at least 64 readable bytes. Recurses not, suspends not.
[[nodiscard]] std::optional<Error> minify(std::string_view padded_text, http::Buffer& out,
                                          const Limits& limits = {});

}  // namespace tailrace::json
