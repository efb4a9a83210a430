// Every bound of the server in one place, with its arithmetic. A value here is a default that the
// configuration file may change (config.h checks the ranges), or a constant that other code relies
// on.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailrace::http {

// The field table is part of a session on a fiber's stack: 64 * 12 bytes. Browsers send 10 to 20.
inline constexpr unsigned kMaxFields = 64;
// Offsets of names and values are 16 bits wide, so a head is at most 64 KiB less one.
inline constexpr std::size_t kMaxHeaderBytes = 65'535;
// Longest method name that gets a 501; the longest registered one has 17 characters.
inline constexpr std::size_t kMaxMethodBytes = 32;
// "path/segments", parameters of one pattern, pairs of one query string (a table of 8-byte
// entries).
inline constexpr unsigned kMaxSegments = 32;
inline constexpr unsigned kMaxParams = 8;
inline constexpr unsigned kMaxQueryPairs = 64;
// A chunk's size line, extension included: 16 hex digits and a signature's worth of extension.
inline constexpr std::size_t kMaxChunkLineBytes = 256;
inline constexpr std::size_t kMaxTrailerBytes = 4096;
// A client's X-Request-ID of at most this many characters is taken over.
inline constexpr std::size_t kMaxRequestIdBytes = 64;
// Answers of pipelined requests are sent together up to this many bytes: what a first buffer holds.
inline constexpr std::size_t kBatchBytes = 15 * 1024;
// Requests that a session answers before it lets others run: a client that always has another one
// in flight does not keep a worker to itself.
inline constexpr unsigned kRequestsPerTurn = 64;
// A body up to here gets its room at once; beyond, room grows with what has arrived, so that a
// Content-Length alone reserves nothing.
inline constexpr std::size_t kEagerBodyBytes = 64 * 1024;
// What a closing connection reads and drops at most so that the client sees the last status: about
// what a client has in flight (256 KiB of send buffer).
inline constexpr std::size_t kLingerBytes = 256 * 1024;
// Events of one poll; a ReadyList holds twice that, the rest is for timers.
inline constexpr int kEventsPerPoll = 128;
// Connections taken from a listener before its loop looks at anything else.
inline constexpr int kAcceptBatch = 64;
// Descriptors kept for everything that is not a public connection: epolls, logs, listeners, files.
inline constexpr std::size_t kReservedDescriptors = 128;

struct Limits {
  std::size_t header_bytes =
      8 * 1024;  // request line and fields; above: 431. One buffer holds 15 KiB.
  std::size_t target_bytes = 4 * 1024;   // above: 414
  std::size_t body_bytes = 1024 * 1024;  // of a route that names no limit of its own; above: 413
  // Body of a request that no route takes: read up to here to keep the connection, else closed.
  std::size_t unmatched_body_bytes = 64 * 1024;
  // Of a request's arena; what is made beyond it lies on the collected heap. 256 blocks: as much as
  // thousands of usual requests take, so that one that builds a large answer is still its own.
  std::size_t arena_bytes = 8 * 1024 * 1024;
  // A record is 128 bytes and the kernel's part of a connection about 4 KiB: 65 536 are 8 and 256
  // MiB. Less if RLIMIT_NOFILE leaves less. Above: 503 and close.
  std::size_t connections = 65'536;
  // Bodies and answers that move slower than this, after their grace, are given up. A body of 1 MiB
  // thus has 1024 s at most, and a connection that drips holds its buffer no longer.
  std::uint64_t min_bytes_per_s = 1024;
};

struct Timeouts {
  std::int64_t header_ns = 10'000'000'000;  // from a request's first byte to the end of its head
  std::int64_t idle_ns = 75'000'000'000;    // between requests
  std::int64_t body_grace_ns = 10'000'000'000;  // then min_bytes_per_s holds
  std::int64_t write_grace_ns = 10'000'000'000;
  std::int64_t linger_ns = 500'000'000;  // half-closed, for the client to read the last status
  std::int64_t slow_request_ns = 1'000'000'000;  // logged in mode `errors`
  // A fiber that keeps its worker for longer without suspending is counted and logged with its
  // stack; 0: nobody looks.
  std::int64_t long_slice_ns = 10'000'000;
};

}  // namespace tailrace::http
