// What this generator can do on this host, against a server in the same process that does nothing: how many
// requests a second a worker plans, sends and reads without falling behind, and how late it is at an easy
// rate. Whoever asks for more than kShare of that measures the generator and not the server.
//
// Grade, of the lateness at 1000 requests/s and of the time that the hypervisor took:
//   A  median <= 20 us, P99 <= 200 us, no steal     B  <= 50 us, <= 1 ms, <= 0.1 %
//   C  <= 100 us, <= 2 ms, <= 1 %                   D  <= 1 ms, <= 10 ms, <= 5 %      F  the rest
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <variant>

#include "loadtest/measure.h"
#include "loadtest/result.h"

namespace tailrace::loadtest {

// The share of the ceiling that a run may ask for.
inline constexpr double kShareOfCeiling = 0.7;

struct SelfcheckSettings {
  unsigned workers = 1;  // whose ceiling: that of one, so many times
  Idle idle = Idle::kHybrid;
  bool pin = false;
  std::function<void(const std::string& what)> progress;  // may be empty
  const std::atomic<bool>* interrupted = nullptr;
};

// About 5 seconds and two cores.
std::variant<Selfcheck, MeasureError> selfcheck(const SelfcheckSettings& settings);
// Whether the worker kept up at that rate: it sent what was due when it was due, and read what came back.
bool keeps_up(const Measurement& measurement);
char grade_of(const Selfcheck& measured) noexcept;

// Of so many workers: beyond the host's CPUs more of them do not send more.
double ceiling_of(double most_rate_per_worker, unsigned workers, unsigned cpus) noexcept;

// The last one of this host, kept for a day in a file of the user's cache (XDG_CACHE_HOME, else ~/.cache).
// Nothing if there is none, it is older, or it is of another host, version of the tool, or way to wait.
std::optional<Selfcheck> remembered_selfcheck(const Host& host, const SelfcheckSettings& settings);
// A host without a home keeps none. What was measured while the host was noisy (D, F) is not kept, and what
// was kept before it is not either: false, the next run measures anew.
bool remember_selfcheck(const Host& host, const SelfcheckSettings& settings,
                        const Selfcheck& measured);

}  // namespace tailrace::loadtest
