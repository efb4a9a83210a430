// When the address space is used up: garbage is collected before anybody is told that there is no memory,
// and who is told can go on. In processes of their own, with an address space limit.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/vector.h"

namespace tailrace::gc {
namespace {

struct Block {
  Member<Block> next;
  std::array<std::int64_t, 500> words{};
};
BOOST_DESCRIBE_STRUCT(Block, (), (next, words))

// The sanitizers' shadow memory needs more address space than any limit leaves.
#if !TAILRACE_ASAN && !TAILRACE_TSAN

void limit_address_space() {
  const rlimit limit{std::size_t{1} << 30, std::size_t{1} << 30};
  if (::setrlimit(RLIMIT_AS, &limit) != 0) std::abort();
}
[[noreturn]] void done(bool good) {
  std::fprintf(stderr, good ? "as expected" : "not as expected");
  std::_Exit(good ? 0 : 1);
}

class OutOfMemoryTest : public testing::Test {
 protected:
  OutOfMemoryTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(OutOfMemoryTest, GarbageIsCollectedBeforeAnythingThrows) {
  EXPECT_EXIT(
      {
        limit_address_space();
        const ThreadScope scope;
        set_percent(-1);  // nothing collects but need
        for (int i = 0; i < 500'000; ++i) make<Block>();
        for (int i = 0; i < 2'000; ++i) allocate_noscan(1'000'000);
        for (int i = 0; i < 200; ++i) Vector<Member<Block>>().resize(200'000);
        done(read_mem_stats().num_gc > 0);
      },
      testing::ExitedWithCode(0), "as expected");
}

TEST_F(OutOfMemoryTest, WhoIsToldGoesOnWhenThereIsRoomAgain) {
  EXPECT_EXIT(
      {
        limit_address_space();
        const ThreadScope scope;
        Root<Block> kept;
        std::int64_t count = 0;
        const auto fill = [&] {
          try {
            for (;;) {
              Block* block = make<Block>();
              block->words[0] = count;
              block->next = kept.get();
              kept = block;
              ++count;
            }
          } catch (const std::bad_alloc&) {
          }
        };
        fill();
        // All there, in order.
        std::int64_t expected = count;
        for (const Block* block = kept.get(); block != nullptr; block = block->next.get()) {
          if (block->words[0] != --expected) done(false);
        }
        if (expected != 0 || count < 1000) done(false);
        bool large_thrown = false;
        try {
          allocate_noscan(std::size_t{1} << 29);
        } catch (const std::bad_alloc&) {
          large_thrown = true;
        }
        const std::int64_t first = count;
        // Cut to pieces: a dead word of the stack that happens to point into the middle would keep half of it.
        for (Block* block = kept.get(); block != nullptr;) {
          Block* const next = block->next.get();
          block->next = nullptr;
          block = next;
        }
        kept = nullptr;
        count = 0;
        fill();  // as much again
        std::fprintf(stderr, "%lld blocks, then %lld; ", static_cast<long long>(first),
                     static_cast<long long>(count));
        done(large_thrown && count > first / 10 * 9);
      },
      testing::ExitedWithCode(0), "as expected");
}

#endif

}  // namespace
}  // namespace tailrace::gc
