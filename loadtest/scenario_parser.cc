// Scenario::parse() and load(): YAML to routes, see scenarios/README.md. Every refusal names its
// line; a key that is not known is refused, for a misspelt one would be measured as if it were not
// there.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <set>

#include "loadtest/quantity.h"
#include "loadtest/scenario.h"
#include "loadtest/scenario_check.h"
#include "loadtest/scenario_json.h"

namespace tailrace::loadtest {
namespace {

constexpr std::size_t kYamlMost = 1 << 20;
constexpr std::size_t kRoutesMost = 1000;
constexpr std::size_t kStepsMost = 100;
constexpr std::size_t kHeadersMost = 100;
constexpr std::size_t kNameMost = 100;
constexpr std::size_t kAllBodiesMost = 256 << 20;

using Headers = std::vector<std::pair<std::string, Template>>;

// The members of a mapping, each of a known key.
class Members {
 public:
  Members(const YAML::Node& mapping, std::string_view what,
          std::initializer_list<std::string_view> known) {
    if (!mapping.IsMap()) refuse(mapping, std::string(what) + " is a mapping of keys to values");
    for (const auto& member : mapping) {
      const std::string name = member.first.IsScalar() ? member.first.Scalar() : "?";
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        std::string all;
        for (const std::string_view key : known)
          all += (all.empty() ? "" : ", ") + std::string(key);
        refuse(member.first,
               "unknown key \"" + name + "\" in " + std::string(what) + ": it may have " + all);
      }
      if (find(name)) refuse(member.first, "\"" + name + "\" stands twice in " + std::string(what));
      // Null stands where the next token does: the key tells the line better. It may be a JSON value.
      if (member.second.IsNull() && name != "json") {
        refuse(member.first, "\"" + name + "\" has no value");
      }
      members_.emplace_back(name, member.second);
    }
  }
  // Null if it is not there.
  const YAML::Node* find(std::string_view name) const {
    const auto found = std::find_if(members_.begin(), members_.end(),
                                    [&](const auto& member) { return member.first == name; });
    return found == members_.end() ? nullptr : &found->second;
  }

 private:
  std::vector<std::pair<std::string, YAML::Node>> members_;
};

std::string text_of(const YAML::Node& node, std::string_view what) {
  if (!node.IsScalar()) refuse(node, std::string(what) + " is a text");
  return node.Scalar();
}

Template compiled(const YAML::Node& node, std::string_view text, std::string_view what) {
  std::variant<Template, std::string> made = Template::compile(text);
  if (const auto* message = std::get_if<std::string>(&made)) {
    refuse(node, std::string(what) + ", " + *message);
  }
  return std::move(std::get<Template>(made));
}

void refuse_if(const YAML::Node& node, const std::string& message) {
  if (!message.empty()) refuse(node, message);
}

// `into`: one of the same name is replaced, whatever its case. Host goes first.
void add_headers(const YAML::Node& node, Headers& into) {
  if (!node.IsMap()) refuse(node, "headers are a mapping of names to values");
  std::vector<std::string> seen;
  for (const auto& member : node) {
    std::string name = text_of(member.first, "a header's name");
    refuse_if(member.first, check_header_name(name));
    const auto is_same = [&](const std::string& other) { return same_header(name, other); };
    if (std::any_of(seen.begin(), seen.end(), is_same)) {
      refuse(member.first, "header \"" + name + "\" stands twice");
    }
    seen.push_back(name);
    Template value =
        compiled(member.second, text_of(member.second, "a header's value"), "header " + name);
    refuse_if(member.second, check_header_value(value));
    const auto old = std::find_if(into.begin(), into.end(),
                                  [&](const auto& header) { return is_same(header.first); });
    if (old != into.end()) {
      *old = {std::move(name), std::move(value)};
    } else if (same_header(name, "Host")) {
      into.emplace(into.begin(), std::move(name), std::move(value));
    } else {
      into.emplace_back(std::move(name), std::move(value));
    }
    if (into.size() > kHeadersMost) refuse(member.first, "more than 100 headers");
  }
}

bool has_header(const Headers& headers, std::string_view name) {
  return std::any_of(headers.begin(), headers.end(),
                     [&](const auto& header) { return same_header(header.first, name); });
}

double number_of(const YAML::Node& node, std::string_view what) {
  const std::string text = text_of(node, what);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !(number >= 0 && number <= 1e9)) {
    refuse(node, std::string(what) + " is a number from 0 to 1e9");
  }
  return number;
}

std::int64_t duration_of(const YAML::Node& node, std::string_view what) {
  const auto parsed = parse_duration_ns(text_of(node, what));
  if (const auto* message = std::get_if<std::string>(&parsed)) {
    refuse(node, std::string(what) + ": " + *message);
  }
  return std::get<std::int64_t>(parsed);
}

// 200, 2xx or 200-204.
std::pair<int, int> status_range(const YAML::Node& node) {
  constexpr std::string_view kForm = "a status is written 201, 2xx or 200-204";
  const std::string text = text_of(node, "an expected status");
  const auto status = [&](std::string_view digits) {
    int value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.size() != 3 || error != std::errc() || end != digits.data() + 3 || value < 100 ||
        value > 599) {
      refuse(node, std::string(kForm) + ", from 100 to 599");
    }
    return value;
  };
  if (text.size() == 3 && text.ends_with("xx")) {
    const int first = status(std::string(1, text[0]) + "00");
    return {first, first + 99};
  }
  const std::size_t dash = text.find('-');
  if (dash == std::string::npos) return {status(text), status(text)};
  const std::pair range{status(std::string_view(text).substr(0, dash)),
                        status(std::string_view(text).substr(dash + 1))};
  if (range.first > range.second) refuse(node, std::string(kForm) + ", the lesser one first");
  return range;
}

std::vector<std::pair<int, int>> expected_of(const YAML::Node& node) {
  if (node.IsScalar()) return {status_range(node)};
  if (!node.IsSequence() || node.size() == 0) {
    refuse(node, "expect is a status or a list of them, as [200, 201] or 2xx");
  }
  std::vector<std::pair<int, int>> ranges;
  for (const auto& entry : node) ranges.push_back(status_range(entry));
  return ranges;
}

std::string read_body_file(const YAML::Node& node, const std::string& directory) {
  namespace fs = std::filesystem;
  const fs::path path = fs::path(directory) / text_of(node, "body_file");
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    refuse(node, "body_file " + path.string() + " is no file: paths count from the scenario's own");
  }
  const std::uintmax_t bytes = fs::file_size(path, error);
  if (error || bytes > Template::kRenderedMost) {
    refuse(node, "body_file " + path.string() + " has more than 16 MiB");
  }
  std::ifstream file(path, std::ios::binary);
  std::string body(bytes, '\0');
  file.read(body.data(), static_cast<std::streamsize>(bytes));
  if (static_cast<std::uintmax_t>(file.gcount()) != bytes) {
    refuse(node, "body_file " + path.string() + " cannot be read");
  }
  return body;
}

class Reader {
 public:
  explicit Reader(const std::string& directory) : directory_(directory) {}

  void read(const YAML::Node& root);
  std::string name;
  std::vector<Route> routes;

 private:
  Route route(const YAML::Node& node);
  Step step(const YAML::Node& node, const Members& members, const Headers& headers);
  void think(const YAML::Node& node, Step& step);
  void body(const YAML::Node& node, const Members& members, Step& step);

  const std::string& directory_;
  Headers headers_;  // for all routes
  std::size_t all_bodies_ = 0;
};

void Reader::read(const YAML::Node& root) {
  const Members members(root, "a scenario", {"name", "headers", "routes"});
  if (const YAML::Node* node = members.find("name")) name = text_of(*node, "name");
  if (const YAML::Node* node = members.find("headers")) add_headers(*node, headers_);
  const YAML::Node* const list = members.find("routes");
  if (list == nullptr || !list->IsSequence() || list->size() == 0) {
    refuse(list == nullptr ? root : *list, "a scenario has routes, a list of at least one");
  }
  if (list->size() > kRoutesMost) refuse(*list, "more than 1000 routes");
  std::set<std::string> names;
  double weights = 0;
  for (const auto& entry : *list) {
    routes.push_back(route(entry));
    weights += routes.back().weight;
    if (!names.insert(routes.back().name).second) {
      refuse(entry, "two routes are named \"" + routes.back().name + "\": give this one a name");
    }
  }
  if (weights <= 0) refuse(*list, "all weights are 0: no request would be sent");
}

Route Reader::route(const YAML::Node& node) {
  const Members members(node, "a route",
                        {"name", "weight", "method", "path", "headers", "body", "body_file", "json",
                         "expect", "steps"});
  Route route;
  if (const YAML::Node* weight = members.find("weight"))
    route.weight = number_of(*weight, "weight");
  if (const YAML::Node* expect = members.find("expect")) route.expected = expected_of(*expect);
  const YAML::Node* const name_node = members.find("name");
  if (name_node != nullptr) route.name = text_of(*name_node, "name");

  const YAML::Node* const steps = members.find("steps");
  if (steps == nullptr) {
    route.steps.push_back(step(node, members, headers_));
    if (name_node == nullptr) {
      route.name = route.steps[0].method + " " + members.find("path")->Scalar();
    }
  } else {
    for (const std::string_view key : {"method", "path", "body", "body_file", "json"}) {
      if (const YAML::Node* extra = members.find(key)) {
        refuse(*extra, "\"" + std::string(key) + "\" beside steps: it belongs to one of the steps");
      }
    }
    if (name_node == nullptr) refuse(node, "a route with steps wants a name");
    if (!steps->IsSequence() || steps->size() == 0)
      refuse(*steps, "steps are a list of at least one");
    if (steps->size() > kStepsMost) refuse(*steps, "more than 100 steps");
    Headers headers = headers_;
    if (const YAML::Node* own = members.find("headers")) add_headers(*own, headers);
    for (const auto& entry : *steps) {
      const Members of_step(entry, "a step",
                            {"method", "path", "headers", "body", "body_file", "json", "think"});
      route.steps.push_back(step(entry, of_step, headers));
      const YAML::Node* const think_node = of_step.find("think");
      if (think_node == nullptr) continue;
      if (route.steps.size() == 1) {
        refuse(*think_node, "think before the first step: a session begins when the plan says");
      }
      think(*think_node, route.steps.back());
    }
  }
  const bool printable = std::none_of(route.name.begin(), route.name.end(),
                                      [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (name_node == nullptr && route.name.size() > kNameMost) route.name.resize(kNameMost);
  if (route.name.empty() || route.name.size() > kNameMost || !printable) {
    refuse(node, "a route's name is one line of 1 to 100 bytes");
  }
  return route;
}

Step Reader::step(const YAML::Node& node, const Members& members, const Headers& headers) {
  Step step;
  step.headers = headers;
  if (const YAML::Node* own = members.find("headers")) add_headers(*own, step.headers);
  const YAML::Node* const path = members.find("path");
  if (path == nullptr) refuse(node, "no path: write one, as path: /api/users/{{int 0 99999}}");
  step.path = compiled(*path, text_of(*path, "path"), "path");
  refuse_if(*path, check_target(step.path));
  body(node, members, step);
  const YAML::Node* const method = members.find("method");
  if (method == nullptr && step.has_body) refuse(node, "a body wants a method: POST, PUT or PATCH");
  step.method = method == nullptr ? "GET" : text_of(*method, "method");
  refuse_if(method == nullptr ? node : *method, check_method(step.method));
  return step;
}

void Reader::think(const YAML::Node& node, Step& step) {
  if (node.IsScalar()) {
    step.think_mean_ns = duration_of(node, "think");
    return;
  }
  const Members members(node, "think", {"mean", "distribution"});
  const YAML::Node* const mean = members.find("mean");
  if (mean == nullptr)
    refuse(node, "think wants a mean, as {mean: 100ms, distribution: exponential}");
  step.think_mean_ns = duration_of(*mean, "think");
  const YAML::Node* const kind = members.find("distribution");
  if (kind == nullptr) return;
  const std::string text = text_of(*kind, "distribution");
  if (text != "exponential" && text != "constant") {
    refuse(*kind, "a distribution is exponential or constant");
  }
  step.think_exponential = text == "exponential";
}

void Reader::body(const YAML::Node& node, const Members& members, Step& step) {
  int kinds = 0;
  for (const std::string_view key : {"body", "body_file", "json"})
    kinds += members.find(key) != nullptr;
  if (kinds > 1) refuse(node, "only one of body, body_file and json");
  step.has_body = kinds == 1;
  if (const YAML::Node* text = members.find("body")) {
    step.body = compiled(*text, text_of(*text, "body"), "body");
  } else if (const YAML::Node* file = members.find("body_file")) {
    step.body = Template::literal(read_body_file(*file, directory_));
  } else if (const YAML::Node* tree = members.find("json")) {
    step.body = compiled(*tree, json_text(*tree), "json");
    if (!has_header(step.headers, "Content-Type")) {
      step.headers.emplace_back("Content-Type", Template::literal("application/json"));
    }
  }
  all_bodies_ += step.body.longest();
  if (all_bodies_ > kAllBodiesMost) refuse(node, "all bodies together have more than 256 MiB");
}

}  // namespace

std::variant<Scenario, std::string> Scenario::parse(std::string_view yaml,
                                                    const std::string& directory) {
  if (yaml.size() > kYamlMost) return "a scenario has at most 1 MiB: put long bodies into files";
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(yaml));
    if (documents.size() != 1) return "a scenario is one YAML document with routes";
    Reader reader(directory);
    reader.read(documents[0]);
    Scenario scenario;
    scenario.name_ = std::move(reader.name);
    scenario.routes_ = std::move(reader.routes);
    return scenario;
  } catch (const Refusal& refusal) {
    return refusal.message;
  } catch (const YAML::Exception& error) {
    return "line " + std::to_string(error.mark.line + 1) + ": " + error.msg;
  }
}

std::variant<Scenario, std::string> Scenario::load(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const std::string where = "scenario " + path;
  if (!fs::is_regular_file(path, error)) return where + " is no file: name one of YAML";
  const std::uintmax_t bytes = fs::file_size(path, error);
  if (error || bytes > kYamlMost) return where + " has more than 1 MiB: put long bodies into files";
  std::ifstream file(path, std::ios::binary);
  std::string yaml(bytes, '\0');
  file.read(yaml.data(), static_cast<std::streamsize>(bytes));
  if (static_cast<std::uintmax_t>(file.gcount()) != bytes) return where + " cannot be read";
  std::variant<Scenario, std::string> scenario = parse(yaml, fs::path(path).parent_path().string());
  if (auto* message = std::get_if<std::string>(&scenario)) return where + ", " + *message;
  Scenario& parsed = std::get<Scenario>(scenario);
  if (parsed.name_.empty()) parsed.name_ = fs::path(path).stem().string();
  return scenario;
}

}  // namespace tailrace::loadtest
