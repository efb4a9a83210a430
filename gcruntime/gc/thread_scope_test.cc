// What an attached thread takes from its thread it gives back; and what needs no attachment.
#include <gtest/gtest.h>
#include <signal.h>

#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::gc {
namespace {

TEST(Mutator, DetachingGivesTheSignalStackBack) {
  std::thread([] {
    static char own[64 * 1024];
    stack_t stack{};
    stack.ss_sp = own;
    stack.ss_size = sizeof(own);
    stack_t before{};
    ASSERT_EQ(::sigaltstack(&stack, &before), 0);
    { const ThreadScope scope; }
    stack_t now{};
    ASSERT_EQ(::sigaltstack(&before, &now), 0);
    EXPECT_EQ(now.ss_sp, own);
  }).join();
}

// The collector's thread is not needed for this: nobody may hang who asks an unattached thread's question.
TEST(Mutator, AThreadThatIsNotAttachedMayAskForStatsAndScopes) {
  std::thread([] {
    EXPECT_GE(read_mem_stats().sys, 0u);
    int runs = 0;
    native([&] { ++runs; });
    EXPECT_EQ(runs, 1);
    poll();
  }).join();
}

}  // namespace
}  // namespace tailrace::gc
