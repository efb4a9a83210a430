// World: all attached threads, and how the collector asks, stops and scans them. The protocols are in
// mutator.h [gc.handshake] [gc.stop]; handshake.cc has what both have in common, world.cc the threads and
// the stop.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "gcruntime/gc/mutator.h"

namespace tailrace::gc {

// What a handshake asks of every thread, done in this order.
struct Handshake {
  std::uint8_t phase = kPhaseOff;
  bool blacken = false;          // the slots at hand too; what it allocates from here on is black
  bool return_spans = false;     // and allocate from spans of the new generation only
  std::uint32_t generation = 0;  // with return_spans
  std::uint64_t round = 0;       // not 0: show the running stack
};

class World {
 public:
  static World& instance();

  void attach_current_thread();
  void detach_current_thread();

  // Stops every attached thread but the caller, which must not be attached. Between stop and start no
  // thread attaches, detaches or runs managed code. Returns the ns until the last one had stopped.
  std::int64_t stop();
  void start();

  // Returns when every attached thread has done what is asked, none of them stopped for longer than its
  // own answer. Then, if a round was asked for, `scan` is called with a copy of each running (or native)
  // stack with its registers, and tells if it found something white. `hold`: those whose stack did
  // are held at their next answer, until release_held() or for 250 us [gc.hold]. The caller is not
  // attached. Returns how many threads are to be held.
  using ScanCopy = bool (*)(void* scanner, const void* low, const void* high);
  std::size_t handshake(const Handshake& what, ScanCopy scan = nullptr, void* scanner = nullptr,
                        bool hold = false);
  void release_held() noexcept;
  // Slot bytes that threads shaded, and that they allocated black, since reset_black_bytes. Complete after
  // the handshake that ends the phase. Relaxed: added before an answer's release.
  std::uint64_t shaded_bytes() const noexcept {
    return shaded_bytes_.load(std::memory_order_relaxed);
  }
  std::uint64_t allocated_black_bytes() const noexcept {
    return allocated_black_bytes_.load(std::memory_order_relaxed);
  }
  void reset_black_bytes() noexcept {
    shaded_bytes_.store(0, std::memory_order_relaxed);
    allocated_black_bytes_.store(0, std::memory_order_relaxed);
  }

  // A part of the sources' parked stacks, under claims [gc.scan].
  void begin_round();
  StackSource::Walk scan_parked(std::uint64_t round, StackSource::Visit visit, void* visitor);
  // The same, and calls `scan` with a copy of them when the claims have been given up: whoever wants to run
  // such a fiber waits for the copy only. By the collector's thread.
  StackSource::Walk copy_parked(std::uint64_t round, ScanCopy scan, void* scanner);
  // Gives the memory that copies of deep stacks have taken back to the kernel. Any thread, not in a section.
  void trim_copies();
  // Marking beside the threads takes nobody's processor.
  bool has_idle_thread();
  // With the world stopped: spans of all caches go back, and what was shaded goes to the markers;
  // `generation` is everybody's from here on.
  void hand_over_all();
  void adopt_generation(std::uint32_t generation);

  // With the world stopped.
  template <typename F>
  void for_each_mutator(F&& f) {
    for (Mutator* each = first_; each != nullptr; each = each->next_) f(*each);
  }
  // Every range of words that may hold managed pointers: stacks in use, spilled registers, parked
  // fibers' stacks.
  void for_each_stack(StackSource::Visit visit, void* visitor);
  // Of these, parked ones that cannot have changed since this cycle's last round scanned them.
  void for_each_clean_stack(StackSource::Visit visit, void* visitor);

  // Counts of all threads, ended ones included; any time.
  AllocCounts counts();
  ArenaCounts arena_counts();
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

  World() noexcept;

  static void wait_until_started(Mutator& self) noexcept;
  static void leave_stop(Mutator& self) noexcept;
  void let_held_pass() noexcept;
  static bool stopped(Mutator& each) noexcept;
  // handshake.cc
  template <typename Done>
  void wait_for_all(Done&& done) noexcept;
  bool has_answered(Mutator& each) noexcept;
  static bool is_native(const Mutator& each) noexcept;
  void answer(Mutator& self) noexcept;
  void act(Mutator& self) noexcept;
  void add_black(Mutator& self) noexcept;
  static void show_stack(Mutator& self, std::uint64_t round) noexcept;
  static bool signal_frame(const Mutator& each, std::uintptr_t& low, std::uintptr_t& high) noexcept;
  void hold_still(std::uint64_t number) noexcept;
  static bool send_signal(const Mutator& each) noexcept;
  static void say_late(int thread_id) noexcept;
  static void check_on_known_stack(const Mutator& self, std::uintptr_t sp) noexcept;
  void install_handler();

  // A part of the walk over parked stacks, while it is copied and read; mutex_ is taken inside it.
  std::mutex parked_mutex_;
  StackCopy parked_;

  // Held while the world is stopped; guards everything below.
  std::mutex mutex_;
  Mutator* first_ = nullptr;
  StackSource* sources_[kMaxSources] = {};
  AllocCounts ended_;  // of detached threads
  ArenaCounts ended_arenas_;
  Handshake asked_;               // the last one; also read by who answers it
  std::uint32_t generation_ = 1;  // of spans that whoever has answered allocates from
  std::size_t next_source_ = 0;   // of the round's walk

  std::atomic<std::uint64_t> asked_number_{0};
  std::atomic<std::uint32_t> released_{
      0};  // futex: handshakes whose held threads may go on, low bits
  std::atomic<std::uint64_t> shaded_bytes_{0};
  std::atomic<std::uint64_t> allocated_black_bytes_{0};
};

}  // namespace tailrace::gc
