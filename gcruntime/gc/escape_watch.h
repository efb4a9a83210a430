// When a label's arenas lose too much to the collector: more than a quarter of their bytes, over 1 MiB at
// least. A pure function of sums and times, for escape_report.cc; under the caller's lock.
//
// The share is that of a span which begins with the last alarm, and anew after a minute in which it was not
// reached, so that a long good time does not hide what goes wrong now.
#pragma once

#include <cstdint>
#include <optional>

#include "gcruntime/gc/escape_counts.h"

namespace tailrace::gc::internal {

class EscapeWatch {
 public:
  static constexpr double kMostShare = 0.25;
  static constexpr std::uint64_t kLeastBytes = std::uint64_t{1} << 20;
  static constexpr std::int64_t kSpanNs = 60'000'000'000;

  // The share, if it is time for an alarm: once in kSpanNs at most. `sums` never fall.
  std::optional<double> judge(const ArenaSums& sums, std::int64_t now_ns) noexcept {
    const std::uint64_t bytes = sums.bytes - bytes_;
    if (bytes < kLeastBytes) return std::nullopt;
    const double share =
        static_cast<double>(sums.faded_bytes - faded_bytes_) / static_cast<double>(bytes);
    if (began_ && now_ns - began_ns_ < kSpanNs) {
      if (alarmed_ || share <= kMostShare) return std::nullopt;
    }
    begin(sums, now_ns);
    alarmed_ = share > kMostShare;
    return alarmed_ ? std::optional(share) : std::nullopt;
  }

 private:
  void begin(const ArenaSums& sums, std::int64_t now_ns) noexcept {
    bytes_ = sums.bytes;
    faded_bytes_ = sums.faded_bytes;
    began_ns_ = now_ns;
    began_ = true;
  }

  std::uint64_t bytes_ = 0;
  std::uint64_t faded_bytes_ = 0;
  std::int64_t began_ns_ = 0;
  bool began_ = false;
  bool alarmed_ = false;  // at the span's beginning
};

}  // namespace tailrace::gc::internal
