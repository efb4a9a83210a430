// Ranges and ticks.
#include "loadtest/axis.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "loadtest/markup.h"
#include "loadtest/report_format.h"

namespace tailrace::loadtest {
namespace {

// 1, 2 or 5 times a power of ten, not below `value`.
double nice_above(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    // A little less is enough: 3 x 0.1 is more than 0.3.
    if (factor * power >= value * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}
double nice_below(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power <= value * (1 + 1e-9)) return factor * power;
  }
  return power;
}

// Without zeros at the end: "1.5", "20".
std::string short_number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string duration_label(double ns) {
  static constexpr std::pair<double, const char*> kUnits[] = {
      {1e9, " s"}, {1e6, " ms"}, {1e3, " us"}, {0, " ns"}};
  for (const auto& [size, name] : kUnits) {
    if (ns >= size * (1 - 1e-9)) return micro(short_number(size > 0 ? ns / size : ns) + name);
  }
  return "";
}

std::string number_label(double value) {
  if (value >= 1e9) return short_number(value / 1e9) + "G";
  if (value >= 1e6) return short_number(value / 1e6) + "M";
  if (value >= 10'000) return short_number(value / 1e3) + "k";
  if (value >= 1'000 && value == std::floor(value)) {
    return format_count(static_cast<std::uint64_t>(value));
  }
  return short_number(value);
}

std::string seconds_label(double seconds, double step) {
  if (step >= 3600) return short_number(seconds / 3600) + " h";
  if (step >= 60) return short_number(seconds / 60) + " min";
  return short_number(seconds) + " s";
}

double bytes_unit(double high) {
  double unit = 1;
  while (high >= unit * 1024 && unit < 0x1p40) unit *= 1024;
  return unit;
}

std::string bytes_label(double bytes, double unit) {
  static constexpr const char* kNames[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  const int index = static_cast<int>(std::lround(std::log2(unit) / 10));
  return short_number(bytes / unit) + " " + kNames[std::clamp(index, 0, 4)];
}

double step_of(const Axis& axis, std::size_t most) {
  const double least =
      (axis.high - axis.low) / static_cast<double>(std::max<std::size_t>(most, 2) - 1);
  if (axis.kind == Axis::Kind::kSeconds) {
    for (const double step :
         {1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200}) {
      if (step >= least * (1 - 1e-9)) return step;
    }
    return nice_above(least / 86400) * 86400;
  }
  if (axis.kind == Axis::Kind::kBytes) {
    const double unit = bytes_unit(axis.high);
    return nice_above(least / unit) * unit;
  }
  return nice_above(least);
}

std::vector<Tick> linear_ticks(const Axis& axis, std::size_t most) {
  std::vector<Tick> ticks;
  if (!(axis.high > axis.low) || !std::isfinite(axis.high - axis.low)) return ticks;
  const double step = step_of(axis, most);
  const double first = std::ceil(axis.low / step - 1e-9);
  for (double i = first; i * step <= axis.high + step * 1e-6 && ticks.size() < most; ++i) {
    const double value = i == 0 ? 0 : i * step;  // not -0
    Tick tick{value, ""};
    if (axis.kind == Axis::Kind::kSeconds) {
      tick.label = seconds_label(value, step);
    } else if (axis.kind == Axis::Kind::kBytes) {
      tick.label = bytes_label(value, bytes_unit(axis.high));
    } else {
      tick.label = number_label(value);
    }
    ticks.push_back(std::move(tick));
  }
  return ticks;
}

void add_decades(const Axis& axis, std::initializer_list<double> factors, int every,
                 std::vector<Tick>& ticks) {
  const int first = static_cast<int>(std::floor(std::log10(axis.low) + 1e-9));
  const int last = static_cast<int>(std::floor(std::log10(axis.high) + 1e-9));
  for (int decade = first; decade <= last; ++decade) {
    if (decade % every != 0) continue;
    for (const double factor : factors) {
      const double value = factor * std::pow(10, decade);
      if (value < axis.low * (1 - 1e-9) || value > axis.high * (1 + 1e-9)) continue;
      ticks.push_back({value, duration_label(value)});
    }
  }
}

std::vector<Tick> latency_ticks(const Axis& axis, std::size_t most) {
  static constexpr int kMostEvery = 8;
  std::vector<Tick> ticks;
  if (!(axis.low > 0) || !(axis.high > axis.low) || !std::isfinite(axis.high)) return ticks;
  add_decades(axis, {1, 2, 5}, 1, ticks);
  if (ticks.size() <= most) return ticks;
  for (int every = 1; every <= kMostEvery; ++every) {
    ticks.clear();
    add_decades(axis, {1}, every, ticks);
    if (ticks.size() <= most) break;
  }
  return ticks;
}

std::vector<Tick> spectrum_ticks(const Axis& axis, std::size_t most) {
  std::vector<Tick> ticks;
  const auto add = [&](double inverse, const std::string& label) {
    if (inverse <= axis.high * (1 + 1e-9)) ticks.push_back({inverse, label});
  };
  add(1, "0 %");
  add(2, "50 %");
  add(10, "90 %");
  std::string nines = "99";
  for (double inverse = 100; inverse < 1e12; inverse *= 10) {
    add(inverse, nines + " %");
    nines += nines == "99" ? ".9" : "9";
  }
  // From the front: what is rare is what one looks for here.
  while (ticks.size() > std::max<std::size_t>(most, 2)) ticks.erase(ticks.begin() + 1);
  return ticks;
}

}  // namespace

double Axis::position(double value) const {
  double part = 0;
  if (logarithmic()) {
    if (!(value > 0) || !(low > 0) || !(high > low)) return 0;
    part = std::log(value / low) / std::log(high / low);
  } else if (high > low) {
    part = (value - low) / (high - low);
  }
  return std::isnan(part) ? 0 : std::clamp(part, 0.0, 1.0);
}

std::vector<Tick> ticks_of(const Axis& axis, std::size_t most) {
  if (axis.kind == Axis::Kind::kLatency) return latency_ticks(axis, most);
  if (axis.kind == Axis::Kind::kSpectrum) return spectrum_ticks(axis, most);
  return linear_ticks(axis, most);
}

Axis latency_axis(const std::vector<double>& values_ns, std::string title) {
  double least = 0;
  double most = 0;
  for (const double value : values_ns) {
    if (!std::isfinite(value) || value <= 0) continue;
    least = least == 0 ? value : std::min(least, value);
    most = std::max(most, value);
  }
  if (most == 0) least = most = 1e6;
  Axis axis{Axis::Kind::kLatency, nice_below(least), nice_above(most), std::move(title)};
  // At least a decade: a steep line over a few percent would say too much.
  while (axis.high < axis.low * 10) {
    axis.high = nice_above(axis.high * 1.01);
    if (axis.high < axis.low * 10) axis.low = nice_below(axis.low * 0.99);
  }
  // Over many decades only these have ticks: begin and end with one.
  if (axis.high > axis.low * 4000) {
    axis.low = std::pow(10, std::floor(std::log10(axis.low) + 1e-9));
    axis.high = std::pow(10, std::ceil(std::log10(axis.high) - 1e-9));
  }
  return axis;
}

Axis from_zero_axis(Axis::Kind kind, const std::vector<double>& values, std::string title) {
  double most = 0;
  for (const double value : values) {
    if (std::isfinite(value)) most = std::max(most, value);
  }
  Axis axis{kind, 0, most > 0 ? most * 1.05 : 1, std::move(title)};
  return axis;
}

}  // namespace tailrace::loadtest
