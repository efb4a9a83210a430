// URLs, and the writing of requests. Scenarios are read in scenario_parser.cc. See scenario.h.
#include "loadtest/scenario.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "loadtest/scenario_check.h"

namespace tailrace::loadtest {
namespace {

constexpr std::string_view kUrlForm = "write http://HOST[:PORT][/PATH?QUERY]";

bool is_host_name(std::string_view host) noexcept {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), fits);
}

bool is_v6_address(const std::string& host) noexcept {
  in6_addr address;
  return ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

}  // namespace

std::string Url::authority() const {
  std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != 80) text += ":" + std::to_string(port);
  return text;
}

std::variant<Url, std::string> parse_url(std::string_view text) {
  const auto fail = [&](std::string_view why) {
    return "URL \"" + std::string(text.substr(0, 200)) + "\": " + std::string(why);
  };
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    return fail("TLS is not spoken: measure the plain listener behind it, http://HOST[:PORT]");
  }
  if (!rest.starts_with("http://")) return fail(kUrlForm);
  rest.remove_prefix(7);

  Url url;
  const std::size_t authority_end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, authority_end);
  rest.remove_prefix(authority_end);
  if (authority.find('@') != std::string_view::npos) {
    return fail("a name or password has no place in it: send them by a header of the scenario");
  }
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return fail("\"[\" without \"]\"");
    url.host = authority.substr(1, close - 1);
    if (!is_v6_address(url.host)) return fail("no IPv6 address between the brackets");
    authority.remove_prefix(close + 1);
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    url.host = authority.substr(0, colon);
    authority.remove_prefix(colon);
    if (authority.find(':', 1) != std::string_view::npos) {
      return fail("an IPv6 address stands in brackets: http://[::1]:8080/");
    }
    if (!is_host_name(url.host)) return fail("no host name or address: " + std::string(kUrlForm));
  }
  if (!authority.empty()) {
    const char* const end = authority.data() + authority.size();
    const auto [stop, error] = std::from_chars(authority.data() + 1, end, url.port);
    if (authority[0] != ':' || error != std::errc() || stop != end || url.port == 0) {
      return fail("the port is a number from 1 to 65535");
    }
  }
  if (!rest.empty()) url.target = (rest[0] == '/' ? "" : "/") + std::string(rest);
  const std::variant<Template, std::string> target = Template::compile(url.target);
  if (const auto* message = std::get_if<std::string>(&target)) return fail(*message);
  if (const std::string message = check_target(std::get<Template>(target)); !message.empty()) {
    return fail(message);
  }
  return url;
}

Scenario Scenario::of_url(const Url& url) {
  std::variant<Template, std::string> target = Template::compile(url.target);
  Step step;
  step.method = "GET";
  // parse_url() lets no target through that does not compile; one made by hand is sent as it is.
  step.path = std::holds_alternative<Template>(target) ? std::move(std::get<Template>(target))
                                                       : Template::literal(url.target);
  Route route;
  route.name = "GET " + url.target;
  route.steps.push_back(std::move(step));
  Scenario scenario;
  scenario.name_ = "url";
  scenario.routes_.push_back(std::move(route));
  return scenario;
}

std::vector<double> Scenario::weights() const {
  std::vector<double> weights;
  weights.reserve(routes_.size());
  for (const Route& route : routes_) weights.push_back(route.weight);
  return weights;
}

double Scenario::requests_per_arrival() const noexcept {
  double requests = 0;
  double weights = 0;
  for (const Route& route : routes_) {
    requests += route.weight * static_cast<double>(route.steps.size());
    weights += route.weight;
  }
  return weights > 0 ? requests / weights : 1;
}

void Scenario::write(std::string& out, std::uint32_t route, std::uint32_t step,
                     std::string_view authority, std::uint64_t draw, std::uint64_t number,
                     unsigned worker) const {
  const Step& what = routes_[route].steps[step];
  FieldSource source(draw, number, worker, step);
  out += what.method;
  out += ' ';
  what.path.render(out, source);
  out += " HTTP/1.1\r\n";
  // A scenario's own Host stands first among its headers.
  if (what.headers.empty() || !same_header(what.headers[0].first, "Host")) {
    out += "Host: ";
    out += authority;
    out += "\r\n";
  }
  for (const auto& [name, value] : what.headers) {
    out += name;
    out += ": ";
    value.render(out, source);
    out += "\r\n";
  }
  // These two are expected to have one: without a length, servers may answer 411.
  if (!what.has_body && what.method != "POST" && what.method != "PUT") {
    out += "\r\n";
    return;
  }
  out += "Content-Length: ";
  const std::size_t length_at = out.size();
  out += "\r\n\r\n";
  const std::size_t body_at = out.size();
  if (what.has_body) what.body.render(out, source);
  char digits[24];
  const char* const end = std::to_chars(digits, digits + sizeof(digits), out.size() - body_at).ptr;
  out.insert(length_at, digits, static_cast<std::size_t>(end - digits));
}

bool Scenario::succeeded(std::uint32_t route, int status) const noexcept {
  const auto& expected = routes_[route].expected;
  if (expected.empty()) return status >= 200 && status <= 399;
  return std::any_of(expected.begin(), expected.end(), [status](const auto& range) {
    return status >= range.first && status <= range.second;
  });
}

}  // namespace tailrace::loadtest
