// `report` and `compare`: see commands.h.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "loadtest/commands.h"
#include "loadtest/comparison.h"
#include "loadtest/csv.h"
#include "loadtest/exit_code.h"
#include "loadtest/hgrm.h"
#include "loadtest/html_report.h"
#include "loadtest/outputs.h"
#include "loadtest/quantity.h"
#include "loadtest/result_json.h"
#include "loadtest/text_summary.h"

namespace tailrace::loadtest {
namespace {

int complain(const std::string& message, int code = kUsage) {
  std::fprintf(stderr, "tailrace-load: %s\n", message.c_str());
  return code;
}

struct ReportWords {
  std::string file;
  std::string form = "text";
  std::string out = "-";
};

int report(const ReportWords& words) {
  auto read = read_result(words.file);
  if (auto* message = std::get_if<std::string>(&read)) return complain(*message);
  const Result& result = std::get<Result>(read);
  std::string text;
  if (words.form == "text") {
    const bool terminal = words.out == "-" && ::isatty(STDOUT_FILENO) != 0;
    text = text_summary(result, TextStyle::of(terminal, std::getenv("NO_COLOR")));
  } else if (words.form == "html") {
    text = write_html(result);
  } else if (words.form == "csv") {
    text = write_csv(result);
  } else if (words.form == "json") {
    text = write_json(result) + "\n";
  } else {
    text = hgrm_of(result);
  }
  if (auto message = write_text(words.out, text)) return complain(*message);
  return kPass;
}

struct CompareWords {
  std::string before;
  std::string after;
  double smallest_percent = 5;
};

// One rate: what it rests on, and a line a percentile.
void print(const Comparison& comparison) {
  std::printf("%s requests/s", print_rate(comparison.rate_per_second).c_str());
  if (!comparison.refused.empty()) {
    std::printf(": %s\n", comparison.refused.c_str());
    return;
  }
  std::printf(" (clean seconds: %zu of A, %zu of B): %s\n", comparison.a_seconds,
              comparison.b_seconds, change_name(comparison.change()));
  for (const Difference& difference : comparison.differences) {
    std::printf("  P%-6g %10s -> %-10s %.3fx  (95%% CI %.3f to %.3f)  %s\n", difference.percent,
                print_duration(difference.a_ns).c_str(), print_duration(difference.b_ns).c_str(),
                difference.ratio, difference.low, difference.high, change_name(difference.change));
  }
}

int compare_files(const CompareWords& words) {
  auto before = read_result(words.before);
  if (auto* message = std::get_if<std::string>(&before)) return complain(*message);
  auto after = read_result(words.after);
  if (auto* message = std::get_if<std::string>(&after)) return complain(*message);
  ComparisonSettings settings;
  settings.smallest_effect = words.smallest_percent / 100;
  const ResultComparison result =
      compare(std::get<Result>(before), std::get<Result>(after), settings);
  if (!result.refused.empty()) return complain(result.refused, kInvalid);
  bool worse = false;
  bool compared = false;
  for (const Comparison& comparison : result.rates) {
    print(comparison);
    compared |= comparison.refused.empty();
    worse |= comparison.refused.empty() && comparison.change() == Change::kWorse;
  }
  for (const double rate : result.unmatched) {
    std::printf("%s requests/s: held by one side only\n", print_rate(rate).c_str());
  }
  if (!compared) return complain("there is no rate at which A and B can be compared", kInvalid);
  return worse ? kRegression : kPass;
}

}  // namespace

void add_report(CLI::App& app, Run& chosen) {
  CLI::App* command = app.add_subcommand("report", "show a result again, in another form");
  auto words = std::make_shared<ReportWords>();
  command->add_option("file", words->file, "results.json of run or ramp")->required();
  command->add_option("--format", words->form, "text, html, csv, hgrm, json")
      ->check(CLI::IsMember({"text", "html", "csv", "hgrm", "json"}))
      ->capture_default_str();
  command->add_option("-o,--out", words->out, "file; - is stdout")->capture_default_str();
  command->callback([&chosen, words] { chosen = [words] { return report(*words); }; });
}

void add_compare(CLI::App& app, Run& chosen) {
  CLI::App* command = app.add_subcommand(
      "compare",
      "is B worse than A? Percentiles as ratios with confidence intervals; exit 6 if worse");
  auto words = std::make_shared<CompareWords>();
  command->add_option("A", words->before, "results.json of the one")->required();
  command->add_option("B", words->after, "results.json of the other")->required();
  command->add_option("--smallest", words->smallest_percent, "effect that matters, in percent")
      ->check(CLI::Range(0.1, 1000.0))
      ->capture_default_str();
  command->callback([&chosen, words] { chosen = [words] { return compare_files(*words); }; });
}

}  // namespace tailrace::loadtest
