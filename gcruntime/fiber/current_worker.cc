#include "gcruntime/fiber/current_worker.h"

// Named in assembly only: `used` keeps it, constinit and zero put it into .tbss.
extern "C" {
[[gnu::used]] constinit thread_local tailrace::fiber::Worker* tailrace_tls_worker = nullptr;
}
