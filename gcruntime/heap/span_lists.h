// Where each span in use is found that no worker cache holds: on one list of its class and kind (sparse,
// crowded, full: swept; or unswept), or on one of the two for large spans. For the heap's own files.
//
// A list's lock also decides between generations [heap.sweep]: end_marking() raises the generation *before*
// it takes each lock to move the lists, so whoever reads it under the lock puts a span where end_marking
// still finds it, or already among the unswept.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "gcruntime/base/spin_lock.h"
#include "gcruntime/heap/size_class.h"
#include "gcruntime/heap/slots.h"
#include "gcruntime/heap/span.h"

namespace tailrace::heap {

// The generation, and whether what is unswept may be swept now. Written by end_marking and allow_sweep.
// Threads are told of a generation when the lists hold the ended one's spans no more: a span made in it would
// else be moved with them, and be swept by marks that it cannot have.
struct SweepState {
  std::atomic<std::uint32_t> generation{1};
  std::atomic<std::uint32_t> told_generation{1};
  std::atomic<bool> allowed{true};
};
extern SweepState sweep_state;

// Of spans on unswept lists and of those that a thread is sweeping: a sweeper subtracts a span when all is
// done with it, so zero means that no sweep is under way either. Apart from what only cycles write.
struct alignas(64) UnsweptPages {
  std::atomic<std::uint64_t> count{0};
};
extern UnsweptPages unswept_pages;

class alignas(64) ClassLists {
 public:
  // A span of the caller's goes on the list where it belongs.
  void put(Span* span, const Fill& fill) noexcept {
    const std::lock_guard guard(lock_);
    put_locked(span, fill);
  }
  // A swept span of that generation, now the caller's, at most half full or any; null: there is none.
  // `used_up`, a span without free slots, or null, goes on its list first.
  Span* take_sparse(std::uint32_t generation, Span* used_up = nullptr) noexcept;
  Span* take_crowded(std::uint32_t generation) noexcept;
  // An unswept span, the caller's to sweep; null: there is none, or sweeping is not allowed. `done`, swept
  // and with that fill, or null, goes on its list first. Who is to allocate from what it sweeps takes the
  // first, others the last: spans are used in the order of their list, mostly that of their addresses, and
  // pages that come free at its end become one run. (With both at one end the order is lost within a few
  // cycles, and a slot of a heap that does not fit the caches costs 9.9 instead of 5.3 ns.)
  enum class End { kFirst, kLast };
  Span* take_unswept(End end, Span* done = nullptr, const Fill& fill = {}) noexcept;

  // What is swept becomes unswept.
  void end_generation() noexcept;

 private:
  void put_locked(Span* span, const Fill& fill) noexcept;
  Span* take_locked(SpanList& list, std::uint32_t generation) noexcept;

  base::SpinLock lock_;
  std::uint64_t swept_pages_ = 0;  // of the spans on the next three lists
  SpanList sparse_;                // at most half full
  SpanList crowded_;               // fuller: used when memory is tight
  SpanList full_;
  SpanList unswept_;
};
ClassLists& lists_of(std::size_t size_class, bool noscan) noexcept;

class alignas(64) LargeLists {
 public:
  void put(Span* span) noexcept;
  Span* take_unswept() noexcept;
  void end_generation() noexcept;

 private:
  base::SpinLock lock_;
  std::uint64_t swept_pages_ = 0;
  SpanList swept_;
  SpanList unswept_;
};
extern LargeLists large_lists;

}  // namespace tailrace::heap
