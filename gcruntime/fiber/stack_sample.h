// The stack of a fiber that runs right now, taken by another thread: who holds a worker for long is
// named while it does so. [fiber.slices]
//
// The asking thread fills in the slice it means and sends the worker a signal of our own
// (SIGRTMIN+6). The handler runs on the thread's alternate stack, looks whether that slice still
// runs, and follows the frame pointers from the interrupted registers, never outside the fiber's
// stack and always upwards; return addresses become names later, on the asking thread. Both this
// handler and the collector's mask all signals, so neither interrupts the other.
//
// One word decides who owns the rest:
//   kIdle -> kWanted    the asker; `slice` is written before (release)
//   kWanted -> kTaking  the handler; it writes
//   kTaking -> kTaken   the handler (release), and it wakes the asker
//   kWanted -> kIdle    the asker, tired of waiting: a late signal finds nothing to do
//   kTaken -> kIdle     the asker, when it has read
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace tailrace::fiber {

class Worker;

class StackSample {
 public:
  static constexpr unsigned kMostFrames = 32;
  static constexpr unsigned kNameBytes = 96;

  // The asking thread, one at a time for each worker; `thread` is the worker's. False: the slice
  // has ended, or the thread did not answer within 10 ms.
  bool take(std::uint64_t slice, std::thread& thread) noexcept;

  // Valid after take() until the next one. Without frames: the fiber was between two stacks, or its
  // code keeps no frame pointers.
  unsigned frames() const noexcept { return count_; }
  const void* frame(unsigned index) const noexcept { return frames_[index]; }
  const char* name() const noexcept { return name_; }
  const char* label() const noexcept { return label_; }

  // For a worker's thread: it can be sampled from here on.
  static void allow_on_this_thread() noexcept;

 private:
  enum State : std::uint32_t { kIdle, kWanted, kTaking, kTaken };

  static void on_signal(int signal, void* context) noexcept;
  void fill(Worker& worker, const void* context) noexcept;
  friend struct StackSampleSignal;

  std::atomic<std::uint32_t> state_{kIdle};  // futex of the asker
  std::uint64_t slice_ = 0;
  unsigned count_ = 0;
  const void* frames_[kMostFrames] = {};
  char name_[kNameBytes] = {};
  char label_[kNameBytes] = {};
};

}  // namespace tailrace::fiber
