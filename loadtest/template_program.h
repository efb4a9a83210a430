// What a template is compiled to: a row of operations over one pool of text. Seen by template.cc,
// which runs it, and template_compiler.cc, which makes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tailrace::loadtest {

struct TextSpan {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
};

struct Operation {
  enum class Kind {
    kText,
    kCounter,
    kIndex,  // of the innermost repeat, from 0
    kNowMs,
    kInt,     // low, range
    kFloat,   // the same, in units of the last decimal
    kChoice,  // first, count
    kHex,     // count
    kString,  // count
    kUuid,
    kRepeat  // count; the operations up to `end`, with `text` between
  };
  Kind kind = Kind::kText;
  TextSpan text = {};
  std::int64_t low = 0;
  std::uint64_t range = 0;  // values; 0: 2^64
  unsigned decimals = 0;
  std::uint32_t first = 0;
  std::uint64_t count = 0;
  std::size_t end = 0;
  bool shared = false;  // drawn by name_hash, not in turn
  std::uint64_t name_hash = 0;
};

struct TemplateProgram {
  std::string pool;
  std::vector<TextSpan> choices;
  std::vector<Operation> operations;
  std::size_t longest = 0;
  bool fixed = true;

  std::string_view text_of(TextSpan span) const noexcept {
    return std::string_view(pool).substr(span.offset, span.size);
  }
};

}  // namespace tailrace::loadtest
