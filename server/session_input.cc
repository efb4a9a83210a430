// The reading half of a session: what has arrived becomes a head and a body. See session.h.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/os/clock.h"
#include "server/chunked.h"
#include "server/limits.h"
#include "server/poller.h"
#include "server/session.h"
#include "server/socket.h"

namespace tailrace::http {
namespace {

// Chunks are not read into less room than this.
constexpr std::size_t kMinReadBytes = 4096;

bool commit_read(fiber::Fiber* fiber, void* argument) {
  Connection* const connection = static_cast<Connection*>(argument);
  connection->waiter = fiber;
  return connection->leave_running(Connection::kReading, Connection::kReadEdge);
}

bool commit_write(fiber::Fiber* fiber, void* argument) {
  Connection* const connection = static_cast<Connection*>(argument);
  connection->waiter = fiber;
  return connection->leave_running(Connection::kWriting, Connection::kWriteEdge);
}

}  // namespace

bool Session::wait_readable(std::int64_t deadline_ns) {
  connection_.home().arm(connection_, deadline_ns);
  fiber::park(fiber::WaitReason::kIo, &commit_read, &connection_);
  drained_ = false;
  if (!connection_.expired()) return true;
  connection_.clear_expired();
  return false;
}

bool Session::wait_writable(std::int64_t deadline_ns) {
  connection_.home().arm(connection_, deadline_ns);
  fiber::park(fiber::WaitReason::kIo, &commit_write, &connection_);
  if (!connection_.expired()) return true;
  connection_.clear_expired();
  return false;
}

bool Session::fill() {
  char* const to = in_.reserve(1);
  const std::size_t room = in_.room();
  if (to == nullptr) {
    ended_ = true;
    return false;
  }
  const long got = receive_some(connection_.fd(), to, room);
  if (got > 0) {
    in_.commit(static_cast<std::size_t>(got));
    // Less than asked for means that the socket is empty: the next byte brings an edge. Not so when
    // the peer's end is behind the bytes: it has brought its edge already, so read on.
    drained_ = static_cast<std::size_t>(got) < room && !connection_.hung_up();
    return true;
  }
  if (got == -EAGAIN || got == -EWOULDBLOCK) {
    drained_ = true;
  } else {
    ended_ = true;
  }
  return false;
}

// The head must come to lie in one piece without moving while it is parsed.
void Session::make_room_for_head() {
  if (in_.room() + in_.size() >= shared_.limits.header_bytes) return;
  Buffer roomier(BufferUse::kConnection);
  if (roomier.reserve(shared_.limits.header_bytes) != nullptr && roomier.append(in_.view())) {
    in_ = std::move(roomier);
  }
}

Session::Input Session::read_head() {
  const GateLimits limits{shared_.limits.header_bytes, shared_.limits.target_bytes};
  std::optional<Gate> gate;
  bool skipped_line = false;
  std::int64_t deadline_ns = 0;
  if (in_.empty()) in_.clear();  // back to the front
  for (;;) {
    // An empty line before a request is skipped once (RFC 9112 2.2).
    if (!gate && !skipped_line && in_.size() >= 2 && std::memcmp(in_.data(), "\r\n", 2) == 0) {
      in_.consume(2);
      skipped_line = true;
    }
    if (!in_.empty() && (skipped_line || *in_.data() != '\r' || in_.size() > 1)) {
      if (!gate) gate.emplace(head_, limits);
      switch (gate->parse(in_.view())) {
        case Gate::Result::kDone:
          message_bytes_ = gate->head_bytes();
          return Input::kRequest;
        case Gate::Result::kRefused:
          refusal_ = gate->refusal();
          return Input::kRefused;
        case Gate::Result::kNeedMore:
          break;
      }
    }
    if (in_.room() + in_.size() < limits.header_bytes) {
      make_room_for_head();
      gate.reset();
    }
    const bool first = in_.empty();
    if (!drained_ && !ended_ && fill()) {
      if (first) started_ns_ = os::now_ns();
      continue;
    }
    // Nothing more for now: what was answered leaves before anyone waits.
    if (!flush()) return Input::kGone;
    if (ended_) return Input::kGone;
    if (!drained_) continue;
    if (in_.empty()) return Input::kNothing;
    if (deadline_ns == 0) deadline_ns = started_ns_ + shared_.timeouts.header_ns;
    if (!wait_readable(deadline_ns)) {
      head_.clear();
      head_.base = in_.data();
      refusal_ = {408, "the request head did not arrive in time"};
      return Input::kRefused;
    }
  }
}

Session::Body Session::wait_for_body(std::int64_t started_ns, std::size_t received) {
  while (!fill()) {
    if (ended_) return Body::kGone;
    if (!flush()) return Body::kGone;
    const std::int64_t earned_ns = static_cast<std::int64_t>(
        static_cast<double>(received) * 1e9 / static_cast<double>(shared_.limits.min_bytes_per_s));
    if (!wait_readable(started_ns + shared_.timeouts.body_grace_ns + earned_ns)) return Body::kLate;
  }
  return Body::kRead;
}

Session::Body Session::read_body(std::size_t limit) {
  // Empty, but there. NOLINTNEXTLINE(bugprone-string-constructor)
  body_ = {in_.data() + message_bytes_, 0};
  if (head_.chunked) return read_chunked_body(limit);
  if (head_.content_length != 0) return read_sized_body(limit);
  return Body::kRead;
}

Session::Body Session::read_sized_body(std::size_t limit) {
  if (head_.content_length > limit) return Body::kTooLarge;
  const std::size_t total = message_bytes_ + head_.content_length;
  if (in_.size() < total) {
    if (head_.expect_continue && !send_continue()) return Body::kGone;
    const std::int64_t started_ns = os::now_ns();
    while (in_.size() < total) {
      const std::size_t missing = total - in_.size();
      if (in_.room() < missing) {
        // At most twice what has arrived is held, beyond the eager part.
        if (in_.reserve(std::min(missing, std::max(kEagerBodyBytes, in_.size()))) == nullptr) {
          return Body::kTooLarge;
        }
        head_.base = in_.data();
      }
      const Body outcome = wait_for_body(started_ns, in_.size() - message_bytes_);
      if (outcome != Body::kRead) return outcome;
    }
  }
  body_ = {in_.data() + message_bytes_, head_.content_length};
  message_bytes_ = total;
  return Body::kRead;
}

Session::Body Session::read_chunked_body(std::size_t limit) {
  ChunkedDecoder decoder(limit);
  std::size_t body_end = message_bytes_;  // offsets into in_: the buffer may move
  std::size_t taken = message_bytes_;
  std::size_t received = 0;
  std::int64_t started_ns = 0;
  for (;;) {
    char* to = in_.data() + body_end;
    const char* from = in_.data() + taken;
    const char* const end = in_.data() + in_.size();
    received += static_cast<std::size_t>(end - from);
    const ChunkedDecoder::Result result = decoder.decode(to, from, end);
    body_end = static_cast<std::size_t>(to - in_.data());
    taken = static_cast<std::size_t>(from - in_.data());
    switch (result) {
      case ChunkedDecoder::Result::kDone:
        body_ = {in_.data() + message_bytes_, body_end - message_bytes_};
        message_bytes_ = taken;
        return Body::kRead;
      case ChunkedDecoder::Result::kMalformed:
        return Body::kMalformed;
      case ChunkedDecoder::Result::kTooLarge:
        return Body::kTooLarge;
      case ChunkedDecoder::Result::kNeedMore:
        break;
    }
    // All of it was taken: what comes next lands right behind the body.
    in_.truncate(body_end);
    taken = body_end;
    if (started_ns == 0) {
      started_ns = os::now_ns();
      if (head_.expect_continue && received == 0 && !send_continue()) return Body::kGone;
    }
    if (in_.room() < kMinReadBytes &&
        in_.reserve(std::max(kEagerBodyBytes, in_.size())) == nullptr) {
      return Body::kTooLarge;
    }
    head_.base = in_.data();
    const Body outcome = wait_for_body(started_ns, received);
    if (outcome != Body::kRead) return outcome;
  }
}

bool Session::send_continue() { return flush() && send_all("HTTP/1.1 100 Continue\r\n\r\n"); }

// The client may still be sending, and a close with unread input makes its kernel throw away what
// we said last. So: say that we are done, and read on for a while.
void Session::linger() {
  const int fd = connection_.fd();
  shutdown_send(fd);
  const std::int64_t deadline_ns = os::now_ns() + shared_.timeouts.linger_ns;
  std::size_t dropped = 0;
  while (dropped < kLingerBytes && !ended_) {
    in_.clear();
    if (fill()) {
      dropped += in_.size();
      if (os::now_ns() >= deadline_ns) return;
    } else if (!ended_ && !wait_readable(deadline_ns)) {
      return;
    }
  }
}

}  // namespace tailrace::http
