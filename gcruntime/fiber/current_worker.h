// The worker that the calling OS thread is, or null. [fiber.tls]
//
// A fiber may resume on another thread, and compilers keep addresses of thread_locals over calls.
// So the word is read by one volatile instruction that names it, as in base/thread_state.h: no
// address exists that could be kept. The value itself is stale after every suspension.
#pragma once

#include "gcruntime/base/annotations.h"

namespace tailrace::fiber {
class Worker;
}

extern "C" {
extern thread_local tailrace::fiber::Worker* tailrace_tls_worker;
}

namespace tailrace::fiber {

TAILRACE_ALWAYS_INLINE Worker* current_worker() noexcept {
  Worker* worker;
  asm volatile("movq %%fs:tailrace_tls_worker@tpoff, %0" : "=r"(worker));
  return worker;
}
inline void set_current_worker(Worker* worker) noexcept {
  asm volatile("movq %0, %%fs:tailrace_tls_worker@tpoff" : : "r"(worker) : "memory");
}

}  // namespace tailrace::fiber
