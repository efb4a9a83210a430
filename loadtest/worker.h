// One thread of the generator: takes up requests when they are due, whatever the server does,
// writes them on its own connections and reads the answers. Due ones go first, but after a few of
// them events are looked at, so that a worker that is behind still reads.
//
// A request that is due takes the connection that was used longest ago, or waits in the order of arrival.
// Over the in-flight cap it is dropped. What has not ended `timeout` after its due time is given
// up: taken out of the queue, or its connection closed and opened anew. A lost request is never
// sent again.
//
// Everything runs on the thread that calls open_connections() and run(), but for stop() and the
// handover.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "loadtest/connection.h"
#include "loadtest/endpoint.h"
#include "loadtest/measure.h"
#include "loadtest/recorder.h"
#include "loadtest/schedule.h"
#include "loadtest/waiter.h"

namespace tailrace::loadtest {

struct WorkerSettings {
  unsigned index = 0;
  Endpoint endpoint;
  std::string authority;
  unsigned connections = 1;
  std::int64_t duration_ns = 0;  // of the measured part
  std::int64_t timeout_ns = 0;
  std::uint64_t in_flight_most = 1;
  std::uint64_t requests_per_connection = 0;
  Idle idle = Idle::kHybrid;
  int cpu = -1;  // to be pinned to
};

class Worker {
 public:
  // Both outlive it.
  Worker(const WorkerSettings& settings, const Scenario& scenario, Schedule schedule);

  // Blocks until all are open, or stop(). Empty, or why not.
  std::string open_connections();
  // Blocks until the last request has ended. The measured part begins at `origin_ns`.
  void run(std::int64_t origin_ns);

  // Any thread: nothing is due at or after `end_ns`, and what has not ended at `leave_ns` is left
  // out.
  void stop(std::int64_t end_ns, std::int64_t leave_ns);
  Handover& handover() noexcept { return handover_; }

  // After the run.
  const Recorder& recorder() const noexcept { return recorder_; }

 private:
  struct Line {
    std::unique_ptr<Connection> connection;
    Request* request = nullptr;
    unsigned failures = 0;  // opened anew since the last answer
  };
  // When a connection that is closed is opened, or one that does not open given up.
  struct Timer {
    std::int64_t at_ns;
    std::uint64_t tag;
    friend bool operator<(const Timer& a, const Timer& b) { return a.at_ns > b.at_ns; }
  };

  void set_up_thread() const;
  bool finished(std::int64_t now) const noexcept;
  void look_at_stop();

  std::int64_t take_up_due(std::int64_t now, int most);
  void take_up(const Due& due, std::int64_t now);
  void write(Line& line, Request* request, std::int64_t now);
  void give_up_late(std::int64_t now);
  void time_out(Request* request, std::int64_t now);
  void leave_out_all();

  std::int64_t handle_event(const epoll_event& event, std::int64_t now);
  void handle(Line& line, Connection::Outcome outcome, std::int64_t now);
  void answered(Line& line, std::int64_t now);
  void next_step(const Request& request, std::int64_t now);
  void ready(Line& line, std::int64_t now);
  void not_idle(std::uint32_t index);
  void open(Line& line, std::int64_t now);
  void open_later(Line& line, std::int64_t now);
  void run_timers(std::int64_t now);

  std::int64_t next_wake() const noexcept;
  std::int64_t last_second() const noexcept;
  void tick(std::int64_t now);
  void account(std::int64_t now, std::int64_t until);

  // The clock, by a thread that has been at work since `before`: remembers a long gap.
  std::int64_t look(std::int64_t before) noexcept;
  // For how long since `since` this thread did not look: in its last wait and in its last gap.
  std::int64_t held_since(std::int64_t since) const noexcept;

  Request* allocate();
  void link(Request* request) noexcept;
  void release(Request* request) noexcept;

  const WorkerSettings settings_;
  const Scenario& scenario_;
  Schedule schedule_;
  Recorder recorder_;
  Handover handover_;
  Waiter waiter_;

  std::vector<Line> lines_;
  // The one used longest ago at the front, and taken: all are kept in use, as servers close those that
  // are not.
  std::deque<std::uint32_t> idle_;
  std::deque<Request*> queue_;
  std::priority_queue<Timer> timers_;

  std::deque<Request> requests_;  // all that were ever needed at one time
  std::vector<Request*> unused_;
  Request* oldest_ = nullptr;
  Request* newest_ = nullptr;
  std::uint64_t in_flight_ = 0;

  std::int64_t origin_ns_ = 0;
  std::int64_t end_ns_ = 0;
  std::int64_t leave_ns_ = Schedule::kNever;
  std::int64_t next_tick_ns_ = 0;
  std::int64_t last_tick_ns_ = 0;
  std::int64_t last_cpu_ns_ = 0;
  // Between these two looks at the clock the thread was in a wait ...
  std::int64_t wait_ns_ = 0;
  std::int64_t woke_ns_ = 0;
  // ... and between these it should have been at work, and another thread had the CPU.
  std::int64_t gap_begin_ns_ = 0;
  std::int64_t gap_end_ns_ = 0;
  bool hand_over_again_ = false;
  std::string text_;  // of the request being written
  std::vector<char> scratch_;

  std::atomic<std::int64_t> stop_end_ns_{Schedule::kNever};
  std::atomic<std::int64_t> stop_leave_ns_{Schedule::kNever};
};

}  // namespace tailrace::loadtest
