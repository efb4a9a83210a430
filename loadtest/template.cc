// See template.h. The compiler is template_compiler.cc.
#include "loadtest/template.h"

#include <charconv>
#include <chrono>
#include <utility>

#include "loadtest/template_program.h"

namespace tailrace::loadtest {
namespace {

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;

std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

template <typename Number>
void append_number(std::string& out, Number number) {
  char buffer[24];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof(buffer), number).ptr);
}

// `scaled` / 10^decimals.
void append_decimal(std::string& out, std::int64_t scaled, unsigned decimals) {
  if (scaled < 0) out += '-';
  const std::uint64_t size = scaled < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(scaled)
                                        : static_cast<std::uint64_t>(scaled);
  std::uint64_t unit = 1;
  for (unsigned i = 0; i < decimals; ++i) unit *= 10;
  append_number(out, size / unit);
  if (decimals == 0) return;
  out += '.';
  std::uint64_t rest = size % unit;
  for (unsigned i = 0; i < decimals; ++i) {
    unit /= 10;
    out += static_cast<char>('0' + rest / unit);
    rest %= unit;
  }
}

// Uniform in [0, range); of all 64 bits if range is 0. The bias is below range / 2^64.
std::uint64_t below(std::uint64_t random, std::uint64_t range) noexcept {
  if (range == 0) return random;
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(random) * range) >> 64);
}

// Digits of 64 random bits at a time, `per_random` of them.
template <typename Next>
void append_letters(std::string& out, std::uint64_t count, std::string_view alphabet,
                    unsigned per_random, Next& next) {
  while (count > 0) {
    std::uint64_t bits = next();
    for (unsigned i = 0; i < per_random && count > 0; ++i, --count) {
      out += alphabet[bits % alphabet.size()];
      bits /= alphabet.size();
    }
  }
}

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kAlphanumeric =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// Version 4.
template <typename Next>
void append_uuid(std::string& out, Next& next) {
  const std::uint64_t high = (next() & ~std::uint64_t{0xf000}) | 0x4000;
  const std::uint64_t low = (next() & ~(std::uint64_t{3} << 62)) | (std::uint64_t{2} << 62);
  for (unsigned digit = 0; digit < 32; ++digit) {
    if (digit == 8 || digit == 12 || digit == 16 || digit == 20) out += '-';
    const std::uint64_t word = digit < 16 ? high : low;
    out += kHexDigits[(word >> (60 - 4 * (digit % 16))) & 15];
  }
}

}  // namespace

FieldSource::FieldSource(std::uint64_t draw, std::uint64_t number, unsigned worker,
                         std::uint32_t step) noexcept
    : draw_(draw),
      state_(mix(draw) + mix(step + kGolden)),
      counter_(number * kWorkersMost + worker) {}

std::uint64_t FieldSource::random() noexcept { return mix(state_ += kGolden); }

std::uint64_t FieldSource::shared(std::uint64_t name_hash, std::uint64_t n) const noexcept {
  return mix(mix(draw_ ^ name_hash) + (n + 1) * kGolden);
}

namespace {

// What writes a field, given its random numbers.
template <typename Next>
void render_random(std::string& out, const TemplateProgram& program, const Operation& operation,
                   Next next) {
  switch (operation.kind) {
    case Operation::Kind::kInt:
      append_number(out, static_cast<std::int64_t>(static_cast<std::uint64_t>(operation.low) +
                                                   below(next(), operation.range)));
      return;
    case Operation::Kind::kFloat:
      append_decimal(out, operation.low + static_cast<std::int64_t>(below(next(), operation.range)),
                     operation.decimals);
      return;
    case Operation::Kind::kChoice:
      out += program.text_of(program.choices[operation.first + below(next(), operation.count)]);
      return;
    case Operation::Kind::kHex:
      return append_letters(out, operation.count, kHexDigits, 16, next);
    case Operation::Kind::kString:
      return append_letters(out, operation.count, kAlphanumeric, 10, next);
    case Operation::Kind::kUuid:
      return append_uuid(out, next);
    default:
      return;
  }
}

void render_range(std::string& out, const TemplateProgram& program, FieldSource& source,
                  std::size_t begin, std::size_t end, std::uint64_t index) {
  for (std::size_t at = begin; at < end; ++at) {
    const Operation& operation = program.operations[at];
    switch (operation.kind) {
      case Operation::Kind::kText:
        out += program.text_of(operation.text);
        break;
      case Operation::Kind::kCounter:
        append_number(out, source.counter());
        break;
      case Operation::Kind::kIndex:
        append_number(out, index);
        break;
      case Operation::Kind::kNowMs:
        append_number(out, std::chrono::duration_cast<std::chrono::milliseconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count());
        break;
      case Operation::Kind::kRepeat:
        for (std::uint64_t i = 0; i < operation.count; ++i) {
          if (i > 0) out += program.text_of(operation.text);
          render_range(out, program, source, at + 1, operation.end, i);
        }
        at = operation.end - 1;
        break;
      default:
        if (operation.shared) {
          render_random(out, program, operation, [&, n = std::uint64_t{0}]() mutable {
            return source.shared(operation.name_hash, n++);
          });
        } else {
          render_random(out, program, operation, [&] { return source.random(); });
        }
    }
  }
}

}  // namespace

Template::Template(std::shared_ptr<const TemplateProgram> program) : program_(std::move(program)) {}

Template Template::literal(std::string text) {
  const auto program = std::make_shared<TemplateProgram>();
  program->pool = std::move(text);
  program->longest = program->pool.size();
  program->operations.push_back({.kind = Operation::Kind::kText,
                                 .text = {0, static_cast<std::uint32_t>(program->pool.size())}});
  return Template(program);
}

void Template::render(std::string& out, FieldSource& source) const {
  if (program_) render_range(out, *program_, source, 0, program_->operations.size(), 0);
}

bool Template::fixed() const noexcept { return !program_ || program_->fixed; }

std::size_t Template::longest() const noexcept { return program_ ? program_->longest : 0; }

bool Template::is_number() const noexcept {
  if (!program_ || program_->operations.size() != 1) return false;
  const Operation::Kind kind = program_->operations[0].kind;
  return kind == Operation::Kind::kInt || kind == Operation::Kind::kFloat ||
         kind == Operation::Kind::kCounter || kind == Operation::Kind::kNowMs;
}

bool Template::begins_with(char c) const noexcept {
  if (!program_) return false;
  for (const Operation& operation : program_->operations) {
    if (operation.kind == Operation::Kind::kRepeat)
      continue;  // at least once: its first one decides
    if (operation.kind == Operation::Kind::kText) {
      return program_->text_of(operation.text).starts_with(c);
    }
    if (operation.kind != Operation::Kind::kChoice) return false;
    for (std::size_t i = 0; i < operation.count; ++i) {
      if (!program_->text_of(program_->choices[operation.first + i]).starts_with(c)) return false;
    }
    return true;
  }
  return false;
}

std::vector<std::string_view> Template::texts() const {
  std::vector<std::string_view> texts;
  if (!program_) return texts;
  for (const Operation& operation : program_->operations) {
    if (operation.kind == Operation::Kind::kChoice) {
      for (std::size_t i = 0; i < operation.count; ++i) {
        texts.push_back(program_->text_of(program_->choices[operation.first + i]));
      }
    } else if (operation.kind == Operation::Kind::kText ||
               operation.kind == Operation::Kind::kRepeat) {
      texts.push_back(program_->text_of(operation.text));
    }
  }
  return texts;
}

}  // namespace tailrace::loadtest
