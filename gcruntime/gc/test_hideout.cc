#include "gcruntime/gc/test_hideout.h"

static_assert(sizeof(std::atomic<int>) == 4);

// rdi: place, rsi: release, rdx: spins, rcx: started. CLEAR leaves those alone.
asm(R"(
.macro TAILRACE_TEST_CLEAR
  xorl %eax, %eax
  xorl %r8d, %r8d
  xorl %r9d, %r9d
  xorl %r10d, %r10d
  xorl %r11d, %r11d
  pxor %xmm0, %xmm0
  pxor %xmm1, %xmm1
  pxor %xmm2, %xmm2
  pxor %xmm3, %xmm3
  pxor %xmm4, %xmm4
  pxor %xmm5, %xmm5
  pxor %xmm6, %xmm6
  pxor %xmm7, %xmm7
  pxor %xmm8, %xmm8
  pxor %xmm9, %xmm9
  pxor %xmm10, %xmm10
  pxor %xmm11, %xmm11
  pxor %xmm12, %xmm12
  pxor %xmm13, %xmm13
  pxor %xmm14, %xmm14
  pxor %xmm15, %xmm15
.endm
.macro TAILRACE_TEST_SPIN
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
  TAILRACE_TEST_CLEAR
  movq (%rdi), %r10
  TAILRACE_TEST_SPIN
  movq %r10, (%rdi)
  xorl %r10d, %r10d
  ret

.p2align 4
.type tailrace_test_hide_callee_saved, @function
tailrace_test_hide_callee_saved:
  pushq %r12
  TAILRACE_TEST_CLEAR
  movq (%rdi), %r12
  TAILRACE_TEST_SPIN
  movq %r12, (%rdi)
  popq %r12
  ret

.p2align 4
.type tailrace_test_hide_vector, @function
tailrace_test_hide_vector:
  TAILRACE_TEST_CLEAR
  movq (%rdi), %xmm15
  TAILRACE_TEST_SPIN
  movq %xmm15, (%rdi)
  pxor %xmm15, %xmm15
  ret

.p2align 4
.type tailrace_test_hide_vector_high, @function
tailrace_test_hide_vector_high:
  TAILRACE_TEST_CLEAR
  vmovq (%rdi), %xmm14
  vxorps %xmm15, %xmm15, %xmm15
  vinsertf128 $1, %xmm14, %ymm15, %ymm15
  vxorps %xmm14, %xmm14, %xmm14
  TAILRACE_TEST_SPIN
  vextractf128 $1, %ymm15, %xmm15
  vmovq %xmm15, (%rdi)
  vzeroupper
  pxor %xmm15, %xmm15
  ret

.p2align 4
.type tailrace_test_hide_red_zone, @function
tailrace_test_hide_red_zone:
  TAILRACE_TEST_CLEAR
  movq (%rdi), %r11
  movq %r11, -112(%rsp)
  xorl %r11d, %r11d
  TAILRACE_TEST_SPIN
  movq -112(%rsp), %r11
  movq %r11, (%rdi)
  xorl %r11d, %r11d
  movq $0, -112(%rsp)
  ret

.p2align 4
.type tailrace_test_hide_disguised, @function
tailrace_test_hide_disguised:
  TAILRACE_TEST_CLEAR
  movq (%rdi), %r10
  notq %r10
  TAILRACE_TEST_SPIN
  notq %r10
  movq %r10, (%rdi)
  ret

# rdi: places[6], rsi: step, rdx: argument
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
  movq 0(%rdi), %rbx
  movq $0, 0(%rdi)
  movq 8(%rdi), %rbp
  movq $0, 8(%rdi)
  movq 16(%rdi), %r12
  movq $0, 16(%rdi)
  movq 24(%rdi), %r13
  movq $0, 24(%rdi)
  movq 32(%rdi), %r14
  movq $0, 32(%rdi)
  movq 40(%rdi), %r15
  movq $0, 40(%rdi)
3:
  movq 16(%rsp), %rdi
  call *8(%rsp)
  testl %eax, %eax
  jz 3b
  movq (%rsp), %rdi
  movq %rbx, 0(%rdi)
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
using TailraceTestHide = void(void**, const std::atomic<int>*, std::uint64_t, std::atomic<int>*);
TailraceTestHide tailrace_test_hide_caller_saved;
TailraceTestHide tailrace_test_hide_callee_saved;
TailraceTestHide tailrace_test_hide_vector;
TailraceTestHide tailrace_test_hide_vector_high;
TailraceTestHide tailrace_test_hide_red_zone;
TailraceTestHide tailrace_test_hide_disguised;
void tailrace_test_hold_over_calls(void**, int (*)(void*), void*);
}

namespace tailrace::gc::test {

void hide(Hideout where, void** place, std::atomic<int>* started, const std::atomic<int>* release,
          std::uint64_t spins) {
  const auto function = [where] {
    switch (where) {
      case Hideout::kCallerSaved:
        return tailrace_test_hide_caller_saved;
      case Hideout::kCalleeSaved:
        return tailrace_test_hide_callee_saved;
      case Hideout::kVector:
        return tailrace_test_hide_vector;
      case Hideout::kVectorHigh:
        return __builtin_cpu_supports("avx") ? tailrace_test_hide_vector_high
                                             : tailrace_test_hide_vector;
      case Hideout::kRedZone:
        return tailrace_test_hide_red_zone;
      case Hideout::kDisguised:
        return tailrace_test_hide_disguised;
    }
    return tailrace_test_hide_disguised;
  }();
  function(place, release, spins, started);
}

void hold_over_calls(void* places[6], int (*step)(void*), void* argument) {
  tailrace_test_hold_over_calls(places, step, argument);
}

}  // namespace tailrace::gc::test
