// What stops the program, and with which message: threads and sections used against their rules.
#include <gtest/gtest.h>
#include <ucontext.h>

#include <thread>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_support.h"

namespace tailrace::gc {
namespace {

using test::Node;

class MutatorDeathTest : public testing::Test {
 protected:
  MutatorDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(MutatorDeathTest, CollectingUnattachedStopsWithAMessage) {
  EXPECT_DEATH(collect(), "not attached");
}

TEST_F(MutatorDeathTest, AThreadThatEndsInsideItsScopeIsNamed) {
  TAILRACE_SKIP_WITHOUT_STOP_SIGNALS();
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        std::thread([] {
          static auto* leaked = new ThreadScope();
          (void)leaked;
        }).join();
        collect();
      },
      "ended inside its ThreadScope");
}

ucontext_t main_context;
ucontext_t other_context;

TEST_F(MutatorDeathTest, AStackThatTheCollectorDoesNotKnowIsNamed) {
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        static char stack[256 * 1024];
        ::getcontext(&other_context);
        other_context.uc_stack.ss_sp = stack;
        other_context.uc_stack.ss_size = sizeof(stack);
        other_context.uc_link = &main_context;
        ::makecontext(
            &other_context,
            [] {
              for (;;) make<Node>();
            },
            0);
        ::swapcontext(&main_context, &other_context);
      },
      "a stack that the collector does not know");
}

#if TAILRACE_DCHECKS
TEST_F(MutatorDeathTest, SectionsDoNotNest) {
  EXPECT_DEATH(
      {
        enter_section();
        enter_section();
      },
      "do not nest");
}

TEST_F(MutatorDeathTest, ANativeScopeDoesNotAllocate) {
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        native([] { make<Node>(); });
      },
      "touched in a native scope");
}

TEST_F(MutatorDeathTest, ANativeScopeStoresNoMember) {
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        Node* const node = make<Node>();
        native([node] { node->next = node; });
      },
      "touched in a native scope");
}

TEST_F(MutatorDeathTest, ANativeScopeMakesNoRoot) {
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        Node* const node = make<Node>();
        native([node] { const Root<Node> root(node); });
      },
      "touched in a native scope");
}
#endif

TEST_F(MutatorDeathTest, ANativeScopeInsideASectionStops) {
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        enter_section();
        native([] {});
      },
      "a native scope inside a flagged section");
}

}  // namespace
}  // namespace tailrace::gc
