// Is B slower than A? Percentiles of two sides at the same rate as ratios, each with a confidence
// interval by bootstrap over seconds: latencies come in good and bad times, so it is whole seconds
// that are drawn again, with all their requests, and a few neighbours together. Where each side was
// measured three times or more (a restart between, or A and B by turns), runs are drawn first and
// then seconds of theirs, as runs differ more than seconds do. The three intervals hold together in
// 95 of 100 comparisons, so that looking at three percentiles is not three chances to be wrong.
//
// Clean seconds only. The draws come from a fixed seed: the same files give the same verdict.
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "loadtest/result.h"

namespace tailrace::loadtest {

struct ComparisonSettings {
  // Ratios from 1 / (1 + this) to 1 + this do not matter to anyone.
  double smallest_effect = 0.05;
  unsigned resamples = 1000;
  std::uint64_t seed = 1;
};

// Of B against A. kSame: the whole interval lies within the smallest effect. kUnclear: it does not,
// but no difference that matters is shown either; longer runs would tell.
enum class Change { kSame, kUnclear, kBetter, kWorse };
const char* change_name(Change change) noexcept;

struct Difference {
  double percent = 0;
  double a_ns = 0;
  double b_ns = 0;
  double ratio = 1;  // b / a
  double low = 1;    // the interval of the ratio
  double high = 1;
  Change change = Change::kUnclear;
};

struct Comparison {
  double rate_per_second = 0;
  std::size_t a_seconds = 0;  // clean ones
  std::size_t b_seconds = 0;
  std::vector<Difference> differences;  // P50, P99, P99.9
  // Why the two cannot be compared, with the remedy; then there are no differences.
  std::string refused;

  // The worst of them: kWorse if any is, else kBetter if any is, else kUnclear if any is.
  Change change() const noexcept;
};

// All measurements at one rate, within 1 %; several of one side are its repeats.
Comparison compare(const std::vector<const Measurement*>& a,
                   const std::vector<const Measurement*>& b,
                   const ComparisonSettings& settings = {});

// Rate by rate. Rates that the other side did not hold are in `unmatched`.
struct ResultComparison {
  std::vector<Comparison> rates;  // ascending
  std::vector<double> unmatched;
  std::string refused;
};
ResultComparison compare(const Result& a, const Result& b, const ComparisonSettings& settings = {});

}  // namespace tailrace::loadtest
