#include "gcruntime/base/describe_code.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace tailrace::base {
namespace {

// The program's own symbol table, with functions that are not exported. (dladdr knows exported ones only.) A
// program that was stripped has none.
class ProgramSymbols {
 public:
  struct Function {
    std::uintptr_t begin;  // from the program's first byte
    std::uintptr_t bytes;
    const char* name;  // in the mapped file, which stays
  };

  static const ProgramSymbols& instance() {
    static const ProgramSymbols symbols;
    return symbols;
  }

  // The function at that offset, or null.
  const Function* find(std::uintptr_t offset) const noexcept {
    auto behind = std::upper_bound(
        functions_.begin(), functions_.end(), offset,
        [](std::uintptr_t at, const Function& function) { return at < function.begin; });
    if (behind == functions_.begin()) return nullptr;
    const Function& function = *--behind;
    return offset - function.begin < function.bytes ? &function : nullptr;
  }

 private:
  ProgramSymbols() {
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    struct stat facts {};
    if (::fstat(file, &facts) == 0 && facts.st_size > 0) {
      bytes_ = static_cast<std::size_t>(facts.st_size);
      void* mapped = ::mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file, 0);
      if (mapped != MAP_FAILED) {
        file_ = static_cast<const char*>(mapped);
        read_sections();
        std::sort(functions_.begin(), functions_.end(),
                  [](const Function& a, const Function& b) { return a.begin < b.begin; });
      }
    }
    ::close(file);
  }

  // `count` of them at that place in the file, or null if they are not all in it.
  template <typename T>
  const T* at(std::uint64_t offset, std::uint64_t count) const noexcept {
    if (offset > bytes_ || count > (bytes_ - offset) / sizeof(T)) return nullptr;
    return reinterpret_cast<const T*>(file_ + offset);
  }

  void read_sections() {
    const auto* head = at<Elf64_Ehdr>(0, 1);
    if (head == nullptr || std::memcmp(head->e_ident, ELFMAG, SELFMAG) != 0) return;
    const auto* sections = at<Elf64_Shdr>(head->e_shoff, head->e_shnum);
    if (sections == nullptr) return;
    std::uintptr_t first = 0;  // where a program that is not relocated says it begins
    const auto* segments = at<Elf64_Phdr>(head->e_phoff, head->e_phnum);
    for (unsigned i = 0; segments != nullptr && i < head->e_phnum; ++i) {
      if (segments[i].p_type == PT_LOAD && segments[i].p_offset == 0) first = segments[i].p_vaddr;
    }
    for (unsigned i = 0; i < head->e_shnum; ++i) {
      const Elf64_Shdr& table = sections[i];
      if (table.sh_type != SHT_SYMTAB || table.sh_link >= head->e_shnum) continue;
      const Elf64_Shdr& texts = sections[table.sh_link];
      const char* names = at<char>(texts.sh_offset, texts.sh_size);
      const std::uint64_t count = table.sh_size / sizeof(Elf64_Sym);
      const auto* symbols = at<Elf64_Sym>(table.sh_offset, count);
      if (names == nullptr || symbols == nullptr) continue;
      // A name that is not ended in its section is no name.
      if (texts.sh_size == 0 || names[texts.sh_size - 1] != 0) continue;
      for (std::uint64_t s = 0; s < count; ++s) {
        const Elf64_Sym& symbol = symbols[s];
        if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_size == 0) continue;
        if (symbol.st_name >= texts.sh_size || symbol.st_shndx == SHN_UNDEF) continue;
        functions_.push_back({symbol.st_value - first, symbol.st_size, names + symbol.st_name});
      }
    }
  }

  const char* file_ = nullptr;
  std::size_t bytes_ = 0;
  std::vector<Function> functions_;
};

std::string readable(const char* symbol) {
  int status = 0;
  char* name = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
  std::string text = status == 0 && name != nullptr ? name : symbol;
  std::free(name);
  return text;
}

std::string plus(std::size_t offset) {
  char text[32];
  std::snprintf(text, sizeof text, "+0x%zx", offset);
  return text;
}

}  // namespace

std::string describe_code(const void* address) {
  Dl_info info{};
  if (::dladdr(address, &info) == 0 || info.dli_fname == nullptr) {
    char text[32];
    std::snprintf(text, sizeof text, "%p", address);
    return text;
  }
  const auto distance = [address](const void* begin) {
    return static_cast<std::size_t>(static_cast<const char*>(address) -
                                    static_cast<const char*>(begin));
  };
  const char* slash = std::strrchr(info.dli_fname, '/');
  const std::size_t offset = distance(info.dli_fbase);
  std::string place = (slash != nullptr ? slash + 1 : info.dli_fname) + plus(offset);
  Dl_info own{};
  static const char anchor = 0;
  if (::dladdr(&anchor, &own) != 0 && own.dli_fbase == info.dli_fbase) {
    if (const auto* function = ProgramSymbols::instance().find(offset)) {
      return readable(function->name) + plus(offset - function->begin) + " (" + place + ")";
    }
  }
  if (info.dli_sname == nullptr) return place;
  return readable(info.dli_sname) + plus(distance(info.dli_saddr)) + " (" + place + ")";
}

}  // namespace tailrace::base
