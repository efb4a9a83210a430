// `serve-synthetic`: see commands.h.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>

#include "loadtest/commands.h"
#include "loadtest/exit_code.h"
#include "loadtest/scenario.h"
#include "loadtest/synthetic.h"

namespace tailrace::loadtest {
namespace {

struct Words {
  std::string model;
  std::string listen;
};

int run(const Words& words) {
  // Port 0 picks one; as a URL's it is none.
  const bool any = words.listen.ends_with(":0");
  const std::string host = words.listen.substr(0, words.listen.size() - (any ? 2 : 0));
  const auto parsed = parse_url("http://" + host + "/");
  if (const auto* message = std::get_if<std::string>(&parsed)) {
    std::fprintf(stderr, "tailrace-load: --listen: %s\n", message->c_str());
    return kUsage;
  }
  const Url& url = std::get<Url>(parsed);
  return serve_synthetic(words.model, url.host, any ? std::uint16_t{0} : url.port, std::cout,
                         std::cerr);
}

}  // namespace

void add_serve_synthetic(CLI::App& app, Run& chosen) {
  CLI::App* command =
      app.add_subcommand("serve-synthetic",
                         "a server whose latencies are known: md1:us=200 mmc:c=4,us=800 "
                         "step:at=5000,add=30ms,p=0.05 gc:bps=500MB,bytes=50KB "
                         "hysteresis:up=6000,down=4000 hiccup:every=5s,ms=25 leak none");
  auto words = std::make_shared<Words>();
  command->add_option("model", words->model, "the law that its latencies follow")->required();
  command->add_option("--listen", words->listen, "HOST:PORT; port 0 picks one")
      ->default_val("127.0.0.1:8099");
  command->callback([&chosen, words] { chosen = [words] { return run(*words); }; });
}

}  // namespace tailrace::loadtest
