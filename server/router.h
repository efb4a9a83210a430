// The route table: patterns of segments, compiled to a trie at start and only read from then on.
//
// "/api/users/{id}" takes any non-empty segment, "{id:int}" one that is an int64. A static segment
// wins over {x:int}, that over {x}; a branch that ends nowhere is left for the next. Segments are
// compared percent-decoded; a trailing slash is a segment of its own, so "/a" and "/a/" differ.
// HEAD is answered by GET's handler, OPTIONS by the table unless a route says otherwise.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gcruntime/fiber/label.h"
#include "gcruntime/gc/arena.h"
#include "server/buffer.h"
#include "server/limits.h"
#include "server/method.h"
#include "server/response.h"

namespace tailrace::metrics {
class RouteInstruments;
}

namespace tailrace::http {

class Request;
using Handler = std::function<Response(Request&)>;

struct RouteOptions {
  static constexpr std::size_t kDefaultBody = SIZE_MAX;

  // Whether requests of this route allocate in an arena of their own, of Limits::arena_bytes at most.
  bool arena = true;
  // Larger bodies are answered 413. kDefaultBody: Limits::body_bytes.
  std::size_t max_body_bytes = kDefaultBody;
};

// Immutable once the server listens.
struct Route {
  Method method;
  std::string pattern;
  Handler handler;
  RouteOptions options;
  std::vector<std::string> params;                   // names, in order
  fiber::LabelText label;                            // "GET /users/{id}", of a fiber that serves it
  gc::ArenaOptions arena;                            // its cap is set when the server starts
  metrics::RouteInstruments* instruments = nullptr;  // so is this
};

// A piece of a path. Trivial, so that tables of them are not cleared.
struct Segment {
  const char* data;
  std::size_t size;

  std::string_view view() const noexcept { return {data, size}; }
};

// The decoded segments that parameters matched, in the order of the pattern; `count` of them are
// set.
struct PathParams {
  PathParams() noexcept {}  // NOLINT: values
  unsigned count = 0;
  Segment values[kMaxParams];
};

class Router {
 public:
  enum class Outcome { kRoute, kNotFound, kMethodNotAllowed, kOptions, kBadEscape };
  struct Match {
    Outcome outcome;
    const Route* route = nullptr;
    std::string_view allow;  // for kMethodNotAllowed and kOptions
  };

  Router();
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  // Throws std::invalid_argument for a pattern that is malformed or taken.
  Route& add(Method method, std::string_view pattern, Handler handler, RouteOptions options = {});

  // `path` begins with '/'. Values of `params` point into it, or into `scratch` if it was escaped.
  Match match(Method method, std::string_view path, Buffer& scratch, PathParams& params) const;
  // The answer to OPTIONS *.
  std::string_view allow() const noexcept { return allow_; }

  const std::vector<std::unique_ptr<Route>>& routes() const noexcept { return routes_; }

 private:
  struct Node;
  struct Search;

  static bool find(const Node& node, Search& search, unsigned depth);
  static void describe_allowed(Node& node);

  std::unique_ptr<Node> root_;
  std::vector<std::unique_ptr<Route>> routes_;
  std::string allow_;
};

}  // namespace tailrace::http
