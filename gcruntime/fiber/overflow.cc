#include "gcruntime/fiber/overflow.h"

#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/fiber/stack_pool.h"
#include "gcruntime/fiber/worker.h"

namespace tailrace::fiber {
namespace {

struct sigaction previous_action;

// write(2) only: the thread may be anywhere, inside malloc too.
class Line {
 public:
  void text(const char* text) noexcept {
    for (; *text != 0 && used_ < sizeof(buffer_) - 1; ++text) buffer_[used_++] = *text;
  }
  void decimal(std::uint64_t value) noexcept {
    char digits[20];
    int count = 0;
    do {
      digits[count++] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    while (count > 0 && used_ < sizeof(buffer_) - 1) buffer_[used_++] = digits[--count];
  }
  void flush() noexcept {
    buffer_[used_++] = '\n';
    if (::write(STDERR_FILENO, buffer_, used_) < 0) std::abort();
  }

 private:
  char buffer_[384];
  std::size_t used_ = 0;
};

void report_overflow(const Stack& stack) noexcept {
  const Worker* worker = current_worker();
  const Fiber* fiber = worker == nullptr ? nullptr : worker->current();
  const bool own = fiber != nullptr && fiber->stack.low == stack.low;
  Line line;
  line.text("fiber ");
  line.text(own ? fiber->name.load(std::memory_order_relaxed) : "(not the one that runs here)");
  line.text(" overflowed its stack of ");
  line.decimal(StackPool::class_bytes(stack.size_class) / 1024);
  line.text(
      " KiB: spawn it with a larger SpawnOptions::stack_bytes, or move its large locals to "
      "the heap");
  line.flush();
}

void on_fault(int signal, siginfo_t* info, void* context) {
  Stack stack;
  if (StackPool::instance().find_guard(info->si_addr, stack)) {
    report_overflow(stack);
    std::abort();
  }
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction(signal, info, context);
  } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(signal);
  } else {
    // The instruction runs again and meets the default action, which dumps core.
    struct sigaction fallback {};
    fallback.sa_handler = SIG_DFL;
    ::sigaction(signal, &fallback, nullptr);
  }
}

}  // namespace

void install_overflow_handler() noexcept {
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  TAILRACE_CHECK_VALUE(::sigaction(SIGSEGV, &action, &previous_action) == 0,
                       "the handler for stack overflows could not be installed", errno);
}

}  // namespace tailrace::fiber
