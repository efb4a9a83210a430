// See outputs.h.
#include "loadtest/outputs.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "loadtest/csv.h"
#include "loadtest/hgrm.h"
#include "loadtest/html_report.h"
#include "loadtest/result_json.h"
#include "loadtest/text_summary.h"

namespace tailrace::loadtest {
namespace {

constexpr std::uintmax_t kMostFileBytes = std::uintmax_t{1} << 30;

std::optional<std::string> writable(const std::string& path) {
  // Appending leaves a file that is there as it is until there is something to put in its place.
  std::ofstream stream(path, std::ios::app);
  if (stream) return std::nullopt;
  return path + ": " + std::strerror(errno) + "; give a file that can be written";
}

}  // namespace

std::optional<std::string> check_outputs(const OutputWords& words) {
  if (words.tui != "auto" && words.tui != "off") {
    return "--tui: \"" + words.tui + "\" is none of auto, off";
  }
  if (words.json == "-" && words.csv == "-") return "--json - and --csv -: there is one stdout";
  if (!words.directory.empty()) {
    std::error_code error;
    std::filesystem::create_directories(words.directory, error);
    if (error) return "-o " + words.directory + ": " + error.message();
    if (auto message = writable(words.directory + "/results.json")) return message;
  }
  for (const std::string& path : {words.json, words.csv}) {
    if (path.empty() || path == "-") continue;
    if (auto message = writable(path)) return message;
  }
  return std::nullopt;
}

std::optional<std::string> write_text(const std::string& path, const std::string& text) {
  if (path == "-") {
    if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
        std::fflush(stdout) == 0) {
      return std::nullopt;
    }
    return std::string("stdout: ") + std::strerror(errno);
  }
  // Renamed into place, so that a full disk leaves the old file and never half a new one.
  const std::string fresh = path + ".new";
  {
    std::ofstream stream(fresh, std::ios::binary | std::ios::trunc);
    stream.write(text.data(), static_cast<std::streamsize>(text.size()));
    stream.close();
    if (!stream) return path + ": " + std::strerror(errno);
  }
  std::error_code error;
  std::filesystem::rename(fresh, path, error);
  if (error) return path + ": " + error.message();
  return std::nullopt;
}

std::optional<std::string> write_outputs(const Result& result, const OutputWords& words) {
  // What one place refuses (a pipe that was closed, a full disk) must not keep it from the others.
  std::optional<std::string> failed;
  const auto write = [&failed](const std::string& path, const std::string& text) {
    auto message = write_text(path, text);
    if (message && !failed) failed = std::move(message);
  };
  if (!words.directory.empty()) {
    const std::string before = words.directory + "/";
    write(before + "results.json", write_json(result) + "\n");
    write(before + "report.html", write_html(result));
    write(before + "latency.hgrm", hgrm_of(result));
    write(before + "seconds.csv", write_csv(result));
  }
  if (!words.json.empty()) write(words.json, write_json(result) + "\n");
  if (!words.csv.empty()) write(words.csv, write_csv(result));
  if (!words.quiet && words.json != "-" && words.csv != "-") {
    const TextStyle style = TextStyle::of(::isatty(STDOUT_FILENO) != 0, std::getenv("NO_COLOR"));
    write("-", text_summary(result, style));
  }
  if (!words.quiet && !words.directory.empty() && !failed) {
    std::fprintf(stderr, "report: %s/report.html\n", words.directory.c_str());
  }
  return failed;
}

std::string hgrm_of(const Result& result) {
  if (result.measurements.empty()) return write_hgrm(Latencies(), result.timeout_ns);
  const Measurement& last = result.measurements.back();
  return write_hgrm(last.response(/*with_voided=*/last.clean_seconds() == 0), result.timeout_ns);
}

std::variant<Result, std::string> read_result(const std::string& path) {
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  if (error) return path + ": " + error.message();
  if (bytes > kMostFileBytes) return path + ": larger than 1 GiB: no result of this tool";
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream) return path + ": cannot be read";
  auto result = read_json(text.str());
  if (auto* message = std::get_if<std::string>(&result)) return path + ": " + *message;
  return result;
}

}  // namespace tailrace::loadtest
