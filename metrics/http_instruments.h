// What the server counts for every request, by route: requests, durations, body sizes, allocation.
//
// All that one request adds lies in one block of cells for its (route, method, code) and the
// thread's shard: eight sums on one cache line and six buckets behind it. What is exported with
// fewer labels is added up at the scrape, and http_requests_total is the durations' count, so
// observe() is one look-up and about a dozen plain additions. Blocks are made when first needed.
//
// Routes come from the route table, never from paths; beyond kMaxRoutes they share "(other)".
// Any thread may observe; route() is for start-up.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gcruntime/heap/alloc_counts.h"
#include "metrics/bucket_bounds.h"
#include "metrics/capacity.h"
#include "metrics/counter.h"
#include "metrics/gauge.h"
#include "metrics/instruments.h"
#include "metrics/names.h"
#include "metrics/shard.h"

namespace tailrace::metrics {

// The label values of `method`, lower-case as in promhttp.
inline constexpr std::array<std::string_view, 11> kMethods = {
    "get",     "put",    "head",  "post",  "delete", "connect",
    "options", "notify", "trace", "patch", "unknown"};
inline constexpr unsigned kUnknownMethod = kMethods.size() - 1;
// The index in kMethods of a method as it stands in a request line, in any case.
unsigned method_index(std::string_view method) noexcept;

// The route of requests that no pattern matches.
inline constexpr std::string_view kUnmatchedRoute = "(unmatched)";

inline constexpr BucketBounds kDurationBoundsNs = {
    100'000,       250'000,       500'000,       1'000'000,     2'500'000,   5'000'000,
    10'000'000,    25'000'000,    50'000'000,    100'000'000,   250'000'000, 500'000'000,
    1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000};
inline constexpr BucketBounds kBodyBoundsBytes = {256, 1024, 8192, 65536, 1048576, 16777216};
inline constexpr BucketBounds kAllocBoundsBytes = {
    256, 1024, 4096, 8192, 16384, 32768, 51200, 102400, 204800, 524288, 1048576, 4194304, 16777216};
inline constexpr BucketBounds kAllocBoundsObjects = {1,   2,   5,   10,   20,   50,
                                                     100, 200, 500, 1000, 5000, 20000};

// One finished request. Managed bytes are arena, heap and large, headers and rounding included: on the heap a
// slot's bytes, in an arena what the object takes of its block. malloc_bytes stand apart.
struct RequestFacts {
  unsigned method = kUnknownMethod;  // method_index()
  unsigned status = 200;
  std::uint64_t duration_ns = 0;
  std::uint64_t request_bytes = 0;  // bodies
  std::uint64_t response_bytes = 0;
  std::uint64_t arena_bytes = 0;
  std::uint64_t heap_bytes = 0;
  std::uint64_t large_bytes = 0;
  std::uint64_t alloc_objects = 0;  // managed ones, wherever they are
  std::uint64_t malloc_bytes = 0;
  std::uint64_t assist_ns = 0;  // of marking that its allocation was asked for

  std::uint64_t managed_bytes() const noexcept { return arena_bytes + heap_bytes + large_bytes; }
};

class RouteInstruments final {
 public:
  // What comes beyond so many (method, code) pairs of one route, and codes outside 100 to 599, are
  // counted under method="unknown", code="(other)".
  static constexpr std::size_t kMaxChildren = 64;

  RouteInstruments(std::string route, Counter& dropped);
  ~RouteInstruments();
  RouteInstruments(const RouteInstruments&) = delete;
  RouteInstruments& operator=(const RouteInstruments&) = delete;

  // Once for each request, when its reply is written. `shard` is current_shard(), taken since the
  // last suspension. Wait-free once the (method, status) was seen.
  void observe(const RequestFacts& facts, Shard shard) noexcept {
    if (facts.assist_ns != 0) [[unlikely]]
      assist_ns_.add(facts.assist_ns, shard);
    Word* const cells = child(facts.method, facts.status).of(shard);
    if (shard.common()) [[unlikely]] {
      observe_common(cells, facts);
    } else {
      record(facts, [cells](unsigned word, std::uint64_t n) { add_alone(cells[word], n); });
    }
  }
  void observe(const RequestFacts& facts) noexcept { observe(facts, current_shard()); }

  // What fibers of a request allocated after its reply: goes to the totals only.
  void add_late(const gc::AllocCounts& counts, Shard shard) noexcept {
    late_arena_.add(counts.arena_bytes, shard);
    late_heap_.add(counts.bytes, shard);
    late_large_.add(counts.large_bytes, shard);
    late_malloc_.add(counts.malloc_bytes, shard);
    assist_ns_.add(counts.assist_ns, shard);
  }

  std::string_view route() const noexcept { return route_; }

 private:
  friend class HttpInstruments;

  // The words of a block. First the sums, on one line. The sum of the allocated bytes is the sum of
  // the three kinds.
  enum : unsigned {
    kDurationSum,
    kRequestSum,
    kResponseSum,
    kObjectsSum,
    kArena,
    kHeap,
    kLarge,
    kMalloc,
    kDurations,
    kRequests = kDurations + kDurationBoundsNs.buckets(),
    kResponses = kRequests + kBodyBoundsBytes.buckets(),
    kBytes = kResponses + kBodyBoundsBytes.buckets(),
    kObjects = kBytes + kAllocBoundsBytes.buckets(),
    kArenaBytes = kObjects + kAllocBoundsObjects.buckets(),
    kWords = kArenaBytes + kAllocBoundsBytes.buckets(),
  };
  static constexpr unsigned kFirstStatus = 100;
  static constexpr unsigned kStatuses = 500;

  struct Child {
    Child(unsigned of_method, std::string of_code)
        : cells(kWords), method(of_method), code(std::move(of_code)) {}
    ShardedWords cells;
    const unsigned method;
    const std::string code;
  };
  using ByStatus = std::array<std::atomic<Child*>, kStatuses>;

  template <typename Add>
  static void record(const RequestFacts& facts, Add add) noexcept {
    add(kDurationSum, facts.duration_ns);
    add(kRequestSum, facts.request_bytes);
    add(kResponseSum, facts.response_bytes);
    add(kObjectsSum, facts.alloc_objects);
    add(kArena, facts.arena_bytes);
    add(kHeap, facts.heap_bytes);
    add(kLarge, facts.large_bytes);
    add(kMalloc, facts.malloc_bytes);
    add(kDurations + kDurationBoundsNs.index(facts.duration_ns), 1);
    add(kRequests + kBodyBoundsBytes.index(facts.request_bytes), 1);
    add(kResponses + kBodyBoundsBytes.index(facts.response_bytes), 1);
    add(kBytes + kAllocBoundsBytes.index(facts.managed_bytes()), 1);
    add(kObjects + kAllocBoundsObjects.index(facts.alloc_objects), 1);
    if (facts.arena_bytes != 0) add(kArenaBytes + kAllocBoundsBytes.index(facts.arena_bytes), 1);
  }

  ShardedWords& child(unsigned method, unsigned status) noexcept {
    const unsigned slot = status - kFirstStatus;  // wraps below 100
    if (slot >= kStatuses || method >= kMethods.size()) [[unlikely]] {
      return other_.cells;
    }
    // Acquire pairs with the releases in make_child().
    if (ByStatus* const table = methods_[method].load(std::memory_order_acquire)) [[likely]] {
      if (Child* const known = (*table)[slot].load(std::memory_order_acquire)) [[likely]] {
        return known->cells;
      }
    }
    return make_child(method, slot);
  }
  [[gnu::cold, gnu::noinline]] ShardedWords& make_child(unsigned method, unsigned slot) noexcept;
  [[gnu::cold, gnu::noinline]] static void observe_common(Word* cells,
                                                          const RequestFacts& facts) noexcept;
  // Adds this route's series to the bundle's families, which stand in the order of http_families(), and
  // its requests to the buckets of tailrace_arena_request_bytes. Returns those requests' bytes.
  std::uint64_t collect(std::span<Family> families, std::span<std::uint64_t> arena_requests) const;

  void collect_allocation(std::span<Family> families,
                          std::span<const std::uint64_t, kWords> of_route) const;

  // Immutable after construction.
  const std::string route_;
  Counter& dropped_;

  Child other_{kUnknownMethod, std::string(kOther)};

  // Written once each by make_child(), read by everyone.
  std::array<std::atomic<ByStatus*>, kMethods.size()> methods_{};

  mutable std::mutex mutex_;
  // Guarded by mutex_: the owners of what methods_ points to.
  std::vector<std::unique_ptr<ByStatus>> tables_;
  std::vector<std::unique_ptr<Child>> children_;

  Counter late_arena_;
  Counter late_heap_;
  Counter late_large_;
  Counter late_malloc_;
  Counter assist_ns_;
};

class HttpInstruments final {
 public:
  static constexpr std::size_t kMaxRoutes = 200;

  explicit HttpInstruments(Registry& registry);

  // The same object for the same pattern; valid as long as this. Takes a lock.
  RouteInstruments& route(std::string_view pattern);
  // One up when a request begins, one down when it ends, on whatever thread.
  Gauge& in_flight() noexcept { return in_flight_; }

 private:
  void collect(std::vector<Family>& families);

  Counter& dropped_;
  Gauge& in_flight_;
  std::mutex mutex_;
  // Guarded by mutex_; routes are never removed.
  std::map<std::string, std::unique_ptr<RouteInstruments>, std::less<>> routes_;
  CapacityWindow capacity_;
  Registration registration_;  // last: ends before what it reads
};

}  // namespace tailrace::metrics
