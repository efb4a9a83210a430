// A whole scrape before the judges: promtool's linter where it is installed, and our own reading of
// the text format everywhere.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"
#include "metrics/exporter.h"
#include "metrics/http_instruments.h"
#include "metrics/names.h"
#include "metrics/runtime_collector.h"
#include "metrics/scrape_instruments.h"

namespace tailrace::metrics {
namespace {

std::string full_scrape() {
  const gc::ThreadScope scope;
  const int percent = gc::set_percent(100);
  gc::collect();  // what is known after a cycle only is there too
  gc::with_arena([] { static_cast<void>(gc::make<std::int64_t>(7)); }, {.label = "a task"});
  Registry registry;
  HttpInstruments http(registry);
  const RuntimeCollector collector(registry, nullptr);
  const ScrapeInstruments scrapes(registry);
  for (const char* route : {"/api/users/{id}", "/healthz", "a\"b\\c\nd\xFF", ""}) {
    for (const unsigned status : {200u, 404u, 503u}) {
      http.route(route).observe(
          {.method = 0, .status = status, .duration_ns = 123'456, .arena_bytes = 60'000});
    }
  }
  registry.counter({.name = "users_total", .help = "Users\nwith \\ two lines."}).add();
  std::string text = Exporter(registry).scrape();
  gc::set_percent(percent);
  return text;
}

// Reads a line of a scrape; false if it is not a sample in the text format.
bool read_sample(std::string_view line, std::string& name, std::string& labels, double& value) {
  std::size_t at = line.find_first_of("{ ");
  if (at == line.npos || !valid_metric_name(line.substr(0, at))) {
    return false;
  }
  name = line.substr(0, at);
  labels.clear();
  if (line[at] == '{') {
    const std::size_t begin = at++;
    while (at < line.size() && line[at] != '}') {
      const std::size_t equals = line.find("=\"", at);
      const std::string_view label = line.substr(at, equals - at);
      if (equals == line.npos ||
          (!valid_label_name(label) && label != "le" && label != "quantile")) {
        return false;
      }
      for (at = equals + 2; at < line.size() && line[at] != '"'; ++at) {
        if (line[at] == '\\' && ++at < line.size() &&
            std::string_view("\\\"n").find(line[at]) == std::string_view::npos) {
          return false;
        }
      }
      if (++at < line.size() && line[at] == ',') {
        ++at;
      }
    }
    if (at >= line.size()) {
      return false;
    }
    labels = line.substr(begin, ++at - begin);
  }
  if (at >= line.size() || line[at] != ' ') {
    return false;
  }
  const std::string_view number = line.substr(at + 1);
  const auto result = std::from_chars(number.data(), number.data() + number.size(), value);
  return result.ec == std::errc() && result.ptr == number.data() + number.size();
}

TEST(Scrape, IsGrammatical) {
  const std::string text = full_scrape();
  ASSERT_TRUE(text.ends_with('\n'));
  std::istringstream lines(text);
  std::string line;
  std::string family;
  std::string type;
  std::set<std::string> families;
  std::set<std::string> seen;
  std::map<std::string, double> last_bucket;
  while (std::getline(lines, line)) {
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      ASSERT_TRUE(valid_metric_name(family)) << line;
      ASSERT_TRUE(families.insert(family).second) << "twice: " << family;
      ASSERT_GT(line.size(), 8 + family.size()) << "no help: " << line;
      continue;
    }
    if (line.starts_with("# TYPE ")) {
      ASSERT_TRUE(line.starts_with("# TYPE " + family + " ")) << line;
      type = line.substr(8 + family.size());
      ASSERT_TRUE(type == "counter" || type == "gauge" || type == "histogram" || type == "summary");
      continue;
    }
    std::string name;
    std::string labels;
    double value = 0;
    ASSERT_TRUE(read_sample(line, name, labels, value)) << line;
    ASSERT_TRUE(seen.insert(name + labels).second) << "twice: " << line;
    ASSERT_TRUE(name.starts_with(family)) << line << " in " << family;
    const std::string suffix = name.substr(family.size());
    if (type == "histogram") {
      ASSERT_TRUE(suffix == "_bucket" || suffix == "_sum" || suffix == "_count") << line;
    } else if (type == "summary") {
      ASSERT_TRUE(suffix.empty() || suffix == "_sum" || suffix == "_count") << line;
    } else {
      ASSERT_EQ(suffix, "") << line;
    }
    if (suffix == "_bucket") {
      const std::string of_series = name + labels.substr(0, labels.find("le=\""));
      ASSERT_GE(value, last_bucket[of_series]) << line;
      last_bucket[of_series] = value;
    }
  }
  EXPECT_GT(families.size(), 70u);
  for (const char* name :
       {"tailrace_gc_sustainable_alloc_bytes_per_second", "tailrace_gc_released_bytes_total",
        "tailrace_http_predicted_ceiling_requests_per_second", "tailrace_arena_bytes",
        "tailrace_arena_request_bytes", "tailrace_arena_escape_bytes_total"}) {
    EXPECT_TRUE(families.contains(name)) << name;
  }
  EXPECT_EQ(text.substr(0, 15), "# HELP go_info ");
}

std::string find_promtool() {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  std::string folder;
  while (std::getline(folders, folder, ':')) {
    std::string candidate = folder + "/promtool";
    if (::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return {};
}

// Findings about Go's own names, which stay as Go has them; promtool 2.42 has none. Nothing of ours
// ever stands here.
const std::set<std::string> kAllowedFindings = {};

TEST(Scrape, PromtoolFindsNothingWrongWithOurs) {
  const std::string promtool = find_promtool();
  if (promtool.empty()) {
    GTEST_SKIP() << "promtool is not installed (Debian: apt-get install prometheus)";
  }
  const std::filesystem::path file =
      std::filesystem::path(::testing::TempDir()) / ("scrape." + std::to_string(::getpid()));
  std::ofstream(file, std::ios::binary) << full_scrape();
  const std::string command = promtool + " check metrics < " + file.string() + " 2>&1";
  FILE* const pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string output;
  char buffer[4096];
  while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) {
    std::string line(buffer);
    if (line.ends_with('\n')) {
      line.pop_back();
    }
    if (!kAllowedFindings.contains(line)) {
      output += line + "\n";
    }
  }
  const int status = ::pclose(pipe);
  std::filesystem::remove(file);
  ASSERT_TRUE(WIFEXITED(status));
  // 0: nothing; 3: findings, which are then all allowed; 1: it cannot be read at all.
  EXPECT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3) << WEXITSTATUS(status);
  EXPECT_EQ(output, "");
}

}  // namespace
}  // namespace tailrace::metrics
