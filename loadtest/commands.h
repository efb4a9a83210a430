// The commands of tailrace-load. Each adds itself to the command line and, if it was chosen, is what `run`
// calls; its value is the exit code.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace tailrace::loadtest {

using Run = std::function<int()>;

// `chosen` is set to the command's run when the command line names it. `arguments` is the whole command line,
// for the report.
void add_selfcheck(CLI::App& app, Run& chosen);
void add_run(CLI::App& app, Run& chosen, int argument_count, char** arguments);
void add_ramp(CLI::App& app, Run& chosen, int argument_count, char** arguments);
void add_compare(CLI::App& app, Run& chosen);
void add_report(CLI::App& app, Run& chosen);
void add_serve_synthetic(CLI::App& app, Run& chosen);

}  // namespace tailrace::loadtest
