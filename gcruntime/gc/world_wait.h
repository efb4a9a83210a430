// How the collector waits until every thread has done what stop_request asks: it looks, after 100 us it
// sends each of the others a signal, and it gives way where processors are short. For world.cc and
// handshake.cc.
#pragma once

#include <sched.h>

#include <cstdint>
#include <ctime>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/world.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {

// Under the lock, with the request made.
template <typename Done>
void World::wait_for_all(Done&& done) noexcept {
  constexpr std::int64_t kSpinForNs = 20'000;
  constexpr std::int64_t kSignalAfterNs = 100'000;
  constexpr std::int64_t kYieldForNs = 2'000'000;
  constexpr std::int64_t kSayAfterNs = 5'000'000'000;
  bool said = false;
  const std::int64_t begin = os::now_ns();
  for (Mutator* each = first_; each != nullptr; each = each->next_) {
    each->signal_sent_.store(false, std::memory_order_relaxed);
  }
  for (;;) {
    bool all = true;
    for (Mutator* each = first_; each != nullptr; each = each->next_) all &= done(*each);
    if (all) return;
    const std::int64_t waited_ns = os::now_ns() - begin;
    if (waited_ns < kSpinForNs) {
      __builtin_ia32_pause();
      continue;
    }
    if (waited_ns >= kSignalAfterNs) {
      // Under TSan handlers run late and on contexts of their own: polls only. A loop without one waits.
      for (Mutator* each = first_; each != nullptr && !TAILRACE_TSAN; each = each->next_) {
        // Relaxed, as all of the word: it says only whether to signal again.
        if (each->signal_sent_.load(std::memory_order_relaxed) || done(*each)) continue;
        // Once: the handler answers, or leaves a mark that the section's exit answers. Set before it is
        // sent, as the handler may take it back.
        each->signal_sent_.store(true, std::memory_order_relaxed);
        if (!send_signal(*each)) each->signal_sent_.store(false, std::memory_order_relaxed);
      }
    }
    if (waited_ns > kSayAfterNs && !said) {
      said = true;
      for (Mutator* each = first_; each != nullptr; each = each->next_) {
        if (!done(*each)) say_late(each->thread_id_);
      }
    }
    if (waited_ns < kYieldForNs) {
      // More runnable threads than cores: the ones we wait for need this one.
      ::sched_yield();
    } else {
      // One that cannot answer now (the kernel pages something in for it) costs no core.
      const timespec while_ns{0, kSignalAfterNs / 2};
      ::nanosleep(&while_ns, nullptr);
    }
  }
}

}  // namespace tailrace::gc
