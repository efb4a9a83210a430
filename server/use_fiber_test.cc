// use_fiber: Asio operations on fibers of handlers, under stealing, and beside a spinning worker.
#include "server/use_fiber.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/os/clock.h"
#include "server/request.h"
#include "server/response.h"
#include "server/test_server.h"

namespace tailrace::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr std::int64_t kGiveUpNs = 20'000'000'000;

template <typename Condition>
bool spin_until(Condition condition) {
  const std::int64_t end_ns = os::now_ns() + kGiveUpNs;
  while (!condition()) {
    if (os::now_ns() > end_ns) return false;
  }
  return true;
}

// Sends back what comes; one connection at a time, on a thread of its own.
class EchoServer {
 public:
  EchoServer() : acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
    accept();
    thread_ = std::thread([this] { context_.run(); });
  }
  ~EchoServer() {
    context_.stop();
    thread_.join();
  }
  tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

 private:
  struct Session : std::enable_shared_from_this<Session> {
    explicit Session(tcp::socket the_socket) : socket(std::move(the_socket)) {}
    void read() {
      socket.async_read_some(asio::buffer(bytes),
                             [self = shared_from_this()](const error_code& error, std::size_t got) {
                               if (!error) self->write(got);
                             });
    }
    void write(std::size_t size) {
      asio::async_write(socket, asio::buffer(bytes, size),
                        [self = shared_from_this()](const error_code& error, std::size_t) {
                          if (!error) self->read();
                        });
    }
    tcp::socket socket;
    char bytes[4096];
  };
  void accept() {
    acceptor_.async_accept([this](const error_code& error, tcp::socket socket) {
      if (error) return;
      std::make_shared<Session>(std::move(socket))->read();
      accept();
    });
  }

  asio::io_context context_;
  tcp::acceptor acceptor_;
  std::thread thread_;
};

// Runs `body` in a handler of a server with that many workers.
void in_handler_of(unsigned workers, const std::function<void()>& body) {
  TestServer server(workers, [&](Router& router) {
    router.add(Method::kGet, "/", [&](Request&) {
      body();
      return Response::text(200, "done");
    });
  });
  const auto response = server.client().get("/");
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 200);
}

class UseFiberTest : public testing::TestWithParam<unsigned> {
 protected:
  void in_handler(const std::function<void()>& body) { in_handler_of(GetParam(), body); }
};
INSTANTIATE_TEST_SUITE_P(Workers, UseFiberTest, testing::Values(1u, 2u, 4u));
using UseFiberPeersTest = UseFiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, UseFiberPeersTest, testing::Values(2u, 4u));

TEST_P(UseFiberTest, ATimerIsWaitedFor) {
  in_handler([] {
    asio::steady_timer timer(executor());
    for (int i = 0; i < 20; ++i) {
      const auto before = std::chrono::steady_clock::now();
      timer.expires_after(milliseconds(2));
      timer.async_wait(use_fiber);
      EXPECT_GE(std::chrono::steady_clock::now() - before, milliseconds(2));
    }
  });
}

TEST_P(UseFiberTest, ErrorsAreThrownOrStored) {
  in_handler([] {
    // A port that nobody listens on: bound, and closed again.
    asio::io_context other;
    tcp::acceptor acceptor(other, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    const tcp::endpoint nobody = acceptor.local_endpoint();
    acceptor.close();
    tcp::socket socket(executor());
    error_code error;
    socket.async_connect(nobody, use_fiber[error]);
    EXPECT_EQ(error, asio::error::connection_refused);
    try {
      socket.close();
      socket.async_connect(nobody, use_fiber);
      ADD_FAILURE() << "no exception";
    } catch (const boost::system::system_error& thrown) {
      EXPECT_EQ(thrown.code(), asio::error::connection_refused);
    }
    // No error clears the variable.
    asio::steady_timer timer(executor(), milliseconds(0));
    timer.async_wait(use_fiber[error]);
    EXPECT_FALSE(error);
  });
}

// What a completion may look like.
template <typename Signature, typename Token, typename... Args>
auto complete_with(Token&& token, Args... args) {
  return asio::async_initiate<Token, Signature>(
      [](auto handler, auto executor, auto... values) {
        asio::post(executor, [handler = std::move(handler),
                              values = std::make_tuple(std::move(values)...)]() mutable {
          std::apply(std::move(handler), std::move(values));
        });
      },
      token, executor(), std::move(args)...);
}

TEST_P(UseFiberTest, AllKindsOfResults) {
  in_handler([] {
    complete_with<void()>(use_fiber);
    EXPECT_EQ(complete_with<void(int)>(use_fiber, 7), 7);
    EXPECT_EQ((complete_with<void(error_code, std::string)>(use_fiber, error_code(),
                                                            std::string("text"))),
              "text");
    EXPECT_EQ((complete_with<void(error_code, int, std::string)>(use_fiber, error_code(), 5,
                                                                 std::string("five"))),
              std::make_tuple(5, std::string("five")));
    error_code error;
    EXPECT_EQ(
        (complete_with<void(error_code, int)>(use_fiber[error], error_code(asio::error::eof), 9)),
        9);
    EXPECT_EQ(error, asio::error::eof);
    EXPECT_THROW((complete_with<void(std::exception_ptr)>(
                     use_fiber, std::make_exception_ptr(std::runtime_error("thrown")))),
                 std::runtime_error);
    complete_with<void(std::exception_ptr)>(use_fiber, std::exception_ptr());
  });
}

TEST_P(UseFiberTest, ADroppedOperationIsAborted) {
  in_handler([] {
    // A context that nobody runs and that goes away.
    auto context = std::make_unique<asio::io_context>();
    auto timer = std::make_unique<asio::steady_timer>(*context, std::chrono::hours(1));
    std::atomic<bool> waiting{false};
    fiber::JoinHandle owner = fiber::spawn([&] {
      while (!waiting) fiber::yield();
      for (int i = 0; i < 100; ++i) fiber::yield();
      context.reset();
    });
    waiting = true;
    error_code error;
    asio::steady_timer* const raw = timer.get();
    raw->async_wait(use_fiber[error]);
    EXPECT_EQ(error, asio::error::operation_aborted);
    owner.join();
    static_cast<void>(timer.release());  // its context is gone: its destructor must not run
  });
}

TEST_P(UseFiberTest, AContextOfTheProgramsOwn) {
  asio::io_context context;
  auto guard = asio::make_work_guard(context);
  std::thread thread([&] { context.run(); });
  in_handler([&] {
    asio::steady_timer timer(context);
    for (int i = 0; i < 20; ++i) {
      timer.expires_after(milliseconds(1));
      timer.async_wait(use_fiber);
    }
  });
  guard.reset();
  thread.join();
}

// Posts from a thread that is no worker reach a worker that goes to sleep, or sleeps already, while
// its context has work. Each round posts once a worker has begun to block after the wait began.
// A timer's wait that says when it was started: a cancel that comes before it would cancel nothing.
struct AnnouncedWait {
  using executor_type = asio::steady_timer::executor_type;
  executor_type get_executor() const { return timer.get_executor(); }
  template <typename Handler>
  void operator()(Handler&& handler) {
    timer.async_wait(std::forward<Handler>(handler));
    started.store(true);
  }
  asio::steady_timer& timer;
  std::atomic<bool>& started;
};

TEST_P(UseFiberTest, PostsFromOutsideAreSeenBySleepers) {
  in_handler([] {
    const fiber::Scheduler& scheduler = *fiber::Scheduler::current();
    for (int round = 0; round < 100; ++round) {
      asio::steady_timer forever(executor(), std::chrono::hours(1));
      const std::uint64_t sleeps = scheduler.stats().sleeps;
      std::atomic<bool> started{false};
      std::atomic<bool> posted{false};
      std::thread outside([&] {
        EXPECT_TRUE(spin_until([&] { return started && scheduler.stats().sleeps > sleeps; }));
        asio::post(forever.get_executor(), [&] {
          posted = true;
          forever.cancel();
        });
      });
      error_code error;
      auto token = use_fiber[error];
      asio::async_initiate<decltype(token), void(error_code)>(AnnouncedWait{forever, started},
                                                              token);
      EXPECT_EQ(error, asio::error::operation_aborted);
      EXPECT_TRUE(posted);
      outside.join();
    }
  });
}

// Outbound clients in handlers, many at once, with neighbours that make the workers steal.
TEST_P(UseFiberTest, OutboundClientsUnderStealing) {
  EchoServer echo;
  TestServer server(GetParam(), [&](Router& router) {
    router.add(Method::kGet, "/call", [&](Request&) {
      tcp::socket socket(executor());
      socket.async_connect(echo.endpoint(), use_fiber);
      std::vector<fiber::JoinHandle> neighbours;
      for (int round = 0; round < 5; ++round) {
        for (int i = 0; i < 4; ++i) neighbours.push_back(fiber::spawn([] { fiber::yield(); }));
        std::string sent(1000 + static_cast<std::size_t>(round), static_cast<char>('a' + round));
        EXPECT_EQ(asio::async_write(socket, asio::buffer(sent), use_fiber), sent.size());
        fiber::yield();
        std::string got(sent.size(), ' ');
        error_code error;
        EXPECT_EQ(asio::async_read(socket, asio::buffer(got), use_fiber[error]), got.size());
        EXPECT_FALSE(error) << error.message();
        EXPECT_EQ(got, sent);
      }
      for (fiber::JoinHandle& neighbour : neighbours) neighbour.join();
      return Response::text(200, "called");
    });
  });
  std::vector<std::thread> clients;
  std::atomic<int> answered{0};
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back([&] {
      TestClient client = server.client();
      for (int round = 0; round < 15; ++round) {
        const auto response = client.get("/call");
        if (response && response->status == 200 && response->body == "called") ++answered;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answered, 90);
}

// The fiber spins until its own worker's context has run a handler: somebody else must do it.
TEST_P(UseFiberPeersTest, ASpinningWorkersContextIsServedByAnother) {
  in_handler([] {
    for (int round = 0; round < 5; ++round) {
      std::atomic<bool> expired{false};
      asio::steady_timer timer(executor(), milliseconds(1));
      timer.async_wait([&](const error_code&) { expired = true; });
      EXPECT_TRUE(spin_until([&] { return expired.load(); }));
      fiber::yield();
    }
  });
}

// A fiber that was moved starts operations of an object whose worker may sleep.
TEST_P(UseFiberPeersTest, OperationsOfASleepingWorkersObject) {
  in_handler([] {
    // The object's worker is this one; fibers on others use it, one after the other.
    asio::steady_timer timer(executor());
    int elsewhere = 0;
    const int home = fiber::Scheduler::current_worker();
    for (int round = 0; round < 200 && elsewhere < 3; ++round) {
      std::atomic<bool> done{false};
      fiber::JoinHandle user = fiber::spawn([&] {
        if (fiber::Scheduler::current_worker() != home) ++elsewhere;
        timer.expires_after(milliseconds(1));
        timer.async_wait(use_fiber);
        done = true;
      });
      // Give others the time to take it.
      const std::int64_t end_ns = os::now_ns() + 2'000'000;
      while (os::now_ns() < end_ns) {
      }
      user.join();
      EXPECT_TRUE(done);
    }
  });
}

using UseFiberDeathTest = testing::Test;

TEST_F(UseFiberDeathTest, OutsideFibersItIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(static_cast<void>(executor()), "outside a server's fibers");
  EXPECT_DEATH(
      {
        asio::io_context context;
        asio::steady_timer timer(context);
        timer.async_wait(use_fiber);
      },
      "without a fiber");
}

#if TAILRACE_DCHECKS
// Whether it would meet the collector is chance; that it is told is not.
TEST_F(UseFiberDeathTest, HandlersDoNotTouchManagedMemory) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(in_handler_of(2,
                             [] {
                               asio::steady_timer timer(executor(), milliseconds(1));
                               timer.async_wait([](const error_code&) {
                                 static_cast<void>(gc::make<std::int64_t>());
                               });
                               timer.async_wait(use_fiber);
                             }),
               "touched in a native scope");
}
#endif

}  // namespace
}  // namespace tailrace::http
