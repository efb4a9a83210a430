// See router.h.
#include "server/router.h"

#include <charconv>
#include <mutex>
#include <set>
#include <stdexcept>
#include <utility>

#include "server/query.h"

namespace tailrace::http {

struct Router::Node {
  std::vector<std::pair<std::string, std::unique_ptr<Node>>> statics;
  std::unique_ptr<Node> integer;
  std::unique_ptr<Node> any;
  std::array<const Route*, kMethods> routes{};
  std::string allow;  // empty: no route ends here
};

struct Router::Search {
  Method method;
  unsigned segment_count;
  const Segment* segments;
  PathParams& params;
  const Node* found = nullptr;
  const Node* other_method = nullptr;  // the path is known, the method is not
};

namespace {

bool is_int64(std::string_view text) noexcept {
  std::int64_t value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// The text for good: what an arena has told of a route stays in the escape report when the router is gone.
const char* lasting(const std::string& text) {
  static std::mutex mutex;
  // Never destroyed; as many as there are patterns in the program.
  static auto& texts = *new std::set<std::string>();  // NOLINT(cppcoreguidelines-owning-memory)
  const std::lock_guard lock(mutex);
  return texts.insert(text).first->c_str();
}

[[noreturn]] void bad_pattern(std::string_view pattern, const char* why) {
  throw std::invalid_argument("route " + std::string(pattern) + ": " + why);
}

const Route* route_for(const std::array<const Route*, kMethods>& routes, Method method) noexcept {
  if (method == Method::kOther) return nullptr;
  const Route* const route = routes[static_cast<unsigned>(method)];
  if (route == nullptr && method == Method::kHead) {
    return routes[static_cast<unsigned>(Method::kGet)];
  }
  return route;
}

}  // namespace

Router::Router() : root_(std::make_unique<Node>()), allow_("OPTIONS") {}
Router::~Router() = default;

Route& Router::add(Method method, std::string_view pattern, Handler handler, RouteOptions options) {
  if (method == Method::kOther) bad_pattern(pattern, "no such method");
  if (pattern.empty() || pattern.front() != '/') bad_pattern(pattern, "must begin with a slash");
  auto route = std::make_unique<Route>();
  route->method = method;
  route->pattern = pattern;
  route->handler = std::move(handler);
  route->options = options;
  route->arena.label = lasting(route->pattern);
  route->label =
      fiber::LabelText(std::string(to_string(method)).append(1, ' ').append(route->pattern));

  Node* node = root_.get();
  unsigned segments = 0;
  std::string_view rest = pattern;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::string_view segment = rest.substr(0, rest.find('/'));
    rest.remove_prefix(segment.size());
    if (++segments > kMaxSegments) bad_pattern(pattern, "too many segments");
    if (segment.find_first_of("{}") == std::string_view::npos) {
      std::unique_ptr<Node>* child = nullptr;
      for (auto& [text, known] : node->statics) {
        if (text == segment) child = &known;
      }
      if (child == nullptr) {
        child = &node->statics.emplace_back(std::string(segment), std::make_unique<Node>()).second;
      }
      node = child->get();
      continue;
    }
    if (segment.size() < 3 || segment.front() != '{' || segment.back() != '}') {
      bad_pattern(pattern, "a parameter is a whole segment, as in {id} or {id:int}");
    }
    const std::string_view inner = segment.substr(1, segment.size() - 2);
    const std::size_t colon = inner.find(':');
    const std::string_view name = inner.substr(0, colon);
    const bool integer = colon != std::string_view::npos;
    if (name.empty() || inner.find_first_of("{}") != std::string_view::npos ||
        (integer && inner.substr(colon + 1) != "int")) {
      bad_pattern(pattern, "a parameter is {name} or {name:int}");
    }
    for (const std::string& known : route->params) {
      if (known == name) bad_pattern(pattern, "two parameters of one name");
    }
    if (route->params.size() == kMaxParams) bad_pattern(pattern, "too many parameters");
    route->params.emplace_back(name);
    std::unique_ptr<Node>& child = integer ? node->integer : node->any;
    if (child == nullptr) child = std::make_unique<Node>();
    node = child.get();
  }
  const Route*& place = node->routes[static_cast<unsigned>(method)];
  if (place != nullptr) bad_pattern(pattern, "this method has a route of that shape already");
  place = route.get();
  describe_allowed(*node);
  const std::string_view name = to_string(method);
  if (allow_.find(name) == std::string::npos) {
    allow_ += ", ";
    allow_ += name;
    if (method == Method::kGet && allow_.find("HEAD") == std::string::npos) allow_ += ", HEAD";
  }
  return *routes_.emplace_back(std::move(route));
}

void Router::describe_allowed(Node& node) {
  node.allow.clear();
  for (unsigned i = 0; i < kMethods; ++i) {
    const Method method = static_cast<Method>(i);
    if (method != Method::kOptions && route_for(node.routes, method) == nullptr) continue;
    if (!node.allow.empty()) node.allow += ", ";
    node.allow += to_string(method);
  }
}

bool Router::find(const Node& node, Search& search, unsigned depth) {
  if (depth == search.segment_count) {
    if (node.allow.empty()) return false;
    if (route_for(node.routes, search.method) != nullptr) {
      search.found = &node;
      return true;
    }
    if (search.other_method == nullptr) search.other_method = &node;
    return false;
  }
  const std::string_view segment = search.segments[depth].view();
  for (const auto& [text, child] : node.statics) {
    if (text == segment) {
      if (find(*child, search, depth + 1)) return true;
      break;
    }
  }
  if (segment.empty() || (node.integer == nullptr && node.any == nullptr)) return false;
  const unsigned count = search.params.count;
  search.params.values[search.params.count++] = search.segments[depth];
  if (node.integer != nullptr && is_int64(segment) && find(*node.integer, search, depth + 1)) {
    return true;
  }
  search.params.count = count + 1;
  if (node.any != nullptr && find(*node.any, search, depth + 1)) return true;
  search.params.count = count;
  return false;
}

Router::Match Router::match(Method method, std::string_view path, Buffer& scratch,
                            PathParams& params) const {
  Segment segments[kMaxSegments];
  unsigned count = 0;
  const bool escaped = path.find('%') != std::string_view::npos;
  if (escaped) {
    scratch.clear();
    if (scratch.reserve(path.size()) == nullptr) return {Outcome::kNotFound, nullptr, {}};
  }
  std::string_view rest = path;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    std::string_view segment = rest.substr(0, rest.find('/'));
    rest.remove_prefix(segment.size());
    if (count == kMaxSegments) return {Outcome::kNotFound, nullptr, {}};
    if (escaped) {
      // Within the room reserved above, so that earlier segments do not move.
      const std::size_t at = scratch.size();
      if (!percent_decode(segment, false, scratch)) return {Outcome::kBadEscape, nullptr, {}};
      segment = scratch.view().substr(at);
    }
    segments[count++] = {segment.data(), segment.size()};
  }
  params.count = 0;
  Search search{method, count, segments, params};
  if (find(*root_, search, 0)) {
    return {Outcome::kRoute, route_for(search.found->routes, method), {}};
  }
  if (search.other_method != nullptr) {
    return {method == Method::kOptions ? Outcome::kOptions : Outcome::kMethodNotAllowed, nullptr,
            search.other_method->allow};
  }
  return {Outcome::kNotFound, nullptr, {}};
}

}  // namespace tailrace::http
