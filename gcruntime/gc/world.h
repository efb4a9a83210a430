// World: all attached threads, and how the collector stops and scans them. The mutators' side of the
// protocol is in mutator.h [gc.stop]; this is the collector's.
#pragma once

#include <cstdint>
#include <mutex>

#include "gcruntime/gc/mutator.h"

namespace tailrace::gc {

class World {
 public:
  static World& instance();

  void attach_current_thread();
  void detach_current_thread();

  // Stops every attached thread but the caller, which must not be attached. Between stop and start no
  // thread attaches, detaches or runs managed code. Returns the ns until the last one had stopped.
  std::int64_t stop();
  void start();

  // With the world stopped.
  template <typename F>
  void for_each_mutator(F&& f) {
    for (Mutator* each = first_; each != nullptr; each = each->next_) f(*each);
  }
  // Every range of words that may hold managed pointers: stacks in use, spilled registers, parked
  // fibers' stacks.
  void for_each_stack(StackSource::Visit visit, void* visitor);

  // Counts of all threads, ended ones included; any time.
  AllocCounts counts();
  std::size_t mutator_count();
  void stack_bytes(std::uint64_t& inuse, std::uint64_t& sys);

  void add_source(StackSource* source);
  void remove_source(StackSource* source);

  // The mutators' side.
  void poll_slow() noexcept;
  void run_native(void (*function)(void*), void* argument) noexcept;
  static void on_signal(int, void*, void* context) noexcept;

 private:
  static constexpr std::size_t kMaxSources = 64;

  static void wait_until_started(Mutator& self) noexcept;
  static void leave_stop(Mutator& self) noexcept;
  void let_held_pass() noexcept;
  static bool stopped(Mutator& each) noexcept;
  static bool send_signal(const Mutator& each) noexcept;
  static void check_on_known_stack(const Mutator& self, std::uintptr_t sp) noexcept;
  void install_handler();

  // Held while the world is stopped; guards everything below.
  std::mutex mutex_;
  Mutator* first_ = nullptr;
  StackSource* sources_[kMaxSources] = {};
  AllocCounts ended_;  // of detached threads
};

}  // namespace tailrace::gc
