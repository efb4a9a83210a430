// What sessions share on one worker: the Date line, and random bits for request ids.
//
// Named by Scheduler::current_worker(), read anew for each use and never kept over a suspension: a
// fiber may go on elsewhere. Only the worker itself touches its state, so there are no atomics.
#pragma once

#include <array>
#include <cstdint>
#include <ctime>
#include <string_view>
#include <vector>

namespace tailrace::http {

class alignas(64) WorkerState {
 public:
  WorkerState();

  // "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", formatted once a second.
  std::string_view date_line() noexcept {
    const std::time_t now = std::time(nullptr);
    if (now != date_second_) [[unlikely]]
      format_date(now);
    return {date_, kDateBytes};
  }

  // 16 hexadecimal digits. Unique as 64 random bits are; not secret.
  void make_request_id(char* to) noexcept;

 private:
  static constexpr std::size_t kDateBytes = 37;
  void format_date(std::time_t now) noexcept;

  std::uint64_t random_;
  std::time_t date_second_ = -1;
  char date_[kDateBytes + 1];
};

class WorkerStates {
 public:
  explicit WorkerStates(unsigned workers) : states_(workers) {}
  // The calling worker's.
  WorkerState& current() noexcept;

 private:
  std::vector<WorkerState> states_;
};

}  // namespace tailrace::http
