// What one worker measures: a record for each second in which requests were due, kept until all of
// them have ended, then handed over, so that a run of any length holds few of them (its timeout, in
// seconds).
//
// Every planned request ends in exactly one way, and planned == completed + dropped + timed_out +
// failed in every second that was handed over. The spans of one that completed add up to its
// response time, to the nanosecond. Of one that did not, the response is infinite; the spans it
// never came to the end of are infinite too:
//                        lateness   client queue   service
//   dropped              finite     infinite       -
//   timed out, unsent    finite     infinite       -
//   timed out, sent      finite     finite         infinite
//   failed               finite     finite         infinite
//
// The worker's thread only, but for Handover.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "loadtest/latency.h"
#include "loadtest/request.h"
#include "loadtest/result.h"

namespace tailrace::loadtest {

// A second of one worker, or of several added up.
struct RecordedSecond {
  std::int64_t number = 0;
  Counts counts;
  Latencies response;
  Latencies lateness;
  Latencies client_queue;
  Latencies service;
  std::uint64_t in_flight_most = 0;
  double busy = 0;
  // The longest time for which an answer that had come was not read, or a request that was taken up
  // not written, because the generator's thread did not run.
  std::int64_t held_most_ns = 0;
  // Of those timed out: taken up by the generator after their time, so that they never had a
  // chance.
  std::uint64_t overdue = 0;

  void clear() noexcept;
  // Counts and latencies add up, in-flight too; busy and held are the most of any worker.
  void merge(const RecordedSecond& other) noexcept;
};

// Between a worker and the thread that collects: seconds go one way, cleared ones come back for
// use. Held for a few moves of pointers.
struct Handover {
  std::mutex mutex;
  std::vector<std::unique_ptr<RecordedSecond>> ended;
  std::vector<std::unique_ptr<RecordedSecond>> blank;
  Counts so_far;
  std::uint64_t in_flight = 0;
};

struct RecordedRoute {
  Counts counts;
  Latencies response;
};

class Recorder {
 public:
  static constexpr std::size_t kErrorsMost = 100;
  static constexpr const char* kOtherErrors = "other errors";

  explicit Recorder(std::size_t routes);

  // Makes room for the seconds up to this one. Those below 0 are not recorded.
  void open_until(std::int64_t number);
  // The same, and no later request will be due before second `number`.
  void begin_second(std::int64_t number);
  // No request will be due any more.
  void end_seconds() noexcept;

  // Once for each request when it is taken up, then one of those below.
  void planned(const Request& request) noexcept;
  void completed(const Request& request, std::int64_t ended_ns, int status, bool succeeded,
                 std::uint64_t bytes_sent, std::uint64_t bytes_received) noexcept;
  void dropped(const Request& request) noexcept;
  // `overdue`: it was taken up after its time.
  void timed_out(const Request& request, std::uint64_t bytes_sent, std::uint64_t bytes_received,
                 bool overdue = false) noexcept;
  void failed(const Request& request, std::uint64_t bytes_sent,
              std::uint64_t bytes_received) noexcept;
  // As if it had never been planned, but for left_out(): an interrupted run does not wait for it.
  void left_out(const Request& request) noexcept;

  void error(const std::string& message);
  void connected(std::int64_t took_ns) noexcept { connect_.record(took_ns); }
  void in_flight(std::int64_t second, std::uint64_t now) noexcept;
  void busy(std::int64_t second, double share) noexcept;
  void held(std::int64_t second, std::int64_t held_ns) noexcept;

  // Hands over what has ended, unless the other side is at it right now: false, try again later.
  bool hand_over(Handover& handover, std::uint64_t in_flight);

  // After the run.
  const std::vector<std::unique_ptr<RecordedRoute>>& routes() const noexcept { return routes_; }
  std::map<int, std::uint64_t> statuses() const;
  const std::map<std::string, std::uint64_t>& errors() const noexcept { return errors_; }
  const Latencies& connect() const noexcept { return connect_; }
  std::uint64_t left_out() const noexcept { return left_out_; }

 private:
  struct Open {
    std::unique_ptr<RecordedSecond> second;
    std::uint64_t pending = 0;
  };
  Open* open(std::int64_t second) noexcept;
  // The record and the route of a request that has come to its end; nothing in the warm-up.
  struct Ending {
    RecordedSecond* second;
    RecordedRoute* route;
  };
  Ending ending(const Request& request) noexcept;
  void infinite(const Request& request, std::uint64_t Counts::*kind, std::uint64_t bytes_sent,
                std::uint64_t bytes_received) noexcept;
  std::unique_ptr<RecordedSecond> blank();

  std::deque<Open> open_;   // ascending, without a gap
  std::int64_t last_ = -1;  // the number of the last one that was ever opened
  std::int64_t begun_ = 0;  // nothing will be due before this one
  Counts handed_over_;
  std::vector<std::unique_ptr<RecordedSecond>> blank_;
  std::vector<std::unique_ptr<RecordedRoute>> routes_;
  std::array<std::uint64_t, 1000> statuses_{};
  std::map<std::string, std::uint64_t> errors_;
  Latencies connect_;
  std::uint64_t left_out_ = 0;
};

}  // namespace tailrace::loadtest
