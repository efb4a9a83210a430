// The server's own counters, read from its /metrics while it is measured, on a connection of its own: at the
// edges of the measured part and at each whole second between them, so that the figures and the latencies
// speak of the same time.
//
// Reads what both tailrace and Go services export; of what is missing the figure is NaN.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "loadtest/result.h"

namespace tailrace::loadtest {

// Counters as they stand; gauges too. Text that is no exposition gives NaN everywhere.
ServerFigures parse_exposition(std::string_view text);
// What happened between two readings: counters as differences, gauges as they were last. A counter that went
// back (the server was started anew) is NaN.
ServerFigures between(const ServerFigures& before, const ServerFigures& after);

// One reading, or why there is none. Waits `timeout_ms` at the most.
struct Reading {
  std::int64_t at_ns = 0;  // steady clock, the middle of the exchange
  ServerFigures figures;
  std::string error;  // empty: figures are good
};

class Scraper {
 public:
  explicit Scraper(std::string url);
  ~Scraper();
  Scraper(const Scraper&) = delete;
  Scraper& operator=(const Scraper&) = delete;

  // Now, on the caller's thread; not between start() and stop().
  Reading read_once();

  // Reads at begin_ns (steady clock) and each second after it, to begin_ns + duration_ns, on a thread of
  // its own.
  void start(std::int64_t begin_ns, std::int64_t duration_ns);
  // Ends the thread. Any number of times.
  void stop();
  // Writes what was read into the measurement that it was started for. After stop().
  void annotate(Measurement& measurement) const;

 private:
  void run(std::int64_t begin_ns, std::int64_t duration_ns);

  const std::string url_;
  void* curl_;  // reused, so that the connection stays
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable ending_;
  bool end_ = false;  // guarded by mutex_
  std::int64_t begin_ns_ = 0;
  std::vector<Reading> readings_;  // the thread's until stop()
};

}  // namespace tailrace::loadtest
