// A whole service as a process: command line, first line, signals, exit codes.
#if defined(__GNUC__) && !defined(__clang__)
// In <regex>, where sanitizers' code keeps g++ 12 from seeing what is initialised.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <regex>
#include <string>
#include <vector>

#include "server/test_client.h"

extern char** environ;

namespace tailrace::http {
namespace {

class Process {
 public:
  explicit Process(std::vector<std::string> arguments, std::vector<std::string> variables = {}) {
    EXPECT_EQ(::pipe2(out_, O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(err_, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out_[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err_[1], 2);
    arguments.insert(arguments.begin(), TAILRACE_EXAMPLE);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::vector<char*> envp;
    for (std::string& variable : variables) envp.push_back(variable.data());
    for (char** variable = environ; *variable != nullptr; ++variable) envp.push_back(*variable);
    envp.push_back(nullptr);
    EXPECT_EQ(::posix_spawn(&pid_, TAILRACE_EXAMPLE, &actions, nullptr, argv.data(), envp.data()),
              0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(out_[1]);
    ::close(err_[1]);
  }
  ~Process() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(out_[0]);
    ::close(err_[0]);
  }

  // One line of stdout, without its end.
  std::string line() { return read_until(out_[0], true); }
  std::string error_line() { return read_until(err_[0], true); }
  std::string errors() { return read_until(err_[0], false); }
  std::string output() { return read_until(out_[0], false); }
  void limit_descriptors(rlim_t count) const {
    const rlimit limit{count, count};
    EXPECT_EQ(::prlimit(pid_, RLIMIT_NOFILE, &limit, nullptr), 0);
  }
  void signal(int number) const { ::kill(pid_, number); }
  // Waits for the end: the exit code, or 128 + the signal.
  int exit_code() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  static std::string read_until(int fd, bool one_line) {
    std::string text;
    char c;
    while (::read(fd, &c, 1) == 1) {
      if (one_line && c == '\n') break;
      text += c;
    }
    return text;
  }

  int out_[2];
  int err_[2];
  pid_t pid_ = -1;
};

const std::vector<std::string> kFree = {"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"};

std::vector<std::string> free_and(std::vector<std::string> more) {
  more.insert(more.end(), kFree.begin(), kFree.end());
  return more;
}

// The port behind `word`'s URL in the first line.
std::uint16_t port_of(const std::string& line, const std::string& word) {
  const std::size_t at = line.find(word + " http://127.0.0.1:");
  EXPECT_NE(at, std::string::npos) << line;
  return static_cast<std::uint16_t>(std::atoi(line.c_str() + at + word.size() + 18));
}

TEST(App, ServesUntilASignalAndExitsWithZero) {
  for (const int number : {SIGTERM, SIGINT}) {
    Process process(free_and({"serve", "--max-procs", "2", "--drain-delay", "0s"}));
    const std::string line = process.line();
    EXPECT_EQ(line.rfind("listening http://127.0.0.1:", 0), 0u) << line;
    TestClient client(port_of(line, "listening"));
    EXPECT_EQ(client.get("/hello/you")->body, "hello, you\n");
    TestClient admin(port_of(line, "admin"));
    EXPECT_EQ(admin.get("/debug/memstats")->status, 200);
    process.signal(number);
    EXPECT_EQ(process.exit_code(), 0);
    const std::string errors = process.errors();
    EXPECT_NE(errors.find("settings listen=127.0.0.1:0"), std::string::npos) << errors;
    EXPECT_NE(errors.find("max-procs=2"), std::string::npos);
    EXPECT_NE(errors.find("draining"), std::string::npos);
  }
}

TEST(App, ASecondSignalExitsAtOnce) {
  Process process(free_and({"--drain-delay", "1h"}));
  TestClient client(port_of(process.line(), "listening"));
  ASSERT_TRUE(client.get("/healthz"));
  process.signal(SIGTERM);
  for (;;) {
    const auto response = client.get("/readyz");
    if (response && response->status == 503) break;
  }
  process.signal(SIGTERM);
  EXPECT_EQ(process.exit_code(), 143);
}

TEST(App, SurvivesRunningOutOfDescriptors) {
  Process process(free_and({"--max-procs", "2"}));
  const std::uint16_t port = port_of(process.line(), "listening");
  ASSERT_TRUE(TestClient(port).get("/healthz"));
  process.limit_descriptors(40);
  {
    // More than fit: those beyond wait in the backlog while accept fails and backs off.
    std::vector<TestClient> clients;
    for (int i = 0; i < 60; ++i) {
      clients.emplace_back(port);
      ASSERT_TRUE(clients.back().connect());
    }
    EXPECT_EQ(clients.front().get("/healthz")->status, 200);
  }
  // They are gone, so the next is served.
  EXPECT_EQ(TestClient(port).get("/healthz")->status, 200);
  process.signal(SIGTERM);
  EXPECT_EQ(process.exit_code(), 0);
}

TEST(App, HealthcheckAsksTheListener) {
  Process process(free_and({}));
  const std::string port = std::to_string(port_of(process.line(), "listening"));
  EXPECT_EQ(Process({"healthcheck", "--listen", "127.0.0.1:" + port}).exit_code(), 0);
  EXPECT_EQ(Process({"healthcheck"}, {"TAILRACE_LISTEN=0.0.0.0:" + port}).exit_code(), 0);
  process.signal(SIGKILL);
  process.exit_code();
  EXPECT_EQ(Process({"healthcheck", "--listen", "127.0.0.1:" + port}).exit_code(), 1);
}

// Neither who never answers nor who never ends holds it up.
TEST(App, HealthcheckEndsInTime) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), bytes), 0);
  ASSERT_EQ(::listen(listener, 8), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
  const std::string target = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  Process silent({"healthcheck", "--listen", target});
  Process dripped_on({"healthcheck", "--listen", target});
  std::vector<int> peers;
  for (int i = 0; i < 2; ++i) {
    peers.push_back(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_GE(peers.back(), 0);
  }
  // A byte a quarter of a second to the second one, as long as it takes them.
  while (::send(peers[1], "H", 1, MSG_NOSIGNAL) == 1) ::poll(nullptr, 0, 250);
  EXPECT_EQ(silent.exit_code(), 1);
  EXPECT_EQ(dripped_on.exit_code(), 1);
  for (const int peer : peers) ::close(peer);
  ::close(listener);
}

// As Go's GODEBUG=schedtrace, for those who have tools that read it.
TEST(App, TracesTheSchedulerInGosFormat) {
  Process process(free_and({"--max-procs", "2"}), {"GODEBUG=schedtrace=1"});
  process.line();
  std::string line;
  do {
    line = process.error_line();  // blocks until there is one; empty at the end only
  } while (!line.empty() && !line.starts_with("SCHED "));
  const std::regex format(R"(SCHED \d+ms: gomaxprocs=2 idleprocs=\d threads=\d+ spinningthreads=\d)"
                          R"( needspinning=\d idlethreads=\d runqueue=\d+ \[\d+ \d+\])");
  EXPECT_TRUE(std::regex_match(line, format)) << line;
  process.signal(SIGTERM);
  process.errors();
  EXPECT_EQ(process.exit_code(), 0);
}

TEST(App, ExplainsEscapesAtTheEndIfAsked) {
  for (const bool asked : {true, false}) {
    Process process(free_and(asked ? std::vector<std::string>{"--explain-escapes"}
                                   : std::vector<std::string>{"--explain-escapes=false"}));
    TestClient client(port_of(process.line(), "listening"));
    EXPECT_EQ(client.get("/hello/you")->status, 200);
    process.signal(SIGTERM);
    EXPECT_EQ(process.exit_code(), 0);
    const std::string errors = process.errors();
    EXPECT_EQ(errors.find("arenas, by label") != std::string::npos, asked) << errors;
    EXPECT_EQ(errors.find("/hello/{name}") != std::string::npos, asked) << errors;
  }
}

TEST(App, SaysItsVersionAndHelp) {
  Process version({"version"});
  EXPECT_NE(version.output().find("0."), std::string::npos);
  EXPECT_EQ(version.exit_code(), 0);
  Process help({"--help"});
  const std::string text = help.output();
  for (const char* name : {"--listen", "--admin", "--max-procs", "--gc-percent", "--memory-limit",
                           "--debug", "--config", "healthcheck", "GOMEMLIMIT"}) {
    EXPECT_NE(text.find(name), std::string::npos) << name;
  }
  EXPECT_EQ(help.exit_code(), 0);
}

TEST(App, BadSettingsExitWithTwo) {
  const std::vector<std::string> kBad[] = {{"--listen", "x"},         {"--gc-percent", "much"},
                                           {"--memory-limit", "1KB"}, {"--debug", "gcx=1"},
                                           {"--max-procs", "0"},      {"--nonsense"},
                                           {"--config", "/nowhere"},  {"frobnicate"}};
  for (const auto& arguments : kBad) {
    Process process(arguments);
    EXPECT_NE(process.errors(), "") << arguments.front();
    EXPECT_EQ(process.exit_code(), 2) << arguments.front();
  }
  EXPECT_EQ(Process({}, {"GOGC=x"}).exit_code(), 2);
}

TEST(App, AMalformedLimitNamesTheRemedy) {
  Process flag({"--memory-limit", "1KB"});
  EXPECT_EQ(flag.errors(),
            "tailrace: --memory-limit: expected a whole number and B, KiB, MiB, GiB or TiB, as in "
            "512MiB, or off, not \"1KB\"\n");
  EXPECT_EQ(flag.exit_code(), 2);
  for (const char* name : {"TAILRACE_MEMORY_LIMIT", "GOMEMLIMIT"}) {
    Process variable({}, {name + std::string("=lots")});
    EXPECT_TRUE(variable.errors().starts_with("tailrace: " + std::string(name) + ": expected "));
    EXPECT_EQ(variable.exit_code(), 2);
  }
}

TEST(App, WarnsAtStartOfLimitsThatDoNotFit) {
  const auto errors_of = [](const std::vector<std::string>& arguments) {
    Process process(free_and(arguments));
    process.line();
    process.signal(SIGTERM);
    EXPECT_EQ(process.exit_code(), 0);
    return process.errors();
  };
  const std::string unbounded = errors_of({"--gc-percent", "off", "--memory-limit", "off"});
  const std::string warning = "tailrace: warning: gc-percent is off and there is no memory limit";
  const std::size_t at = unbounded.find(warning);
  ASSERT_NE(at, std::string::npos) << unbounded;
  EXPECT_EQ(unbounded.find(warning, at + 1), std::string::npos) << "twice";
  const std::string bounded = errors_of({"--gc-percent", "off", "--memory-limit", "64GiB"});
  EXPECT_EQ(bounded.find(warning), std::string::npos) << bounded;
}

// Both set while it runs, from wherever they came.
TEST(App, TheCollectorsKnobsTurnWhileItRuns) {
  Process process(free_and({"--gc-percent", "50"}), {"GOMEMLIMIT=5GiB"});
  const std::string line = process.line();
  TestClient admin(port_of(line, "admin"));
  EXPECT_EQ(admin.get("/debug/gc/settings")->body,
            "{\"gc_percent\":50,\"gc_percent_from\":\"--gc-percent\",\"memory_limit\":5368709120,"
            "\"memory_limit_from\":\"GOMEMLIMIT\"}");
  const auto put = admin.request("PUT", "/debug/gc/settings", "{\"memory_limit\":6442450944}",
                                 {{"Content-Type", "application/json"}});
  EXPECT_EQ(put->body,
            "{\"gc_percent\":50,\"gc_percent_from\":\"--gc-percent\",\"memory_limit\":6442450944,"
            "\"memory_limit_from\":\"PUT /debug/gc/settings\"}");
  process.signal(SIGTERM);
  EXPECT_EQ(process.exit_code(), 0);
}

TEST(App, AnAddressInUseNamesTheRemedy) {
  Process first(free_and({}));
  const std::string port = std::to_string(port_of(first.line(), "listening"));
  Process second({"--listen", "127.0.0.1:" + port, "--admin", "off"});
  EXPECT_EQ(second.exit_code(), 1);
  EXPECT_NE(second.errors().find("another process listens there"), std::string::npos);
  Process exposed({"--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"});
  EXPECT_EQ(exposed.exit_code(), 1);
  EXPECT_NE(exposed.errors().find("TAILRACE_ADMIN_TOKEN"), std::string::npos);
}

TEST(App, ReadsItsFile) {
  std::string path = testing::TempDir() + "/tailrace-app-XXXXXX";
  const int fd = ::mkstemp(path.data());
  ASSERT_GE(fd, 0);
  const std::string text = "listen: 127.0.0.1:0\nadmin: off\nlimits: {body_bytes: 123KiB}\n";
  ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  {
    Process process({"--config", path, "--drain-delay", "0s"});
    const std::string line = process.line();
    EXPECT_EQ(line.find("admin"), std::string::npos);
    TestClient client(port_of(line, "listening"));
    EXPECT_TRUE(client.get("/healthz"));
    process.signal(SIGTERM);
    EXPECT_EQ(process.exit_code(), 0);
    EXPECT_NE(process.errors().find("limits.body_bytes=123KiB"), std::string::npos);
  }
  ASSERT_EQ(::write(fd, "nonsense: 1\n", 12), 12);
  EXPECT_EQ(Process({}, {"TAILRACE_CONFIG=" + path}).exit_code(), 2);
  ::close(fd);
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace tailrace::http
