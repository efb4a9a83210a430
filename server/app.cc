// See app.h.
#include "server/app.h"

#include <unistd.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <optional>
#include <vector>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/escape_report.h"
#include "gcruntime/gc/mutator.h"
#include "server/cgroup.h"
#include "server/cgroup_watch.h"
#include "server/cidr.h"
#include "server/config.h"
#include "server/escape_warnings.h"
#include "server/server.h"
#include "server/test_client.h"

namespace tailrace::http {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

std::optional<std::string> environment(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

void complain(const std::string& message) {
  std::fprintf(stderr, "tailrace: %s\n", message.c_str());
}

// The second signal: nothing is worth waiting for. Async-signal-safe.
void leave_at_once(int signal) { ::_exit(128 + signal); }

// Whoever asks waits for so long, even for a service that answers byte by byte.
constexpr unsigned kHealthSeconds = 4;
void give_up_health(int) {
  constexpr std::string_view kText = "tailrace: healthcheck: /readyz does not end\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText.data(), kText.size());
  ::_exit(kExitFailure);
}

int check_health(const Config& config) {
  if (config.listen.port == 0) {
    complain("healthcheck: --listen names port 0, so the service's port is not known");
    return kExitFailure;
  }
  const std::optional<AddressBytes> address = parse_address(config.listen.host);
  const bool v6 = config.listen.host.find(':') != std::string::npos;
  const bool any = config.listen.host == "0.0.0.0" || config.listen.host == "::";
  std::signal(SIGALRM, &give_up_health);
  ::alarm(kHealthSeconds);
  constexpr std::int64_t kTimeoutMs = 3000;
  TestClient client(config.listen.port,
                    address && !any ? config.listen.host : (v6 ? "::1" : "127.0.0.1"), kTimeoutMs);
  const std::optional<ClientResponse> response = client.get("/readyz");
  if (response && response->status == 200) return 0;
  complain("healthcheck: /readyz " +
           (response ? "answers " + std::to_string(response->status) : std::string("is silent")));
  return kExitFailure;
}

}  // namespace

struct App::Impl {
  struct PendingRoute {
    Method method;
    std::string pattern;
    Handler handler;
    RouteOptions options;
  };

  Impl(int count, char** values) : argc(count), argv(values), cli("", program()) {
    for (const SettingInfo& setting : settings()) {
      if (setting.in_file_only()) continue;
      std::string& text = texts[setting.name];
      flags[setting.name] =
          (setting.value.empty()
               ? cli.add_flag("--" + setting.name, text, setting.help)
               : cli.add_option("--" + setting.name, text, setting.help)->type_name(setting.value))
              ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
    cli.add_option("--config", config_file, "the same settings as YAML, and limits and timeouts")
        ->type_name("FILE")
        ->envname("TAILRACE_CONFIG");
    serve = cli.add_subcommand("serve", "Serve (the default)")->fallthrough();
    healthcheck = cli.add_subcommand("healthcheck", "GET /readyz on this machine: exit code 0 or 1")
                      ->fallthrough();
    version = cli.add_subcommand("version", "Print the version")->fallthrough();
    cli.require_subcommand(0, 1);
  }

  std::string program() const {
    const std::string path = argc > 0 ? argv[0] : "tailrace";
    return path.substr(path.rfind('/') + 1);
  }

  std::optional<std::string> read_settings(Config& config);
  std::optional<std::string> read_own_options(const std::map<std::string, std::string>& file);
  int serve_until_drained(const Config& config);
  std::optional<std::string> run_start_hooks(Server& server);

  const int argc;
  char** const argv;
  gc::ThreadScope attached;
  metrics::Registry registry;
  metrics::Exporter exporter{registry};
  std::vector<PendingRoute> routes;
  std::vector<std::function<void()>> start_hooks;
  std::map<std::string, std::string> texts;  // of the flags
  std::map<std::string, CLI::Option*> flags;
  std::string config_file;
  CLI::App cli;
  CLI::App* serve = nullptr;
  CLI::App* healthcheck = nullptr;
  CLI::App* version = nullptr;
};

App::App(int argc, char** argv) : impl_(std::make_unique<Impl>(argc, argv)) {}
App::~App() = default;

App& App::route(Method method, std::string_view pattern, Handler handler, RouteOptions options) {
  impl_->routes.push_back({method, std::string(pattern), std::move(handler), options});
  return *this;
}

CLI::App& App::options() noexcept { return impl_->cli; }
metrics::Registry& App::metrics() noexcept { return impl_->registry; }
metrics::Exporter& App::exporter() noexcept { return impl_->exporter; }

App& App::on_start(std::function<void()> start) {
  impl_->start_hooks.push_back(std::move(start));
  return *this;
}

std::optional<std::string> App::Impl::read_settings(Config& config) {
  ConfigSources sources;
  sources.flag = [this](const std::string& name) -> std::optional<std::string> {
    return flags.at(name)->count() > 0 ? std::optional(texts.at(name)) : std::nullopt;
  };
  sources.environment = environment;
  if (!config_file.empty()) {
    if (auto error = read_config_file(config_file, sources.file)) return error;
  }
  if (auto error = read_config(sources, config)) return error;
  if (auto error = read_own_options(sources.file)) return error;
  CgroupLimits limits;
  if (const auto error = CgroupReader().read(limits)) {
    complain("the cgroup's limits cannot be read (--max-procs and --memory-limit set others): " +
             *error);
  }
  if (!config.given("max-procs")) {
    config.max_procs = allowed_cpus(limits);
    // Quota and mask may grow while it runs.
    config.most_procs = std::clamp(online_cpus(), config.max_procs, 64u);
  }
  if (!config.given("memory-limit") && limits.memory_bytes) {
    config.memory_limit = soft_limit_of(*limits.memory_bytes);
  }
  return std::nullopt;
}

// What the file names beyond the server's settings must be a flag of the program's own.
std::optional<std::string> App::Impl::read_own_options(
    const std::map<std::string, std::string>& file) {
  for (const auto& [name, text] : file) {
    bool known = false;
    for (const SettingInfo& setting : settings()) known = known || setting.name == name;
    if (known) continue;
    CLI::Option* const option = name == "config" ? nullptr : cli.get_option_no_throw("--" + name);
    if (option == nullptr) return config_file + ": unknown setting \"" + name + "\"; see --help";
    if (option->count() > 0) continue;  // the flag wins
    try {
      option->add_result(text);
      option->run_callback();
    } catch (const CLI::Error& error) {
      return config_file + ": " + name + ": " + error.what();
    }
  }
  return std::nullopt;
}

std::optional<std::string> App::Impl::run_start_hooks(Server& server) {
  std::optional<std::string> failure;
  server.scheduler().run([&] {
    try {
      for (const std::function<void()>& hook : start_hooks) hook();
    } catch (const std::exception& error) {
      failure = error.what();
    }
  });
  return failure;
}

int App::Impl::serve_until_drained(const Config& config) {
  Server server(config, registry, exporter);
  for (PendingRoute& route : routes) {
    server.router().add(route.method, route.pattern, std::move(route.handler), route.options);
  }
  // Before the hooks and not after: a signal while they run must not end the program half-way.
  boost::asio::signal_set signals(server.context(), SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code& error, int signal) {
    if (error) return;
    std::fprintf(stderr, "tailrace: signal %d: draining; a second one exits at once\n", signal);
    signals.clear();
    std::signal(SIGINT, &leave_at_once);
    std::signal(SIGTERM, &leave_at_once);
    server.request_drain();
  });
  std::signal(SIGPIPE, SIG_IGN);

  gc::configure({.percent = config.gc_percent,
                 .trace = config.gc_trace,
                 .procs = config.max_procs,
                 .stop_the_world = config.gc_stop_the_world,
                 .check_marks = config.gc_check_marks});
  server.gc_settings().begin(config);
  std::fprintf(stderr, "tailrace: settings %s\n", describe(config).c_str());
  server.start_workers();
  EscapeWarnings escapes;
  CgroupWatch watch(server, {.follow_procs = !config.given("max-procs"),
                             .root = "",
                             .log = {},
                             .also = [&escapes] { escapes.tell(); }});
  std::optional<std::string> failure = run_start_hooks(server);
  watch.look();
  watch.warn();  // with what the hooks have made alive
  watch.start();
  if (!failure) failure = server.listen();
  if (failure) {
    complain(*failure);
    std::fflush(nullptr);
    std::_Exit(kExitFailure);  // fibers of the hooks may still run
  }
  std::string line = "listening http://" + to_string(server.address());
  if (const auto admin = server.admin_address()) line += " admin http://" + to_string(*admin);
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
  const bool drained = server.run();
  escapes.tell();
  if (config.explain_escapes) std::fputs(gc::format_escape_report().c_str(), stderr);
  if (!drained) {
    complain("the drain's deadline has passed with requests or fibers unfinished");
    std::fflush(nullptr);
    std::_Exit(kExitFailure);
  }
  return 0;
}

int App::run() {
  Impl& impl = *impl_;
  try {
    impl.cli.parse(impl.argc, impl.argv);
  } catch (const CLI::ParseError& error) {
    return impl.cli.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (impl.version->parsed()) {
    std::printf("%s %s\n", impl.program().c_str(), TAILRACE_VERSION);
    return 0;
  }
  Config config;
  if (const std::optional<std::string> error = impl.read_settings(config)) {
    complain(*error);
    return kExitUsage;
  }
  if (impl.healthcheck->parsed()) return check_health(config);
  return impl.serve_until_drained(config);
}

}  // namespace tailrace::http
