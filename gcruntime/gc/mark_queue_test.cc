// Markers side by side: what they mark together is what can be reached, each object is scanned for one of
// them, nothing is lost between slices, and the end is not seen early. The markers here are run by hand on a
// queue of their own while cycles are off; what they marked is cleared afterwards.
#include "gcruntime/gc/mark_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/grey_buffer.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/marker.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

struct Knot {
  Member<Knot> left;
  Member<Knot> right;
  Vector<Member<Knot>> more;
};
BOOST_DESCRIBE_STRUCT(Knot, (), (left, right, more))

// Pointers in a row, and not. What they point to may be of any type: the marker reads headers.
struct Any {
  Member<Any> link;
};
BOOST_DESCRIBE_STRUCT(Any, (), (link))
template <std::size_t kLinks, std::size_t kValues>
struct Row {
  std::array<Member<Any>, kLinks> links;
  std::array<std::int64_t, kValues> values{};
  Member<Any>* second() { return kLinks > 1 ? &links.back() : nullptr; }
  BOOST_DESCRIBE_CLASS(Row, (), (links, values), (), ())
};
template <std::size_t kValues>
struct Split {
  std::array<Member<Any>, 1> links;
  std::array<std::int64_t, kValues> values{};
  Member<Any> last;
  Member<Any>* second() { return &last; }
  BOOST_DESCRIBE_CLASS(Split, (), (links, values, last), (), ())
};

heap::ObjectPlace place_of(const void* object) {
  return heap::find_object(reinterpret_cast<std::uintptr_t>(object));
}

// Objects that nothing but this refers to, and what each refers to.
struct Graph {
  std::vector<const void*> objects;
  std::vector<std::vector<std::size_t>> edges;

  std::size_t add(const void* object) {
    objects.push_back(object);
    edges.emplace_back();
    return objects.size() - 1;
  }
  // From the first object.
  std::vector<bool> reachable() const {
    std::vector<bool> seen(objects.size());
    std::vector<std::size_t> work{0};
    seen[0] = true;
    while (!work.empty()) {
      const std::size_t at = work.back();
      work.pop_back();
      for (const std::size_t next : edges[at]) {
        if (!seen[next]) work.push_back(next);
        seen[next] = true;
      }
    }
    return seen;
  }
};

class MarkQueueTest : public testing::Test {
 protected:
  // No sweep is due, none comes.
  MarkQueueTest() : percent_(set_percent(-1)) { static_cast<void>(free_os_memory()); }
  ~MarkQueueTest() override {
    clear_marks();
    set_percent(percent_);
    // Other tests' objects will be where these were: no word of a dead frame may keep them.
    test::overwrite_dead_frames();
  }

  static Knot* knot(const Graph& graph, std::size_t at) {
    return static_cast<Knot*>(const_cast<void*>(graph.objects[at]));
  }
  void add_knots(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) graph_.add(heap_make<Knot>());
  }
  void link(Member<Knot> Knot::*member, std::size_t from, std::size_t to) {
    knot(graph_, from)->*member = knot(graph_, to);
    graph_.edges[from].push_back(to);
  }
  void make_random(std::size_t count) {
    add_knots(count);
    std::mt19937_64 random(base::test_seed());
    for (std::size_t i = 0; i < count; ++i) {
      // Some to neighbours, some anywhere; one in eight to nobody.
      if (random() % 8 != 0) link(&Knot::left, i, std::min(count - 1, i + random() % 8));
      if (random() % 8 != 0) link(&Knot::right, i, random() % count);
    }
  }
  // In the order of allocation.
  std::size_t make_tree(int depth) {
    const std::size_t at = graph_.add(heap_make<Knot>());
    if (depth == 1) return at;
    const std::size_t left = make_tree(depth - 1);
    link(&Knot::left, at, left);
    link(&Knot::right, at, make_tree(depth - 1));
    return at;
  }
  void make_list(std::size_t count) {
    add_knots(count);
    for (std::size_t i = 0; i + 1 < count; ++i) link(&Knot::right, i, i + 1);
  }
  // One behind the other, of these types in turn, linked as a tree in that order. One in `stray` is not in
  // it, though it points into it.
  template <typename... Types>
  void make_in_order(std::size_t count, std::size_t stray) {
    for (std::size_t i = 0; i < count; ++i) {
      std::size_t turn = i % sizeof...(Types);
      static_cast<void>(((turn-- == 0 && (add_linked(heap_make<Types>()), true)) || ...));
    }
    link_in_order(0, count, stray);
  }
  template <typename... Types>
  void compare_in_order(std::size_t count, std::size_t stray) {
    make_in_order<Types...>(count, stray);
    mark_and_compare(1, MarkQueue::kChunkEntries);
    mark_and_compare(3, 2);
    clear_marks();
    graph_ = {};
    links_.clear();
  }
  template <typename Type>
  void add_linked(Type* object) {
    graph_.add(object);
    links_.push_back({&object->links[0], object->second()});
  }
  std::size_t link_in_order(std::size_t low, std::size_t high, std::size_t stray) {
    for (; low < high && low % stray == stray - 1; ++low) {
      if (low + 1 < high) link_any(links_[low][0], low, low + 1);
    }
    if (low >= high) return high;
    const std::size_t middle = links_[low][1] != nullptr ? low + 1 + (high - low - 1) / 2 : high;
    const std::size_t left = link_in_order(low + 1, middle, stray);
    if (left != middle) link_any(links_[low][0], low, left);
    const std::size_t right = link_in_order(middle, high, stray);
    if (right != high) link_any(links_[low][1], low, right);
    return low;
  }
  void link_any(Member<Any>* link, std::size_t from, std::size_t to) {
    *link = static_cast<Any*>(const_cast<void*>(graph_.objects[to]));
    graph_.edges[from].push_back(to);
  }
  // Arrays of several pieces, full of pointers and of nulls.
  void make_arrays() {
    add_knots(30'000);
    for (std::size_t i = 0; i < 4; ++i) {
      Vector<Member<Knot>>& array = knot(graph_, i)->more;
      array.resize(60'000);
      const std::size_t backing = graph_.add(&array[0]);
      graph_.edges[i].push_back(backing);
      for (std::size_t j = 0; j < 6'000; ++j) {
        const std::size_t to = (i + 1) % 4 + 4 * (j + 1);
        array[j * 10 + i] = knot(graph_, to);
        graph_.edges[backing].push_back(to);
      }
      if (i > 0) link(&Knot::left, i - 1, i);
    }
  }

  void clear_marks() {
    for (const void* object : graph_.objects) {
      const heap::ObjectPlace place = place_of(object);
      // Relaxed: no marker is at work.
      place.mark_word->fetch_and(~place.bit, std::memory_order_relaxed);
    }
  }
  // How many differ from what is reachable.
  std::size_t wrongly_marked(const std::vector<bool>& reachable) const {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < graph_.objects.size(); ++i) {
      wrong += place_of(graph_.objects[i]).marked() == reachable[i] ? 0 : 1;
    }
    return wrong;
  }
  std::size_t missing(const std::vector<bool>& reachable) const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < graph_.objects.size(); ++i) {
      if (reachable[i] && !place_of(graph_.objects[i]).marked()) ++count;
    }
    return count;
  }
  void shade_first(MarkQueue& queue) {
    Marker marker(queue);
    marker.shade(const_cast<void*>(graph_.objects[0]));
  }

  // Runs that many markers, and compares.
  void mark_and_compare(int markers, std::uint32_t chunk_entries) {
    SCOPED_TRACE(std::to_string(markers) + " markers, chunks of " + std::to_string(chunk_entries));
    const std::vector<bool> reachable = graph_.reachable();
    std::uint64_t expected_bytes = 0;
    for (std::size_t i = 0; i < reachable.size(); ++i) {
      if (reachable[i]) expected_bytes += place_of(graph_.objects[i]).slot_bytes;
    }
    clear_marks();
    MarkQueue queue(chunk_entries);
    std::atomic<std::uint64_t> objects{0};
    std::atomic<std::uint64_t> bytes{0};
    const auto add_up = [&](const Marker& marker) {
      objects.fetch_add(marker.stats().objects, std::memory_order_relaxed);
      bytes.fetch_add(marker.stats().marked_bytes, std::memory_order_relaxed);
    };
    {
      Marker first(queue);
      first.shade(const_cast<void*>(graph_.objects[0]));
      EXPECT_FALSE(queue.drained());
      first.stop();
      add_up(first);
      EXPECT_FALSE(queue.drained());
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < markers; ++i) {
      threads.emplace_back([&] {
        Marker marker(queue);
        marker.drain();
        add_up(marker);
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(queue.drained());  // not before: who starts late is counted in for a moment
    EXPECT_EQ(wrongly_marked(reachable), 0u);
    EXPECT_EQ(objects.load(),
              static_cast<std::uint64_t>(std::count(reachable.begin(), reachable.end(), true)));
    EXPECT_EQ(bytes.load(), expected_bytes);
  }
  void compare_all() {
    for (const int markers : {1, 2, 4}) {
      for (const std::uint32_t entries : {MarkQueue::kChunkEntries, 3u, 1u}) {
        mark_and_compare(markers, entries);
      }
    }
  }

  ThreadScope scope_;
  int percent_;
  Graph graph_;
  std::vector<std::array<Member<Any>*, 2>> links_;  // of make_in_order's objects
};

TEST_F(MarkQueueTest, MarkersTogetherMarkARandomGraph) {
  make_random(60'000);
  compare_all();
}

TEST_F(MarkQueueTest, MarkersTogetherMarkATree) {
  make_tree(15);
  compare_all();
}

TEST_F(MarkQueueTest, MarkersTogetherMarkAList) {
  make_list(40'000);
  compare_all();
}

TEST_F(MarkQueueTest, MarkersTogetherMarkLargeArrays) {
  make_arrays();
  compare_all();
}

// Sweeps: through every kind of loop, over the ends of groups and of spans of one page and of several.
TEST_F(MarkQueueTest, SweepsMarkWhatCanBeReachedAndNothingElse) {
  for (const std::size_t stray : {7, 64, 100'000}) {
    SCOPED_TRACE("one in " + std::to_string(stray) + " is not in it");
    compare_in_order<Row<1, 1>>(2000, stray);
    compare_in_order<Row<2, 1>>(9000, stray);
    compare_in_order<Row<4, 3>>(5000, stray);
    compare_in_order<Row<60, 1>>(1000, stray);
    compare_in_order<Row<2, 380>>(600, stray);
    compare_in_order<Split<3>>(5000, stray);
    // Slots of one size, so neighbours of different shapes.
    compare_in_order<Row<1, 6>, Row<2, 5>, Row<4, 3>, Split<5>, Row<2, 5>>(7000, stray);
  }
}

// Markers that sweep the same slots scan some of them twice, and count each once.
TEST_F(MarkQueueTest, WhatTwoMarkersSweepIsCountedOnce) {
  make_in_order<Row<2, 1>>(20'000, 100'000);
  const heap::ObjectPlace root = place_of(graph_.objects[0]);
  for (int round = 0; round < 30; ++round) {
    clear_marks();
    ASSERT_TRUE(mark_object(root));
    MarkQueue queue(1);
    for (int i = 0; i < 3; ++i) queue.add(&root.slot, 1);
    std::atomic<std::uint64_t> objects{0};
    std::atomic<std::uint64_t> bytes{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        Marker marker(queue);
        marker.drain();
        objects.fetch_add(marker.stats().objects);
        bytes.fetch_add(marker.stats().marked_bytes);
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(missing(graph_.reachable()), 0u);
    EXPECT_EQ(bytes.load(), (graph_.objects.size() - 1) * root.slot_bytes);
    EXPECT_EQ(objects.load(), graph_.objects.size() + 2);
  }
}

// However far it could go on: fibers wait for the end of a slice.
TEST_F(MarkQueueTest, ASweepEndsWithItsSlice) {
  make_in_order<Row<2, 1>>(50'000, 100'000);
  MarkQueue queue;
  shade_first(queue);
  std::uint64_t objects = 0;
  while (!queue.drained()) {
    Marker marker(queue);
    marker.run(0);
    EXPECT_LE(marker.stats().objects, 2048u);
    objects += marker.stats().objects;
  }
  EXPECT_EQ(objects, graph_.objects.size());
  EXPECT_EQ(wrongly_marked(graph_.reachable()), 0u);
}

// Each slice a marker of its own, most of them with no time at all; two threads of them.
TEST_F(MarkQueueTest, SlicesLoseNothing) {
  make_random(60'000);
  const std::vector<bool> reachable = graph_.reachable();
  for (const std::uint32_t entries : {MarkQueue::kChunkEntries, 2u}) {
    clear_marks();
    MarkQueue queue(entries);
    shade_first(queue);
    std::atomic<std::uint64_t> objects{0};
    std::atomic<int> cut_short{0};
    const auto run_slices = [&] {
      for (int i = 0; !queue.drained(); ++i) {
        Marker marker(queue);
        if (!marker.run(os::now_ns() + i % 3 * 10'000)) {
          cut_short.fetch_add(1, std::memory_order_relaxed);
        }
        objects.fetch_add(marker.stats().objects, std::memory_order_relaxed);
      }
    };
    std::thread other(run_slices);
    run_slices();
    other.join();
    EXPECT_EQ(wrongly_marked(reachable), 0u);
    EXPECT_EQ(objects.load(),
              static_cast<std::uint64_t>(std::count(reachable.begin(), reachable.end(), true)));
    EXPECT_GT(cut_short.load(), 2);
  }
}

// A tree's stack is shallow, and yet a marker that waits gets some of it.
TEST_F(MarkQueueTest, AMarkerThatWaitsIsGivenPartOfATree) {
  make_tree(16);
  bool both = false;
  for (int attempt = 0; attempt < 50 && !both; ++attempt) {
    clear_marks();
    MarkQueue queue;
    queue.enter();  // until the other one waits, this is not the end
    std::atomic<std::uint64_t> other_objects{0};
    std::thread other([&] {
      Marker marker(queue);
      marker.drain();
      other_objects.store(marker.stats().objects, std::memory_order_relaxed);
    });
    while (!queue.hungry()) std::this_thread::yield();
    Marker marker(queue);
    marker.shade(const_cast<void*>(graph_.objects[0]));
    queue.leave();
    EXPECT_TRUE(marker.run(Marker::kNoDeadline));
    other.join();
    EXPECT_TRUE(queue.drained());
    EXPECT_GT(marker.stats().given_away, 0u);
    EXPECT_EQ(marker.stats().objects + other_objects.load(), graph_.objects.size());
    both = other_objects.load() > 0 && marker.stats().objects > 0;
  }
  EXPECT_TRUE(both);
}

// Somebody who only looks never sees the end while something reachable is white.
TEST_F(MarkQueueTest, TheEndIsNotSeenEarly) {
  make_random(5'000);
  const std::vector<bool> reachable = graph_.reachable();
  for (int round = 0; round < 40; ++round) {
    clear_marks();
    MarkQueue queue(1 + static_cast<std::uint32_t>(round) % 3);
    shade_first(queue);
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&, i] {
        while (!queue.drained()) {
          Marker marker(queue);
          marker.run(i == 0 ? 0 : os::now_ns() + 5'000 * i);
        }
        EXPECT_EQ(missing(reachable), 0u);
      });
    }
    while (!queue.drained()) std::this_thread::yield();
    EXPECT_EQ(missing(reachable), 0u);
    for (std::thread& thread : threads) thread.join();
  }
}

TEST_F(MarkQueueTest, AMarkerGivesBackWhatItHasNotMarked) {
  make_tree(4);
  MarkQueue queue;
  shade_first(queue);
  EXPECT_TRUE(queue.has_chunks());
  EXPECT_FALSE(queue.drained());
  Marker(queue).drain();
  EXPECT_TRUE(queue.drained());
}

TEST_F(MarkQueueTest, AnObjectIsTurnedOnce) {
  make_list(1);
  const heap::ObjectPlace place = place_of(graph_.objects[0]);
  std::atomic<int> turned{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      if (mark_object(place)) turned.fetch_add(1, std::memory_order_relaxed);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(turned.load(), 1);
  EXPECT_TRUE(place.marked());
}

// More than one buffer holds: the marker sees all of them, and the count tells of those handed over early.
TEST_F(MarkQueueTest, AGreyBufferHandsOverWhatWasPushed) {
  constexpr std::size_t kPushed = GreyBuffer::kSlots * 2 + 5;
  add_knots(2 * kPushed);
  GreyBuffer buffer;
  MarkQueue& queue = MarkQueue::instance();
  buffer.flush(queue);
  for (std::size_t i = 0; i < kPushed; ++i) {
    link(&Knot::left, i, kPushed + i);
    const heap::ObjectPlace place = place_of(graph_.objects[i]);
    ASSERT_TRUE(mark_object(place));
    buffer.push(place.slot);
  }
  EXPECT_FALSE(buffer.empty());
  buffer.flush(queue);
  EXPECT_TRUE(buffer.empty());
  buffer.flush(queue);
  EXPECT_FALSE(queue.drained());
  Marker marker;
  marker.drain();
  EXPECT_EQ(marker.stats().objects, 2 * kPushed);
  EXPECT_EQ(wrongly_marked(std::vector<bool>(2 * kPushed, true)), 0u);
  EXPECT_TRUE(queue.drained());
}

TEST_F(MarkQueueTest, TrimGivesMemoryBackAndTheQueueStaysUsable) {
  MarkQueue queue;
  std::vector<MarkQueue::Chunk*> chunks;
  for (int i = 0; i < 100; ++i) chunks.push_back(queue.take_empty());
  EXPECT_EQ(queue.sys_bytes(), 100 * MarkQueue::kChunkBytes);
  queue.trim(0);  // chunks are in use
  EXPECT_EQ(queue.sys_bytes(), 100 * MarkQueue::kChunkBytes);
  for (MarkQueue::Chunk* chunk : chunks) queue.give_empty(chunk);
  queue.trim(10 * MarkQueue::kChunkBytes);
  EXPECT_EQ(queue.sys_bytes(), 10 * MarkQueue::kChunkBytes);
  std::vector<MarkQueue::Chunk*> again;
  for (int i = 0; i < 30; ++i) {
    again.push_back(queue.take_empty());
    EXPECT_EQ(again.back()->count, 0u);
  }
  std::sort(again.begin(), again.end());
  EXPECT_EQ(std::unique(again.begin(), again.end()), again.end());
  EXPECT_EQ(queue.sys_bytes(), 30 * MarkQueue::kChunkBytes);
  for (MarkQueue::Chunk* chunk : again) queue.give_empty(chunk);
}

}  // namespace
}  // namespace tailrace::gc
