// tailrace-api: the example service. What it is made of, in order.
#include <CLI/CLI.hpp>

#include "handlers/api.h"
#include "handlers/store.h"
#include "server/tailrace.h"

int main(int argc, char** argv) {
  using namespace tailrace;

  App app(argc, argv);
  std::int64_t demo_users = 100'000;
  app.options()
      .add_option("--users", demo_users, "demo users made at start")
      ->check(CLI::Range(std::int64_t{0}, api::Store::kMaxUsers))
      ->capture_default_str();

  api::Store store;
  app.on_start([&] {
    for (std::int64_t i = 0; i < demo_users; ++i)
      store.insert(api::make_demo_user(store.next_id()));
  });

  api::add_users(app, store);
  api::add_events(app);
  api::add_pooled_users(app, store);
  api::add_pooled_events(app);
  api::add_naive_users(app, store);
  api::add_naive_events(app);
  api::add_echo(app);
  api::add_churn(app);

  return app.run();
}
