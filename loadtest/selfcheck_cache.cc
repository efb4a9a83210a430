// See selfcheck.h: the file that remembers a host's ceiling.
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "loadtest/selfcheck.h"

namespace tailrace::loadtest {
namespace {

using nlohmann::json;

constexpr std::int64_t kGoodForSeconds = 24 * 3600;
constexpr int kSchema = 2;
constexpr char kWorstKept = 'C';

std::filesystem::path cache_file() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  std::filesystem::path directory;
  if (cache != nullptr && cache[0] == '/') {
    directory = cache;
  } else if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') {
    directory = std::filesystem::path(home) / ".cache";
  } else {
    return {};
  }
  return directory / "tailrace-load" / "selfcheck.json";
}

std::string mode_of(const SelfcheckSettings& settings) {
  const char* const idle = settings.idle == Idle::kSleep  ? "sleep"
                           : settings.idle == Idle::kSpin ? "spin"
                                                          : "hybrid";
  return std::string(idle) + (settings.pin ? ", pinned" : "");
}

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

std::optional<Selfcheck> remembered_selfcheck(const Host& host, const SelfcheckSettings& settings) {
  const std::filesystem::path file = cache_file();
  if (file.empty()) return std::nullopt;
  std::ifstream stream(file);
  const json all = json::parse(stream, nullptr, /*allow_exceptions=*/false);
  // Whoever edits the file may get a ceiling measured anew, never a crash.
  try {
    const std::int64_t age = unix_seconds() - all.at("at").get<std::int64_t>();
    if (all.at("schema") != kSchema || all.at("version") != TAILRACE_VERSION ||
        all.at("host") != host.fingerprint() || all.at("mode") != mode_of(settings) || age < 0 ||
        age > kGoodForSeconds) {
      return std::nullopt;
    }
    Selfcheck result;
    result.workers = settings.workers;
    result.most_rate_per_worker = all.at("most_rate_per_worker").get<double>();
    result.most_rate = ceiling_of(result.most_rate_per_worker, settings.workers, host.cpus_allowed);
    result.lateness_p50_ns = all.at("lateness_p50_ns").get<double>();
    result.lateness_p99_ns = all.at("lateness_p99_ns").get<double>();
    result.lateness_most_ns = all.at("lateness_most_ns").get<double>();
    result.clock_cost_ns = all.at("clock_cost_ns").get<double>();
    result.steal = all.at("steal").get<double>();
    result.grade = grade_of(result);
    return result;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

bool remember_selfcheck(const Host& host, const SelfcheckSettings& settings,
                        const Selfcheck& measured) {
  const std::filesystem::path file = cache_file();
  if (file.empty()) return false;
  std::error_code error;
  if (grade_of(measured) > kWorstKept || measured.most_rate_per_worker <= 0) {
    std::filesystem::remove(file, error);
    return false;
  }
  std::filesystem::create_directories(file.parent_path(), error);
  if (error) return false;
  const json all = {{"schema", kSchema},
                    {"version", TAILRACE_VERSION},
                    {"at", unix_seconds()},
                    {"host", host.fingerprint()},
                    {"mode", mode_of(settings)},
                    {"most_rate_per_worker", measured.most_rate_per_worker},
                    {"lateness_p50_ns", measured.lateness_p50_ns},
                    {"lateness_p99_ns", measured.lateness_p99_ns},
                    {"lateness_most_ns", measured.lateness_most_ns},
                    {"clock_cost_ns", measured.clock_cost_ns},
                    {"steal", measured.steal}};
  // Renamed into place, so that nobody reads half a file.
  const std::filesystem::path fresh = file.string() + ".new";
  std::ofstream(fresh) << all.dump(2) << '\n';
  std::filesystem::rename(fresh, file, error);
  return !error;
}

}  // namespace tailrace::loadtest
