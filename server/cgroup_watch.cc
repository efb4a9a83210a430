// See cgroup_watch.h.
#include "server/cgroup_watch.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/memory_limit.h"
#include "server/server.h"
#include "server/units.h"

namespace tailrace::http {
namespace {

constexpr std::chrono::seconds kEvery{5};

}  // namespace

CgroupWatch::CgroupWatch(Server& server, Options options)
    : server_(server),
      options_(std::move(options)),
      reader_(options_.root),
      timer_(server.context()) {
  check_.watch = this;
  check_.run = [](fiber::Job* job) {
    CgroupWatch& watch = *static_cast<Check*>(job)->watch;
    watch.warn();
    watch.checking_.store(false, std::memory_order_release);
  };
}

void CgroupWatch::look() {
  follow();
  if (options_.also) options_.also();
}

void CgroupWatch::follow() {
  CgroupLimits limits;
  const std::optional<std::string> error = reader_.read(limits);
  const bool news = error.has_value() != unreadable_;
  unreadable_ = error.has_value();
  if (error) {
    if (news) log("the cgroup's limits cannot be read, so all stays as it is: " + *error);
    return;
  }
  if (news) log("the cgroup's limits can be read again");
  fiber::Scheduler& scheduler = server_.scheduler();
  if (options_.follow_procs) {
    const unsigned before = scheduler.active_workers();
    const unsigned wanted = std::min(allowed_cpus(limits), scheduler.workers());
    if (wanted != before) {
      const unsigned now = scheduler.set_active_workers(wanted);
      gc::set_procs(now);
      if (now != before)
        log("max-procs is " + std::to_string(now) + " instead of " + std::to_string(before) +
            ": affinity allows " + std::to_string(affinity_cpus()) + " CPUs" +
            (limits.cpus ? ", the cgroup's quota " + readable_cpus(*limits.cpus) : std::string()));
    }
  }
  if (const auto limit = server_.gc_settings().follow_cgroup(limits.memory_bytes)) {
    log(*limit == kOff ? std::string("the memory limit is off: the cgroup has none any more")
                       : "the memory limit is " + readable_size(*limit) +
                             ": 90 % of the cgroup's " + readable_size(*limits.memory_bytes));
  }
  // Acquire: pairs with the check's release; its limits are free to change.
  if (!checking_.load(std::memory_order_acquire)) limits_ = limits;
}

void CgroupWatch::warn() {
  const gc::MemStats stats = gc::read_mem_stats();
  const LimitFacts facts{.gc_percent = stats.gc_percent,
                         .memory_limit = gc::memory_limit(),
                         .live_bytes = stats.heap_live + gc::non_heap_bytes(),
                         .max_procs = server_.scheduler().active_workers(),
                         .group = limits_};
  for (const std::string& line : warnings_.look(facts)) log("warning: " + line);
}

void CgroupWatch::start() { wait(); }

void CgroupWatch::wait() {
  timer_.expires_after(kEvery);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    look();
    // Acquire: pairs with the check's release.
    if (!checking_.load(std::memory_order_acquire)) {
      // Relaxed: this thread alone sets it, and the queue publishes it to the fiber.
      checking_.store(true, std::memory_order_relaxed);
      server_.scheduler().submit(&check_);
    }
    wait();
  });
}

void CgroupWatch::log(const std::string& line) const {
  if (options_.log) {
    options_.log(line);
  } else {
    std::fprintf(stderr, "tailrace: %s\n", line.c_str());
  }
}

}  // namespace tailrace::http
