// Where a result goes: the terminal, and the files that were asked for.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "loadtest/options.h"
#include "loadtest/result.h"

namespace tailrace::loadtest {

// Whether the files can be written, before an hour of load: the message if not.
std::optional<std::string> check_outputs(const OutputWords& words);
// Writes everything; the message if something could not be written.
std::optional<std::string> write_outputs(const Result& result, const OutputWords& words);

// The file whole, or a message. Bounded: 1 GiB.
std::variant<Result, std::string> read_result(const std::string& path);
// Percentiles of a run, or of a ramp's last step: a spectrum mixes no rates.
std::string hgrm_of(const Result& result);
// To a file, or to stdout for "-".
std::optional<std::string> write_text(const std::string& path, const std::string& text);

}  // namespace tailrace::loadtest
