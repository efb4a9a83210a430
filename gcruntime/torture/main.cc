// torture: programs that try to break the runtime, each with an oracle of its own.
//
//   torture [program...] [--seconds S | --steps N | --cycles N] [--seed N] [--workers 1,2,4] [--mode M] [--list]
//
// All programs by default, one after the other, each at each number of workers. Ends with 0 if all passed;
// a failure aborts and has printed the command that repeats it. The seed repeats the choices of a run, not
// its timing.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "gcruntime/base/mutant.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

void print_list() {
  for (const Program& program : programs()) std::printf("%-12s %s\n", program.name, program.what);
#if defined(TAILRACE_MUTANTS)
  std::printf("\nmutants:\n");
  for (const base::MutantName& mutant : base::mutant_names()) {
    std::printf("%-22s %s\n", mutant.name, mutant.what);
  }
#endif
}

// NOLINTNEXTLINE(bugprone-exception-escape): what no handler expects ends it loudly
int main(int argc, char** argv) {
  CLI::App app{"Torture programs for the managed heap and the fibers"};
  std::vector<std::string> names;
  std::vector<unsigned> workers{1, 2, 4};
  Options options;
  options.seed = 0;
  bool list = false;
  app.add_option("programs", names, "which programs (default: all)");
  app.add_option("--seconds", options.seconds, "how long each run lasts; sizes grow with it");
  app.add_option("--steps", options.steps,
                 "without --seconds: a run lasts that many steps of the program");
  app.add_option("--cycles", options.cycles, "without either: a run lasts that many cycles");
  app.add_option("--seed", options.seed, "repeats a run's choices (default: random)");
  app.add_option("--workers", workers, "numbers of workers, each a run")
      ->delimiter(',')
      ->check(CLI::Range(1u, 64u));
  app.add_option("--hang-seconds", options.hang_seconds, "no step for so long is a failure");
  const std::map<std::string, Mode> modes{{"any", Mode::kAny},
                                          {"beside", Mode::kBeside},
                                          {"slices", Mode::kSlices},
                                          {"checked", Mode::kChecked},
                                          {"stopped", Mode::kStopped}};
  app.add_option(
         "--mode", options.mode,
         "cycles run beside the program, there in workers' slices only, checked, or with the "
         "world stopped (default: the seed chooses)")
      ->transform(CLI::CheckedTransformer(modes));
  app.add_option("--least-rate", options.least_rate, "fewer cycles a second are a failure");
  app.add_flag("--list", list, "print the programs");
#if defined(TAILRACE_MUTANTS)
  app.add_option("--mutant", options.mutant, "break the runtime in this way");
#endif
  CLI11_PARSE(app, argc, argv);
  if (list) {
    print_list();
    return 0;
  }
  for (const std::string& name : names) {
    const auto known = [&](const Program& program) { return name == program.name; };
    if (std::none_of(programs().begin(), programs().end(), known)) {
      std::fprintf(stderr, "torture: no program is called %s; torture --list names them\n",
                   name.c_str());
      return 2;
    }
  }
  if (options.seed == 0) options.seed = std::random_device()() | 1u;
#if defined(TAILRACE_MUTANTS)
  if (!base::choose_mutant(options.mutant.c_str(), options.seed)) {
    std::fprintf(stderr, "torture: no mutant is called %s; torture --list names them\n",
                 options.mutant.c_str());
    return 2;
  }
#endif
  std::printf("torture: seed %" PRIu64 "\n", options.seed);
  std::fflush(stdout);

  const gc::ThreadScope attached;
  for (const Program& program : programs()) {
    if (!names.empty() && std::find(names.begin(), names.end(), program.name) == names.end())
      continue;
    for (const unsigned count : workers) {
      Run run(program.name, options, count);
      program.run(run);
    }
  }
  return 0;
}

}  // namespace
}  // namespace tailrace::torture

// NOLINTNEXTLINE(bugprone-exception-escape): what no handler expects ends it loudly
int main(int argc, char** argv) { return tailrace::torture::main(argc, argv); }
