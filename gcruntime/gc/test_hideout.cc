#include "gcruntime/gc/test_hideout.h"

#include <cstddef>

#include "gcruntime/base/check.h"

static_assert(sizeof(std::atomic<int>) == 4);

// rdi: disguised, rsi: release, rdx: spins, rcx: started. SPIN and GO leave all other registers alone.
asm(R"(
.macro TAILRACE_TEST_GO
  movq $0, (%rdi)
  movl $1, (%rcx)
1:
  pause
  cmpl $0, (%rsi)
  jne 2f
  decq %rdx
  jnz 1b
2:
.endm

.text
.p2align 4
.type tailrace_test_hide_caller_saved, @function
tailrace_test_hide_caller_saved:
  movq (%rdi), %r10
  notq %r10
  TAILRACE_TEST_GO
  notq %r10
  movq %r10, (%rdi)
  ret

.p2align 4
.type tailrace_test_hide_callee_saved, @function
tailrace_test_hide_callee_saved:
  pushq %r12
  movq (%rdi), %r12
  notq %r12
  TAILRACE_TEST_GO
  notq %r12
  movq %r12, (%rdi)
  popq %r12
  ret

.p2align 4
.type tailrace_test_hide_vector, @function
tailrace_test_hide_vector:
  movq (%rdi), %xmm15
  pcmpeqd %xmm14, %xmm14
  pxor %xmm14, %xmm15
  TAILRACE_TEST_GO
  pxor %xmm14, %xmm15
  movq %xmm15, (%rdi)
  ret

.p2align 4
.type tailrace_test_hide_vector_high, @function
tailrace_test_hide_vector_high:
  vmovq (%rdi), %xmm15
  vpcmpeqd %xmm14, %xmm14, %xmm14
  vpxor %xmm14, %xmm15, %xmm15
  vxorps %xmm14, %xmm14, %xmm14
  vinsertf128 $1, %xmm15, %ymm14, %ymm15
  TAILRACE_TEST_GO
  vextractf128 $1, %ymm15, %xmm15
  vpcmpeqd %xmm14, %xmm14, %xmm14
  vpxor %xmm14, %xmm15, %xmm15
  vmovq %xmm15, (%rdi)
  vzeroupper
  ret

.p2align 4
.type tailrace_test_hide_red_zone, @function
tailrace_test_hide_red_zone:
  movq (%rdi), %rax
  notq %rax
  movq %rax, -112(%rsp)
  xorl %eax, %eax
  TAILRACE_TEST_GO
  movq -112(%rsp), %rax
  notq %rax
  movq %rax, (%rdi)
  movq $0, -112(%rsp)
  ret

.p2align 4
.type tailrace_test_hide_disguised, @function
tailrace_test_hide_disguised:
  movq (%rdi), %rax
  TAILRACE_TEST_GO
  movq %rax, (%rdi)
  ret

# rdi: disguised[6], rsi: step, rdx: argument
.p2align 4
.type tailrace_test_hold_over_calls, @function
tailrace_test_hold_over_calls:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  subq $24, %rsp
  movq %rdi, (%rsp)
  movq %rsi, 8(%rsp)
  movq %rdx, 16(%rsp)
  movq (%rdi), %rbx
  movq 8(%rdi), %rbp
  movq 16(%rdi), %r12
  movq 24(%rdi), %r13
  movq 32(%rdi), %r14
  movq 40(%rdi), %r15
  notq %rbx
  notq %rbp
  notq %r12
  notq %r13
  notq %r14
  notq %r15
3:
  movq 16(%rsp), %rdi
  call *8(%rsp)
  testl %eax, %eax
  jz 3b
  notq %rbx
  notq %rbp
  notq %r12
  notq %r13
  notq %r14
  notq %r15
  movq (%rsp), %rdi
  movq %rbx, (%rdi)
  movq %rbp, 8(%rdi)
  movq %r12, 16(%rdi)
  movq %r13, 24(%rdi)
  movq %r14, 32(%rdi)
  movq %r15, 40(%rdi)
  addq $24, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  ret
)");

extern "C" {
using TailraceTestHide = void(std::uintptr_t*, const std::atomic<int>*, std::uint64_t,
                              std::atomic<int>*);
TailraceTestHide tailrace_test_hide_caller_saved;
TailraceTestHide tailrace_test_hide_callee_saved;
TailraceTestHide tailrace_test_hide_vector;
TailraceTestHide tailrace_test_hide_vector_high;
TailraceTestHide tailrace_test_hide_red_zone;
TailraceTestHide tailrace_test_hide_disguised;
void tailrace_test_hold_over_calls(std::uintptr_t*, int (*)(void*), void*);
}

namespace tailrace::gc::test {

void hide(Hideout where, std::uintptr_t* disguised, std::atomic<int>* started,
          const std::atomic<int>* release, std::uint64_t spins) {
  const auto function = [where] {
    switch (where) {
      case Hideout::kCallerSaved: return tailrace_test_hide_caller_saved;
      case Hideout::kCalleeSaved: return tailrace_test_hide_callee_saved;
      case Hideout::kVector: return tailrace_test_hide_vector;
      case Hideout::kVectorHigh:
        return __builtin_cpu_supports("avx") ? tailrace_test_hide_vector_high
                                             : tailrace_test_hide_vector;
      case Hideout::kRedZone: return tailrace_test_hide_red_zone;
      case Hideout::kDisguised: return tailrace_test_hide_disguised;
    }
    return tailrace_test_hide_disguised;
  }();
  function(disguised, release, spins, started);
}

void hold_over_calls(std::uintptr_t disguised[6], int (*step)(void*), void* argument) {
  tailrace_test_hold_over_calls(disguised, step, argument);
}

}  // namespace tailrace::gc::test
