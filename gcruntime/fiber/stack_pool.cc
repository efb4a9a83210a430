#include "gcruntime/fiber/stack_pool.h"

#include <sys/mman.h>
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/fiber/overflow.h"
#include "gcruntime/fiber/signal_line.h"
#include "gcruntime/gc/handle_place.h"

namespace tailrace::fiber {
namespace {

constexpr int kGuardInstall = 102;  // MADV_GUARD_INSTALL; the headers of 2022 do not know it

// Address space only. A strict overcommit policy (mode 2) or a limit on address space refuses the
// large ones.
#if TAILRACE_TSAN
constexpr std::size_t kReservations[] = {std::size_t{32} << 30, std::size_t{4} << 30};
#else
constexpr std::size_t kReservations[] = {std::size_t{1} << 40, std::size_t{128} << 30,
                                         std::size_t{16} << 30, std::size_t{2} << 30,
                                         std::size_t{256} << 20};
#endif

constexpr std::size_t kPageBytes = 4096;

StackPoolOptions process_options;
std::atomic<bool> process_pool_made{false};

// Mappings that the process may have, as the kernel says or does by default.
std::size_t max_map_count() noexcept {
  std::size_t count = 65530;
  if (std::FILE* file = std::fopen("/proc/sys/vm/max_map_count", "re")) {
    if (std::fscanf(file, "%zu", &count) != 1) count = 65530;
    std::fclose(file);
  }
  return count;
}

}  // namespace

StackPool& StackPool::instance() {
  // Never destroyed: threads may still run on its stacks while the process exits.
  static StackPool* const pool = [] {
    // Relaxed: for a message about wrong use.
    process_pool_made.store(true, std::memory_order_relaxed);
    auto* made = new StackPool(process_options);
    install_overflow_handler();
    gc::internal::add_handle_range(made->base_, made->base_ + made->reserved_bytes_);
    return made;
  }();
  return *pool;
}

void StackPool::configure(const StackPoolOptions& options) {
  TAILRACE_CHECK(!process_pool_made.load(std::memory_order_relaxed),
                 "StackPool::configure() comes before the first scheduler");
  process_options = options;
}

StackPool::StackPool(const StackPoolOptions& options) {
  for (std::size_t bytes : kReservations) {
    if (options.most_reserved != 0) {
      bytes = std::min(bytes, (options.most_reserved + kSlabBytes - 1) & ~(kSlabBytes - 1));
    }
    void* address = ::mmap(nullptr, bytes + kSlabBytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED) continue;
    const auto start = reinterpret_cast<std::uintptr_t>(address);
    base_ = reinterpret_cast<char*>((start + kSlabBytes - 1) & ~(kSlabBytes - 1));
    reserved_bytes_ = bytes;
    mapping_ = address;
    mapping_bytes_ = bytes + kSlabBytes;
    break;
  }
  TAILRACE_CHECK(base_ != nullptr,
                 "no address space for fiber stacks: raise the limit on address space (ulimit -v) "
                 "or allow overcommit (vm.overcommit_memory 0 or 1)");
  // One huge page would commit eight stacks at the first touch of one. Refused by kernels without
  // huge pages, which is as good.
  static_cast<void>(::madvise(base_, reserved_bytes_, MADV_NOHUGEPAGE));
  slab_class_ = std::make_unique<std::atomic<std::uint8_t>[]>(reserved_bytes_ / kSlabBytes);
  guard_markers_ = options.best == StackPoolOptions::Guards::kMarkers &&
                   ::madvise(base_, kGuardBytes, kGuardInstall) == 0;
  if (!guard_markers_ && options.best != StackPoolOptions::Guards::kNone) {
    max_protected_ = options.max_protected != 0 ? options.max_protected : max_map_count() / 20 * 9;
  }
}

StackPool::~StackPool() {
  gc::internal::remove_handle_range(base_);
  ::munmap(mapping_, mapping_bytes_);
}

unsigned StackPool::class_of(std::size_t bytes) noexcept {
  TAILRACE_CHECK_VALUE(bytes <= kLargestBytes, "a fiber's stack is at most 8 MiB", bytes);
  if (bytes <= kSmallestBytes) return 0;
  return static_cast<unsigned>(std::bit_width(bytes - 1) - std::bit_width(kSmallestBytes - 1));
}

Stack StackPool::acquire(unsigned size_class) {
  const std::size_t bytes = class_bytes(size_class);
  char* slot = nullptr;
  {
    std::lock_guard lock(mutex_);
    Slab& slab = classes_[size_class];
    if (!slab.free.empty()) {
      slot = base_ + std::size_t{slab.free.back()} * kSmallestBytes;
      slab.free.pop_back();
    } else {
      if (slab.first_unused == slab.end) {
        TAILRACE_CHECK_VALUE(slabs_used_ < reserved_bytes_ / kSlabBytes,
                             "out of address space for fiber stacks: fewer fibers, or smaller ones "
                             "(SpawnOptions::stack_bytes)",
                             reserved_bytes_);
        // Release: pairs with find_guard's acquire.
        slab_class_[slabs_used_].store(static_cast<std::uint8_t>(size_class + 1),
                                       std::memory_order_release);
        slab.first_unused = slabs_used_ * kSlabBytes;
        slab.end = slab.first_unused + kSlabBytes;
        ++slabs_used_;
      }
      slot = base_ + slab.first_unused;
      slab.first_unused += bytes;
      install_guard(slot);
    }
  }
  return Stack{slot + kGuardBytes, slot + bytes, size_class};
}

void StackPool::install_guard(char* slot) {
  if (guard_markers_) {
    TAILRACE_CHECK_VALUE(::madvise(slot, kGuardBytes, kGuardInstall) == 0,
                         "no guard for a fiber's stack: out of memory for page tables", errno);
    return;
  }
  if (protected_ < max_protected_ && ::mprotect(slot, kGuardBytes, PROT_NONE) == 0) {
    ++protected_;
    return;
  }
  note_unguarded();
}

void StackPool::note_unguarded() noexcept {
  if (unguarded_.fetch_add(1, std::memory_order_relaxed) != 0) return;
  SignalLine line;
  line.text("tailrace: fiber stacks beyond the first ").decimal(protected_);
  line.text(
      " have no guard page, so that an overflow there is not noticed: this kernel has no "
      "guard markers (Linux 6.13) and the mappings are used up; raise vm.max_map_count");
  line.flush();
}

std::size_t StackPool::resident_pages(const char* from, const char* to) noexcept {
  constexpr std::size_t kMostPages = kSlabBytes / kPageBytes;
  unsigned char present[kMostPages];
  std::size_t pages = 0;
  while (from < to) {
    const std::size_t bytes =
        std::min<std::size_t>(static_cast<std::size_t>(to - from), kSlabBytes);
    // Refused only for a range that is not mapped.
    if (::mincore(const_cast<char*>(from), bytes, present) != 0) return pages;
    for (std::size_t page = 0; page < bytes / kPageBytes; ++page) pages += present[page] & 1;
    from += bytes;
  }
  return pages;
}

void StackPool::release(const Stack& stack) noexcept {
  base::unpoison_memory(stack.low, stack.bytes());
  // It can fail only for locked pages, which then stay as they are.
  static_cast<void>(::madvise(stack.low, stack.bytes(), MADV_DONTNEED));
  const std::size_t offset = static_cast<std::size_t>(stack.low - kGuardBytes - base_);
  std::lock_guard lock(mutex_);
  classes_[stack.size_class].free.push_back(static_cast<std::uint32_t>(offset / kSmallestBytes));
}

bool StackPool::contains(const void* address) const noexcept {
  return reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(base_) <
         reserved_bytes_;
}

bool StackPool::find_guard(const void* address, Stack& stack) const noexcept {
  if (!contains(address)) return false;
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(address) - base_);
  // Acquire: pairs with acquire()'s release.
  const std::uint8_t tag = slab_class_[offset / kSlabBytes].load(std::memory_order_acquire);
  if (tag == 0) return false;
  const std::size_t bytes = class_bytes(tag - 1u);
  if (offset % bytes >= kGuardBytes) return false;
  char* slot = base_ + offset / bytes * bytes;
  stack = Stack{slot + kGuardBytes, slot + bytes, tag - 1u};
  return true;
}

}  // namespace tailrace::fiber
