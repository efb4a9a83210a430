// See access_log.h.
#include "server/access_log.h"

#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>

#include "server/escape.h"

namespace tailrace::http {
namespace {

void append_number(std::string& out, std::string_view key, std::uint64_t value) {
  out += ",\"";
  out += key;
  out += "\":";
  out += std::to_string(value);
}

void append_text(std::string& out, std::string_view key, std::string_view value) {
  out += ",\"";
  out += key;
  out += "\":";
  append_json_string(out, value);
}

void format(const AccessRecord& record, std::string& out) {
  const std::time_t seconds = record.unix_ns / 1'000'000'000;
  std::tm time{};
  ::gmtime_r(&seconds, &time);
  char stamp[64];
  const std::size_t bytes = std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &time);
  out += "{\"time\":\"";
  out.append(stamp, bytes);
  std::snprintf(stamp, sizeof stamp, ".%03dZ\"",
                static_cast<int>(record.unix_ns / 1'000'000 % 1000));
  out += stamp;
  append_number(out, "status", static_cast<std::uint64_t>(record.status));
  append_text(out, "method", to_string(record.method));
  append_text(out, "route", *record.route);
  append_text(out, "target", std::string_view(record.target, record.target_bytes));
  if (record.target_cut != 0) out += ",\"target_cut\":true";
  append_number(out, "duration_us", record.duration_ns / 1000);
  append_number(out, "request_bytes", record.request_bytes);
  append_number(out, "response_bytes", record.response_bytes);
  append_number(out, "alloc_bytes", record.alloc_bytes);
  append_number(out, "alloc_objects", record.alloc_objects);
  append_text(out, "request_id", std::string_view(record.id, record.id_bytes));
  if (record.detail_bytes != 0) {
    append_text(out, "detail", std::string_view(record.detail, record.detail_bytes));
  }
  out += "}\n";
}

void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return;  // nobody to tell
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

AccessLog::AccessLog(AccessLogMode mode, unsigned workers, std::int64_t slow_ns, int descriptor,
                     metrics::Counter& dropped)
    : mode_(mode), slow_ns_(slow_ns), descriptor_(descriptor), dropped_(dropped), rings_(workers) {
  if (mode == AccessLogMode::kOff) return;
  for (Ring& ring : rings_) ring.records.reset(new AccessRecord[kRecords]);
  writer_ = std::thread([this] { run(); });
}

AccessLog::~AccessLog() {
  if (!writer_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopping_changed_.notify_one();
  writer_.join();
}

AccessRecord* AccessLog::begin(unsigned worker) noexcept {
  Ring& ring = rings_[worker];
  // Relaxed: only this thread writes it.
  const std::uint64_t pushed = ring.pushed.load(std::memory_order_relaxed);
  // Acquire pairs with the writer's release: it has read the record that is filled anew.
  if (pushed - ring.written.load(std::memory_order_acquire) == kRecords) {
    dropped_.add();
    return nullptr;
  }
  AccessRecord* const record = &ring.records[pushed % kRecords];
  record->id_bytes = record->target_bytes = record->detail_bytes = record->target_cut = 0;
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  record->unix_ns = std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  return record;
}

void AccessLog::push(unsigned worker) noexcept {
  std::atomic<std::uint64_t>& pushed = rings_[worker].pushed;
  // Release pairs with the writer's acquire: it reads the record.
  pushed.store(pushed.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

bool AccessLog::take(std::string& text) {
  constexpr std::size_t kWriteBytes = 64 * 1024;
  bool any = false;
  for (Ring& ring : rings_) {
    // Relaxed: only this thread writes it.
    std::uint64_t written = ring.written.load(std::memory_order_relaxed);
    // Acquire pairs with push().
    const std::uint64_t pushed = ring.pushed.load(std::memory_order_acquire);
    for (; written != pushed && text.size() < kWriteBytes; ++written) {
      format(ring.records[written % kRecords], text);
      any = true;
    }
    // Release pairs with begin().
    ring.written.store(written, std::memory_order_release);
  }
  return any;
}

void AccessLog::run() {
  // A log that nobody reads any more is no reason to end: write() fails instead.
  sigset_t broken_pipe;
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
  // It looks by the clock, so that no request pays for a wake. 2048 records in 10 ms are more than
  // a worker can answer.
  const auto pause = std::chrono::milliseconds(mode_ == AccessLogMode::kAll ? 10 : 100);
  std::string text;
  for (;;) {
    text.clear();
    if (take(text)) {
      write_all(descriptor_, text);
      continue;
    }
    std::unique_lock lock(mutex_);
    if (stopping_) return;
    stopping_changed_.wait_for(lock, pause, [this] { return stopping_; });
  }
}

}  // namespace tailrace::http
