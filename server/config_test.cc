// Settings: who wins, what is refused and how.
#include "server/config.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <cstdlib>
#include <fstream>
#include <map>

namespace tailrace::http {
namespace {

struct Given {
  std::map<std::string, std::string> flags;
  std::map<std::string, std::string> environment;
  std::map<std::string, std::string> file;
};

std::optional<std::string> read(const Given& given, Config& config) {
  const auto look_up = [](const std::map<std::string, std::string>& map) {
    return [&map](const std::string& name) -> std::optional<std::string> {
      const auto at = map.find(name);
      return at == map.end() ? std::nullopt : std::optional(at->second);
    };
  };
  return read_config({look_up(given.flags), look_up(given.environment), given.file}, config);
}

std::string error_of(const Given& given) {
  Config config;
  return read(given, config).value_or("(fine)");
}

TEST(Config, HasTheContractsDefaults) {
  Config config;
  EXPECT_FALSE(read({}, config));
  EXPECT_EQ(to_string(config.listen), "127.0.0.1:8080");
  EXPECT_EQ(to_string(*config.admin), "127.0.0.1:6060");
  EXPECT_EQ(config.gc_percent, 100);
  EXPECT_EQ(config.memory_limit, kOff);
  EXPECT_EQ(config.access_log, AccessLogMode::kErrors);
}

TEST(Config, FlagWinsOverOursOverGosOverTheFile) {
  Given given;
  const auto percent = [&given] {
    Config config;
    EXPECT_FALSE(read(given, config));
    return config.gc_percent;
  };
  given.file["gc-percent"] = "1";
  EXPECT_EQ(percent(), 1);
  given.environment["GOGC"] = "2";
  EXPECT_EQ(percent(), 2);
  given.environment["TAILRACE_GC_PERCENT"] = "3";
  EXPECT_EQ(percent(), 3);
  given.flags["gc-percent"] = "4";
  EXPECT_EQ(percent(), 4);
  given.flags["gc-percent"] = "off";
  EXPECT_EQ(percent(), -1);
}

TEST(Config, ReadsGosOtherVariables) {
  Config config;
  EXPECT_FALSE(read({{},
                     {{"GOMAXPROCS", "3"},
                      {"GOMEMLIMIT", "2GiB"},
                      {"GODEBUG", "madvdontneed=1,gctrace=1"},
                      {"TAILRACE_ADMIN_TOKEN", "secret"},
                      {"TAILRACE_LISTEN", ""}},
                     {}},
                    config));
  EXPECT_EQ(config.max_procs, 3u);
  EXPECT_EQ(config.memory_limit, std::uint64_t{2} << 30);
  EXPECT_TRUE(config.gc_trace);
  EXPECT_EQ(config.admin_token, "secret");
}

TEST(Config, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(error_of({{{"listen", "nowhere"}}, {}, {}}),
            "--listen: expected HOST:PORT, as in 0.0.0.0:8080, not \"nowhere\"");
  EXPECT_EQ(error_of({{}, {{"GOGC", "lots"}}, {}}),
            "GOGC: expected a number from 0 to 1000000, or off, not \"lots\"");
  EXPECT_NE(error_of({{}, {}, {{"timeouts.idle", "5"}}}).find("timeouts.idle in the configuration"),
            std::string::npos);
  for (const Given& bad : std::vector<Given>{{{{"max-procs", "0"}}, {}, {}},
                                             {{{"max-procs", "65"}}, {}, {}},
                                             {{{"memory-limit", "1KB"}}, {}, {}},
                                             {{{"debug", "gcx=1"}}, {}, {}},
                                             {{{"debug", "gctrace"}}, {}, {}},
                                             {{{"debug", "gcstoptheworld=2"}}, {}, {}},
                                             {{{"access-log", "some"}}, {}, {}},
                                             {{{"admin-allow", "10.0.0.0/8,x"}}, {}, {}},
                                             {{}, {}, {{"limits.header_bytes", "64KiB"}}},
                                             {{}, {}, {{"limits.connections", "0"}}}}) {
    EXPECT_NE(error_of(bad), "(fine)");
  }
  EXPECT_NE(error_of({{{"debug", "gcx=1"}}, {}, {}}).find("gctrace"), std::string::npos);
}

TEST(Config, MalformedMemoryLimitsNameTheRemedy) {
  const std::string remedy =
      ": expected a whole number and B, KiB, MiB, GiB or TiB, as in 512MiB, or off, not ";
  for (const char* bad :
       {"1KB", "1G", "512 MiB", "1.5GiB", "-1", "0", "0MiB", "much", "mib", "OFF", "0x100000",
        "9223372036854775808", "16777216TiB", "99999999999999999999"}) {
    const std::string quoted = "\"" + std::string(bad) + "\"";
    EXPECT_EQ(error_of({{{"memory-limit", bad}}, {}, {}}), "--memory-limit" + remedy + quoted);
    EXPECT_EQ(error_of({{}, {{"TAILRACE_MEMORY_LIMIT", bad}}, {}}),
              "TAILRACE_MEMORY_LIMIT" + remedy + quoted);
    EXPECT_EQ(error_of({{}, {{"GOMEMLIMIT", bad}}, {}}), "GOMEMLIMIT" + remedy + quoted);
  }
  for (const char* good : {"off", "1", "4096", "17B", "1KiB", "512MiB", "9223372036854775807"}) {
    EXPECT_EQ(error_of({{{"memory-limit", good}}, {}, {}}), "(fine)") << good;
  }
}

TEST(Config, KnowsWhereASettingCameFrom) {
  Config config;
  EXPECT_FALSE(
      read({{{"gc-percent", "50"}}, {{"GOMEMLIMIT", "1GiB"}, {"GOGC", "70"}}, {{"max-procs", "2"}}},
           config));
  EXPECT_EQ(config.source_of("gc-percent"), "--gc-percent");
  EXPECT_EQ(config.source_of("memory-limit"), "GOMEMLIMIT");
  EXPECT_EQ(config.source_of("max-procs"), "max-procs in the configuration file");
  EXPECT_EQ(config.source_of("listen"), "default");
  EXPECT_FALSE(config.given("listen"));
}

TEST(Config, TakesTheDebugKeysThereAre) {
  Config config;
  EXPECT_FALSE(read({{{"debug", "gctrace=1,gcstoptheworld=1"}}, {}, {}}, config));
  EXPECT_TRUE(config.gc_trace);
  EXPECT_TRUE(config.gc_stop_the_world);
  EXPECT_FALSE(config.gc_check_marks);
  EXPECT_EQ(config.sched_trace_ns, 0);
  EXPECT_FALSE(read({{{"debug", "gcstoptheworld=0,gccheckmark=1"}}, {}, {}}, config));
  EXPECT_FALSE(config.gc_stop_the_world);
  EXPECT_TRUE(config.gc_check_marks);
  EXPECT_FALSE(read({{{"debug", "schedtrace=250"}}, {}, {}}, config));
  EXPECT_EQ(config.sched_trace_ns, 250'000'000);
  EXPECT_NE(describe(config).find(" schedtrace=250 "), std::string::npos);
  EXPECT_FALSE(read({{}, {{"GODEBUG", "schedtrace=1000,scheddetail=1"}}, {}}, config));
  EXPECT_EQ(config.sched_trace_ns, 1'000'000'000);
  for (const char* bad : {"schedtrace", "schedtrace=", "schedtrace=-1", "schedtrace=1s",
                          "schedtrace=86400001", "schedtrace=99999999999999999999"}) {
    EXPECT_NE(error_of({{{"debug", bad}}, {}, {}}).find("MILLISECONDS"), std::string::npos) << bad;
  }
}

TEST(Config, LongSlicesHaveAThreshold) {
  Config config;
  EXPECT_EQ(config.timeouts.long_slice_ns, 10'000'000);
  EXPECT_FALSE(read({{}, {}, {{"timeouts.long_slice", "25ms"}}}, config));
  EXPECT_EQ(config.timeouts.long_slice_ns, 25'000'000);
  EXPECT_NE(describe(config).find("timeouts.long_slice=25ms"), std::string::npos);
  EXPECT_FALSE(read({{}, {}, {{"timeouts.long_slice", "0s"}}}, config));
  EXPECT_EQ(config.timeouts.long_slice_ns, 0);
}

TEST(Config, ArenasHaveACapAndMayBeExplained) {
  Config config;
  EXPECT_EQ(config.limits.arena_bytes, std::size_t{8} << 20);
  EXPECT_FALSE(config.explain_escapes);
  EXPECT_FALSE(read({{{"explain-escapes", "true"}}, {}, {{"limits.arena_bytes", "1MiB"}}}, config));
  EXPECT_EQ(config.limits.arena_bytes, std::size_t{1} << 20);
  EXPECT_TRUE(config.explain_escapes);
  EXPECT_NE(describe(config).find("limits.arena_bytes=1MiB"), std::string::npos);
  EXPECT_NE(describe(config).find("explain-escapes=true"), std::string::npos);
  EXPECT_NE(error_of({{}, {}, {{"limits.arena_bytes", "1KiB"}}}).find("32KiB"), std::string::npos);
}

TEST(Config, SwitchesAreTrueOrFalseOneOrZero) {
  for (const auto& [text, on] :
       {std::pair("1", true), {"true", true}, {"0", false}, {"false", false}}) {
    Config config;
    config.explain_escapes = !on;
    EXPECT_FALSE(read({{}, {{"TAILRACE_EXPLAIN_ESCAPES", text}}, {}}, config)) << text;
    EXPECT_EQ(config.explain_escapes, on) << text;
  }
  for (const char* bad : {"2", "yes", "TRUE", "on"}) {
    EXPECT_EQ(
        error_of({{}, {{"TAILRACE_EXPLAIN_ESCAPES", bad}}, {}}),
        "TAILRACE_EXPLAIN_ESCAPES: expected true, false, 1 or 0, not \"" + std::string(bad) + "\"");
  }
}

TEST(Config, ReadsYaml) {
  std::string path = testing::TempDir() + "/tailrace-config-XXXXXX";
  const int fd = ::mkstemp(path.data());
  ASSERT_GE(fd, 0);
  std::ofstream(path) << "listen: 127.0.0.1:1\nmax_procs: 2\nadmin-allow: [10.0.0.0/8, ::1]\n"
                         "limits:\n  body_bytes: 2MiB\ntimeouts: {idle: 5s}\n";
  std::map<std::string, std::string> entries;
  EXPECT_EQ(read_config_file(path, entries), std::nullopt);
  Config config;
  EXPECT_EQ(read({{}, {}, entries}, config), std::nullopt);
  EXPECT_EQ(config.listen.port, 1);
  EXPECT_EQ(config.max_procs, 2u);
  EXPECT_EQ(config.admin_allow.size(), 2u);
  EXPECT_EQ(config.limits.body_bytes, std::size_t{2} << 20);
  EXPECT_EQ(config.timeouts.idle_ns, 5'000'000'000);
  std::ofstream(path) << "- a\n- b\n";
  EXPECT_TRUE(read_config_file(path, entries));
  std::ofstream(path) << "a: [\n";
  EXPECT_TRUE(read_config_file(path, entries));
  ::close(fd);
  ::unlink(path.c_str());
  EXPECT_TRUE(read_config_file(path, entries));
}

}  // namespace
}  // namespace tailrace::http
