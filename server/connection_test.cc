// The record's state machine: every edge that comes at a wrong moment is kept, and none is seen
// twice.
#include "server/connection.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace tailrace::http {
namespace {

using Wake = Connection::Wake;

// Idle, as adopt() leaves it: made by a running session that goes idle.
struct Record {
  Record() { connection.leave_running(Connection::kIdle, 0); }
  Connection connection;
};

TEST(Connection, AnEdgeWakesAnIdleOneOnce) {
  Record record;
  EXPECT_EQ(record.connection.on_event(false, true, false), Wake::kNothing);  // room to send
  EXPECT_EQ(record.connection.on_event(true, true, false), Wake::kJob);
  EXPECT_EQ(record.connection.on_event(true, false, false), Wake::kNothing);
}

TEST(Connection, AnEdgeWhileRunningIsKept) {
  Record record;
  EXPECT_EQ(record.connection.on_event(true, false, false), Wake::kJob);
  EXPECT_EQ(record.connection.on_event(true, false, false), Wake::kNothing);
  EXPECT_FALSE(record.connection.try_idle());  // look again
  EXPECT_TRUE(record.connection.try_idle());
  EXPECT_EQ(record.connection.on_event(true, false, false), Wake::kJob);
}

TEST(Connection, WaitingTellsReadingFromWriting) {
  Record record;
  ASSERT_EQ(record.connection.on_event(true, false, false), Wake::kJob);
  ASSERT_TRUE(record.connection.leave_running(Connection::kWriting, Connection::kWriteEdge));
  EXPECT_EQ(record.connection.on_event(true, false, false), Wake::kNothing);
  EXPECT_EQ(record.connection.on_event(false, true, false), Wake::kFiber);
  // The input that came meanwhile is not lost.
  EXPECT_FALSE(record.connection.leave_running(Connection::kReading, Connection::kReadEdge));
  ASSERT_TRUE(record.connection.leave_running(Connection::kReading, Connection::kReadEdge));
  EXPECT_EQ(record.connection.on_event(false, true, false), Wake::kNothing);
  EXPECT_EQ(record.connection.on_event(true, false, false), Wake::kFiber);
}

TEST(Connection, AHangUpWakesEveryoneAndStays) {
  Record record;
  EXPECT_FALSE(record.connection.hung_up());
  EXPECT_EQ(record.connection.on_event(false, false, true), Wake::kJob);
  EXPECT_TRUE(record.connection.hung_up());
  EXPECT_TRUE(record.connection.leave_running(Connection::kWriting, Connection::kWriteEdge));
  EXPECT_TRUE(record.connection.hung_up());
  EXPECT_EQ(record.connection.on_event(false, false, true), Wake::kFiber);
}

TEST(Connection, ADeadlineClosesIdleWakesWaitingAndLeavesRunning) {
  Record record;
  ASSERT_EQ(record.connection.on_event(true, false, false), Wake::kJob);
  EXPECT_EQ(record.connection.on_deadline(), Wake::kNothing);
  EXPECT_FALSE(record.connection.expired());
  ASSERT_TRUE(record.connection.leave_running(Connection::kReading, Connection::kReadEdge));
  EXPECT_EQ(record.connection.on_deadline(), Wake::kFiber);
  EXPECT_TRUE(record.connection.expired());
  EXPECT_EQ(record.connection.on_deadline(), Wake::kNothing);
  record.connection.clear_expired();
  ASSERT_TRUE(record.connection.try_idle());
  EXPECT_EQ(record.connection.on_deadline(), Wake::kJob);
  EXPECT_EQ(record.connection.on_event(true, true, true), Wake::kNothing);  // closing
}

TEST(Connection, DrainTakesOnlyIdleOnes) {
  Record record;
  ASSERT_EQ(record.connection.on_event(true, false, false), Wake::kJob);
  EXPECT_FALSE(record.connection.close_if_idle());
  ASSERT_TRUE(record.connection.leave_running(Connection::kReading, Connection::kReadEdge));
  EXPECT_FALSE(record.connection.close_if_idle());
  EXPECT_EQ(record.connection.on_event(true, false, false), Wake::kFiber);
  ASSERT_TRUE(record.connection.try_idle());
  EXPECT_TRUE(record.connection.close_if_idle());
  EXPECT_FALSE(record.connection.close_if_idle());
}

// One thread makes edges, one is the session: every unit of input that an edge announces is
// consumed without a further edge, and the record is never run by two.
TEST(Connection, NoEdgeIsLostBetweenTwoThreads) {
  constexpr int kEdges = 200'000;
  Record record;
  std::atomic<int> input{0};
  std::atomic<int> runs{0};  // jobs pushed and not yet taken
  std::atomic<bool> done{false};
  int consumed = 0;
  std::thread session([&] {
    while (true) {
      // Acquire pairs with the producer's release.
      if (runs.exchange(0, std::memory_order_acquire) == 0) {
        if (done.load(std::memory_order_acquire) && runs.load(std::memory_order_acquire) == 0) {
          return;
        }
        std::this_thread::yield();
        continue;
      }
      do {
        consumed += input.exchange(0, std::memory_order_acq_rel);
      } while (!record.connection.try_idle());
    }
  });
  for (int i = 0; i < kEdges; ++i) {
    input.fetch_add(1, std::memory_order_acq_rel);
    if (record.connection.on_event(true, true, false) == Wake::kJob) {
      EXPECT_EQ(runs.fetch_add(1, std::memory_order_release), 0);
    }
  }
  done.store(true, std::memory_order_release);
  session.join();
  EXPECT_EQ(consumed, kEdges);
}

}  // namespace
}  // namespace tailrace::http
