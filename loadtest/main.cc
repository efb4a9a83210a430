// tailrace-load: an open-loop load generator that says how far it can be trusted. See README.md.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "loadtest/commands.h"
#include "loadtest/exit_code.h"
#include "loadtest/interrupt.h"

int main(int argument_count, char** arguments) {
  using namespace tailrace::loadtest;
  try {
    CLI::App app(
        "Sends requests at the times of a plan, whatever the server does, and measures from the "
        "time "
        "each was due.\n"
        "Exit: 0 pass, 1 threshold failed, 2 usage, 3 measurement invalid, 4 target unreachable, "
        "6 regression, 130 interrupted",
        "tailrace-load");
    app.set_version_flag("--version", "tailrace-load " TAILRACE_VERSION);
    app.require_subcommand(1);
    Run chosen;
    add_selfcheck(app, chosen);
    add_run(app, chosen, argument_count, arguments);
    add_ramp(app, chosen, argument_count, arguments);
    add_compare(app, chosen);
    add_report(app, chosen);
    add_serve_synthetic(app, chosen);
    try {
      app.parse(argument_count, arguments);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? kPass : kUsage;
    }
    catch_interrupts();
    return chosen();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tailrace-load: %s\n", error.what());
    return kInvalid;
  }
}
