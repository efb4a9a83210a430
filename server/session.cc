// The answering half of a session. See session.h.
#include "server/session.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/fiber/spawn_account.h"
#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/memory_limit.h"
#include "gcruntime/gc/memory_wait.h"
#include "gcruntime/os/clock.h"
#include "server/ascii.h"
#include "server/limits.h"
#include "server/poller.h"
#include "server/socket.h"

namespace tailrace::http {
namespace {

constexpr CharacterSet kIdCharacters([](char c) {
  return is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
});

// What a head needs at most; all of it fits a Buffer's head room. See write_head().
constexpr std::size_t kMaxHeadBytes = 64 + 37 + (16 + Response::kMaxTypeBytes) + (18 + 20) +
                                      (16 + kMaxRequestIdBytes) + 24 + Response::kMaxFieldBytes + 2;
static_assert(kMaxHeadBytes <= Buffer::kHeadRoomBytes);

char* put(char* to, std::string_view text) noexcept {
  std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

// The label of a method in the metrics, by Method.
unsigned metrics_method(Method method) noexcept {
  static const auto kIndexes = [] {
    std::array<unsigned, kMethods + 1> indexes{};
    for (unsigned i = 0; i < indexes.size(); ++i) {
      indexes[i] = metrics::method_index(to_string(static_cast<Method>(i)));
    }
    return indexes;
  }();
  return kIndexes[static_cast<unsigned>(method)];
}

}  // namespace

Session::Session(Connection& connection) noexcept
    : connection_(connection), service_(connection.service()), shared_(service_.shared()) {}

void Session::run(fiber::Job* job) {
  Connection& connection = *static_cast<Connection*>(job);
  for (;;) {
    {
      Session session(connection);
      if (!session.serve()) {
        session.in_ = Buffer();
        session.out_ = Buffer();
        connection.home().finish(connection);
        return;
      }
      // The buffers go back before the record may be served by another fiber.
    }
    if (connection.try_idle()) return;
    // Another worker has polled the next request before we were through with this one. A client that
    // is always so quick must not keep this worker for itself.
    fiber::yield();
  }
}

bool Session::serve() {
  if (in_.reserve(1) == nullptr) return false;
  for (;;) {
    switch (read_head()) {
      case Input::kRequest:
        if (!answer()) return false;
        if (connection_.requests % kRequestsPerTurn == 0 && !in_.empty()) fiber::yield();
        break;
      case Input::kNothing:
        // Later than the last, so the wheel need not know. A wake for nothing earns no time.
        if (started_ns_ != 0) {
          connection_.extend_deadline(Wheel::deadline_tick(started_ns_ + shared_.timeouts.idle_ns));
        }
        return !shared_.draining.load(std::memory_order_relaxed);
      case Input::kRefused:
        return refuse();
      case Input::kGone:
        return false;
    }
  }
}

// A head that the gate refused, or that was late.
bool Session::refuse() {
  shared_.refused.add();
  Request request(head_);
  request.alloc_at_start_ = fiber::alloc_counts();
  take_request_id(request, {});
  close_after_ = linger_ = true;
  Response response = error(refusal_.status, refusal_.message);
  shared_.in_flight.add();
  account(request, refusal_.status, response.body().size());
  if (reply(response, request) && flush()) linger();
  shared_.in_flight.sub();
  return false;
}

bool Session::answer() {
  shared_.in_flight.add();
  Request request(head_);
  request.fd_ = connection_.fd();
  request.alloc_at_start_ = fiber::alloc_counts();
  take_request_id(request, head_.field_at(head_.request_id));
  close_after_ = !head_.keep_alive || shared_.draining.load(std::memory_order_relaxed);
  const Router::Match match = find_route(request);
  const bool received = receive(request, match.route);
  if (abandoned_) {  // gone in the middle of its body: nobody to answer
    shared_.in_flight.sub();
    return false;
  }
  // An arena stays open until the reply is written or given up: it may refer to what the handler made.
  const bool alive =
      received && match.route != nullptr && match.route->options.arena
          ? gc::with_arena([&] { return exchange(request, match, true); }, match.route->arena)
          : exchange(request, match, received);
  // Read, answered, not needed any more: whoever pipelines has the next one behind it.
  shared_.in_flight.sub();
  fiber::clear_label();
  ++connection_.requests;
  if (!alive) return false;
  if (close_after_) {
    if (!flush()) return false;
    if (linger_ || in_.size() > message_bytes_) linger();
    return false;
  }
  in_.consume(message_bytes_);
  return true;
}

Router::Match Session::find_route(Request& request) {
  Router::Match match{Router::Outcome::kOptions, nullptr, service_.router().allow()};
  if (!head_.asterisk) [[likely]] {
    match = service_.router().match(head_.method, request.path(), request.decoded_path_,
                                    request.params_);
  }
  request.route_ = match.route;
  if (match.route != nullptr) fiber::set_label(match.route->label);
  return match;
}

bool Session::receive(Request& request, const Route* route) {
  std::size_t limit = shared_.limits.unmatched_body_bytes;
  if (route != nullptr) {
    limit = route->options.max_body_bytes;
    if (limit == RouteOptions::kDefaultBody) limit = shared_.limits.body_bytes;
  }
  const char* const base = head_.base;
  if (route == nullptr && head_.expect_continue) {
    close_after_ = linger_ = true;  // its body is not asked for
    message_bytes_ = in_.size();
  } else {
    switch (read_body(limit)) {
      case Body::kRead:
        break;
      case Body::kTooLarge:
        close_after_ = linger_ = true;
        message_bytes_ = in_.size();
        if (route == nullptr) break;
        return refuse_body(413, "the request body is too large");
      case Body::kMalformed:
        return refuse_body(400, "malformed chunked body");
      case Body::kLate:
        return refuse_body(408, "the request body did not arrive in time");
      case Body::kGone:
        abandoned_ = true;
        return false;
    }
  }
  request.body_ = body_;
  request.settle(base);
  return true;
}

bool Session::refuse_body(int status, const char* message) {
  close_after_ = linger_ = true;
  shared_.refused.add();
  refusal_ = {status, message};
  return false;
}

metrics::RouteInstruments& Session::instruments_of(const Route* route) noexcept {
  return route != nullptr ? *route->instruments : service_.unmatched();
}

bool Session::exchange(Request& request, const Router::Match& match, bool received) {
  // Fibers may outlive the request, not the server with its instruments.
  fiber::SpawnAccount spawned(
      [](void* instruments, const gc::AllocCounts& counts) noexcept {
        static_cast<metrics::RouteInstruments*>(instruments)
            ->add_late(counts, metrics::current_shard());
      },
      &instruments_of(match.route));
  request.spawned_ = &spawned;
  return deliver(request,
                 received ? respond(request, match) : error(refusal_.status, refusal_.message));
}

Response Session::respond(Request& request, const Router::Match& match) {
  switch (match.outcome) {
    case Router::Outcome::kRoute:
      return call_handler(*match.route, request);
    case Router::Outcome::kOptions:
      return Response(204).header("Allow", match.allow);
    case Router::Outcome::kMethodNotAllowed:
      return error(405, "this path does not take this method").header("Allow", match.allow);
    case Router::Outcome::kBadEscape:
      return bad_request("malformed escape in the path");
    case Router::Outcome::kNotFound:
      break;
  }
  return not_found("no such path");
}

// False: the peer is gone or too slow.
bool Session::deliver(const Request& request, Response response) {
  // Before it is sent: who has the reply and then looks at /metrics finds it counted.
  account(request, response.status(), response.body().size());
  return reply(response, request);
}

Response Session::call_handler(const Route& route, Request& request) {
  // Whose client is gone, or was cut off when the drain's deadline passed, waits for memory no longer. Who is
  // to release data must not be refused for want of what it is to release.
  gc::AllocationBounds bounds{
      .ended =
          [](const void* of) noexcept { return static_cast<const Connection*>(of)->hung_up(); },
      .argument = &connection_,
      .reserve = route.method == Method::kDelete};
  const gc::BoundsScope waits_within(bounds);
  try {
    if (service_.guard()) [[unlikely]] {
      if (std::optional<Response> refused = service_.guard()(request)) return std::move(*refused);
    }
    return route.handler(request);
  } catch (const HttpError& thrown) {
    const int status = thrown.status();
    return error(status >= 400 && status < 600 ? status : 500, thrown.code(), thrown.message());
  } catch (const gc::MemoryLimitExceeded& thrown) {
    detail_ = thrown.what();
    // Live data is seldom released in less than a cycle.
    return error(503, "memory_limit", thrown.what()).header("Retry-After", "1");
  } catch (const std::exception& thrown) {
    detail_ = thrown.what();
  } catch (...) {
    detail_ = "an exception that is no std::exception";
  }
  shared_.exceptions.add();
  return error(500, "the server has failed to answer; see its log");
}

void Session::take_request_id(Request& request, std::string_view offered) noexcept {
  if (!offered.empty() && offered.size() <= kMaxRequestIdBytes && all_of(offered, kIdCharacters)) {
    offered.copy(request.request_id_, offered.size());
    request.request_id_bytes_ = static_cast<std::uint8_t>(offered.size());
  } else {
    shared_.workers.current().make_request_id(request.request_id_);
    request.request_id_bytes_ = 16;
  }
}

std::size_t Session::write_head(char* to, const Response& response,
                                const Request& request) noexcept {
  const char* const begin = to;
  to = put(to, status_line(response.status()));
  to = put(to, shared_.workers.current().date_line());
  if (!response.content_type().empty()) {
    to = put(to, "Content-Type: ");
    to = put(to, response.content_type());
    to = put(to, "\r\n");
  }
  if (response.status() != 204 && response.status() != 304) {
    to = put(to, "Content-Length: ");
    to = std::to_chars(to, to + 20, response.body().size()).ptr;
    to = put(to, "\r\n");
  }
  to = put(to, "X-Request-ID: ");
  to = put(to, request.request_id());
  to = put(to, "\r\n");
  if (close_after_) {
    to = put(to, "Connection: close\r\n");
  } else if (head_.minor_version == 0) {
    to = put(to, "Connection: keep-alive\r\n");
  }
  to = put(to, response.fields());
  to = put(to, "\r\n");
  return static_cast<std::size_t>(to - begin);
}

// Sends the reply, or leaves it with earlier ones if more requests have arrived. False as deliver().
bool Session::reply(Response& response, const Request& request) {
  char head[kMaxHeadBytes];
  const std::string_view head_text(head, write_head(head, response, request));
  Buffer& body = response.body();
  const bool no_body = head_.method == Method::kHead || response.status() == 204 ||
                       response.status() == 304 || body.empty();
  const bool more = in_.size() > message_bytes_ && !close_after_;
  if (no_body) {
    if (out_.empty() && !more) return send_all(head_text);
    if (out_.size() + head_text.size() > kBatchBytes && !flush()) return false;
    return out_.append(head_text) && (more || flush());
  }
  if (out_.empty() && !more && body.prepend(head_text)) return send_all(body.view());
  if (out_.size() + head_text.size() + body.size() > kBatchBytes) {
    if (!flush()) return false;
    if (body.prepend(head_text)) return send_all(body.view());
  }
  return out_.append(head_text) && out_.append(body.view()) && (more || flush());
}

bool Session::flush() {
  if (out_.empty()) return true;
  const bool sent = send_all(out_.view());
  out_.clear();
  return sent;
}

bool Session::send_all(std::string_view text) {
  std::int64_t started_ns = 0;
  std::size_t sent = 0;
  for (;;) {
    const long count = send_some(connection_.fd(), text.data() + sent, text.size() - sent);
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
      if (sent == text.size()) {
        // The idle time of a slow reader begins when it has read, not when it was answered.
        if (started_ns != 0) started_ns_ = os::now_ns();
        return true;
      }
      // A short send means that the socket is full, but only a refused one brings an edge.
      continue;
    }
    if (count != -EAGAIN && count != -EWOULDBLOCK) return false;
    if (started_ns == 0) started_ns = os::now_ns();
    const std::int64_t earned_ns = static_cast<std::int64_t>(
        static_cast<double>(sent) * 1e9 / static_cast<double>(shared_.limits.min_bytes_per_s));
    if (!wait_writable(started_ns + shared_.timeouts.write_grace_ns + earned_ns)) return false;
  }
}

void Session::account(const Request& request, int status, std::size_t response_bytes) {
  const std::int64_t now_ns = os::now_ns();
  const gc::AllocCounts allocated = request.close_alloc();
  metrics::RequestFacts facts;
  facts.method = metrics_method(head_.method);
  facts.status = static_cast<unsigned>(status);
  facts.duration_ns = static_cast<std::uint64_t>(now_ns - started_ns_);
  facts.request_bytes = body_.size();
  facts.response_bytes = response_bytes;
  facts.arena_bytes = allocated.arena_bytes;
  facts.heap_bytes = allocated.bytes;
  facts.large_bytes = allocated.large_bytes;
  facts.alloc_objects = allocated.arena_objects + allocated.objects + allocated.large_objects;
  facts.malloc_bytes = allocated.malloc_bytes;
  facts.assist_ns = allocated.assist_ns;
  const Route* const route = request.route_;
  instruments_of(route).observe(facts);
  started_ns_ = now_ns;
  if (shared_.access_log.wants(status, facts.duration_ns)) [[unlikely]] {
    const unsigned worker = static_cast<unsigned>(fiber::Scheduler::current_worker());
    if (AccessRecord* record = shared_.access_log.begin(worker)) {
      record->duration_ns = facts.duration_ns;
      record->request_bytes = facts.request_bytes;
      record->response_bytes = facts.response_bytes;
      record->alloc_bytes = facts.managed_bytes();
      record->alloc_objects = facts.alloc_objects;
      record->method = head_.method;
      record->route = route != nullptr ? &route->pattern : &Service::kUnmatched;
      record->status = status;
      record->set_id(request.request_id());
      record->set_target(request.target());
      record->set_detail(detail_);
      shared_.access_log.push(worker);
    }
  }
  detail_.clear();
  body_ = {};
}

}  // namespace tailrace::http
