// Exceptions that outlive switches: nested handlers and passing exceptions of many fibers at once,
// moved between workers by theft, and exceptions handed from fiber to fiber.
#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/fiber_fixture.h"

namespace tailrace::fiber {
namespace {

using ExceptionTest = FiberTest;
TAILRACE_FIBER_TESTS(ExceptionTest);
using ExceptionPeersTest = FiberTest;
TAILRACE_FIBER_PEERS_TESTS(ExceptionPeersTest);

struct Numbered {
  int number;
};

int number_of_current() {
  try {
    throw;
  } catch (const Numbered& caught) {
    return caught.number;
  }
}

// Handlers `depth` deep, one exception alive in each, a suspension in all of them. On the way out
// each finds its own again.
TAILRACE_NOINLINE void nest(int id, int depth) {
  try {
    throw Numbered{id * 100 + depth};
  } catch (const Numbered& caught) {
    yield();
    EXPECT_EQ(number_of_current(), id * 100 + depth);
    if (depth > 0) nest(id, depth - 1);
    yield();
    EXPECT_EQ(caught.number, id * 100 + depth);
    EXPECT_EQ(number_of_current(), id * 100 + depth);
  }
}

TEST_P(ExceptionTest, NestedHandlersOfManyFibersKeepApart) {
  SchedulerOptions options;
  options.perturb_seed = 20260802;
  start(options);
  run([&] {
    std::vector<JoinHandle> handles;
    for (int id = 0; id < 32; ++id) {
      handles.push_back(spawn([id] {
        for (int turn = 0; turn < 8; ++turn) nest(id, 5);
        EXPECT_EQ(std::current_exception(), nullptr);
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
  });
}

// Work only by theft: one fiber spawns all onto its own worker's ring and does not let go of it
// until another worker has stolen and run one that is inside a handler.
TEST_P(ExceptionPeersTest, HandlersAreStolenWithTheirFibers) {
  // Spawning is slow there, and most are stolen before they begin.
  constexpr int kStolen = TAILRACE_TSAN ? 5 : 50;
  std::atomic<int> stolen{0};
  run([&] {
    const auto give_up = std::chrono::steady_clock::now() + kGiveUp;
    while (stolen < kStolen && std::chrono::steady_clock::now() < give_up) {
      std::vector<JoinHandle> handles;
      for (int id = 0; id < 32; ++id) {
        handles.push_back(spawn([&, id] {
          int moved = 0;
          try {
            try {
              throw Numbered{id};
            } catch (const Numbered&) {
              const int before = Scheduler::current_worker();
              yield();
              moved = Scheduler::current_worker() != before ? 1 : 0;
              throw;
            }
          } catch (const Numbered& caught) {
            EXPECT_EQ(caught.number, id);
            stolen += moved;
          }
          EXPECT_EQ(std::current_exception(), nullptr);
          EXPECT_EQ(std::uncaught_exceptions(), 0);
        }));
      }
      for (JoinHandle& handle : handles) handle.join();
    }
  });
  EXPECT_GE(stolen, kStolen);
  EXPECT_GT(scheduler().stats().steals, 0u);
}

TEST_P(ExceptionTest, AnExceptionMayBeHandedToAnotherFiber) {
  run([&] {
    for (int round = 0; round < 200; ++round) {
      std::exception_ptr handed;
      JoinHandle thrower = spawn([&] {
        try {
          static_cast<void>(std::vector<int>().at(static_cast<std::size_t>(round)));
        } catch (...) {
          yield();
          handed = std::current_exception();
        }
      });
      thrower.join();
      ASSERT_NE(handed, nullptr);
      yield();
      EXPECT_THROW(std::rethrow_exception(handed), std::out_of_range);
      // And to two at once.
      std::atomic<int> caught{0};
      JoinHandle other = spawn([&] {
        try {
          std::rethrow_exception(handed);
        } catch (const std::out_of_range& error) {
          yield();
          caught += std::string(error.what()).empty() ? 0 : 1;
        }
      });
      try {
        std::rethrow_exception(handed);
      } catch (const std::out_of_range&) {
        yield();
        ++caught;
      }
      other.join();
      EXPECT_EQ(caught, 2);
    }
  });
}

TEST_P(ExceptionTest, NestedExceptionsUnwindAcrossSwitches) {
  run([&] {
    std::vector<JoinHandle> handles;
    for (int id = 0; id < 16; ++id) {
      handles.push_back(spawn([id] {
        for (int turn = 0; turn < 50; ++turn) {
          try {
            try {
              throw Numbered{id};
            } catch (...) {
              yield();
              std::throw_with_nested(std::runtime_error("outer"));
            }
          } catch (const std::runtime_error& outer) {
            yield();
            try {
              std::rethrow_if_nested(outer);
              ADD_FAILURE() << "nothing nested";
            } catch (const Numbered& inner) {
              EXPECT_EQ(inner.number, id);
            }
          }
        }
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
  });
}

}  // namespace
}  // namespace tailrace::fiber
