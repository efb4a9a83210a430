// Stacks for fibers: slots of a power-of-two size in one address reservation, committed by the
// kernel page by page on first touch. One pool a process, shared by all schedulers and never
// destroyed (tests make others).
//
//   reservation | slab 0 (16 MiB) | slab 1 | ...      each slab holds slots of one size class
//   slot        | guard page | usable ............ |  stacks grow down towards the guard
//
// The guard is a kernel guard marker (MADV_GUARD_INSTALL, Linux 6.13), which costs no mapping of
// its own. Older kernels get mprotect, which costs two of the mappings that a process may have
// (vm.max_map_count, 65530 by default). Nine tenths of them are spent on guards; stacks beyond that
// go without one, which is said once on stderr and counted.
// Slots handed out and taken back under a mutex; find_guard is async-signal-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace tailrace::fiber {

struct Stack {
  char* low = nullptr;   // lowest usable byte, just above the guard
  char* high = nullptr;  // end of the slot
  unsigned size_class = 0;

  std::size_t bytes() const noexcept { return static_cast<std::size_t>(high - low); }
};

struct StackPoolOptions {
  enum class Guards { kMarkers, kProtected, kNone };

  Guards best = Guards::kMarkers;  // what the kernel lacks is replaced by the next
  std::size_t max_protected = 0;   // 0: as vm.max_map_count allows
  std::size_t most_reserved = 0;   // of address space; 0: 1 TiB
};

class StackPool {
 public:
  static constexpr unsigned kClasses = 10;  // 16 KiB << class
  static constexpr std::size_t kSmallestBytes = 16 * 1024;
  static constexpr std::size_t kLargestBytes = kSmallestBytes << (kClasses - 1);  // 8 MiB
  static constexpr std::size_t kGuardBytes = 4096;
  static constexpr std::size_t kSlabBytes = 16 * 1024 * 1024;

  // The process's.
  static StackPool& instance();
  // How it is to be made: before the first fiber, or never.
  static void configure(const StackPoolOptions& options);

  explicit StackPool(const StackPoolOptions& options = {});
  // Nobody uses its stacks any more.
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  // The smallest class of at least that many bytes; stops the program over kLargestBytes.
  static unsigned class_of(std::size_t bytes) noexcept;
  static constexpr std::size_t class_bytes(unsigned size_class) noexcept {
    return kSmallestBytes << size_class;
  }

  // An unused stack; its pages are untouched or given back. Stops the program when the reservation
  // is used up or the guard cannot be had. Any thread.
  Stack acquire(unsigned size_class);
  // Takes it back and gives its pages to the OS. Nobody runs on it any more.
  void release(const Stack& stack) noexcept;

  // Pages of [from, to), both page aligned, that have memory. One system call for each 16 MiB.
  static std::size_t resident_pages(const char* from, const char* to) noexcept;

  // True if the address lies in the guard of a slot; then `stack` is that slot.
  bool find_guard(const void* address, Stack& stack) const noexcept;
  bool contains(const void* address) const noexcept;

  std::size_t bytes_reserved() const noexcept { return reserved_bytes_; }
  // Stacks that had to go without a guard.
  std::size_t unguarded() const noexcept { return unguarded_.load(std::memory_order_relaxed); }

 private:
  struct Slab {
    std::size_t first_unused = 0;  // offset in the reservation of the open slab's next slot
    std::size_t end = 0;
    std::vector<std::uint32_t> free;  // slots taken back, in units of the smallest class
  };
  void install_guard(char* slot);
  void note_unguarded() noexcept;

  // Immutable after construction.
  void* mapping_ = nullptr;
  std::size_t mapping_bytes_ = 0;
  char* base_ = nullptr;
  std::size_t reserved_bytes_ = 0;
  bool guard_markers_ = false;
  std::size_t max_protected_ = 0;

  std::mutex mutex_;
  Slab classes_[kClasses];                 // guarded by mutex_
  std::size_t slabs_used_ = 0;             // guarded by mutex_
  std::size_t protected_ = 0;              // guarded by mutex_
  std::atomic<std::size_t> unguarded_{0};  // relaxed: a statistic
  // Of each slab its class + 1, 0 while unused. Written under mutex_ before any slot of the slab is
  // handed out; read by the signal handler.
  std::unique_ptr<std::atomic<std::uint8_t>[]> slab_class_;
};

}  // namespace tailrace::fiber
