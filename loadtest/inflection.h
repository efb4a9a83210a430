// Where P99 inflects, told from a staircase of rates: does it step from one rate to the next, as
// behind a collector or a pool that is used up, or rise smoothly, as in front of every queue?
//
// Three laws are fitted to log P99 against the rate: one line; two lines with a change point
// between two rates, at least two points on either side; and a queue's curve, a + b / (1 - rate /
// capacity). A step is told only if two lines are better than both others by more than 6 in BIC and
// P99 doubles, at least, between the two neighbouring rates. A queue on its way to infinity is not
// a step.
//
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "loadtest/result.h"

namespace tailrace::loadtest {

struct RatePoint {
  double rate_per_second = 0;
  double p99_ns =
      0;  // may be infinite: worse than all that are not; left out if it is no number or 0
};

// Points in any order, several of one rate allowed. held_ns: how long each rate was held, 0 if not
// known. It tells what a queue comes to at rates beyond its capacity, where it grows for as long as
// it is let.
Inflection find_inflection(std::vector<RatePoint> points, std::int64_t held_ns);

// Of measurements at several rates; over the clean seconds, those that are invalid left out.
Inflection find_inflection(const std::vector<Measurement>& measurements);

}  // namespace tailrace::loadtest
