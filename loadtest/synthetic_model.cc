// See synthetic_model.h.
#include "loadtest/synthetic_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <queue>
#include <random>
#include <utility>
#include <vector>

#include "loadtest/quantity.h"

namespace tailrace::loadtest {
namespace {

using Nanoseconds = std::int64_t;

constexpr Nanoseconds kMicrosecond = 1'000;
constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr double kHoldSeconds = 50e-6;  // the longest hold of a cycle, in gc's counters
constexpr Nanoseconds kMostLeakDelay = 10 * kSecond;
constexpr std::uint64_t kMostServers = 100'000;

// All that a model may be told; what was not is the default.
struct Parameters {
  Nanoseconds service = 200 * kMicrosecond;
  bool has_service = false;
  double cap = 0;  // 0: none
  std::uint64_t seed = 1;
  std::uint64_t servers = 4;
  double at = 5000;
  double up = 6000;
  double down = 4000;
  Nanoseconds add = 30 * kSecond / 1000;
  double share = 0.05;
  Nanoseconds window = kSecond;
  std::uint64_t budget = 500'000'000;  // bytes a second
  std::uint64_t bytes = 50'000;
  std::uint64_t headroom = 0;  // 0: a tenth of a second's budget
  Nanoseconds stall = 30 * kSecond / 1000;
  Nanoseconds every = 5 * kSecond;
  Nanoseconds pause = 25 * kSecond / 1000;
};

// Who waits for longer than a century waits for ever.
Nanoseconds to_ns(double time) { return static_cast<Nanoseconds>(std::min(time, 4e18)); }

class Random {
 public:
  // Not of the plain seed: arrivals from the same one would come in step with the services.
  explicit Random(std::uint64_t seed) : engine_(~(seed * 0x9e3779b97f4a7c15)) {}
  // In [0, 1), the same on every machine.
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  double exponential(double mean) { return -std::log1p(-uniform()) * mean; }

 private:
  std::mt19937_64 engine_;
};

// Arrivals a second over the last window, which moves in hundredths of itself. Low until a whole
// window has passed.
class RateMeter {
 public:
  explicit RateMeter(Nanoseconds window) : slot_(std::max<Nanoseconds>(window / kSlots, 1)) {}

  double rate_with(Nanoseconds now) {
    const Nanoseconds index = now / slot_;
    for (int moved = 0; newest_ < index && moved < kSlots; ++moved) {
      ++newest_;
      std::uint64_t& oldest = counts_[static_cast<std::size_t>(newest_ % kSlots)];
      sum_ -= oldest;
      oldest = 0;
    }
    newest_ = std::max(newest_, index);
    ++counts_[static_cast<std::size_t>(newest_ % kSlots)];
    ++sum_;
    // Whole slots, and of the newest what has passed.
    const Nanoseconds seen = (kSlots - 1) * slot_ + (now - newest_ * slot_) + 1;
    return static_cast<double>(sum_) * static_cast<double>(kSecond) / static_cast<double>(seen);
  }

 private:
  static constexpr int kSlots = 100;
  const Nanoseconds slot_;
  std::array<std::uint64_t, kSlots> counts_{};
  std::uint64_t sum_ = 0;
  Nanoseconds newest_ = 0;
};

// First come, first served by one server. Fractions of a nanosecond are kept, lest a capacity be
// rounded.
class Line {
 public:
  explicit Line(double service) : service_(service) {}
  double leave(double arrive) {
    free_at_ = std::max(free_at_, arrive) + service_;
    return free_at_;
  }

 private:
  const double service_;
  double free_at_ = 0;
};

// The common part: the queue of `cap` before the model, the figures that all have.
class Base : public SyntheticModel {
 public:
  explicit Base(const Parameters& p)
      : p_(p), random_(p.seed), line_(p.cap > 0 ? static_cast<double>(kSecond) / p.cap : 0) {}

  Nanoseconds leave_ns(Nanoseconds arrive) final {
    arrive = std::max(arrive, last_);
    last_ = arrive;
    ++requests_;
    const Nanoseconds begin = p_.cap > 0 ? to_ns(line_.leave(static_cast<double>(arrive))) : arrive;
    return std::max(serve(begin), arrive);
  }
  SyntheticFigures figures() const override {
    SyntheticFigures figures;
    figures.requests = requests_;
    figures.cpu_seconds = static_cast<double>(requests_) * static_cast<double>(p_.service) /
                          static_cast<double>(kSecond);
    return figures;
  }

 protected:
  // When a request leaves that has come to the model's own part.
  virtual Nanoseconds serve(Nanoseconds begin) = 0;
  const Parameters& parameters() const { return p_; }
  Random& random() { return random_; }

 private:
  const Parameters p_;
  Random random_;
  Line line_;
  Nanoseconds last_ = 0;
  std::uint64_t requests_ = 0;
};

class None final : public Base {
 public:
  using Base::Base;

 protected:
  Nanoseconds serve(Nanoseconds begin) override { return begin + parameters().service; }
};

class OneServer final : public Base {
 public:
  explicit OneServer(const Parameters& p) : Base(p), line_(static_cast<double>(p.service)) {}

 protected:
  Nanoseconds serve(Nanoseconds begin) override {
    return to_ns(line_.leave(static_cast<double>(begin)));
  }

 private:
  Line line_;
};

class ManyServers final : public Base {
 public:
  explicit ManyServers(const Parameters& p) : Base(p) {
    for (std::uint64_t i = 0; i < p.servers; ++i) free_.push(0);
  }

 protected:
  Nanoseconds serve(Nanoseconds begin) override {
    const Nanoseconds from = std::max(begin, free_.top());
    free_.pop();
    const double service = random().exponential(static_cast<double>(parameters().service));
    const Nanoseconds leave = to_ns(static_cast<double>(from) + service);
    free_.push(leave);
    return leave;
  }

 private:
  std::priority_queue<Nanoseconds, std::vector<Nanoseconds>, std::greater<>> free_;
};

// Both step (up == down) and hysteresis.
class Step final : public Base {
 public:
  Step(const Parameters& p, double up, double down)
      : Base(p), up_(up), down_(down), meter_(p.window) {}

 protected:
  Nanoseconds serve(Nanoseconds begin) override {
    const double rate = meter_.rate_with(begin);
    if (rate > up_) {
      slow_ = true;
    } else if (rate <= down_) {
      slow_ = false;
    }
    const bool longer = slow_ && random().uniform() < parameters().share;
    return begin + parameters().service + (longer ? parameters().add : 0);
  }

 private:
  const double up_;
  const double down_;
  RateMeter meter_;
  bool slow_ = false;
};

// The budget is a collector's bandwidth: bytes that are marked and swept while requests run. Who
// allocates beyond it does that work himself and waits for it, so the budget is not charged for
// him.
class Collector final : public Base {
 public:
  explicit Collector(const Parameters& p)
      : Base(p),
        bytes_(static_cast<double>(p.bytes)),
        most_(std::max(bytes_, p.headroom != 0 ? static_cast<double>(p.headroom)
                                               : static_cast<double>(p.budget) / 10)),
        tokens_(most_) {}

  SyntheticFigures figures() const override {
    SyntheticFigures figures = Base::figures();
    const double allocated = static_cast<double>(figures.requests) * bytes_;
    figures.heap_alloc_bytes = allocated;
    figures.gc_cycles = std::floor(allocated / most_);
    figures.gc_cpu_seconds = allocated / static_cast<double>(parameters().budget);
    figures.gc_hold_seconds = figures.gc_cycles * kHoldSeconds;
    figures.heap_live_bytes = most_;
    figures.cpu_seconds += figures.gc_cpu_seconds;
    return figures;
  }

 protected:
  Nanoseconds serve(Nanoseconds begin) override {
    tokens_ = std::min(most_, tokens_ + static_cast<double>(begin - last_) *
                                            (static_cast<double>(parameters().budget) /
                                             static_cast<double>(kSecond)));
    last_ = begin;
    const Nanoseconds leave = begin + parameters().service;
    if (tokens_ < bytes_) return leave + parameters().stall;
    tokens_ -= bytes_;
    return leave;
  }

 private:
  const double bytes_;
  const double most_;
  double tokens_;
  Nanoseconds last_ = 0;
};

class Hiccup final : public Base {
 public:
  using Base::Base;

 protected:
  Nanoseconds serve(Nanoseconds begin) override {
    const Nanoseconds every = parameters().every;
    const Nanoseconds pause = parameters().pause;
    const Nanoseconds service = parameters().service;
    if (begin >= every && begin % every < pause) begin += pause - begin % every;
    const Nanoseconds next = (begin / every + 1) * every;
    if (begin + service <= next) return begin + service;
    // Work is pushed back by each pause that it meets.
    const Nanoseconds left = service - (next - begin);
    const Nanoseconds met = (left - 1) / (every - pause);
    return next + pause + left + met * pause;
  }
};

class Leak final : public Base {
 public:
  using Base::Base;

  SyntheticFigures figures() const override {
    SyntheticFigures figures = Base::figures();
    figures.heap_alloc_bytes = leaked(figures.requests);
    figures.heap_live_bytes = figures.heap_alloc_bytes;
    return figures;
  }

 protected:
  Nanoseconds serve(Nanoseconds begin) override {
    const double delay = leaked(served_++) / 1e9 * static_cast<double>(parameters().add);
    return begin + parameters().service +
           static_cast<Nanoseconds>(std::min(delay, static_cast<double>(kMostLeakDelay)));
  }

 private:
  double leaked(std::uint64_t requests) const {
    return static_cast<double>(requests) * static_cast<double>(parameters().bytes);
  }
  std::uint64_t served_ = 0;
};

// ---- The text ----

// Reads one value into its place; returns an error or nothing.
using Reader = std::function<std::string(std::string_view value)>;
using Readers = std::map<std::string, Reader, std::less<>>;

template <typename T>
Reader reader(T& place, std::variant<T, std::string> (*parse)(std::string_view), T least, T most) {
  return [&place, parse, least, most](std::string_view value) -> std::string {
    const auto parsed = parse(value);
    if (const auto* const message = std::get_if<std::string>(&parsed)) return *message;
    place = std::get<T>(parsed);
    return place < least || place > most ? "out of range" : "";
  };
}

std::variant<double, std::string> parse_share(std::string_view text) {
  std::size_t used = 0;
  double share = -1;
  try {
    share = std::stod(std::string(text), &used);
  } catch (const std::exception&) {
    used = std::string_view::npos;
  }
  if (used != text.size() || !(share >= 0 && share <= 1)) return "a share is a number from 0 to 1";
  return share;
}

// A plain number in the parameter's own unit, or a duration with its unit: us=200, us=1.5ms.
template <Nanoseconds kUnit>
std::variant<Nanoseconds, std::string> parse_in(std::string_view text) {
  if (!text.empty() && text.find_first_not_of("0123456789.") == text.npos) {
    const std::string with_unit = std::string(text) + (kUnit == kMicrosecond ? "us" : "ms");
    return parse_duration_ns(with_unit);
  }
  return parse_duration_ns(text);
}

std::variant<std::uint64_t, std::string> parse_bytes_per_second(std::string_view text) {
  if (text.ends_with("/s")) text.remove_suffix(2);
  return parse_bytes(text);
}

struct Kind {
  std::string_view name;
  std::string_view parameters;  // beside the common ones; also how help tells them
  std::unique_ptr<SyntheticModel> (*make)(const Parameters&);
};

template <typename Model>
std::unique_ptr<SyntheticModel> make(const Parameters& p) {
  return std::make_unique<Model>(p);
}

constexpr std::array<Kind, 8> kKinds = {{
    {"md1", "", make<OneServer>},
    {"mmc", "c", make<ManyServers>},
    {"step", "at add p window",
     [](const Parameters& p) -> std::unique_ptr<SyntheticModel> {
       return std::make_unique<Step>(p, p.at, p.at);
     }},
    {"gc", "bps bytes headroom stall", make<Collector>},
    {"hysteresis", "up down add p window",
     [](const Parameters& p) -> std::unique_ptr<SyntheticModel> {
       return std::make_unique<Step>(p, p.up, p.down);
     }},
    {"hiccup", "every ms", make<Hiccup>},
    {"leak", "bytes add", make<Leak>},
    {"none", "", make<None>},
}};

bool word_in(std::string_view words, std::string_view word) {
  for (std::size_t at = 0; at < words.size();) {
    const std::size_t end = std::min(words.find(' ', at), words.size());
    if (words.substr(at, end - at) == word) return true;
    at = end + 1;
  }
  return false;
}

Readers readers_of(Parameters& p) {
  constexpr Nanoseconds kLong = 3600 * kSecond;
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 50;
  constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
  const auto rate = [](double& place) { return reader<double>(place, parse_rate, 1e-3, 1e9); };
  Readers readers;
  readers["us"] = reader<Nanoseconds>(p.service, parse_in<kMicrosecond>, 0, kLong);
  readers["cap"] = rate(p.cap);
  readers["seed"] = reader<std::uint64_t>(p.seed, parse_count, 0, kAny);
  readers["c"] = reader<std::uint64_t>(p.servers, parse_count, 1, kMostServers);
  readers["at"] = rate(p.at);
  readers["up"] = rate(p.up);
  readers["down"] = rate(p.down);
  readers["add"] = reader<Nanoseconds>(p.add, parse_duration_ns, 0, kLong);
  readers["p"] = reader<double>(p.share, parse_share, 0, 1);
  readers["window"] = reader<Nanoseconds>(p.window, parse_duration_ns, kSecond / 1000, kLong);
  readers["bps"] = reader<std::uint64_t>(p.budget, parse_bytes_per_second, 1, kMostBytes);
  readers["bytes"] = reader<std::uint64_t>(p.bytes, parse_bytes, 1, kMostBytes);
  readers["headroom"] = reader<std::uint64_t>(p.headroom, parse_bytes, 1, kMostBytes);
  readers["stall"] = reader<Nanoseconds>(p.stall, parse_duration_ns, 0, kLong);
  readers["every"] = reader<Nanoseconds>(p.every, parse_duration_ns, kSecond / 1000, kLong);
  readers["ms"] = reader<Nanoseconds>(p.pause, parse_in<kSecond / 1000>, 0, kLong);
  return readers;
}

std::string there_are(const Kind& kind) {
  std::string list = "us cap seed";
  if (!kind.parameters.empty()) list = std::string(kind.parameters) + " " + list;
  return std::string(kind.name) + " has the parameters " + list;
}

// Reads "key=value,key=value"; the message of the first error, or nothing.
std::string read_parameters(const Kind& kind, std::string_view text, Parameters& p) {
  const Readers readers = readers_of(p);
  std::map<std::string, bool, std::less<>> seen;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view item = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t equals = item.find('=');
    const std::string key(item.substr(0, equals));
    if (equals == item.npos || !(word_in("us cap seed", key) || word_in(kind.parameters, key))) {
      return "no parameter \"" + std::string(item) + "\" as key=value: " + there_are(kind);
    }
    if (std::exchange(seen[key], true)) return key + " is given twice";
    const std::string_view value = item.substr(equals + 1);
    const std::string message = readers.find(key)->second(value);
    if (!message.empty()) {
      return key + "=" + std::string(value) + ": " + message + "; " + there_are(kind);
    }
  }
  p.has_service = seen.contains("us");
  return "";
}

// What the values must be to each other; cap becomes the service time of the models that are
// queues.
std::string check(const Kind& kind, Parameters& p) {
  if (kind.name == "hysteresis" && p.down > p.up) return "down must not be above up";
  if (kind.name == "hiccup" && p.pause > p.every / 10 * 9) return "ms is at most 0.9 of every";
  if ((kind.name == "md1" || kind.name == "mmc") && p.cap > 0) {
    if (p.has_service)
      return std::string(kind.name) + ": us and cap say the same, give one of them";
    const double servers = kind.name == "mmc" ? static_cast<double>(p.servers) : 1;
    p.service = std::llround(static_cast<double>(kSecond) * servers / p.cap);
    p.cap = 0;
  }
  return "";
}

}  // namespace

std::variant<std::unique_ptr<SyntheticModel>, std::string> make_synthetic_model(
    std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string_view name = text.substr(0, colon);
  const auto* const kind =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.name == name; });
  if (kind == kKinds.end()) {
    std::string message = "no model \"" + std::string(name) + "\": there are";
    for (const Kind& k : kKinds) message += " " + std::string(k.name);
    return message;
  }
  Parameters p;
  std::string message = read_parameters(*kind, text.substr(std::min(colon + 1, text.size())), p);
  if (message.empty()) message = check(*kind, p);
  if (!message.empty()) return message;
  return kind->make(p);
}

}  // namespace tailrace::loadtest
