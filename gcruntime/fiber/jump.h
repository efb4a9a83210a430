// Boost's context switch, entered without a call.
//
// Processors predict a return by a stack of the calls they saw. jump_fcontext leaves by an indirect
// jump, so a call of it leaves an entry on that stack that no return ever takes, and the next
// return (out of the suspending call) is predicted wrongly: 5 to 9 ns. Entered by a jump, with the
// return address pushed by hand, the predictor's stack stays what the program's calls and returns
// make it.
#pragma once

#include <boost/context/detail/fcontext.hpp>

#include "gcruntime/base/annotations.h"

namespace tailrace::fiber {

// jump_fcontext(to, data). It saves the callee-saved registers and the floating-point control
// words; all others are lost, which the list below tells the compiler.
TAILRACE_ALWAYS_INLINE boost::context::detail::transfer_t jump(void* to, void* data) noexcept {
#if defined(__CET__) && (__CET__ & 2) != 0
  // Code for shadow stacks: an address pushed by hand would be missing on the processor's own.
  return boost::context::detail::jump_fcontext(to, data);
#else
  boost::context::detail::transfer_t transfer;
  asm volatile(
      "leaq -128(%%rsp), %%rsp\n\t"  // a leaf's locals may lie below the stack pointer
      "leaq 1f(%%rip), %%rax\n\t"
      "pushq %%rax\n\t"
      "jmpq *jump_fcontext@GOTPCREL(%%rip)\n"
      "1:\n\t"
      "leaq 128(%%rsp), %%rsp"
      : "=a"(transfer.fctx), "=d"(transfer.data), "+D"(to), "+S"(data)
      :
      : "rcx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
        "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
#if defined(__AVX512F__)
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5",
        "k6", "k7",
#endif
        "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "cc", "memory");
  return transfer;
#endif
}

}  // namespace tailrace::fiber
