// `selfcheck`: see commands.h.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "loadtest/commands.h"
#include "loadtest/exit_code.h"
#include "loadtest/host.h"
#include "loadtest/interrupt.h"
#include "loadtest/progress_line.h"
#include "loadtest/quantity.h"
#include "loadtest/selfcheck.h"

namespace tailrace::loadtest {
namespace {

struct Words {
  unsigned workers = 1;
  bool pin = false;
  bool quiet = false;
};

void print(const Selfcheck& measured, const Host& host) {
  std::printf("HOST     %s, %u CPUs, %s, governor %s, hypervisor %s\n", host.cpu_model.c_str(),
              host.cpus_allowed, host.kernel.c_str(), host.governor.c_str(),
              host.hypervisor.c_str());
  std::printf("CEILING  %s requests/s a worker, %s for %u; runs may ask for %s\n",
              print_rate(measured.most_rate_per_worker).c_str(),
              print_rate(measured.most_rate).c_str(), measured.workers,
              print_rate(measured.most_rate * kShareOfCeiling).c_str());
  std::printf("LATENESS at 1,000/s: median %s, P99 %s, most %s\n",
              print_duration(measured.lateness_p50_ns).c_str(),
              print_duration(measured.lateness_p99_ns).c_str(),
              print_duration(measured.lateness_most_ns).c_str());
  std::printf("CLOCK    %s a reading\nSTEAL    %.2f %%\nGRADE    %c\n",
              print_duration(measured.clock_cost_ns).c_str(), measured.steal * 100, measured.grade);
  if (measured.grade > 'B') {
    std::printf(
        "DO       quieten the host, or pin (--pin): seconds in which this generator is late are "
        "voided, "
        "and too many of them void a run\n");
  }
}

int run(const Words& words) {
  ProgressLine line(ProgressLine::mode_for("off", words.quiet));
  const Host host = read_host();
  SelfcheckSettings settings;
  settings.workers = words.workers;
  settings.pin = words.pin;
  settings.interrupted = interrupt_flag();
  settings.progress = [&](const std::string& what) { line.say("measuring " + what); };
  auto measured = selfcheck(settings);
  if (auto* error = std::get_if<MeasureError>(&measured)) {
    std::fprintf(stderr, "tailrace-load: %s\n", error->message.c_str());
    return kInvalid;
  }
  const Selfcheck& result = std::get<Selfcheck>(measured);
  print(result, host);
  if (interrupted()) return kInterrupted;
  if (!remember_selfcheck(host, settings, result) && result.grade > 'C') {
    line.say("too noisy to be remembered: the next run or ramp measures anew");
  }
  return kPass;
}

}  // namespace

void add_selfcheck(CLI::App& app, Run& chosen) {
  CLI::App* command = app.add_subcommand(
      "selfcheck",
      "what this generator can do on this host: its ceiling, lateness, the host's noise");
  auto words = std::make_shared<Words>();
  command->add_option("-t,--workers", words->workers, "whose ceiling is told")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_flag("--pin", words->pin, "each worker on a CPU of its own");
  command->add_flag("--quiet", words->quiet, "the result only");
  command->callback([&chosen, words] { chosen = [words] { return run(*words); }; });
}

}  // namespace tailrace::loadtest
