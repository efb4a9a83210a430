// The words that belong to the running OS thread and that fibers must never keep an address of.
//
// A fiber may resume on another thread, and compilers keep addresses of thread_locals in registers
// over calls (anchors: g++ -O2 does). So nothing here is reached through an address: each accessor
// is one volatile instruction relative to %fs that names the symbol, which no compiler can split
// into "load the base" and "use it later". This needs the local-exec model: the runtime is a static
// archive, linked into an executable (PIE or not), never into a shared object.
//
// section: 1 while the thread is in a flagged section: heap and scheduler state is between two
//          consistent states, and a signal that asks for a stop must only leave a mark in `pending`.
//          Sections do not nest and contain no fiber switch.
// pending: set by the stop signal's handler; answered by the section's exit.
// phase:   the collector's phase as this thread knows it: 0 off, 1 barrier, 2 barrier and black
//          allocation, 3 the same and weak loads of what is unmarked wait [gc.cycle]. Changed by the
//          thread's own answer to a handshake, or for it while it is claimed in a native scope.
// mutator: the attached thread's record, null when the thread is not attached.
//
// Only the own thread writes them, its signal handler included, or who has claimed it (phase); so no
// atomics, but volatile.
#pragma once

#include <cstdint>

namespace tailrace::gc {
class Mutator;
}

#if !defined(__x86_64__)
#error "thread_state.h knows x86-64 only; other processors need accessors of their own"
#endif

extern "C" {
extern thread_local std::uint8_t tailrace_tls_section;
extern thread_local std::uint8_t tailrace_tls_pending;
extern thread_local std::uint8_t tailrace_tls_phase;
extern thread_local tailrace::gc::Mutator* tailrace_tls_mutator;
}

namespace tailrace::base {

inline __attribute__((always_inline)) gc::Mutator* current_mutator() noexcept {
  gc::Mutator* mutator;
  asm volatile("movq %%fs:tailrace_tls_mutator@tpoff, %0" : "=r"(mutator));
  return mutator;
}
inline void set_current_mutator(gc::Mutator* mutator) noexcept {
  asm volatile("movq %0, %%fs:tailrace_tls_mutator@tpoff" : : "r"(mutator) : "memory");
}

inline __attribute__((always_inline)) bool in_section() noexcept {
  std::uint8_t value;
  asm volatile("movb %%fs:tailrace_tls_section@tpoff, %0" : "=q"(value));
  return value != 0;
}
// The memory clobbers keep the section's loads and stores inside it: the handler runs on the same
// thread, so the order of the instructions is all that is needed.
inline __attribute__((always_inline)) void set_section() noexcept {
  asm volatile("movb $1, %%fs:tailrace_tls_section@tpoff" : : : "memory");
}
inline __attribute__((always_inline)) void clear_section() noexcept {
  asm volatile("movb $0, %%fs:tailrace_tls_section@tpoff" : : : "memory");
}
inline __attribute__((always_inline)) bool pending() noexcept {
  std::uint8_t value;
  asm volatile("movb %%fs:tailrace_tls_pending@tpoff, %0" : "=q"(value) : : "memory");
  return value != 0;
}

// [gc.barrier] The clobber keeps the test behind the store and behind the load of the stored pointer.
inline __attribute__((always_inline)) bool barrier_on() noexcept {
  bool on;
  asm volatile("cmpb $0, %%fs:tailrace_tls_phase@tpoff" : "=@ccne"(on) : : "memory");
  return on;
}
inline __attribute__((always_inline)) std::uint8_t phase() noexcept {
  std::uint8_t value;
  asm volatile("movb %%fs:tailrace_tls_phase@tpoff, %0" : "=q"(value) : : "memory");
  return value;
}
// For the collector, which writes it while the thread is claimed.
inline volatile std::uint8_t* phase_of_this_thread() noexcept { return &tailrace_tls_phase; }

inline void set_pending(bool value) noexcept {
  const std::uint8_t byte = value ? 1 : 0;
  asm volatile("movb %0, %%fs:tailrace_tls_pending@tpoff" : : "q"(byte) : "memory");
}

}  // namespace tailrace::base
