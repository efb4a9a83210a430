// Results for the tests of everything that is made of results: the same ones on every machine.
//
// They come from a small model, not from a generator that ran, so that a test knows what must come out.
#pragma once

#include "loadtest/result.h"

namespace tailrace::loadtest::test_results {

// 60 s at 2,000/s against an idle server, with server figures and two routes.
Result quiet();
// The same with a server that stands still for 1.4 s in second 20, and two voided seconds.
Result stalled();
// 9,000/s asked, 6,000/s served: the tail is infinite, the generator dropped.
Result overloaded();
// 12 steps of 500/s to 6,000/s with a step in P99 after 4,500/s; the last one's tail is infinite.
Result step_ramp();
// A queue's curve, no step.
Result smooth_ramp();
// Ctrl-C before anything was sent.
Result empty();
Result one_second();
// 60 s at 10,000/s.
Result busy_minute();
// An hour at 100/s.
Result hour();
// `quiet` with texts everywhere that try to break out of markup.
Result hostile();

}  // namespace tailrace::loadtest::test_results
