// What a result says, in words: whether it holds, what came out, how far its numbers can be trusted. The
// same sentences for the terminal and the page.
//
// Plain functions. Texts from outside (errors, reasons) are in them as they are: who writes markup escapes.
#pragma once

#include <string>
#include <vector>

#include "loadtest/figures.h"
#include "loadtest/result.h"

namespace tailrace::loadtest {

struct Verdict {
  enum class Kind { kValid, kFailed, kInvalid, kInterrupted };
  Kind kind = Kind::kValid;
  std::string word;      // "VALID"
  bool lossy = false;    // valid, and many requests were not served: nothing to be glad of
  std::string sentence;  // what was asked and what came out
  std::vector<std::string> reasons;  // why it is not valid, thresholds that failed
};
Verdict verdict_of(const Result& result);

// "P99 inflects between 4,500 and 5,000 requests/s: 1.20 ms before, 31.0 ms after".
std::string inflection_sentence(const Result& result);

// How to read the completed requests of steps in which a queue grew; empty if there is none.
std::string overload_note(const Result& result);

// Why some percentiles are "-" or shaky; empty if there are enough requests.
std::string few_requests_note(std::uint64_t count);

// "lateness P99 12.0 us", "voided 2 of 60 s", ...
std::vector<std::string> trust_items(const Result& result);

// What it takes to send the same plan again: scenario, arrivals, seed, workers.
std::vector<std::string> plan_items(const Result& result);

// "voided 2 s", "no clean second", "interrupted", "invalid: ...".
std::string marks_of(const Measurement& measurement);

// "20 dropped (in-flight cap)", "3 timed out", ...; empty if nothing went wrong.
std::vector<std::string> losses_of(const Counts& counts);

}  // namespace tailrace::loadtest
