// What the commands that send load take from the command line, checked and with the defaults filled in.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "loadtest/measure.h"
#include "loadtest/slo.h"

namespace CLI {
class App;
}

namespace tailrace::loadtest {

// As written; what is empty has its default.
struct LoadWords {
  std::string url, scenario, arrival = "poisson", timeout = "10s", warm_up = "2s", in_flight = "0",
                             idle = "hybrid", metrics = "auto", slo, seed, per_connection = "0";
  unsigned connections = 0;
  unsigned workers = 0;
  bool pin = false;
  bool above_ceiling = false;
};

struct OutputWords {
  std::string directory, json, csv, tui = "auto";
  bool quiet = false;
};

void add_load_options(CLI::App& command, LoadWords& words);
void add_output_options(CLI::App& command, OutputWords& words);

struct Load {
  MeasureSettings settings;  // without rate and duration
  Scenario scenario = Scenario::of_url(Url{});
  std::string metrics_url;       // empty: none are read
  bool metrics_must_be = false;  // asked for by name: without them it is an error
  std::vector<Threshold> thresholds;
  std::string arrival;  // for the report
  bool above_ceiling = false;
};

// An error is a message with the remedy: exit 2.
std::variant<Load, std::string> resolve(const LoadWords& words);

}  // namespace tailrace::loadtest
