// A line in the log when a route's arenas lose more than a quarter of what they allocate to the collector.
//
// The runtime's alarm (gc/escape_report.h) comes on the thread whose arena has ended, a worker mostly, which
// must not wait for a log: it leaves the route's label in one of a few slots, and whoever looks after the
// service now and then (CgroupWatch) has the lines written. One at a time in a process: the alarm has no other
// owner.
#pragma once

#include <functional>
#include <string>

namespace tailrace::http {

class EscapeWarnings {
 public:
  using Log = std::function<void(const std::string& line)>;  // without its end

  // Listens from now on. `log` null: stderr.
  explicit EscapeWarnings(Log log = {});
  ~EscapeWarnings();
  EscapeWarnings(const EscapeWarnings&) = delete;
  EscapeWarnings& operator=(const EscapeWarnings&) = delete;

  // Writes what has come since; one thread at a time.
  void tell();

 private:
  const Log log_;
};

}  // namespace tailrace::http
