// Follows the control group's limits and the affinity mask while a service runs, since both change under it
// (a container is resized in place), and says which limits do not fit.
//
// A timer on the listeners' thread reads some small files every five seconds. What it finds goes to the
// scheduler and the collector unless somebody has given a number; while the files cannot be read all stays
// as it is. The warnings need figures of the heap, so they are made on a fiber. Who else has something to say
// now and then says it at the same times.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <string>

#include "gcruntime/fiber/netpoll.h"
#include "server/cgroup.h"
#include "server/limit_warnings.h"

namespace tailrace::http {

class Server;

class CgroupWatch {
 public:
  struct Options {
    bool follow_procs = true;  // false: --max-procs was given
    std::string root = "";     // for tests: see CgroupReader
    // Takes a line without its end, on either thread; null: stderr.
    std::function<void(const std::string&)> log;
    // Called at the end of each look; null: nothing.
    std::function<void()> also{};
  };

  // After the workers have started; it outlives them.
  CgroupWatch(Server& server, Options options);
  CgroupWatch(const CgroupWatch&) = delete;
  CgroupWatch& operator=(const CgroupWatch&) = delete;

  // Reads and applies, and what else there is; on the listeners' thread or before that runs.
  void look();
  // On a fiber, or a thread that is in no native scope; never two at once.
  void warn();
  // Both, from five seconds on, until the server's context ends.
  void start();

 private:
  struct Check : fiber::Job {
    CgroupWatch* watch = nullptr;
  };
  void follow();
  void wait();
  void log(const std::string& line) const;

  Server& server_;
  const Options options_;
  CgroupReader reader_;
  bool unreadable_ = false;  // at the last look
  boost::asio::steady_timer timer_;
  LimitWarnings warnings_;
  Check check_;
  // Release when the check has ended, acquire before the next: one at a time.
  std::atomic<bool> checking_{false};
  CgroupLimits limits_;  // written while no check runs
};

}  // namespace tailrace::http
