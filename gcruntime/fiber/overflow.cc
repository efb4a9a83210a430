#include "gcruntime/fiber/overflow.h"

#include <ucontext.h>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/fiber/overflow_trace.h"
#include "gcruntime/fiber/signal_line.h"
#include "gcruntime/fiber/stack_pool.h"
#include "gcruntime/fiber/worker.h"

namespace tailrace::fiber {
namespace {

struct sigaction previous_action;

void report_overflow(const Stack& stack, const void* address, const void* context) noexcept {
  const Worker* worker = current_worker();
  const Fiber* fiber = worker == nullptr ? nullptr : worker->current();
  const bool own = fiber != nullptr && fiber->stack.low == stack.low;
  SignalLine line;
  line.text("fiber ");
  line.text(own ? fiber->name.load(std::memory_order_relaxed) : "(not the one that runs here)");
  char label[Label::kBytes] = {};
  if (own) fiber->label.copy_to(label);
  if (label[0] != 0) line.text(" (").text(label).text(")");
  line.text(" overflowed its stack of ");
  line.decimal(StackPool::class_bytes(stack.size_class) / 1024).text(" KiB, [");
  line.address(reinterpret_cast<std::uintptr_t>(stack.low)).text(", ");
  line.address(reinterpret_cast<std::uintptr_t>(stack.high)).text("), at ");
  line.address(reinterpret_cast<std::uintptr_t>(address));
  line.text(
      ": spawn it with a larger SpawnOptions::stack_bytes, or move its large locals to the heap");
  line.flush();
  if (!own) return;
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  print_frames(stack, static_cast<std::uintptr_t>(registers[REG_RIP]),
               static_cast<std::uintptr_t>(registers[REG_RSP]),
               static_cast<std::uintptr_t>(registers[REG_RBP]));
}

void on_fault(int signal, siginfo_t* info, void* context) {
  Stack stack;
  if (StackPool::instance().find_guard(info->si_addr, stack)) {
    report_overflow(stack, info->si_addr, context);
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
  note_modules();
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  TAILRACE_CHECK_VALUE(::sigaction(SIGSEGV, &action, &previous_action) == 0,
                       "the handler for stack overflows could not be installed", errno);
}

}  // namespace tailrace::fiber
