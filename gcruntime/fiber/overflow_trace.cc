#include "gcruntime/fiber/overflow_trace.h"

#include <link.h>
#include <unistd.h>
#include <algorithm>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/signal_line.h"

namespace tailrace::fiber {
namespace {

constexpr unsigned kInnermost = 24;
constexpr unsigned kOutermost = 8;

struct Module {
  std::uintptr_t begin = 0;  // of its code
  std::uintptr_t end = 0;
  std::uintptr_t bias = 0;  // what addr2line does not know of an address
  char name[128] = {};
};

// Written once, before the handler is installed.
constexpr unsigned kMostModules = 48;
Module modules[kMostModules];
unsigned module_count = 0;

int note_module(dl_phdr_info* info, std::size_t, void*) {
  for (int i = 0; i < info->dlpi_phnum && module_count < kMostModules; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD || (header.p_flags & PF_X) == 0) continue;
    Module& module = modules[module_count];
    module.bias = info->dlpi_addr;
    module.begin = info->dlpi_addr + header.p_vaddr;
    module.end = module.begin + header.p_memsz;
    // The program itself comes first and without a name.
    ssize_t length = 0;
    if (info->dlpi_name != nullptr && info->dlpi_name[0] != 0) {
      while (length < static_cast<ssize_t>(sizeof(module.name)) - 1 &&
             info->dlpi_name[length] != 0) {
        module.name[length] = info->dlpi_name[length];
        ++length;
      }
    } else if (module_count == 0) {
      length = ::readlink("/proc/self/exe", module.name, sizeof(module.name) - 1);
    }
    module.name[std::max<ssize_t>(length, 0)] = 0;
    ++module_count;
  }
  return 0;
}

const Module* module_of(std::uintptr_t address) noexcept {
  for (unsigned i = 0; i < module_count; ++i) {
    if (address >= modules[i].begin && address < modules[i].end) return &modules[i];
  }
  return nullptr;
}

void print_frame(std::uint64_t number, std::uintptr_t address) noexcept {
  SignalLine line;
  line.text("  #").decimal(number).text(" ").address(address);
  if (const Module* module = module_of(address)) {
    line.text(" ").text(module->name).text("+").address(address - module->bias);
  }
  line.flush();
}

// Whoever walks: the frame's own pointer, where its return address is.
struct Walk {
  std::uintptr_t high;
  std::uintptr_t frame;

  // The next return address outwards, or 0 at the end. The fiber is stopped in the handler above
  // it.
  TAILRACE_NO_SANITIZE std::uintptr_t next(std::uintptr_t low) noexcept {
    if (frame < low || frame % 8 != 0 || frame >= high || high - frame < 16) return 0;
    const auto* words = reinterpret_cast<const std::uintptr_t*>(frame);
    const std::uintptr_t caller = words[0];
    const std::uintptr_t address = words[1];
    frame = caller > frame ? caller : 0;
    return address;
  }
};

}  // namespace

void note_modules() noexcept { ::dl_iterate_phdr(note_module, nullptr); }

void print_frames(const Stack& stack, std::uintptr_t instruction, std::uintptr_t stack_pointer,
                  std::uintptr_t frame) noexcept {
  // A frame larger than a page may have put the stack pointer below the guard already.
  const std::uintptr_t low = std::max(stack_pointer, reinterpret_cast<std::uintptr_t>(stack.low));
  const auto high = reinterpret_cast<std::uintptr_t>(stack.high);

  print_frame(0, instruction);
  Walk walk{high, frame};
  std::uint64_t count = 1;
  std::uintptr_t outermost[kOutermost];
  // A return address may be the first byte behind its function: one less is inside of the call.
  while (const std::uintptr_t address = walk.next(low)) {
    if (count < kInnermost) {
      print_frame(count, address - 1);
    } else {
      outermost[count % kOutermost] = address - 1;
    }
    ++count;
  }
  if (count > kInnermost + kOutermost) {
    SignalLine().text("  ... ").decimal(count - kInnermost - kOutermost).text(" more").flush();
  }
  const std::uint64_t first = count > kInnermost + kOutermost
                                  ? count - kOutermost
                                  : std::min<std::uint64_t>(count, kInnermost);
  for (std::uint64_t number = first; number < count; ++number) {
    print_frame(number, outermost[number % kOutermost]);
  }
  SignalLine().text("  (addr2line -Cfipe FILE OFFSET names them)").flush();
}

}  // namespace tailrace::fiber
