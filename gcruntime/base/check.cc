#include "gcruntime/base/check.h"

#include <unistd.h>
#include <cstdlib>
#include <cstring>

namespace tailrace::base {
namespace {

// write(2) only: the failing thread may hold the malloc lock, or be a signal handler.
class Line {
 public:
  void text(const char* text) noexcept {
    for (; *text != 0 && used_ < sizeof(buffer_) - 1; ++text) buffer_[used_++] = *text;
  }
  void number(std::uint64_t value, unsigned radix) noexcept {
    char digits[32];
    int count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % radix];
      value /= radix;
    } while (value != 0);
    while (count > 0 && used_ < sizeof(buffer_) - 1) buffer_[used_++] = digits[--count];
  }
  void flush() noexcept {
    buffer_[used_++] = '\n';
    // Nothing can be done about a failed write: the process is about to abort.
    if (::write(STDERR_FILENO, buffer_, used_) < 0) std::abort();
  }

 private:
  char buffer_[512];
  std::size_t used_ = 0;
};

void begin(Line& line, const char* file, int number, const char* condition, const char* message) {
  line.text(file);
  line.text(":");
  line.number(static_cast<std::uint64_t>(number), 10);
  line.text(": check failed: ");
  line.text(condition);
  line.text(" (");
  line.text(message);
  line.text(")");
}

}  // namespace

void check_failed(const char* file, int line, const char* condition, const char* message) noexcept {
  Line out;
  begin(out, file, line, condition, message);
  out.flush();
  std::abort();
}

void check_failed_value(const char* file, int line, const char* condition, const char* message,
                        std::uint64_t value) noexcept {
  Line out;
  begin(out, file, line, condition, message);
  out.text(" value ");
  out.number(value, 10);
  out.text(" = 0x");
  out.number(value, 16);
  out.flush();
  std::abort();
}

void check_failed_object(const char* what, std::uint64_t slot, std::uint64_t word,
                         std::uint64_t value) noexcept {
  Line out;
  out.text("heap check failed: ");
  out.text(what);
  out.text("; slot 0x");
  out.number(slot, 16);
  out.text(" word ");
  out.number(word, 10);
  out.text(" value 0x");
  out.number(value, 16);
  out.flush();
  std::abort();
}

}  // namespace tailrace::base
