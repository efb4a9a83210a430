// Facts from /proc: the parsers on fixed text, the reading on this process.
#include "metrics/process_facts.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <thread>

namespace tailrace::metrics {
namespace {

TEST(ProcessFacts, StatIsReadBehindTheProgramsName) {
  const auto stat = internal::parse_proc_stat(
      "22044 (a) b (c d) S 21991 21991 3418 0 -1 4194304 99 0 0 0 7 8 0 0 20 0 5 0 188226 3133440 "
      "362 18446744073709551615 94548484530176 0 0\n");
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->threads, 5u);
  EXPECT_EQ(stat->start_ticks, 188226u);
  EXPECT_EQ(stat->virtual_bytes, 3133440u);
  EXPECT_EQ(stat->resident_pages, 362u);
}

TEST(ProcessFacts, StatThatIsCutShortIsNothing) {
  EXPECT_FALSE(internal::parse_proc_stat("").has_value());
  EXPECT_FALSE(internal::parse_proc_stat("1 (x) S 1 2 3").has_value());
  EXPECT_FALSE(internal::parse_proc_stat("1 x S 1 2 3").has_value());
}

TEST(ProcessFacts, NetstatIsReadByName) {
  const char* const text =
      "TcpExt: SyncookiesSent InOctets\nTcpExt: 1 2\n"
      "IpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 178431929 899475\n"
      "MPTcpExt: A\nMPTcpExt: 0\n";
  EXPECT_EQ(internal::parse_netstat(text, "IpExt", "InOctets"), 178431929u);
  EXPECT_EQ(internal::parse_netstat(text, "IpExt", "OutOctets"), 899475u);
  EXPECT_EQ(internal::parse_netstat(text, "TcpExt", "InOctets"), 2u);
  EXPECT_FALSE(internal::parse_netstat(text, "IpExt", "Missing").has_value());
  EXPECT_FALSE(internal::parse_netstat(text, "Ip", "InOctets").has_value());
  EXPECT_FALSE(internal::parse_netstat("IpExt: InOctets\nIpExt:\n", "IpExt", "InOctets"));
  EXPECT_FALSE(internal::parse_netstat("IpExt: InOctets\nIpExt: x\n", "IpExt", "InOctets"));
  EXPECT_FALSE(internal::parse_netstat("", "IpExt", "InOctets"));
}

TEST(ProcessFacts, ThisProcessIsDescribed) {
  const ProcessFacts facts = read_process_facts();
  EXPECT_GT(facts.cpu_seconds.value(), 0);
  EXPECT_GE(facts.open_fds.value(), 3u);
  EXPECT_GE(facts.max_fds.value(), facts.open_fds.value());
  EXPECT_GT(facts.resident_bytes.value(), 1u << 20);
  EXPECT_GE(facts.virtual_bytes.value(), facts.resident_bytes.value());
  EXPECT_GE(facts.virtual_max_bytes.value(), facts.virtual_bytes.value());
  const double now = static_cast<double>(std::time(nullptr));
  EXPECT_LE(facts.start_time_seconds.value(), now + 1);
  EXPECT_GT(facts.start_time_seconds.value(), now - 3600);
  EXPECT_EQ(read_process_facts().start_time_seconds, facts.start_time_seconds);
}

TEST(ProcessFacts, ThreadsAndFilesAreCounted) {
  const ProcessFacts before = read_process_facts();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::jthread waiting([](std::stop_token stop) {
    while (!stop.stop_requested()) {
      std::this_thread::yield();
    }
  });
  const ProcessFacts during = read_process_facts();
  EXPECT_EQ(during.open_fds.value(), before.open_fds.value() + 2);
  EXPECT_EQ(during.threads.value(), before.threads.value() + 1);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace tailrace::metrics
