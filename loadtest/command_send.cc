// `run` and `ramp`: see commands.h.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string_view>

#include "loadtest/campaign.h"
#include "loadtest/commands.h"
#include "loadtest/interrupt.h"
#include "loadtest/options.h"
#include "loadtest/outputs.h"
#include "loadtest/progress_line.h"
#include "loadtest/quantity.h"
#include "loadtest/text_summary.h"

namespace tailrace::loadtest {
namespace {

constexpr std::size_t kMostSteps = 200;
// A second is kept with whole histograms, 6 to 15 KiB of them: 300 MiB at the most.
constexpr std::int64_t kMostDurationNs = std::int64_t{6} * 3600 * 1'000'000'000;

struct SendWords {
  LoadWords load;
  OutputWords output;
  std::string rate, rates, from, to, duration, rest = "1s";
  unsigned steps = 10;
  bool to_the_end = false;
  bool dry_run = false;
  std::vector<std::string> command;
};

int complain(const std::string& message, int code = kUsage) {
  std::fprintf(stderr, "tailrace-load: %s\n", message.c_str());
  return code;
}

// The rates of a staircase, or the message.
std::variant<std::vector<double>, std::string> rates_of(const SendWords& words) {
  std::vector<double> rates;
  if (!words.rates.empty()) {
    if (!words.from.empty() || !words.to.empty()) return "--rates or --from and --to, not both";
    for (std::string_view rest = words.rates; !rest.empty();) {
      const std::size_t end = std::min(rest.find(','), rest.size());
      auto rate = parse_rate(rest.substr(0, end));
      if (auto* why = std::get_if<std::string>(&rate)) return "--rates: " + *why;
      rates.push_back(std::get<double>(rate));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  } else {
    if (words.from.empty() || words.to.empty()) return "give --from and --to, or --rates A,B,C";
    auto from = parse_rate(words.from);
    if (auto* why = std::get_if<std::string>(&from)) return "--from: " + *why;
    auto to = parse_rate(words.to);
    if (auto* why = std::get_if<std::string>(&to)) return "--to: " + *why;
    if (words.steps < 2 || words.steps > kMostSteps) return "--steps: from 2 to 200";
    const double first = std::get<double>(from);
    const double last = std::get<double>(to);
    if (last <= first) return "--to must be above --from";
    for (unsigned i = 0; i < words.steps; ++i) {
      rates.push_back(first + (last - first) * i / (words.steps - 1));
    }
  }
  if (rates.size() > kMostSteps) return "at most 200 rates";
  return rates;
}

std::variant<CampaignPlan, std::string> plan_of(const SendWords& words, bool ramp) {
  CampaignPlan plan;
  plan.kind = ramp ? "ramp" : "run";
  if (ramp) {
    auto rates = rates_of(words);
    if (auto* why = std::get_if<std::string>(&rates)) return std::move(*why);
    plan.rates = std::move(std::get<std::vector<double>>(rates));
    plan.stop_when_lost = !words.to_the_end;
    auto rest = parse_duration_ns(words.rest);
    if (auto* why = std::get_if<std::string>(&rest)) return "--rest: " + *why;
    plan.rest_ns = std::get<std::int64_t>(rest);
  } else {
    auto rate = parse_rate(words.rate);
    if (auto* why = std::get_if<std::string>(&rate)) return "-r: " + *why;
    plan.rates = {std::get<double>(rate)};
  }
  auto duration = parse_duration_ns(words.duration);
  if (auto* why = std::get_if<std::string>(&duration)) return "-d: " + *why;
  plan.duration_ns = std::get<std::int64_t>(duration);
  if (plan.duration_ns < 1'000'000'000 || plan.duration_ns > kMostDurationNs) {
    return "-d: from 1s to 6h; for longer, one result after the other";
  }
  if (plan.duration_ns > kMostDurationNs / static_cast<std::int64_t>(plan.rates.size())) {
    return "-d: " + std::to_string(plan.rates.size()) + " steps of " + words.duration +
           " are more than 6h in all: shorter or fewer ones";
  }
  return plan;
}

// What would be done, and how long it takes.
int describe(const Load& load, const CampaignPlan& plan) {
  const MeasureSettings& settings = load.settings;
  const auto steps = static_cast<std::int64_t>(plan.rates.size());
  const std::int64_t whole_ns =
      steps * (plan.duration_ns + settings.warm_up_ns) + (steps - 1) * plan.rest_ns;
  std::printf("target     http://%s\nscenario   %s\narrivals   %s, seed %llu\nworkers    %u\n",
              settings.target.authority().c_str(), load.scenario.name().c_str(),
              load.arrival.c_str(), static_cast<unsigned long long>(settings.plan.seed),
              settings.plan.workers);
  for (std::size_t i = 0; i < plan.rates.size(); ++i) {
    PlanSettings planned = settings.plan;
    planned.rate_per_second = plan.rates[i];
    planned.duration_ns = plan.duration_ns;
    planned.seed += i;
    std::printf("step %-4zu  %s/s for %s, plan %016llx\n", i + 1, print_rate(plan.rates[i]).c_str(),
                print_duration(static_cast<double>(plan.duration_ns)).c_str(),
                static_cast<unsigned long long>(plan_digest(planned, load.scenario.weights())));
  }
  std::printf("takes      about %s\n", print_duration(static_cast<double>(whole_ns)).c_str());
  return kPass;
}

int send(const SendWords& words, bool ramp) {
  auto resolved = resolve(words.load);
  if (auto* message = std::get_if<std::string>(&resolved)) return complain(*message);
  const Load& load = std::get<Load>(resolved);
  auto planned = plan_of(words, ramp);
  if (auto* message = std::get_if<std::string>(&planned)) return complain(*message);
  const CampaignPlan& plan = std::get<CampaignPlan>(planned);
  if (ramp && load.settings.plan.trace != nullptr) {
    return complain(
        "ramp: a trace has its own times, so that every step would be the same; hold it with run");
  }
  if (words.dry_run) return describe(load, plan);
  if (auto message = check_outputs(words.output)) return complain(*message);

  ProgressLine line(ProgressLine::mode_for(words.output.tui, words.output.quiet));
  CampaignHooks hooks;
  hooks.say = [&](const std::string& what) { line.say(what); };
  hooks.progress = [&](double rate, const Progress& progress) { line.show(rate, progress); };
  if (ramp) {
    hooks.step_done = [&](const Measurement& measurement) {
      line.say(
          print_rate(measurement.rate_per_second) + "/s  p99 " +
          print_duration(measurement.response(measurement.clean_seconds() == 0).percentile_ns(99)));
    };
  }
  auto outcome = hold_rates(load, plan, hooks);
  line.clear();
  if (auto* refusal = std::get_if<Refusal>(&outcome)) {
    return complain(refusal->message, refusal->code);
  }
  Result& result = std::get<Result>(outcome);
  result.command = words.command;
  if (auto message = write_outputs(result, words.output)) return complain(*message, kInvalid);
  return exit_code_of(result);
}

std::shared_ptr<SendWords> add_words(CLI::App& command, int argument_count, char** arguments) {
  auto words = std::make_shared<SendWords>();
  words->command.assign(arguments, arguments + argument_count);
  add_load_options(command, words->load);
  add_output_options(command, words->output);
  command.add_flag("--dry-run", words->dry_run,
                   "print the plan and how long it takes, send nothing");
  return words;
}

}  // namespace

void add_run(CLI::App& app, Run& chosen, int argument_count, char** arguments) {
  CLI::App* command = app.add_subcommand("run", "hold one rate and report");
  auto words = add_words(*command, argument_count, arguments);
  command->add_option("-r,--rate", words->rate, "requests a second, as 5k")->required();
  command->add_option("-d,--duration", words->duration, "of the measured part")->default_val("30s");
  command->callback(
      [&chosen, words] { chosen = [words] { return send(*words, /*ramp=*/false); }; });
}

void add_ramp(CLI::App& app, Run& chosen, int argument_count, char** arguments) {
  CLI::App* command =
      app.add_subcommand("ramp", "hold a staircase of rates and say where P99 inflects");
  auto words = add_words(*command, argument_count, arguments);
  command->add_option("--from", words->from, "the first rate");
  command->add_option("--to", words->to, "the last rate");
  command->add_option("--steps", words->steps, "how many, both ends included")
      ->capture_default_str();
  command->add_option("--rates", words->rates, "the rates themselves, as 1k,2k,3k");
  command->add_option("-d,--duration", words->duration, "of each step's measured part")
      ->default_val("10s");
  command->add_option("--rest", words->rest, "between two steps")->capture_default_str();
  command->add_flag("--to-the-end", words->to_the_end,
                    "go on when two steps in a row have lost a fifth of their requests");
  command->callback([&chosen, words] { chosen = [words] { return send(*words, /*ramp=*/true); }; });
}

}  // namespace tailrace::loadtest
