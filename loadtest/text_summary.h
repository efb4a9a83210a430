// A result on a terminal or in a log: the verdict first, then what it rests on.
//
// Without `terminal` plain ASCII lines that grep and diff like; texts from outside have their control
// characters taken out.
#pragma once

#include <string>

#include "loadtest/result.h"

namespace tailrace::loadtest {

struct TextStyle {
  bool terminal = false;  // bars, P99 by second
  bool color = false;     // of the verdict
  // `no_color`: the value of the environment's NO_COLOR, null if there is none. Any but the empty one counts.
  static TextStyle of(bool is_terminal, const char* no_color);
};

std::string text_summary(const Result& result, const TextStyle& style);

}  // namespace tailrace::loadtest
