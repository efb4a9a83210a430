#include "gcruntime/base/describe_code.h"

#include <gnu/libc-version.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "gcruntime/base/annotations.h"

namespace tailrace::base {
namespace {

// Exported by nobody.
TAILRACE_NOINLINE const void* own_return_address() { return __builtin_return_address(0); }
TAILRACE_NOINLINE const void* within_a_function_of_our_own() {
  const void* here = own_return_address();
  asm volatile("" : "+r"(here));  // no tail call
  return here;
}

TEST(DescribeCode, FunctionsOfTheProgramHaveNames) {
  const std::string text = describe_code(within_a_function_of_our_own());
  EXPECT_NE(text.find("within_a_function_of_our_own()+0x"), std::string::npos) << text;
  const std::string program = ::program_invocation_short_name;
  EXPECT_NE(text.find(" (" + program + "+0x"), std::string::npos) << text;
}

TEST(DescribeCode, LibrariesAreNamed) {
  const std::string text = describe_code(reinterpret_cast<const void*>(&::gnu_get_libc_version));
  EXPECT_NE(text.find("libc"), std::string::npos) << text;
  EXPECT_NE(text.find("+0x"), std::string::npos) << text;
}

TEST(DescribeCode, WhatIsNoCodeIsANumber) {
  EXPECT_EQ(describe_code(reinterpret_cast<const void*>(16)), "0x10");
}

}  // namespace
}  // namespace tailrace::base
