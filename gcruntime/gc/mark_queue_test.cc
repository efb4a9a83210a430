// Markers side by side: what they mark together is what can be reached, each object is scanned for one of
// them, nothing is lost between slices, and the end is not seen early. The markers here are run by hand on a
// queue of their own while cycles are off; what they marked is cleared afterwards.
#include "gcruntime/gc/mark_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <random>
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
        EXPECT_TRUE(queue.drained());
        add_up(marker);
      });
    }
    for (std::thread& thread : threads) thread.join();
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
    while (!queue.wanted()) std::this_thread::yield();
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
