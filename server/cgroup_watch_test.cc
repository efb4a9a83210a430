// The limits of a control group in a tree of files, followed by a service that runs.
#include "server/cgroup_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "gcruntime/base/test_no_descriptors.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/memory_limit.h"
#include "server/test_server.h"

namespace tailrace::http {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class CgroupWatchTest : public testing::Test {
 protected:
  CgroupWatchTest() {
    std::string path = (std::filesystem::temp_directory_path() / "tailrace-watch-XXXXXX").string();
    root_ = ::mkdtemp(path.data());
    write("/proc/self/cgroup", "0::/a\n");
    write("/proc/self/mountinfo", "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    set_memory("max");
    set_cpus("max 100000");
  }
  ~CgroupWatchTest() override {
    std::filesystem::remove_all(root_);
    gc::set_memory_limit(gc::kNoMemoryLimit);
    gc::set_percent(100);
  }

  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  void set_memory(const std::string& text) { write("/sys/fs/cgroup/a/memory.max", text + "\n"); }
  void set_cpus(const std::string& text) { write("/sys/fs/cgroup/a/cpu.max", text + "\n"); }

  CgroupWatch::Options options(bool follow_procs = true) {
    return {.follow_procs = follow_procs, .root = root_, .log = [this](const std::string& line) {
              const std::lock_guard lock(mutex_);
              lines_.push_back(line);
            }};
  }
  std::vector<std::string> take_lines() {
    const std::lock_guard lock(mutex_);
    return std::exchange(lines_, {});
  }

 private:
  std::string root_;
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

std::string put(TestServer& server, std::string_view body) {
  TestClient client(server.admin_port());
  const auto response =
      client.request("PUT", "/debug/gc/settings", body, {{"Content-Type", "application/json"}});
  return response && response->status == 200 ? response->body : "(refused)";
}
std::string settings_of(TestServer& server) {
  return TestClient(server.admin_port()).get("/debug/gc/settings")->body;
}

TEST_F(CgroupWatchTest, TheLimitFollowsTheGroupWhileNobodyElseSetsOne) {
  TestServer server(1);
  CgroupWatch watch(server.server(), options());
  watch.look();
  EXPECT_EQ(gc::memory_limit(), gc::kNoMemoryLimit);
  EXPECT_TRUE(take_lines().empty());

  set_memory(std::to_string(4096 * kMiB));
  watch.look();
  EXPECT_EQ(gc::memory_limit(), soft_limit_of(4096 * kMiB));
  EXPECT_EQ(take_lines(),
            std::vector<std::string>{"the memory limit is 3.6GiB: 90 % of the cgroup's 4.0GiB"});
  EXPECT_NE(
      settings_of(server).find("\"memory_limit\":3865470566,\"memory_limit_from\":\"cgroup\""),
      std::string::npos)
      << settings_of(server);
  watch.look();
  EXPECT_TRUE(take_lines().empty());

  set_memory("max");
  watch.look();
  EXPECT_EQ(gc::memory_limit(), gc::kNoMemoryLimit);
  EXPECT_EQ(take_lines(),
            std::vector<std::string>{"the memory limit is off: the cgroup has none any more"});

  // By request, and from then on.
  set_memory(std::to_string(2048 * kMiB));
  EXPECT_NE(put(server, "{\"memory_limit\":3000000000}").find("3000000000"), std::string::npos);
  EXPECT_EQ(gc::memory_limit(), 3000000000u);
  watch.look();
  EXPECT_EQ(gc::memory_limit(), 3000000000u);
  EXPECT_NE(settings_of(server).find("\"memory_limit_from\":\"PUT /debug/gc/settings\""),
            std::string::npos);
}

// Under a flood of connections no file can be opened: that must not switch the limit off.
TEST_F(CgroupWatchTest, WithoutADescriptorAllStaysAsItIs) {
  TestServer server(2);
  CgroupWatch watch(server.server(), options());
  set_memory(std::to_string(4096 * kMiB));
  set_cpus("100000 100000");
  watch.look();
  EXPECT_EQ(take_lines().size(), 2u);
  const auto is_as_before = [&] {
    return gc::memory_limit() == soft_limit_of(4096 * kMiB) &&
           server.server().scheduler().active_workers() == 1;
  };
  EXPECT_TRUE(is_as_before());
  {
    const base::NoDescriptors none;
    watch.look();
    EXPECT_TRUE(is_as_before());
    watch.look();
    EXPECT_TRUE(is_as_before());
  }
  std::vector<std::string> lines = take_lines();
  ASSERT_EQ(lines.size(), 1u) << "said once";
  EXPECT_NE(lines[0].find("/proc/self/cgroup"), std::string::npos) << lines[0];
  watch.look();
  EXPECT_TRUE(is_as_before());
  EXPECT_EQ(take_lines().size(), 1u) << "that it can be read again";
  set_memory("max");
  watch.look();
  EXPECT_EQ(gc::memory_limit(), gc::kNoMemoryLimit);
}

TEST_F(CgroupWatchTest, TheProgramsLimitStays) {
  TestServer server(1);
  CgroupWatch watch(server.server(), options());
  set_memory(std::to_string(4096 * kMiB));
  watch.look();
  EXPECT_EQ(gc::memory_limit(), soft_limit_of(4096 * kMiB));
  gc::set_memory_limit(5000 * kMiB);
  set_memory(std::to_string(2048 * kMiB));
  watch.look();
  EXPECT_EQ(gc::memory_limit(), 5000 * kMiB);
  EXPECT_NE(settings_of(server).find("\"memory_limit_from\":\"program\""), std::string::npos);
}

TEST_F(CgroupWatchTest, AGivenLimitStays) {
  Config config;
  config.memory_limit = 5000 * kMiB;
  config.sources["memory-limit"] = "GOMEMLIMIT";
  TestServer server(1);
  server.server().gc_settings().begin(config);
  CgroupWatch watch(server.server(), options());
  set_memory(std::to_string(4096 * kMiB));
  watch.look();
  EXPECT_EQ(gc::memory_limit(), 5000 * kMiB);
  EXPECT_NE(settings_of(server).find("\"memory_limit_from\":\"GOMEMLIMIT\""), std::string::npos);
}

// Under requests all the while: none is lost, on whichever worker its connection lives.
TEST_F(CgroupWatchTest, TheNumberOfWorkersFollowsTheQuota) {
  const unsigned most = std::min(affinity_cpus(), 4u);
  TestServer server(most);
  CgroupWatch watch(server.server(), options());
  std::vector<TestClient> clients;
  for (unsigned i = 0; i < 2 * most; ++i) clients.emplace_back(server.port());
  const auto all_served = [&] {
    return std::all_of(clients.begin(), clients.end(), [](TestClient& client) {
      const auto response = client.get("/healthz");
      return response && response->status == 200;
    });
  };
  EXPECT_TRUE(all_served());
  unsigned before = most;
  for (const unsigned wanted : {1u, most, (most + 1) / 2, 1u, most}) {
    set_cpus(std::to_string(wanted * 100000 - 50000) + " 100000");  // half a CPU less, rounded up
    watch.look();
    EXPECT_EQ(server.value("go_sched_gomaxprocs_threads"), wanted);
    EXPECT_EQ(take_lines().size(), wanted == before ? 0u : 1u);
    before = wanted;
    for (int round = 0; round < 20; ++round) EXPECT_TRUE(all_served());
    TestClient fresh(server.port());
    EXPECT_EQ(fresh.get("/readyz")->status, 200);
  }
}

TEST_F(CgroupWatchTest, WhateverTheFilesSayTheRestIsDone) {
  TestServer server(2);
  int calls = 0;
  CgroupWatch::Options options = this->options();
  options.also = [&calls] { ++calls; };
  CgroupWatch watch(server.server(), std::move(options));
  watch.look();
  EXPECT_EQ(calls, 1);
  const base::NoDescriptors none;
  watch.look();
  EXPECT_EQ(calls, 2);
}

TEST_F(CgroupWatchTest, AGivenNumberOfWorkersStays) {
  TestServer server(2);
  CgroupWatch watch(server.server(), options(/*follow_procs=*/false));
  set_cpus("100000 100000");
  watch.look();
  EXPECT_EQ(server.server().scheduler().active_workers(), 2u);
  EXPECT_TRUE(take_lines().empty());
  // But it is said that they are too many.
  const gc::ThreadScope attached;
  watch.warn();
  const std::vector<std::string> lines = take_lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].starts_with("warning: max-procs 2 is above the cgroup's CPU quota of 1, "))
      << lines[0];
  watch.warn();
  EXPECT_TRUE(take_lines().empty());
}

}  // namespace
}  // namespace tailrace::http
