#include "gcruntime/base/thread_state.h"

// `used`: the accessors name these symbols in assembly only. constinit and initial values of zero
// put them into .tbss, so no wrapper function stands between.
extern "C" {
[[gnu::used]] constinit thread_local std::uint8_t tailrace_tls_section = 0;
[[gnu::used]] constinit thread_local std::uint8_t tailrace_tls_pending = 0;
[[gnu::used]] constinit thread_local std::uint8_t tailrace_tls_phase = 0;
[[gnu::used]] constinit thread_local tailrace::gc::Mutator* tailrace_tls_mutator = nullptr;
}
