// The access log: what is written, what is dropped, what cannot be forged.
#include "server/access_log.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <memory>
#include <string>

namespace tailrace::http {
namespace {

const std::string kRoute = "/users/{id}";

class Pipe {
 public:
  Pipe() {
    EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0);
    ::fcntl(ends_[1], F_SETPIPE_SZ, 1 << 20);
  }
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  int writer() const { return ends_[1]; }
  // What is in it now.
  std::string read_all() const {
    ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    std::string text;
    char block[4096];
    for (ssize_t got; (got = ::read(ends_[0], block, sizeof block)) > 0;) {
      text.append(block, static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  int ends_[2];
};

void push(AccessLog& log, int status, std::string_view target, std::string_view detail = {}) {
  AccessRecord* const record = log.begin(0);
  if (record == nullptr) return;
  record->duration_ns = 1'500'000;
  record->request_bytes = 1;
  record->response_bytes = 2;
  record->alloc_bytes = 3;
  record->alloc_objects = 4;
  record->method = Method::kGet;
  record->route = &kRoute;
  record->status = status;
  record->set_id("id-1");
  record->set_target(target);
  record->set_detail(detail);
  log.push(0);
}

TEST(AccessLog, WritesJsonLinesAndAllThatIsLeftAtItsEnd) {
  Pipe pipe;
  metrics::Counter dropped;
  {
    AccessLog log(AccessLogMode::kAll, 1, 1'000'000'000, pipe.writer(), dropped);
    push(log, 200, "/users/7?x=\"1\"\n{\"forged\":1}\x1b[2J");
    push(log, 500, std::string(500, 'a'), "it broke\nbadly");
  }
  const std::string text = pipe.read_all();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_NE(
      text.find("\"status\":200,\"method\":\"GET\",\"route\":\"/users/{id}\",\"target\":"
                "\"/users/7?x=\\\"1\\\"\\u000a{\\\"forged\\\":1}\\u001b[2J\",\"duration_us\":1500,"
                "\"request_bytes\":1,\"response_bytes\":2,\"alloc_bytes\":3,\"alloc_objects\":4,"
                "\"request_id\":\"id-1\"}\n"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("\"target_cut\":true"), std::string::npos);
  EXPECT_NE(text.find("\"detail\":\"it broke\\u000abadly\"}\n"), std::string::npos);
  EXPECT_EQ(dropped.value(), 0u);
}

TEST(AccessLog, DropsAndCountsWhenTheWriterCannotKeepUp) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  metrics::Counter dropped;
  {
    // Nobody reads, so the writer blocks for good once the pipe is full: about 64 KiB and what it
    // holds.
    AccessLog log(AccessLogMode::kAll, 1, 1'000'000'000, ends[1], dropped);
    for (int i = 0; i < 20'000; ++i) push(log, 200, "/x");
    EXPECT_GT(dropped.value(), 0u);
    ::close(ends[0]);  // the writer's write fails and it can end
  }
  ::close(ends[1]);
}

TEST(AccessLog, ModesDecideWhatIsWanted) {
  Pipe pipe;
  metrics::Counter dropped;
  const AccessLog off(AccessLogMode::kOff, 1, 1000, pipe.writer(), dropped);
  const AccessLog errors(AccessLogMode::kErrors, 1, 1000, pipe.writer(), dropped);
  const AccessLog all(AccessLogMode::kAll, 1, 1000, pipe.writer(), dropped);
  EXPECT_FALSE(off.wants(500, 5000));
  EXPECT_FALSE(errors.wants(404, 10));
  EXPECT_TRUE(errors.wants(500, 10));
  EXPECT_TRUE(errors.wants(200, 1001));
  EXPECT_TRUE(all.wants(200, 1));
}

}  // namespace
}  // namespace tailrace::http
