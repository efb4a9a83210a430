// StackCopy, and how all copies of stacks give their memory back.
#include "gcruntime/gc/stack_copy.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/late_copies.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/world.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::gc {
namespace {

constexpr std::size_t kKeptBytes = 32 * 1024;
constexpr std::size_t kDeepBytes = 512 * 1024;

std::size_t resident_bytes(const void* begin, std::size_t bytes) {
  std::vector<unsigned char> pages((bytes + os::kPageBytes - 1) / os::kPageBytes);
  EXPECT_EQ(::mincore(const_cast<void*>(begin), bytes, pages.data()), 0);
  return os::kPageBytes * static_cast<std::size_t>(std::ranges::count_if(
                              pages, [](unsigned char page) { return (page & 1) != 0; }));
}

// Shows it as a stack.
void append(StackCopy& copy, const std::vector<std::uintptr_t>& words) {
  const auto low = reinterpret_cast<std::uintptr_t>(words.data());
  copy.append(low, low + words.size() * sizeof(std::uintptr_t));
}

TEST(StackCopyTest, TrimGivesAllBackButAReadyPart) {
  StackCopy copy;
  copy.reserve(2 * kDeepBytes);
  const std::vector<std::uintptr_t> deep(kDeepBytes / sizeof(std::uintptr_t), 7);
  append(copy, deep);
  append(copy, {1, 2, 3});
  const void* const begin = copy.begin();
  EXPECT_GE(resident_bytes(begin, 2 * kDeepBytes), kDeepBytes);
  // What it held last may be less than what it has held.
  copy.clear();
  append(copy, {1, 2, 3});
  copy.trim();
  EXPECT_TRUE(copy.empty());
  EXPECT_EQ(resident_bytes(begin, 2 * kDeepBytes), kKeptBytes);
  append(copy, deep);
  EXPECT_TRUE(std::equal(copy.begin(), copy.end(), deep.begin(), deep.end()));
  copy.release();
}

// A thread that is some stack deep while rounds look at it.
class DeepThread {
 public:
  DeepThread() {
    thread_ = std::thread([this] {
      const ThreadScope attached;
      stand();
      native([this] { wait_until(kEnd); });
    });
    native([this] { wait_until(kDeep); });
  }
  ~DeepThread() {
    state_.store(kEnd);
    test::join(thread_);
  }
  // It stands in its outermost frames from here on.
  void return_to_shallow() {
    state_.store(kShallow);
    native([this] { wait_until(kReturned); });
  }

 private:
  enum State { kBegin, kDeep, kShallow, kReturned, kEnd };
  TAILRACE_NOINLINE void stand() {
    volatile char bytes[kDeepBytes];
    bytes[0] = 0;
    asm volatile(""
                 :
                 : "r"(bytes)
                 : "memory");  // all of it: clang++ keeps only the bytes that are used
    state_.store(kDeep);
    native([this] { wait_until(kShallow); });
    bytes[1] = bytes[0];
    state_.store(kReturned);
  }
  void wait_until(State state) const {
    while (state_.load() < state) std::this_thread::yield();
  }

  std::atomic<int> state_{kBegin};
  std::thread thread_;
};

// Of what the last handshake showed of all threads: the most that one copy's memory has resident, and how
// many copies there were. It makes them anew, so `round` is 0 for a look that shows nothing.
struct Resident {
  std::size_t most = 0;
  std::size_t copies = 0;
};
Resident look_at_copies(std::uint64_t round) {
  Resident found;
  native([&] {
    std::thread([&] {
      World::instance().handshake(
          {.phase = kPhaseOff, .round = round},
          [](void* result, const void* low, const void*) {
            auto* resident = static_cast<Resident*>(result);
            resident->most = std::max(resident->most, resident_bytes(low, 2 * kDeepBytes));
            ++resident->copies;
            return false;
          },
          &found);
    }).join();
  });
  return found;
}

TEST(StackCopyTest, TheWorldsCopiesAreTrimmedBesideHandshakes) {
  const ThreadScope attached;
  const int percent = set_percent(-1);
  {
    DeepThread deep;
    EXPECT_GT(look_at_copies(1).most, kDeepBytes);
    deep.return_to_shallow();
    EXPECT_GT(look_at_copies(0).most, kDeepBytes) << "a stack that was deep once";
    World::instance().trim_copies();
    const Resident left = look_at_copies(0);
    EXPECT_LE(left.most, kKeptBytes);
    EXPECT_GE(left.copies, 2u);
    // And they are used again, however often both happen at once.
    std::atomic<bool> stop{false};
    std::thread trimmer([&] {
      const ThreadScope trims;
      while (!stop.load()) World::instance().trim_copies();
    });
    for (int i = 0; i < 20; ++i) collect();
    stop.store(true);
    test::join(trimmer);
  }
  set_percent(percent);
}

TEST(StackCopyTest, LateCopiesAreTrimmedToo) {
  const ThreadScope attached;
  const int percent = set_percent(-1);
  collect();
  LateCopies& copies = LateCopies::instance();
  const std::vector<std::uintptr_t> deep(kDeepBytes / sizeof(std::uintptr_t), 0);
  const auto low = reinterpret_cast<std::uintptr_t>(deep.data());
  {
    const Section section;
    EXPECT_EQ(copies.add(low, low + kDeepBytes), low + kDeepBytes);
  }
  std::vector<const void*> chunks;
  copies.take([&](const void* begin, const void*) { chunks.push_back(begin); });
  const auto resident = [&] {
    std::size_t sum = 0;
    for (const void* each : chunks) sum += resident_bytes(each, LateCopies::kChunkBytes);
    return sum;
  };
  EXPECT_EQ(chunks.size(), kDeepBytes / LateCopies::kChunkBytes);
  EXPECT_EQ(resident(), kDeepBytes);
  World::instance().trim_copies();
  EXPECT_LE(resident(), LateCopies::kChunkBytes);
  set_percent(percent);
}

}  // namespace
}  // namespace tailrace::gc
