// The poller alone, without a scheduler: events become jobs, deadlines close, records are reused,
// wakes stick, rescues and closes from several threads leave nothing behind.
#include "server/poller.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "gcruntime/os/clock.h"
#include "server/socket.h"
#include "server/wheel.h"

namespace tailrace::http {
namespace {

constexpr std::int64_t kHour = 3'600'000'000'000;

void no_job(fiber::Job*) {}

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    mine = fds[0];
    served = fds[1];
  }
  ~Pair() { ::close(mine); }
  void send() const { EXPECT_EQ(::write(mine, "x", 1), 1); }
  // Whether the other end is closed.
  bool ended() const {
    char c;
    return ::recv(mine, &c, 1, 0) == 0 || errno == ECONNRESET;
  }
  int mine;
  int served;
};

Connection* job_at(const fiber::ReadyList& ready, std::size_t index) {
  return static_cast<Connection*>(
      reinterpret_cast<fiber::Job*>(ready.entry(index) & ~std::uintptr_t{1}));
}

class PollerTest : public testing::Test {
 protected:
  std::size_t poll(std::int64_t timeout_ns = 0) {
    ready_.clear();
    poller_.poll(timeout_ns, ready_);
    return ready_.size();
  }
  bool adopt(const Pair& pair, std::int64_t deadline_ns = kHour) {
    return poller_.adopt(pair.served, service(), os::now_ns() + deadline_ns);
  }
  // Never looked into by the poller.
  static Service& service() {
    alignas(16) static char memory[16];
    return reinterpret_cast<Service&>(memory);
  }

  fiber::ReadyList ready_;
  Poller poller_{8, no_job};
};

TEST_F(PollerTest, InputMakesAJob) {
  Pair pair;
  ASSERT_TRUE(adopt(pair));
  EXPECT_EQ(poll(), 0u);
  pair.send();
  ASSERT_EQ(poll(), 1u);
  Connection* const connection = job_at(ready_, 0);
  EXPECT_EQ(connection->fd(), pair.served);
  EXPECT_EQ(poll(), 0u);  // once
  poller_.finish(*connection);
  EXPECT_TRUE(pair.ended());
  EXPECT_EQ(poller_.connections(), 0u);
}

TEST_F(PollerTest, AWakeBeforeThePollIsNotLost) {
  poller_.wake();
  poll(-1);  // would block for ever
  poller_.wake();
  ready_.clear();
  EXPECT_TRUE(poller_.rescue(ready_));  // a rescuer sees it and leaves it
  poll(-1);
}

TEST_F(PollerTest, AWakeEndsAWait) {
  std::thread waiter([this] { poll(-1); });
  poller_.wake();
  waiter.join();
}

TEST_F(PollerTest, IdleConnectionsAreClosedAtTheirDeadline) {
  Pair soon;
  Pair late;
  ASSERT_TRUE(adopt(soon, 1));
  ASSERT_TRUE(adopt(late));
  while (poller_.connections() == 2) poll(-1);  // the wheel ends the wait
  EXPECT_TRUE(soon.ended());
  EXPECT_FALSE(late.ended());
}

TEST_F(PollerTest, ADeadlineThatMovesNearerWakesTheSleeper) {
  Pair pair;
  ASSERT_TRUE(adopt(pair));
  pair.send();
  ASSERT_EQ(poll(), 1u);
  Connection* const connection = job_at(ready_, 0);
  ASSERT_TRUE(connection->try_idle());
  std::thread other([&] { poller_.arm(*connection, os::now_ns()); });
  while (poller_.connections() != 0) poll(-1);
  other.join();
}

TEST_F(PollerTest, ADeadlineThatMovedAwayIsFoundByTheWheel) {
  Pair pair;
  ASSERT_TRUE(adopt(pair, 1));
  pair.send();
  ASSERT_EQ(poll(), 1u);
  Connection* const connection = job_at(ready_, 0);
  connection->extend_deadline(Wheel::deadline_tick(os::now_ns() + kHour));
  ASSERT_TRUE(connection->try_idle());
  const std::int64_t end = os::now_ns() + 300'000'000;
  while (os::now_ns() < end) poll(10'000'000);
  EXPECT_FALSE(pair.ended());
  EXPECT_EQ(poller_.connections(), 1u);
}

TEST_F(PollerTest, RecordsAreBoundedAndReused) {
  for (int round = 0; round < 3; ++round) {
    std::vector<Pair> pairs(8);
    for (const Pair& pair : pairs) ASSERT_TRUE(adopt(pair));
    Pair extra;
    EXPECT_FALSE(adopt(extra));
    ::close(extra.served);
    poller_.close_idle();
    EXPECT_EQ(poller_.connections(), 0u);
    for (const Pair& pair : pairs) EXPECT_TRUE(pair.ended());
  }
}

TEST_F(PollerTest, ShutdownReachesThoseThatRun) {
  Pair pair;
  ASSERT_TRUE(adopt(pair));
  pair.send();
  ASSERT_EQ(poll(), 1u);
  poller_.close_idle();
  EXPECT_EQ(poller_.connections(), 1u);
  poller_.shutdown_all();
  EXPECT_TRUE(pair.ended());
  poller_.finish(*job_at(ready_, 0));
  EXPECT_EQ(poller_.connections(), 0u);
}

// An owner, two rescuers, and sessions that finish on whatever thread found them.
TEST(PollerStress, NothingIsLeftBehind) {
  constexpr int kRounds = 100;
  constexpr int kAtOnce = 32;
  Poller poller(kAtOnce, no_job);
  alignas(16) static char memory[16];
  Service& service = reinterpret_cast<Service&>(memory);
  std::atomic<bool> done{false};
  std::atomic<int> finished{0};
  const auto serve = [&](fiber::ReadyList& ready) {
    for (std::size_t i = 0; i < ready.size(); ++i) {
      Connection* connection = job_at(ready, i);
      char c;
      do {
        while (connection != nullptr && receive_some(connection->fd(), &c, 1) > 0) {
          if (c != 'q') continue;
          poller.finish(*connection);
          finished.fetch_add(1, std::memory_order_relaxed);
          connection = nullptr;
        }
      } while (connection != nullptr && !connection->try_idle());
    }
    ready.clear();
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      fiber::ReadyList ready;
      // Acquire: as in any stop flag.
      while (!done.load(std::memory_order_acquire)) {
        if (i == 0) {
          poller.poll(1'000'000, ready);
        } else {
          poller.rescue(ready);
          std::this_thread::yield();
        }
        serve(ready);
      }
    });
  }
  int made = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<Pair> pairs(8);
    for (const Pair& pair : pairs) {
      while (!poller.adopt(pair.served, service, os::now_ns() + kHour)) std::this_thread::yield();
      ++made;
    }
    for (const Pair& pair : pairs) {
      pair.send();
      EXPECT_EQ(::write(pair.mine, "q", 1), 1);
    }
    for (const Pair& pair : pairs) {
      char c;
      ::fcntl(pair.mine, F_SETFL, 0);
      EXPECT_EQ(::recv(pair.mine, &c, 1, 0), 0);  // blocks until closed
    }
  }
  while (poller.connections() != 0) std::this_thread::yield();
  done.store(true, std::memory_order_release);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(finished.load(std::memory_order_relaxed), made);
}

}  // namespace
}  // namespace tailrace::http
