// The registry in Prometheus' text format. The only part of Tailrace that knows prometheus-cpp,
// which stays inside exporter.cc; users that have Collectables of it hand them in here, and users
// that run an Exposer of it take our Collectable.
//
// Any thread may scrape, several at once: each gathers for itself, and the registry's lock is held
// for the reading of the numbers but not while the text is made.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/instruments.h"

namespace prometheus {
class Collectable;
}

namespace tailrace::metrics {

// Prometheus 3 refuses anything else.
inline constexpr std::string_view kTextContentType = "text/plain; version=0.0.4; charset=utf-8";

class Exporter final {
 public:
  static constexpr std::size_t kMaxCollectables = 256;

  // The registry must outlive this and what collectable() returned.
  explicit Exporter(Registry& registry) : registry_(registry) {}
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  // go_info first, then by name, users' Collectables merged in. A Collectable that throws or whose
  // names clash with ours is left out and counted in tailrace_metrics_collect_errors_total.
  std::string scrape();

  // Asked at each scrape for as long as it lives; it may take locks but must not suspend a fiber.
  void add(std::weak_ptr<const prometheus::Collectable> collectable);

  // Our families, for an Exposer or a Gateway of the user.
  std::shared_ptr<prometheus::Collectable> collectable();

 private:
  void append_collectables(std::vector<Family>& families);

  Registry& registry_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<const prometheus::Collectable>> collectables_;  // guarded by mutex_
};

}  // namespace tailrace::metrics
