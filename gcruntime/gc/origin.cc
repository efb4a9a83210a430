#include "gcruntime/gc/origin.h"

#if defined(TAILRACE_VERIFY)

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cstring>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/type_info.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/heap/span.h"
#include "gcruntime/os/reserved_memory.h"

extern "C" {
// From the linker: where the program's code lies.
extern const char __executable_start;
extern const char etext;
}

namespace tailrace::gc::internal {
namespace {

struct Stack {
  std::atomic<std::uint64_t> hash{0};    // 0: free
  std::atomic<std::uint32_t> frames{0};  // 0: being written
  std::uintptr_t at[kMostFrames] = {};
};

// One entry every 16 bytes: bits 0-16 stack, 17-32 type, 33-63 cycle.
std::atomic<std::uint64_t>* entry_table() noexcept {
  static auto* const table = static_cast<std::atomic<std::uint64_t>*>(os::reserve_memory(
      (heap::page_map.small_bytes + heap::page_map.large_bytes) / 2, os::kPageBytes));
  return table;
}
Stack* stack_table() noexcept {
  static auto* const table =
      static_cast<Stack*>(os::reserve_memory(kMostStacks * sizeof(Stack), os::kPageBytes));
  return table;
}

std::atomic<std::uint64_t>* entry_of(std::uintptr_t slot) noexcept {
  std::atomic<std::uint64_t>* table = entry_table();
  return table == nullptr ? nullptr : &table[(slot - heap::page_map.base) / 16];
}

bool in_program(std::uintptr_t address) noexcept {
  return address >= reinterpret_cast<std::uintptr_t>(&__executable_start) &&
         address < reinterpret_cast<std::uintptr_t>(&etext);
}

// The return addresses from that frame on, innermost first. Every address read lies in the own stack, above
// the last: code without frame pointers ends the walk or leaves frames out. Such code (the shared libraries')
// may also lead it to words that are no return addresses, and which differ from call to call: what is not in
// the program is left out, but the innermost, and the second in a row ends the walk. Stacks would be without
// number else.
template <typename OnOwnStack>
TAILRACE_NO_SANITIZE std::size_t walk(std::uintptr_t* frames, const void* from,
                                      OnOwnStack&& on_own_stack) noexcept {
  auto frame = reinterpret_cast<std::uintptr_t>(from);
  std::size_t count = 0;
  int outside = 0;
  while (count < kMostFrames && frame % 8 == 0 && on_own_stack(frame) && on_own_stack(frame + 15)) {
    const auto* words = reinterpret_cast<const std::uintptr_t*>(frame);
    if (in_program(words[1])) {
      frames[count++] = words[1];
      outside = 0;
    } else if (++outside == 2 || words[1] < 4096) {
      break;
    } else if (count == 0) {
      frames[count++] = words[1];
    }
    if (words[0] <= frame) break;
    frame = words[0];
  }
  return count;
}

// Recursion that branches has stacks without number. When half of the table is used new ones are kept by
// their innermost frames only, of which there are few.
constexpr std::size_t kShortFrames = 4;
constinit std::atomic<std::size_t> stacks_used{0};

// The number of that stack, 1 to kMostStacks - 1; 0: the table is full.
std::uint32_t intern(const std::uintptr_t* frames, std::size_t count) noexcept {
  std::uint64_t hash = 1469598103934665603u;
  for (std::size_t i = 0; i < count; ++i) hash = (hash ^ frames[i]) * 1099511628211u;
  hash |= 1;
  Stack* table = stack_table();
  if (table == nullptr || count == 0) return 0;
  constexpr std::size_t kMostProbes = 64;
  for (std::size_t probe = 0; probe < kMostProbes; ++probe) {
    const std::size_t number = ((hash >> 20 ^ hash) + probe) & (kMostStacks - 1);
    if (number == 0) continue;
    Stack& stack = table[number];
    // Relaxed: equal hashes are taken for equal stacks; the frames are published by their count.
    std::uint64_t known = stack.hash.load(std::memory_order_relaxed);
    if (known == 0 && count > kShortFrames &&
        stacks_used.load(std::memory_order_relaxed) >= kMostStacks / 2) {
      return intern(frames, kShortFrames);
    }
    if (known == 0 && stack.hash.compare_exchange_strong(known, hash, std::memory_order_relaxed)) {
      stacks_used.fetch_add(1, std::memory_order_relaxed);
      std::memcpy(stack.at, frames, count * sizeof(*frames));
      // Release pairs with print_origin's acquire.
      stack.frames.store(static_cast<std::uint32_t>(count), std::memory_order_release);
      return static_cast<std::uint32_t>(number);
    }
    if (known == hash) return static_cast<std::uint32_t>(number);
  }
  return 0;
}

}  // namespace

void put(const char* text) noexcept {
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) __builtin_trap();
}
namespace {
char* hexadecimal(std::uint64_t value, char* end) noexcept {
  *--end = 0;
  do {
    *--end = "0123456789abcdef"[value % 16];
    value /= 16;
  } while (value != 0);
  *--end = 'x';
  *--end = '0';
  return end;
}
}  // namespace
void put_hexadecimal(std::uint64_t value) noexcept {
  char text[24];
  put(hexadecimal(value, text + sizeof(text)));
}
void put_decimal(std::uint64_t value) noexcept {
  char text[24];
  char* at = text + sizeof(text);
  *--at = 0;
  do {
    *--at = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  put(at);
}

namespace {

// addr2line on this program, its output on our stderr. By bare system calls: fork() would wait for malloc's
// locks, which a stopped thread may hold.
bool symbolise(char* const* offsets, std::size_t count) noexcept {
  char program[64] = "/proc/";
  char number[24];
  char* at = number + sizeof(number);
  *--at = 0;
  for (auto id = static_cast<unsigned>(::getpid()); id != 0; id /= 10) {
    *--at = static_cast<char>('0' + id % 10);
  }
  std::strcat(program, at);
  std::strcat(program, "/exe");
  const char* arguments[kMostFrames + 6] = {"addr2line", "-Cfpsi", "-e", program};
  for (std::size_t i = 0; i < count; ++i) arguments[4 + i] = offsets[i];
  const auto child = static_cast<pid_t>(::syscall(SYS_fork));
  if (child < 0) return false;
  if (child == 0) {
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    for (const char* path : {"/usr/bin/addr2line", "/usr/local/bin/addr2line"}) {
      ::execve(path, const_cast<char* const*>(arguments), environ);
    }
    ::_exit(127);
  }
  int status = 0;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

constexpr std::uint64_t kStackMask = (std::uint64_t{1} << 17) - 1;

// The slots that are allocated and not marked, which the sweep is about to free.
template <typename F>
void for_each_dead_slot(F&& f) noexcept {
  const heap::GrownPages grown = heap::grown_pages();
  const auto walk_pages = [&](std::size_t page, std::size_t end) {
    while (page < end) {
      const std::uint32_t info = heap::page_info(page);
      if (heap::PageInfo::kind(info) == heap::PageInfo::kFree) {
        ++page;
        continue;
      }
      heap::Span* span = heap::span_of_page(page);
      page += span->pages;
      if (span->state == heap::SpanState::kLarge) {
        // Relaxed, here and below: the world is stopped.
        if (span->large_alloc.load(std::memory_order_relaxed) != 0 &&
            span->large_mark.load(std::memory_order_relaxed) == 0) {
          f(span->start);
        }
        continue;
      }
      const heap::SlotBits& bits = heap::page_map.slot_bits[heap::page_of(span->start)];
      const std::size_t slot_bytes = heap::kSizeClassTable[span->size_class].bytes;
      for (std::size_t word = 0; word < heap::kMaxSlots / 64; ++word) {
        std::uint64_t dead = bits.alloc[word].load(std::memory_order_relaxed) &
                             ~bits.mark[word].load(std::memory_order_relaxed);
        for (; dead != 0; dead &= dead - 1) {
          f(span->start +
            (word * 64 + static_cast<std::size_t>(std::countr_zero(dead))) * slot_bytes);
        }
      }
    }
  };
  walk_pages(0, grown.small_end);
  walk_pages(grown.large_begin, grown.large_end);
}

}  // namespace

void print_stack(std::uint32_t number) noexcept {
  Stack* table = stack_table();
  // Acquire pairs with intern's release.
  const std::size_t count =
      number == 0 || table == nullptr ? 0 : table[number].frames.load(std::memory_order_acquire);
  if (count == 0) return put("    (not known: too many different stacks)\n");
  char text[kMostFrames][24];
  char* offsets[kMostFrames];
  std::size_t ours = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uintptr_t address = table[number].at[i];
    if (!in_program(address)) continue;
    // Return addresses: the call is just before.
    const std::uintptr_t call = address - 1;
    offsets[ours] = hexadecimal(call - reinterpret_cast<std::uintptr_t>(&__executable_start),
                                text[ours] + sizeof(text[ours]));
    ++ours;
  }
  if (ours == 0) return put("    (shared libraries only)\n");
  if (symbolise(offsets, ours)) return;
  put("    offsets in the program:");
  for (std::size_t i = 0; i < ours; ++i) {
    put(" ");
    put(offsets[i]);
  }
  put("\n");
}

std::uint32_t stack_from(const void* frame) noexcept {
  const Mutator* self = base::current_mutator();
  std::uintptr_t frames[kMostFrames];
  const auto own = [self](std::uintptr_t at) { return self != nullptr && self->on_own_stack(at); };
  return intern(frames, walk(frames, frame, own));
}

std::uint32_t stack_from(const void* frame, std::uintptr_t low, std::uintptr_t high) noexcept {
  std::uintptr_t frames[kMostFrames];
  const auto own = [=](std::uintptr_t at) { return at >= low && at < high; };
  return intern(frames, walk(frames, frame, own));
}

TAILRACE_NOINLINE void note_allocated_at(const void* slot, std::uint16_t type) noexcept {
  const std::uint64_t stack = stack_from(__builtin_frame_address(0));
  std::atomic<std::uint64_t>* entry = entry_of(reinterpret_cast<std::uintptr_t>(slot));
  // Relaxed: read with the world stopped.
  if (entry != nullptr) {
    entry->store(stack | std::uint64_t{type} << 17, std::memory_order_relaxed);
  }
}

void note_freed(std::uint64_t cycle) noexcept {
  for_each_dead_slot([cycle](std::uintptr_t slot) {
    std::atomic<std::uint64_t>* entry = entry_of(slot);
    if (entry != nullptr) {
      entry->store(
          (entry->load(std::memory_order_relaxed) & ((std::uint64_t{1} << 33) - 1)) | cycle << 33,
          std::memory_order_relaxed);
    }
  });
}

Origin origin_of(std::uintptr_t slot) noexcept {
  const std::atomic<std::uint64_t>* entry = entry_of(slot);
  if (entry == nullptr) return {};
  const std::uint64_t word = entry->load(std::memory_order_relaxed);
  return {static_cast<std::uint16_t>(word >> 17), word >> 33,
          static_cast<std::uint32_t>(word & kStackMask)};
}

void print_origin(const char* what, std::uintptr_t slot) noexcept {
  print_origin(what, slot, origin_of(slot));
}

void print_origin(const char* what, std::uintptr_t slot, const Origin& origin) noexcept {
  put("  ");
  put(what);
  put(" at ");
  put_hexadecimal(slot);
  if (const TypeInfo* type = origin.type == 0 ? nullptr : type_info(origin.type)) {
    put(", type ");
    put(type->name);
  }
  if (origin.freed_cycle != 0) {
    put(", freed by cycle ");
    put_decimal(origin.freed_cycle);
  }
  put(", allocated by:\n");
  print_stack(origin.stack);
}

}  // namespace tailrace::gc::internal

#endif
