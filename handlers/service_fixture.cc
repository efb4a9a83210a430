#include "handlers/service_fixture.h"

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "server/test_client.h"

extern char** environ;

namespace tailrace::api {
namespace {

// The number behind the last colon.
std::uint16_t port_of(const std::string& url) {
  return static_cast<std::uint16_t>(
      std::strtoul(url.substr(url.rfind(':') + 1).c_str(), nullptr, 10));
}

}  // namespace

ServiceFixture::ServiceFixture(unsigned workers, std::int64_t demo_users,
                               std::vector<std::string> more_arguments) {
  std::vector<std::string> arguments{TAILRACE_API_PATH, "serve",
                                     "--listen",        "127.0.0.1:0",
                                     "--admin",         "127.0.0.1:0",
                                     "--max-procs",     std::to_string(workers),
                                     "--users",         std::to_string(demo_users),
                                     "--drain-delay",   "0s"};
  arguments.insert(arguments.end(), more_arguments.begin(), more_arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  int out[2];
  if (::pipe(out) != 0) std::abort();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, out[0]);
  posix_spawn_file_actions_addclose(&actions, out[1]);
  const int error = ::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  if (error != 0) {
    pid_ = -1;
    ::close(out[0]);
    ADD_FAILURE() << "cannot start " << argv[0];
    return;
  }
  // The contract's first line: listening http://HOST:PORT admin http://HOST:PORT
  FILE* stream = ::fdopen(out[0], "r");
  char url[128] = "";
  char admin_url[128] = "";
  EXPECT_EQ(std::fscanf(stream, "listening %127s admin %127s", url, admin_url), 2);
  port_ = port_of(url);
  admin_port_ = port_of(admin_url);
  std::fclose(stream);
}

ServiceFixture::~ServiceFixture() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGTERM);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

double ServiceFixture::metric(std::string_view series) const {
  http::TestClient client(port_);
  const auto answer = client.get("/metrics");
  EXPECT_TRUE(answer && answer->status == 200);
  if (!answer) return 0;
  const std::string wanted = "\n" + std::string(series) + " ";
  const std::size_t at = answer->body.find(wanted);
  return at == std::string::npos ? 0
                                 : std::strtod(answer->body.c_str() + at + wanted.size(), nullptr);
}

void ServiceFixture::collect() const {
  http::TestClient client(admin_port_);
  const auto answer = client.request("POST", "/debug/gc");
  EXPECT_TRUE(answer && answer->status < 300);
}

}  // namespace tailrace::api
