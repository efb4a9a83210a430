// Ctrl-C and SIGTERM as a flag: a run that is cut short still writes its report. The second one ends the
// program at once.
#pragma once

#include <atomic>

namespace tailrace::loadtest {

// From here on. Once a program.
void catch_interrupts();
// Any thread. Relaxed: whoever sees it a little later ends a little later.
bool interrupted() noexcept;
// The same for who polls it.
const std::atomic<bool>* interrupt_flag() noexcept;

}  // namespace tailrace::loadtest
