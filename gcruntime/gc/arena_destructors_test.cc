// Destructors that run with the arena's end: once, in order, and never of what somebody still has.
#include "gcruntime/gc/arena_destructors.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/escape_scene.h"
#include "gcruntime/gc/publish.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_support.h"

namespace tailrace::gc {
namespace {

using internal::is_unfaded;
using Numbers = std::vector<std::int64_t>;

std::mutex destroyed_lock;
Numbers destroyed;
Numbers destroyed_so_far() {
  const std::lock_guard guard(destroyed_lock);
  return destroyed;
}

struct File {
  using finalized = void;
  explicit File(std::int64_t the_number) : number(the_number) {}
  ~File() {
    if (auto* const call = at_end.value) call(*this);
    const std::lock_guard guard(destroyed_lock);
    destroyed.push_back(number);
  }
  std::int64_t number;
  // What asan would find leaked, were the destructor not run.
  Opaque<std::string> path{std::string(100, 'x')};
  Member<File> other;
  Opaque<void (*)(File&)> at_end{nullptr};
};
BOOST_DESCRIBE_STRUCT(File, (), (number, path, other, at_end))

struct Throwing {
  using finalized = void;
  Throwing() { throw std::runtime_error("no"); }
  ~Throwing() { ADD_FAILURE(); }
  std::int64_t number = 0;
};
BOOST_DESCRIBE_STRUCT(Throwing, (), (number))

class ArenaDestructors : public testing::Test {
 protected:
  void SetUp() override {
    test::overwrite_dead_frames();  // they have had objects where this test's will be
    collect_and_run();              // what earlier tests have left
    const std::lock_guard guard(destroyed_lock);
    destroyed.clear();
  }
  // All of them, on the finalizers' thread too.
  static void collect_and_run() {
    test::in_own_frame([] { collect(); });
    native([] {
      for (;;) {
        const FinalizerStats stats = read_finalizer_stats();
        if (stats.finalizers_executed == stats.finalizers_queued) return;
        std::this_thread::yield();
      }
    });
  }

  ThreadScope scope_;
  test::NoCycles no_cycles_;
};

TEST_F(ArenaDestructors, RunAtTheEndTheNewestFirst) {
  const std::uint64_t watched = read_finalizer_stats().watched;
  const std::uint64_t counted = read_arena_stats().destroyed_objects;
  with_arena([&] {
    for (std::int64_t i = 1; i <= 3; ++i) {
      File* const file = make<File>(i);
      EXPECT_TRUE(is_unfaded(file));
      EXPECT_EQ(file->path.value, std::string(100, 'x'));
    }
    EXPECT_EQ(read_finalizer_stats().watched, watched);
    EXPECT_EQ(destroyed_so_far(), Numbers{});
  });
  EXPECT_EQ(destroyed_so_far(), (Numbers{3, 2, 1}));
  EXPECT_EQ(read_arena_stats().destroyed_objects, counted + 3);
  collect_and_run();
  EXPECT_EQ(destroyed_so_far().size(), 3u);
}

TEST_F(ArenaDestructors, WhatHasFadedIsDestroyedByTheCollector) {
  Root<File> root;
  test::on_own_thread([&] {
    with_arena([&] {
      File* const kept = make<File>(1);
      kept->other = make<File>(2);
      make<File>(3);
      root = kept;
    });
    EXPECT_EQ(destroyed_so_far(), Numbers{3});
    collect_and_run();
    EXPECT_EQ(destroyed_so_far(), Numbers{3});
    EXPECT_EQ(root->other->number, 2);
  });
  root = nullptr;
  collect_and_run();
  EXPECT_EQ(destroyed_so_far(), (Numbers{3, 2, 1}));
}

TEST_F(ArenaDestructors, TheResultIsNotDestroyed) {
  const Root<File> result(with_arena([] { return make<File>(1); }));
  EXPECT_EQ(destroyed_so_far(), Numbers{});
  EXPECT_EQ(result->number, 1);
}

TEST_F(ArenaDestructors, PublishedIsTheObjectItself) {
  Root<File> root;
  with_arena([&] {
    File* const file = make<File>(1);
    root = publish(file);
    EXPECT_EQ(root.get(), file);
    EXPECT_FALSE(is_unfaded(file));
  });
  EXPECT_EQ(destroyed_so_far(), Numbers{});
}

TEST_F(ArenaDestructors, RunWhenAnExceptionEndsTheArena) {
  EXPECT_THROW(with_arena([] {
                 make<File>(1);
                 make<File>(2);
                 throw std::runtime_error("the handler's");
               }),
               std::runtime_error);
  EXPECT_EQ(destroyed_so_far(), (Numbers{2, 1}));
}

TEST_F(ArenaDestructors, AConstructorThatThrowsLeavesNothing) {
  with_arena([] {
    make<File>(1);
    EXPECT_THROW(make<Throwing>(), std::runtime_error);
  });
  EXPECT_EQ(destroyed_so_far(), Numbers{1});
}

// One that a destructor gives away is the collector's, and is still to be destroyed.
TEST_F(ArenaDestructors, ADestructorMayRescueAnother) {
  static Root<File>* kept = nullptr;
  Root<File> root;
  kept = &root;
  test::on_own_thread([&] {
    with_arena([] {
      make<File>(1);
      File* const rescued = make<File>(2);
      File* const rescuer = make<File>(3);
      rescuer->other = rescued;
      rescuer->at_end.value = [](File& self) { *kept = self.other.get(); };
    });
    EXPECT_EQ(destroyed_so_far(), (Numbers{3, 1}));
    EXPECT_EQ(root->number, 2);
  });
  root = nullptr;
  collect_and_run();
  EXPECT_EQ(destroyed_so_far(), (Numbers{3, 1, 2}));
}

// By a plain store to a frame above, which no barrier sees.
TEST_F(ArenaDestructors, ADestructorMayStoreInAFrameAbove) {
  static File** place = nullptr;
  File* rescued = nullptr;
  place = &rescued;
  const std::uint64_t faded = read_arena_stats().faded_objects;
  with_arena([] {
    File* const other = make<File>(2);
    File* const rescuer = make<File>(3);
    rescuer->other = other;
    rescuer->at_end.value = [](File& self) { *place = self.other.get(); };
  });
  // It has been destroyed, as nobody had it when its turn came, but its memory is not another's.
  EXPECT_GT(read_arena_stats().faded_objects, faded);
  with_arena([] {
    for (std::int64_t i = 0; i < 10; ++i) make<test::Node>();
  });
  EXPECT_EQ(rescued->number, 2);
}

TEST_F(ArenaDestructors, MadeByADestructorIsTheHeaps) {
  test::on_own_thread([] {
    with_arena([] {
      make<File>(1)->at_end.value = [](File&) {
        EXPECT_FALSE(test::in_arena_range(make<File>(2)));
        make<test::Node>();  // others may be the arena's
      };
    });
  });
  EXPECT_EQ(destroyed_so_far(), Numbers{1});
  collect_and_run();
  EXPECT_EQ(destroyed_so_far(), (Numbers{1, 2}));
}

TEST_F(ArenaDestructors, AnArenaThatFadedAsAWholeDestroysNothing) {
  File* file = nullptr;
  test::in_own_frame([&] {
    with_arena([&] {
      file = make<File>(1);
      internal::fade_all();
      EXPECT_FALSE(test::in_arena_range(make<File>(2)));
    });
  });
  EXPECT_EQ(destroyed_so_far(), Numbers{});
  EXPECT_EQ(file->number, 1);
  file = nullptr;
}

TEST_F(ArenaDestructors, WithoutRoomTheObjectIsTheHeaps) {
  with_arena(
      [] {
        while (test::in_arena_range(make<test::Node>())) {
        }
        EXPECT_FALSE(test::in_arena_range(make<File>(1)));
      },
      ArenaOptions{.max_bytes = 1});
  EXPECT_EQ(destroyed_so_far(), Numbers{});
}

}  // namespace
}  // namespace tailrace::gc
