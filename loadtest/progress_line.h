// What happens now, on one line of a terminal that is written over each second; on anything else only what
// is worth a line of its own.
#pragma once

#include <string>

#include "loadtest/measure.h"

namespace tailrace::loadtest {

class ProgressLine {
 public:
  // Silent: says nothing at all. Live: stderr is a terminal that may be written over.
  enum class Mode { kSilent, kLines, kLive };
  explicit ProgressLine(Mode mode) noexcept : mode_(mode) {}
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  static Mode mode_for(const std::string& tui, bool quiet);

  void say(const std::string& line);
  void show(double rate, const Progress& progress);
  void clear();

 private:
  const Mode mode_;
  bool shown_ = false;
};

}  // namespace tailrace::loadtest
