// Axes of charts: what range they have, where a value lies on them, which ticks fit and how these are
// written. The unit follows the size of the values.
//
// Plain values.
#pragma once

#include <string>
#include <vector>

namespace tailrace::loadtest {

struct Tick {
  double value = 0;
  std::string label;
};

struct Axis {
  enum class Kind {
    kSeconds,   // linear; "10 s", "5 min"
    kNumber,    // linear from 0; "4,500", "20k"
    kBytes,     // linear from 0; "20 KiB"
    kLatency,   // of ns, logarithmic; "100 us", "2 ms"
    kSpectrum,  // of 1 / (1 - p), logarithmic; "99.9 %"
  };
  Kind kind = Kind::kNumber;
  double low = 0;
  double high = 1;
  std::string title = "";

  bool logarithmic() const { return kind == Kind::kLatency || kind == Kind::kSpectrum; }
  // 0 at low, 1 at high; what lies outside is put on the edge.
  double position(double value) const;
};

// At most `most`, at least 2 where the range has them, ascending, within the range.
std::vector<Tick> ticks_of(const Axis& axis, std::size_t most);

// A range that holds all of them and begins and ends well: 1, 2 or 5 times a power of ten for latencies.
// Values that are not finite, and for latencies not positive, are left out.
Axis latency_axis(const std::vector<double>& values_ns, std::string title);
Axis from_zero_axis(Axis::Kind kind, const std::vector<double>& values, std::string title);

}  // namespace tailrace::loadtest
