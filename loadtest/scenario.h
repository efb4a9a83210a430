// What is sent: routes with weights, their bodies from files or templates, headers, think time. Read from
// YAML (scenarios/README.md tells the format), or made of a URL alone.
//
// Immutable after loading; any thread. Requests are written whole into the caller's buffer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "loadtest/template.h"

namespace tailrace::loadtest {

// http://HOST[:PORT][/PATH?QUERY]; IPv6 hosts in brackets. No TLS. The target may have template fields.
struct Url {
  std::string host;
  std::uint16_t port = 80;
  std::string target = "/";
  // As the Host header has it: HOST:PORT, without the port if it is 80.
  std::string authority() const;
};
// An error is a message with the remedy.
std::variant<Url, std::string> parse_url(std::string_view text);

// One request of a route. A route of several steps is a session: each step after the first is due `think`
// after the answer to the one before.
struct Step {
  std::string method;
  Template path;
  std::vector<std::pair<std::string, Template>> headers;
  Template body;
  bool has_body = false;
  std::int64_t think_mean_ns = 0;
  bool think_exponential = false;
};

struct Route {
  std::string name;  // in reports
  double weight = 1;
  std::vector<Step> steps;
  // Statuses that count as success: [200, 399] if empty.
  std::vector<std::pair<int, int>> expected;
};

class Scenario {
 public:
  // GET of the URL's target.
  static Scenario of_url(const Url& url);
  // From YAML; `directory` is where body files are looked for. Bounds: 1 MiB of YAML, 1000 routes, 100 steps
  // a route, 16 MiB a body, 256 MiB all bodies. The message names the line.
  static std::variant<Scenario, std::string> parse(std::string_view yaml,
                                                   const std::string& directory);
  static std::variant<Scenario, std::string> load(const std::string& path);

  const std::string& name() const noexcept { return name_; }
  const std::vector<Route>& routes() const noexcept { return routes_; }
  std::vector<double> weights() const;
  // The mean of the routes' steps, by weight: what an arrival becomes if all its steps succeed.
  double requests_per_arrival() const noexcept;

  // Appends the whole HTTP/1.1 request: line, Host, headers, Content-Length, body. `draw` and `number` as in
  // the plan's Arrival; the same ones give the same bytes. `worker` is part of counters.
  void write(std::string& out, std::uint32_t route, std::uint32_t step, std::string_view authority,
             std::uint64_t draw, std::uint64_t number, unsigned worker) const;
  bool succeeded(std::uint32_t route, int status) const noexcept;

 private:
  std::string name_;
  std::vector<Route> routes_;
};

}  // namespace tailrace::loadtest
