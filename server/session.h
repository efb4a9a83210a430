// A session serves what has arrived on one connection: read, parse, route, handle, write, and on
// while there is input. It lives on the stack of a warm fiber from a readiness to the next idle
// state, and holds pooled buffers only that long. See server/DESIGN.md [http.session].
//
// Runs on one fiber; after each wait perhaps on another worker, so nothing of a worker is kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "gcruntime/base/annotations.h"
#include "server/buffer.h"
#include "server/connection.h"
#include "server/gate.h"
#include "server/head.h"
#include "server/request.h"
#include "server/response.h"
#include "server/router.h"
#include "server/service.h"

namespace tailrace::http {

class Session {
 public:
  // The job of a connection (fiber::Job::run).
  static void run(fiber::Job* job);

 private:
  explicit Session(Connection& connection) noexcept;

  enum class Input { kRequest, kNothing, kGone, kRefused };
  enum class Body { kRead, kTooLarge, kMalformed, kLate, kGone };

  // Serves until the input is drained: true, the connection may go idle; or false, it ends.
  bool serve();

  // --- Reading
  // Reads what is there, into in_. False: nothing; then drained_, or ended_ if nothing will ever
  // come.
  bool fill();
  Input read_head();
  void make_room_for_head();
  Body read_body(std::size_t limit);
  Body read_sized_body(std::size_t limit);
  Body read_chunked_body(std::size_t limit);
  // More of a body, or why not.
  Body wait_for_body(std::int64_t started_ns, std::size_t received);
  bool send_continue();
  // Suspend. False: the deadline passed first.
  bool wait_readable(std::int64_t deadline_ns);
  bool wait_writable(std::int64_t deadline_ns);

  // --- Answering
  bool answer();
  bool refuse();
  Router::Match find_route(Request& request);
  // Reads the body. False: there will be no handler for want of it, because of refusal_ or abandoned_.
  bool receive(Request& request, const Route* route);
  bool refuse_body(int status, const char* message);
  // A frame of its own: what lies above an arena's is looked through when it ends.
  TAILRACE_NOINLINE bool exchange(Request& request, const Router::Match& match, bool received);
  metrics::RouteInstruments& instruments_of(const Route* route) noexcept;
  Response respond(Request& request, const Router::Match& match);
  Response call_handler(const Route& route, Request& request);
  bool deliver(const Request& request, Response response);
  void take_request_id(Request& request, std::string_view offered) noexcept;
  bool reply(Response& response, const Request& request);
  std::size_t write_head(char* to, const Response& response, const Request& request) noexcept;
  bool send_all(std::string_view text);
  bool flush();
  void account(const Request& request, int status, std::size_t response_bytes);
  void linger();

  Connection& connection_;
  Service& service_;
  Shared& shared_;
  Buffer in_{BufferUse::kConnection};
  Buffer out_{BufferUse::kConnection};  // replies to pipelined requests, not sent yet
  std::int64_t started_ns_ = 0;  // of the request; the end of the last one if its bytes were there
  std::size_t message_bytes_ = 0;  // of in_: the head, then the whole message
  std::string_view body_;
  Refusal refusal_;
  bool drained_ = false;      // a read found less than it asked for
  bool ended_ = false;        // the peer sends no more, or is gone
  bool abandoned_ = false;    // in the middle of a body
  bool close_after_ = false;  // the reply
  bool linger_ = false;       // input may be on its way that nobody will read
  std::string detail_;        // what the handler threw
  Head head_;
};

}  // namespace tailrace::http
