// Code addresses in words, for reports that people read.
#pragma once

#include <string>

namespace tailrace::base {

// "spin(int)+0x1c (tailrace-api+0x4f21c)": functions of the program as long as it has its symbols, of shared
// libraries the exported ones; the offset in brackets is what addr2line takes. Any thread; allocates, and the
// first call reads the program's symbols, some milliseconds.
std::string describe_code(const void* address);

}  // namespace tailrace::base
