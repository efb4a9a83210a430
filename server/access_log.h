// The access log: JSON lines on a descriptor, written by one thread of its own. A session never
// waits for it: it fills a fixed-size record in its worker's ring, and when the ring is full the
// record is dropped and counted (tailrace_access_log_dropped_total).
//
// A ring has one producer, the worker (sessions do not suspend while they fill a record), and one
// consumer, the writer. Whatever clients sent is cut to the record's size and escaped to ASCII.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

#include "metrics/counter.h"
#include "server/method.h"

namespace tailrace::http {

enum class AccessLogMode : std::uint8_t { kOff, kErrors, kAll };

// Trivial, so that a ring's memory is touched only as far as it fills.
struct AccessRecord {
  std::int64_t unix_ns;
  std::uint64_t duration_ns;
  std::uint64_t request_bytes;
  std::uint64_t response_bytes;
  std::uint64_t alloc_bytes;
  std::uint64_t alloc_objects;
  const std::string* route;  // a pattern of the route table
  int status;
  Method method;
  std::uint8_t id_bytes;
  std::uint8_t target_bytes;
  std::uint8_t detail_bytes;
  std::uint8_t target_cut;
  char id[64];
  char target[160];
  char detail[160];

  void set_id(std::string_view text) noexcept { id_bytes = copy(text, id, sizeof id); }
  void set_target(std::string_view text) noexcept {
    target_bytes = copy(text, target, sizeof target);
    target_cut = text.size() > sizeof target;
  }
  // What a handler threw.
  void set_detail(std::string_view text) noexcept {
    detail_bytes = copy(text, detail, sizeof detail);
  }

 private:
  static std::uint8_t copy(std::string_view text, char* to, std::size_t room) noexcept {
    return static_cast<std::uint8_t>(text.copy(to, room));
  }
};
static_assert(std::is_trivially_default_constructible_v<AccessRecord>);

class AccessLog {
 public:
  // Starts the writer unless the mode is off. `slow_ns`: what mode `errors` logs beside status >=
  // 500.
  AccessLog(AccessLogMode mode, unsigned workers, std::int64_t slow_ns, int descriptor,
            metrics::Counter& dropped);
  // Writes what is left and ends the writer.
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  bool wants(int status, std::uint64_t duration_ns) const noexcept {
    return mode_ == AccessLogMode::kAll ||
           (mode_ == AccessLogMode::kErrors &&
            (status >= 500 || duration_ns > static_cast<std::uint64_t>(slow_ns_)));
  }
  // A record of the worker's ring to fill, or null (counted). Then push(worker).
  AccessRecord* begin(unsigned worker) noexcept;
  void push(unsigned worker) noexcept;

 private:
  static constexpr std::uint64_t kRecords = 2048;  // 1 MB a worker, touched as far as it fills

  struct alignas(64) Ring {
    std::unique_ptr<AccessRecord[]> records;
    alignas(64) std::atomic<std::uint64_t> pushed{0};   // by the worker
    alignas(64) std::atomic<std::uint64_t> written{0};  // by the writer
  };

  void run();
  // Formats what the rings hold into `text`, some at a time. False if there was nothing.
  bool take(std::string& text);

  const AccessLogMode mode_;
  const std::int64_t slow_ns_;
  const int descriptor_;
  metrics::Counter& dropped_;
  std::vector<Ring> rings_;
  std::mutex mutex_;
  std::condition_variable stopping_changed_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread writer_;
};

}  // namespace tailrace::http
