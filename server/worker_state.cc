// See worker_state.h.
#include "server/worker_state.h"

#include <cstdio>
#include <cstring>
#include <random>

#include "gcruntime/fiber/scheduler.h"

namespace tailrace::http {

WorkerState::WorkerState() {
  std::random_device device;
  random_ = std::uint64_t{device()} << 32 | device();
}

void WorkerState::make_request_id(char* to) noexcept {
  // SplitMix64: a counter through a mixer, so no state is ever bad.
  random_ += 0x9e3779b97f4a7c15;
  std::uint64_t bits = random_;
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
  bits ^= bits >> 31;
  // Eight digits at a time: nibbles spread to bytes, then '0' added, and 39 more to make 'a' of 10.
  for (int half = 0; half < 2; ++half) {
    std::uint64_t digits = bits & 0xffffffff;
    digits = (digits | digits << 16) & 0x0000ffff0000ffff;
    digits = (digits | digits << 8) & 0x00ff00ff00ff00ff;
    digits = (digits | digits << 4) & 0x0f0f0f0f0f0f0f0f;
    const std::uint64_t letters = (digits + 0x0606060606060606) >> 4 & 0x0101010101010101;
    digits += 0x3030303030303030 + letters * 39;
    std::memcpy(to + half * 8, &digits, 8);
    bits >>= 32;
  }
}

void WorkerState::format_date(std::time_t now) noexcept {
  // By hand: strftime follows the locale.
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm time{};
  ::gmtime_r(&now, &time);
  char line[64];
  std::snprintf(line, sizeof line, "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n",
                kDays[time.tm_wday % 7], time.tm_mday % 100, kMonths[time.tm_mon % 12],
                (time.tm_year + 1900) % 10000, time.tm_hour % 100, time.tm_min % 100,
                time.tm_sec % 100);
  std::string_view(line, kDateBytes).copy(date_, kDateBytes);
  date_second_ = now;
}

WorkerState& WorkerStates::current() noexcept {
  return states_[static_cast<std::size_t>(fiber::Scheduler::current_worker())];
}

}  // namespace tailrace::http
