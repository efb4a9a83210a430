#include "gcruntime/gc/check_marks.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/gc/arena_record.h"
#include "gcruntime/gc/finalizer.h"
#include "gcruntime/gc/mark_words.h"
#include "gcruntime/gc/marker.h"
#include "gcruntime/gc/referents.h"
#include "gcruntime/gc/root_table.h"
#include "gcruntime/gc/type_info.h"
#include "gcruntime/gc/world.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/os/clock.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::gc {
namespace {

// A bit for each 8 bytes of the heap: the addresses at which slots may begin.
constexpr std::size_t kGrain = 8;
constexpr std::size_t kBytesPerTableByte = 8 * kGrain;
// Of the stack, in address space: 2^32 objects that wait at once.
constexpr std::size_t kStackBytes = std::size_t{32} << 30;

struct Parent {
  const char* what;
  std::uintptr_t slot;  // 0: no object
  const TypeInfo* type;
  std::size_t word;
};

void put(const char* text) noexcept {
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) __builtin_trap();
}

// write(2) only, the world is stopped.
[[noreturn, gnu::cold]] void fail(const char* what, const Parent& parent,
                                  const heap::ObjectPlace& child, std::uintptr_t value) noexcept {
  put("gccheckmark: ");
  put(what);
  put(": an object of type ");
  const ScannedObject object =
      child.noscan || !child.allocated() ? ScannedObject{} : read_scanned_object(child.slot);
  put(object.type != nullptr ? object.type->name : "(no pointers)");
  put("\n  reached from ");
  put(parent.what);
  if (parent.type != nullptr) {
    put(" of type ");
    put(parent.type->name);
    char path[256] = "";
    if (parent.type->member_path != nullptr) {
      parent.type->member_path(parent.word % parent.type->words * 8, path, sizeof(path));
    }
    if (path[0] != 0) {
      put(", member ");
      put(path);
    }
  }
  put("\n");
  base::check_failed_object(what, parent.slot, parent.word, value);
}

class Checker {
 public:
  static Checker& instance() {
    static Checker checker;
    return checker;
  }

  MarkCheck run(bool all_scanned) noexcept {
    totals_ = {};
    const auto root = [](void* self, void* object) {
      static_cast<Checker*>(self)->exact(reinterpret_cast<std::uintptr_t>(object),
                                         {"a root", 0, nullptr, 0});
    };
    for_each_root(root, this);
    for_each_finalizer_root(root, this);
    for_each_arena_object(
        [](void* self, std::uintptr_t slot) { static_cast<Checker*>(self)->scan_object(slot); },
        this);
    drain();
    const auto certain = [](void* self, const void* low, const void* high) {
      static_cast<Checker*>(self)->scan_stack(low, high, true);
    };
    if (all_scanned) {
      World::instance().for_each_stack(certain, this);
    } else {
      World::instance().for_each_clean_stack(certain, this);
      World::instance().for_each_stack(
          [](void* self, const void* low, const void* high) {
            static_cast<Checker*>(self)->scan_stack(low, high, false);
          },
          this);
    }
    drain();
    forget();
    return totals_;
  }

 private:
  Checker()
      : table_bytes_((heap::page_map.bytes / kBytesPerTableByte + os::kPageBytes) / os::kPageBytes *
                     os::kPageBytes) {
    visited_ = static_cast<std::uint64_t*>(os::reserve_memory(table_bytes_, os::kPageBytes));
    stack_ = static_cast<std::uintptr_t*>(os::reserve_memory(kStackBytes, os::kPageBytes));
    TAILRACE_CHECK(visited_ != nullptr && stack_ != nullptr,
                   "no address space for gccheckmark=1: raise ulimit -v, or leave it off");
  }

  // True: not seen before.
  bool visit(std::uintptr_t slot) noexcept {
    const std::size_t index = (slot - heap::page_map.base) / kGrain;
    const std::uint64_t bit = std::uint64_t{1} << (index % 64);
    if ((visited_[index / 64] & bit) != 0) return false;
    visited_[index / 64] |= bit;
    ++totals_.objects;
    return true;
  }

  void reach(const heap::ObjectPlace& place, const Parent& parent, std::uintptr_t value) noexcept {
    if (!visit(place.slot)) return;
    if (!place.marked()) fail("the marker missed it", parent, place, value);
    if (place.noscan) return;
    TAILRACE_CHECK(depth_ < kStackBytes / sizeof(std::uintptr_t),
                   "gccheckmark=1: too many objects");
    stack_[depth_++] = place.slot;
    deepest_ = std::max(deepest_, depth_);
  }

  // A word that holds a managed pointer or null, or an inline String.
  void exact(std::uintptr_t value, const Parent& parent) noexcept {
    if ((value & 1) != 0 || !heap::contains(value)) return;
    const heap::ObjectPlace place = heap::find_object(value);
    if (place.slot == 0) return;
    if (!place.allocated()) fail("it was freed", parent, place, value);
    reach(place, parent, value);
  }

  TAILRACE_NO_SANITIZE void scan_stack(const void* low, const void* high, bool certain) noexcept {
    const auto* const end = static_cast<const std::uintptr_t*>(high);
    for (const auto* at = static_cast<const std::uintptr_t*>(low); at < end; ++at) {
      ++totals_.stack_words;
      for_each_referent(*at, [&](const heap::ObjectPlace& place) {
        if (!certain && !place.marked()) {
          ++totals_.suspects;
          return;
        }
        reach(place, {"a stack that was scanned", reinterpret_cast<std::uintptr_t>(at), nullptr, 0},
              place.slot);
      });
      if (depth_ > kSome) drain();
    }
  }

  void drain() noexcept {
    while (depth_ > 0) scan_object(stack_[--depth_]);
  }

  void scan_object(std::uintptr_t slot) noexcept {
    const ScannedObject object = read_scanned_object(slot);
    if (object.type == nullptr) return;  // a large one that is being zeroed
    const TypeInfo& type = *object.type;
    for_each_traced_word(object, [&](std::size_t word) {
      const std::uintptr_t value = internal::load_word(object.payload + word);
      const Parent parent{"an object", slot, &type, word};
      if (!type.maybe) return exact(value, parent);
      for_each_referent(value, [&](const heap::ObjectPlace& place) {
        // What only ends there: a store into an object that was scanned shades what it points into.
        if (value - place.slot >= place.slot_bytes && !place.marked()) {
          ++totals_.suspects;
        } else {
          reach(place, parent, value);
        }
      });
    });
  }

  // The bits of the heap's pages, and of the stack what was used beyond a little.
  void forget() noexcept {
    const heap::GrownPages grown = heap::grown_pages();
    const auto clear = [&](std::size_t begin, std::size_t end) {
      constexpr std::size_t kPerPage = heap::kPageBytes / kBytesPerTableByte;
      const std::size_t low = begin * kPerPage / os::kPageBytes * os::kPageBytes;
      const std::size_t high =
          (end * kPerPage + os::kPageBytes - 1) / os::kPageBytes * os::kPageBytes;
      if (low < high) os::decommit_memory(reinterpret_cast<char*>(visited_) + low, high - low);
    };
    clear(0, grown.small_end);
    clear(grown.large_begin, grown.large_end);
    clear(grown.arena_begin, grown.arena_end);
    constexpr std::size_t kKeep = std::size_t{1} << 20;
    const std::size_t used =
        (deepest_ * sizeof(std::uintptr_t) + os::kPageBytes) / os::kPageBytes * os::kPageBytes;
    if (used > kKeep) os::decommit_memory(stack_, used);
    deepest_ = 0;
  }

  static constexpr std::size_t kSome = 1024;

  const std::size_t table_bytes_;
  std::uint64_t* visited_ = nullptr;
  std::uintptr_t* stack_ = nullptr;
  std::size_t depth_ = 0;
  std::size_t deepest_ = 0;
  MarkCheck totals_;
};

// Relaxed: figures.
std::atomic<std::uint64_t> checks{0};
std::atomic<std::uint64_t> objects{0};
std::atomic<std::uint64_t> suspects{0};
std::atomic<std::uint64_t> checks_with_suspects{0};
std::atomic<std::uint64_t> total_ns{0};

}  // namespace

MarkCheck check_marks(bool all_scanned) noexcept {
  const std::int64_t begin_ns = os::now_ns();
  const MarkCheck found = Checker::instance().run(all_scanned);
  checks.fetch_add(1, std::memory_order_relaxed);
  objects.fetch_add(found.objects, std::memory_order_relaxed);
  suspects.fetch_add(found.suspects, std::memory_order_relaxed);
  if (found.suspects != 0) checks_with_suspects.fetch_add(1, std::memory_order_relaxed);
  total_ns.fetch_add(static_cast<std::uint64_t>(os::now_ns() - begin_ns),
                     std::memory_order_relaxed);
  return found;
}

MarkChecks read_mark_checks() noexcept {
  return {checks.load(std::memory_order_relaxed), objects.load(std::memory_order_relaxed),
          suspects.load(std::memory_order_relaxed),
          checks_with_suspects.load(std::memory_order_relaxed),
          total_ns.load(std::memory_order_relaxed)};
}

}  // namespace tailrace::gc
