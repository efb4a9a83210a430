// See plan.h.
//
// Due times are made without a logarithm: libraries differ in its last bit, and a plan has to be
// the same everywhere. Von Neumann's way needs comparisons of random integers only and is exact to
// 2^-64; the exponentials are summed as integers, and one multiplication makes nanoseconds of the
// sum.
#include "loadtest/plan.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <string_view>

namespace tailrace::loadtest {
namespace {

constexpr std::size_t kTraceTimesMost = 10'000'000;
// A second's work; hours at a high rate have a thousand times as many.
constexpr std::uint64_t kDigestArrivalsMost = 16'000'000;
constexpr double kTraceSecondsMost = 30.0 * 24 * 3600;
constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;

std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

std::uint64_t splitmix64(std::uint64_t& state) noexcept { return mix(state += kGolden); }

}  // namespace

Plan::Plan(const PlanSettings& settings, const std::vector<double>& weights, unsigned worker)
    : settings_(settings), cumulative_(weights), worker_(worker) {
  // Mixed twice, so that no seed's second worker is the next seed's first.
  std::uint64_t seeds = mix(mix(settings.seed + kGolden) + worker);
  for (std::uint64_t& word : state_) word = splitmix64(seeds);
  double sum = 0;
  for (double& weight : cumulative_) weight = sum += weight;
  for (double& weight : cumulative_) weight /= sum;
  if (settings.rate_per_second > 0) {
    mean_gap_ns_ = 1e9 * settings.workers / settings.rate_per_second;
  }
}

std::uint64_t Plan::random() noexcept {
  const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

// A descending run of uniforms u1 > u2 > ... has odd length with probability e^-u1: then u1 is the
// fraction. Else the exponential is one longer, and the game starts anew.
void Plan::add_exponential() noexcept {
  for (;;) {
    const std::uint64_t first = random();
    std::uint64_t last = first;
    bool odd = true;
    for (std::uint64_t next = random(); next < last; next = random()) {
      last = next;
      odd = !odd;
    }
    if (odd) {
      elapsed_whole_ += __builtin_add_overflow(elapsed_fraction_, first, &elapsed_fraction_);
      return;
    }
    ++elapsed_whole_;
  }
}

// Of the next arrival; infinity after the last one.
double Plan::due() noexcept {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  const std::uint64_t index = number_ * settings_.workers + worker_;  // of all workers' arrivals
  switch (settings_.kind) {
    case ArrivalKind::kPoisson:
      if (mean_gap_ns_ <= 0) return kNever;
      add_exponential();
      return (static_cast<double>(elapsed_whole_) + std::ldexp(elapsed_fraction_, -64)) *
             mean_gap_ns_;
    case ArrivalKind::kConstant:
      if (mean_gap_ns_ <= 0) return kNever;
      return static_cast<double>(index) * 1e9 / settings_.rate_per_second;
    case ArrivalKind::kTrace:
      if (!settings_.trace || index >= settings_.trace->size()) return kNever;
      return static_cast<double>((*settings_.trace)[index]);
  }
  return kNever;
}

std::uint32_t Plan::pick_route() noexcept {
  const double point = std::ldexp(random() >> 11, -53);
  const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), point);
  return static_cast<std::uint32_t>(found - cumulative_.begin());
}

bool Plan::next(Arrival& arrival) noexcept {
  const double due_ns = due();
  const bool whole_trace = settings_.kind == ArrivalKind::kTrace && settings_.duration_ns == 0;
  const double end_ns =
      whole_trace ? std::numeric_limits<double>::max() : static_cast<double>(settings_.duration_ns);
  if (!(due_ns < end_ns)) return false;
  arrival.due_ns = static_cast<std::int64_t>(due_ns);
  arrival.route = pick_route();
  arrival.draw = random();
  arrival.number = settings_.first_number + number_++;
  return true;
}

std::uint64_t plan_digest(const PlanSettings& settings, const std::vector<double>& weights) {
  const std::uint64_t most = kDigestArrivalsMost / std::max(settings.workers, 1U);
  std::uint64_t digest = mix(settings.workers);
  const auto add = [&digest](std::uint64_t word) {
    digest = std::rotl(digest ^ word, 23) * kGolden;
  };
  for (unsigned worker = 0; worker < settings.workers; ++worker) {
    Plan plan(settings, weights, worker);
    Arrival arrival;
    for (std::uint64_t count = 0; plan.next(arrival); ++count) {
      if (count == most) {
        // What comes after so many follows from the same numbers as they, and from where it ends.
        add(static_cast<std::uint64_t>(settings.duration_ns));
        break;
      }
      add(static_cast<std::uint64_t>(arrival.due_ns));
      add(arrival.route);
      add(arrival.draw);
    }
    add(~std::uint64_t{0});  // so that it matters which worker sends what
  }
  return mix(digest);
}

TraceFile read_trace(const std::string& path) {
  TraceFile trace;
  std::ifstream file(path);
  const auto fail = [&](const std::string& message) {
    trace.times = {};
    trace.message = "trace " + path + message;
    return trace;
  };
  if (!file) return fail(": cannot be read: name a file with one number of seconds a line");
  char line[256];
  double before = 0;
  for (std::size_t number = 1; file.getline(line, sizeof(line)) || file.gcount() > 0; ++number) {
    const std::string where = ", line " + std::to_string(number) + ": ";
    if (!file && !file.eof()) return fail(where + "more than 255 characters");
    std::string_view text = line;
    text = text.substr(0, text.find('#'));
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) {
      text.remove_suffix(1);
    }
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    if (text.empty()) continue;
    double seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size() || !(seconds >= 0)) {
      return fail(where + "\"" + std::string(text) + "\" is no number of seconds from the begin");
    }
    if (seconds > kTraceSecondsMost) {
      return fail(where +
                  "after more than 30 days: times count from the begin of the run, not from 1970");
    }
    if (seconds < before) return fail(where + "earlier than the line before: sort the times");
    if (trace.times.size() == kTraceTimesMost) return fail(where + "more than 10 million times");
    before = seconds;
    trace.times.push_back(std::llround(seconds * 1e9));
  }
  if (file.bad()) return fail(": reading failed");
  if (trace.times.empty()) return fail(": no times in it");
  return trace;
}

}  // namespace tailrace::loadtest
