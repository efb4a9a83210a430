// See interrupt.h.
#include "loadtest/interrupt.h"

#include <csignal>

namespace tailrace::loadtest {
namespace {

constinit std::atomic<bool> flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "written by a signal handler");

// Relaxed: see interrupted().
void on_signal(int) { flag.store(true, std::memory_order_relaxed); }

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  // Once: the default is back for the second one.
  action.sa_flags = SA_RESETHAND;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() noexcept { return flag.load(std::memory_order_relaxed); }

const std::atomic<bool>* interrupt_flag() noexcept { return &flag; }

}  // namespace tailrace::loadtest
