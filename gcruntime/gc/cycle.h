// One collection cycle, run by the collector's thread: beside the service, or with the world stopped.
//
// [gc.cycle] Beside the service: the barrier on everywhere, then black allocation (two handshakes); roots;
// rounds until nothing is grey and no stack shows anything white [gc.termination]; finalizers; the
// cut-over of weak references; barrier off, then white allocation and cached spans back (two handshakes). The sweep
// follows in the background.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/gc/marker.h"
#include "gcruntime/gc/marking.h"
#include "gcruntime/gc/world.h"

namespace tailrace::gc {

struct CycleOptions {
  Marking::Limits limits;
  bool stop_the_world = false;
  bool check_marks = false;
  bool hurry = false;  // somebody waits for it
  Marking::Share share = nullptr;
  void* share_argument = nullptr;
  std::uint64_t number = 0;
};

// What a cycle was. Clock times beside the service: the longest hold while the barrier went on, the time
// of marking, the longest hold from the end of the first round on. Stopped: the stop, marking, the rest.
struct CycleResult {
  std::int64_t begin_ns = 0;
  std::int64_t mark_ns = 0;
  std::int64_t end_ns = 0;
  std::int64_t longest_hold_ns = 0;  // one handshake or claim; the whole stop
  std::uint64_t marked_bytes = 0;    // slots of what was found alive
  std::uint64_t live_bytes = 0;      // and of what was allocated while it ran
  std::uint64_t marked_objects = 0;  // that were scanned
  std::uint64_t stack_bytes = 0;     // scanned in the first round
  std::size_t rounds = 0;
  std::size_t held = 0;
};

class Cycle {
 public:
  // On return the sweep may begin; nothing is swept yet.
  CycleResult run(const CycleOptions& options);

 private:
  void run_beside();
  void run_stopped();
  void mark_roots() noexcept;
  void mark_rounds(std::uint8_t phase);
  bool mark_round(std::uint8_t phase, bool hold);
  void scan_parked(std::uint64_t round);
  void scan_late() noexcept;
  void cut_over();
  void decide_the_dead();
  static bool scan_copy(void* cycle, const void* low, const void* high);
  void check(std::uint64_t marked_objects, bool all_scanned);

  CycleOptions options_;
  CycleResult result_;
  Marker* marker_ = nullptr;        // while it runs
  std::uint64_t round_number_ = 0;  // of all cycles
  std::size_t found_ = 0;           // by this round's scans
};

}  // namespace tailrace::gc
