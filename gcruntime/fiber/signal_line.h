// One line of text for stderr, put together and written without malloc, stdio or locks: for signal
// handlers, and for checks that may fail anywhere. What does not fit is cut off.
#pragma once

#include <unistd.h>
#include <cstddef>
#include <cstdint>

namespace tailrace::fiber {

class SignalLine {
 public:
  SignalLine& text(const char* text) noexcept {
    for (; *text != 0 && used_ < sizeof(buffer_) - 1; ++text) buffer_[used_++] = *text;
    return *this;
  }
  SignalLine& decimal(std::uint64_t value) noexcept { return number(value, 10); }
  SignalLine& address(std::uint64_t value) noexcept { return text("0x").number(value, 16); }
  // Writes the line with its end and begins the next one.
  void flush() noexcept {
    buffer_[used_++] = '\n';
    // Nothing can be done about a failed write: who speaks here is about to end the process.
    if (::write(STDERR_FILENO, buffer_, used_) < 0) {
    }
    used_ = 0;
  }

 private:
  SignalLine& number(std::uint64_t value, unsigned radix) noexcept {
    char digits[20];
    int count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % radix];
      value /= radix;
    } while (value != 0);
    while (count > 0 && used_ < sizeof(buffer_) - 1) buffer_[used_++] = digits[--count];
    return *this;
  }

  char buffer_[512];
  std::size_t used_ = 0;
};

}  // namespace tailrace::fiber
