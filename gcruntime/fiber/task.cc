#include "gcruntime/fiber/task.h"

#include <unistd.h>
#include <cstring>
#include <exception>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/spawn_account.h"

namespace tailrace::fiber {
namespace {

void say(const char* text) noexcept {
  // Nothing can be done about a failed write: the process is about to end.
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) return;
}

// Called in a handler, so that std::terminate's own message names the exception's type.
[[noreturn, gnu::cold]] void die(const Fiber* self, const char* what) noexcept {
  say("an exception left fiber ");
  say(self->name.load(std::memory_order_relaxed));
  say(": ");
  say(what);
  say("\n");
  std::terminate();
}

}  // namespace

TAILRACE_NOINLINE void run_task(Fiber* self) noexcept {
  try {
    if (self->job != nullptr) {
      self->job->run(self->job);
    } else {
      self->closure->run_and_destroy(self->payload);
      if (self->bill != nullptr) internal::end_bill(self);
    }
  } catch (const std::exception& exception) {
    die(self, exception.what());
  } catch (...) {
    die(self, "not a std::exception");
  }
}

}  // namespace tailrace::fiber
