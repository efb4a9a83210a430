// Template::compile(): text to operations, in one pass. See template.h.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "loadtest/template.h"
#include "loadtest/template_program.h"

namespace tailrace::loadtest {
namespace {

constexpr std::size_t kFieldsMost = 100'000;
constexpr std::size_t kRepeatDepthMost = 4;
constexpr std::string_view kKnown =
    "counter, index, now_ms, int, float, choice, hex, uuid, string, same, repeat and end";

std::uint64_t hash_of(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

// The text up to the next blank, which goes with it.
std::string_view take_word(std::string_view& text) noexcept {
  const std::size_t blank = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, blank);
  text.remove_prefix(std::min(blank + 1, text.size()));
  return word;
}

template <typename Number>
std::optional<Number> to_number(std::string_view text) noexcept {
  Number number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

class Compiler {
 public:
  explicit Compiler(std::string_view text) : text_(text) {}

  // Not to be used a second time.
  bool run();
  std::string take_message() { return std::move(message_); }
  TemplateProgram take_program() { return std::move(program_); }

 private:
  using Kind = Operation::Kind;
  struct Open {
    std::size_t operation;
    std::size_t longest_before;
    std::size_t offset;
  };

  bool field(std::string_view body);
  bool random_field(std::string_view name, std::string_view arguments, Operation& operation);
  bool same(std::string_view arguments);
  bool int_field(std::string_view arguments, Operation& operation);
  bool float_field(std::string_view arguments, Operation& operation);
  bool choice(std::string_view arguments, Operation& operation);
  bool letters(std::string_view name, std::string_view arguments, Operation& operation);
  bool repeat(std::string_view arguments);
  bool end();

  bool fail(std::string message) {
    message_ = "offset " + std::to_string(offset_) + ": " + std::move(message);
    return false;
  }
  bool grow(std::size_t bytes) {
    longest_ += bytes;
    if (longest_ > Template::kRenderedMost) return fail("would write more than 16 MiB");
    return true;
  }
  TextSpan keep(std::string_view text) {
    const TextSpan span{static_cast<std::uint32_t>(program_.pool.size()),
                        static_cast<std::uint32_t>(text.size())};
    program_.pool += text;
    return span;
  }
  bool add_text(std::string_view text) {
    if (text.empty()) return true;
    program_.operations.push_back({.kind = Kind::kText, .text = keep(text)});
    return grow(text.size());
  }
  bool add(const Operation& operation, std::size_t longest) {
    program_.fixed = false;
    program_.operations.push_back(operation);
    return grow(longest);
  }

  std::string_view text_;
  std::size_t offset_ = 0;  // of the field at hand
  std::size_t longest_ = 0;
  std::size_t fields_ = 0;
  std::vector<Open> open_;
  TemplateProgram program_;
  std::string message_;
};

bool Compiler::run() {
  if (text_.size() > Template::kRenderedMost) return fail("the template is longer than 16 MiB");
  std::size_t at = 0;
  for (;;) {
    offset_ = text_.find("{{", at);
    if (offset_ == std::string_view::npos) break;
    if (!add_text(text_.substr(at, offset_ - at))) return false;
    const std::string_view rest = text_.substr(offset_);
    if (rest.starts_with("{{{{")) {
      if (!add_text("{{")) return false;
      at = offset_ + 4;
      continue;
    }
    if (rest.starts_with("{{{")) {  // a brace before a field
      if (!add_text("{")) return false;
      at = offset_ + 1;
      continue;
    }
    const std::size_t close = rest.find("}}");
    if (close == std::string_view::npos) {
      return fail("\"{{\" without \"}}\": close the field, or write {{{{ for a literal {{");
    }
    if (++fields_ > kFieldsMost) return fail("more than 100000 fields: use {{repeat}}");
    if (!field(rest.substr(2, close - 2))) return false;
    at = offset_ + close + 2;
  }
  if (!add_text(text_.substr(at))) return false;
  if (!open_.empty()) {
    offset_ = open_.back().offset;
    return fail("{{repeat}} without {{end}}");
  }
  program_.longest = longest_;
  return true;
}

bool Compiler::field(std::string_view body) {
  if (body.find_first_of("{}") != std::string_view::npos) {
    return fail("a brace inside a field: close the field with }}, or write {{{{ for a literal {{");
  }
  body.remove_prefix(std::min(body.find_first_not_of(' '), body.size()));
  const std::string_view name = take_word(body);
  if (name == "repeat") return repeat(body);
  if (name == "same") return same(body);
  const bool bare = body.find_first_not_of(' ') == std::string_view::npos;
  for (const auto& [known, kind] : {std::pair{"counter", Kind::kCounter},
                                    {"index", Kind::kIndex},
                                    {"now_ms", Kind::kNowMs},
                                    {"end", Kind::kRepeat}}) {
    if (name != known) continue;
    if (!bare) return fail("{{" + std::string(name) + "}} takes nothing after its name");
    if (kind == Kind::kRepeat) return end();
    if (kind == Kind::kIndex && open_.empty()) {
      return fail("{{index}} stands for the place in a {{repeat}}: outside of one use {{counter}}");
    }
    return add({.kind = kind}, 20);
  }
  Operation operation;
  return random_field(name, body, operation) && add(operation, operation.end);
}

// Leaves the most bytes it writes in operation.end, which only repeats use.
bool Compiler::random_field(std::string_view name, std::string_view arguments,
                            Operation& operation) {
  if (name == "int") return int_field(arguments, operation);
  if (name == "float") return float_field(arguments, operation);
  if (name == "choice") return choice(arguments, operation);
  if (name == "hex" || name == "string") return letters(name, arguments, operation);
  if (name != "uuid") {
    return fail("no field is named \"" + std::string(name.substr(0, 40)) + "\": there are " +
                std::string(kKnown) + "; a literal {{ is written {{{{");
  }
  if (!arguments.empty()) return fail("{{uuid}} takes nothing after its name");
  operation.kind = Kind::kUuid;
  operation.end = 36;
  return true;
}

bool Compiler::same(std::string_view arguments) {
  const std::string_view label = take_word(arguments);
  const std::string_view name = take_word(arguments);
  if (label.empty() || name.empty()) {
    return fail("same wants a name of yours and a random field, as {{same user int 0 99999}}");
  }
  Operation operation;
  if (!random_field(name, arguments, operation)) return false;
  operation.shared = true;
  operation.name_hash = hash_of(label);
  return add(operation, operation.end);
}

bool Compiler::int_field(std::string_view arguments, Operation& operation) {
  const auto low = to_number<std::int64_t>(take_word(arguments));
  const auto high = to_number<std::int64_t>(take_word(arguments));
  if (!low || !high || *low > *high || !arguments.empty()) {
    return fail("int wants the least and the most whole number, as {{int 0 99999}}");
  }
  operation.kind = Kind::kInt;
  operation.low = *low;
  operation.range = static_cast<std::uint64_t>(*high) - static_cast<std::uint64_t>(*low) + 1;
  operation.end = 20;
  return true;
}

bool Compiler::float_field(std::string_view arguments, Operation& operation) {
  constexpr double kMost = 1e15;  // whole units of the last decimal, exact in a double
  const auto low = to_number<double>(take_word(arguments));
  const auto high = to_number<double>(take_word(arguments));
  const auto decimals = to_number<unsigned>(take_word(arguments));
  const double unit = decimals && *decimals <= 9 ? std::pow(10, *decimals) : 0;
  if (!low || !high || unit == 0 || !arguments.empty() || !(*low <= *high) ||
      !(std::abs(*low * unit) <= kMost) || !(std::abs(*high * unit) <= kMost)) {
    return fail(
        "float wants the least, the most and 0 to 9 decimals, with at most 15 digits in all, as "
        "{{float 0 1 2}}");
  }
  operation.kind = Kind::kFloat;
  operation.low = std::llround(*low * unit);
  operation.range = static_cast<std::uint64_t>(std::llround(*high * unit) - operation.low) + 1;
  operation.decimals = *decimals;
  operation.end = 20;
  return true;
}

bool Compiler::choice(std::string_view arguments, Operation& operation) {
  if (arguments.empty()) return fail("choice wants texts, as {{choice red|green|dark blue}}");
  operation.kind = Kind::kChoice;
  operation.first = static_cast<std::uint32_t>(program_.choices.size());
  for (;;) {
    const std::size_t bar = std::min(arguments.find('|'), arguments.size());
    program_.choices.push_back(keep(arguments.substr(0, bar)));
    operation.end = std::max(operation.end, bar);
    ++operation.count;
    if (bar == arguments.size()) return true;
    arguments.remove_prefix(bar + 1);
  }
}

bool Compiler::letters(std::string_view name, std::string_view arguments, Operation& operation) {
  const auto count = to_number<std::uint32_t>(take_word(arguments));
  if (!count || *count == 0 || *count > Template::kRenderedMost || !arguments.empty()) {
    return fail(std::string(name) + " wants a length, as {{" + std::string(name) + " 16}}");
  }
  operation.kind = name == "hex" ? Kind::kHex : Kind::kString;
  operation.count = *count;
  operation.end = *count;
  return true;
}

bool Compiler::repeat(std::string_view arguments) {
  const auto count = to_number<std::uint32_t>(take_word(arguments));
  if (!count || *count == 0 || *count > Template::kRenderedMost) {
    return fail("repeat wants a count and what stands between, as {{repeat 20 ,}}...{{end}}");
  }
  if (open_.size() == kRepeatDepthMost) return fail("more than 4 repeats inside each other");
  open_.push_back({program_.operations.size(), longest_, offset_});
  program_.operations.push_back({.kind = Kind::kRepeat, .text = keep(arguments), .count = *count});
  return true;
}

bool Compiler::end() {
  if (open_.empty()) return fail("{{end}} without {{repeat}}");
  const Open open = open_.back();
  open_.pop_back();
  Operation& repeat = program_.operations[open.operation];
  repeat.end = program_.operations.size();
  const std::size_t once = longest_ - open.longest_before;
  if (once == 0) return fail("nothing between {{repeat}} and {{end}}");
  // Neither factor is more than 2^24: no overflow.
  return grow((repeat.count - 1) * (once + repeat.text.size));
}

}  // namespace

std::variant<Template, std::string> Template::compile(std::string_view text) {
  Compiler compiler(text);
  if (!compiler.run()) return compiler.take_message();
  return Template(std::make_shared<const TemplateProgram>(compiler.take_program()));
}

}  // namespace tailrace::loadtest
