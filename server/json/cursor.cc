// Readers that are not worth inlining, the walk over values of any kind, and errors.
#include "server/json/cursor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "server/json/scan_number.h"
#include "server/json/unescape.h"
#include "server/json/utf8.h"

namespace tailrace::json::internal {
namespace {

constexpr std::size_t kMaxPathBytes = 1024;

// Where the first stage found what it does not say the place of.
std::size_t find_invalid_utf8(std::string_view text) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    const Utf8Sequence sequence = utf8_sequence(at, end);
    if (!sequence.valid) break;
    at += sequence.bytes;
  }
  return static_cast<std::size_t>(at - text.data());
}
// The opening quote of the last string if it is unclosed, or the first control character in a string.
std::size_t find_bad_string(std::string_view text, bool control_characters) {
  std::size_t opened = std::string_view::npos;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (opened == std::string_view::npos) {
      if (text[i] == '"') opened = i;
    } else if (text[i] == '\\') {
      ++i;
      if (control_characters && i < text.size() && static_cast<unsigned char>(text[i]) < 0x20) return i;
    } else if (text[i] == '"') {
      opened = std::string_view::npos;
    } else if (control_characters && static_cast<unsigned char>(text[i]) < 0x20) {
      return i;
    }
  }
  return opened == std::string_view::npos ? text.size() : opened;
}

const char* describe(char token) {
  switch (token) {
    case '{':
      return "an object";
    case '[':
      return "an array";
    case '"':
      return "a string";
    case 't':
    case 'f':
      return "true or false";
    case 'n':
      return "null";
    case '}':
      return "a closing brace";
    case ']':
      return "a closing bracket";
    case ',':
      return "a comma";
    case ':':
      return "a colon";
    case '\0':
      return "the end of the text";
    default:
      return token == '-' || (token >= '0' && token <= '9') ? "a number" : "something that is not JSON";
  }
}

}  // namespace

Cursor::Cursor(std::string_view text, const StructuralIndex& index, const Limits& limits)
    : text_(text.data()),
      next_(index.offsets()),
      end_(index.offsets() + index.count()),
      max_depth_(std::min(limits.max_depth, kMaxDepth)),
      stack_(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0))),
      counting_left_(2 * index.count()),
      limits_(limits) {
  if (text.size() > limits.max_bytes) {
    fail_at(0, 413, "the document is larger than " + std::to_string(limits.max_bytes) + " bytes");
    return;
  }
  if (text.substr(0, 3) == "\xEF\xBB\xBF") {
    fail_at(0, 400, "the text begins with a byte order mark: send UTF-8 without one");
    return;
  }
  using Status = StructuralIndex::Status;
  switch (index.status()) {
    case Status::kOk:
      break;
    case Status::kEmpty:
      fail_at(text.size(), 400, "the document is empty");
      break;
    case Status::kUtf8:
      fail_at(find_invalid_utf8(text), 400, "the text is not UTF-8");
      break;
    case Status::kUnclosedString:
      fail_at(find_bad_string(text, false), 400, "unclosed string");
      break;
    case Status::kControlCharacter:
      fail_at(find_bad_string(text, true), 400, "control character in a string: write it as \\u00XX");
      break;
    case Status::kTooLarge:
      fail_at(0, 413, "the document is larger than 1 GiB");
      break;
    case Status::kNoMemory:
      fail_at(0, 413, "no memory for a document of this size: lower the limit of body bytes");
      break;
  }
}

// --- Names and strings ---------------------------------------------------------------------------

bool Cursor::read_name(std::string_view& name) {
  bool escaped = false;
  if (!take_text("a member name", name, escaped)) return false;
  if (escaped) {
    if (name.size() <= kScratchBytes) {
      const Unescaped result = unescape_text(name, scratch_);
      if (result.bad != nullptr) return fail_escape(result.bad);
      name = {scratch_, static_cast<std::size_t>(result.end - scratch_)};
    } else if (const char* bad = find_bad_escape(name)) {
      return fail_escape(bad);
    }
  }
  if (token() != ':') return fail_expected("a colon");
  ++next_;
  return true;
}

bool Cursor::read_name(gc::String& name) {
  if (token() != '"') return fail_expected("a member name");
  if (!read_string(name)) return false;
  if (token() != ':') return fail_expected("a colon");
  ++next_;
  return true;
}

bool Cursor::unescape(std::string_view raw, gc::String& value) {
  // Short texts by way of the stack, so that the String takes no more memory than it needs.
  char local[256];
  if (raw.size() <= sizeof(local)) {
    const Unescaped result = unescape_text(raw, local);
    if (result.bad != nullptr) return fail_escape(result.bad);
    value = gc::String(std::string_view(local, static_cast<std::size_t>(result.end - local)));
    return true;
  }
  // One byte more: a past-the-end pointer must lie within the object.
  char* const memory = static_cast<char*>(gc::allocate_noscan(raw.size() + 1));
  const Unescaped result = unescape_text(raw, memory);
  if (result.bad != nullptr) return fail_escape(result.bad);
  value = gc::String::adopt(memory, static_cast<std::size_t>(result.end - memory));
  return true;
}

bool Cursor::read_short_string(const char* expected, std::string_view& value) {
  bool escaped = false;
  const std::size_t at = offset();
  if (!take_text(expected, value, escaped)) return false;
  if (!escaped) return true;
  if (value.size() > kScratchBytes) return fail_expected_at(at, expected);
  const Unescaped result = unescape_text(value, scratch_);
  if (result.bad != nullptr) return fail_escape(result.bad);
  value = {scratch_, static_cast<std::size_t>(result.end - scratch_)};
  return true;
}

bool Cursor::fail_escape(const char* at) {
  return fail_at(static_cast<std::size_t>(at - text_), 400,
                 "malformed escape in a string (or half of a surrogate pair)");
}

// --- Numbers and atoms ---------------------------------------------------------------------------

namespace {

bool begins_number(char token) { return token == '-' || (token >= '0' && token <= '9'); }

}  // namespace

bool Cursor::read_signed(std::int64_t& value, std::int64_t low, std::int64_t high) {
  if (!begins_number(token())) return fail_expected("an integer");
  const ScannedNumber number = scan_number(text_ + *next_, token_end_limit());
  if (number.end == nullptr || !ends_token(number.end)) return fail("malformed number");
  if (!number.integer) return fail("expected an integer, found a number with a fraction or an exponent");
  constexpr std::uint64_t kMost = std::uint64_t{1} << 63;
  const bool fits = number.exact && (number.negative ? number.digits <= kMost : number.digits < kMost);
  const auto parsed = static_cast<std::int64_t>(number.negative ? 0 - number.digits : number.digits);
  if (!fits || parsed < low || parsed > high) {
    return fail_at(offset(), 400, "number out of range: " + std::to_string(low) + " to " +
                                      std::to_string(high));
  }
  value = parsed;
  ++next_;
  return true;
}

bool Cursor::read_unsigned(std::uint64_t& value, std::uint64_t high) {
  if (!begins_number(token())) return fail_expected("an integer");
  const ScannedNumber number = scan_number(text_ + *next_, token_end_limit());
  if (number.end == nullptr || !ends_token(number.end)) return fail("malformed number");
  if (!number.integer) return fail("expected an integer, found a number with a fraction or an exponent");
  if (!number.exact || number.digits > high || (number.negative && number.digits != 0)) {
    return fail_at(offset(), 400, "number out of range: 0 to " + std::to_string(high));
  }
  value = number.digits;
  ++next_;
  return true;
}

bool Cursor::read_double(double& value) {
  if (!begins_number(token())) return fail_expected("a number");
  const char* const at = text_ + *next_;
  const ScannedNumber number = scan_number(at, token_end_limit());
  if (number.end == nullptr || !ends_token(number.end)) return fail("malformed number");
  const double parsed = to_double(number, at);
  if (std::isinf(parsed)) return fail("number out of range of a double");
  value = parsed;
  ++next_;
  return true;
}

bool Cursor::read_float(float& value) {
  if (!begins_number(token())) return fail_expected("a number");
  const char* const at = text_ + *next_;
  const ScannedNumber number = scan_number(at, token_end_limit());
  if (number.end == nullptr || !ends_token(number.end)) return fail("malformed number");
  const float parsed = to_float(number, at);
  if (std::isinf(parsed)) return fail("number out of range of a float");
  value = parsed;
  ++next_;
  return true;
}

bool Cursor::token_is(std::string_view atom) const noexcept {
  const char* const at = text_ + *next_;
  return std::memcmp(at, atom.data(), atom.size()) == 0 && ends_token(at + atom.size());
}

bool Cursor::read_bool(bool& value) {
  if (token() == 't' && token_is("true")) {
    value = true;
  } else if (token() == 'f' && token_is("false")) {
    value = false;
  } else {
    return fail_expected("true or false");
  }
  ++next_;
  return true;
}

bool Cursor::try_null() noexcept {
  if (token() != 'n' || !token_is("null")) return false;
  ++next_;
  return true;
}

// --- Values of any kind --------------------------------------------------------------------------

std::size_t Cursor::count_elements() noexcept {
  if (token() == ']') return 0;
  const std::size_t most =
      std::min<std::size_t>(counting_left_, static_cast<std::size_t>(end_ - next_));
  std::size_t commas = 0;
  std::size_t i = 0;
  for (std::ptrdiff_t depth = 0; i < most; ++i) {
    const char c = text_[next_[i]];
    // `{ } [ ]` are 0x7B 0x7D 0x5B 0x5D: one bit apart each.
    const char folded = static_cast<char>(c | 0x20);
    depth += folded == '{';
    depth -= folded == '}';
    if (depth < 0) break;
    commas += static_cast<std::size_t>(c == ',' && depth == 0);
  }
  counting_left_ -= i;
  return commas + 1;
}

// No recursion: the open brackets are one bit each. White space is left out by copying runs of adjacent
// tokens, so text that is minified already is one copy.
template <bool kCopy>
bool Cursor::walk(char*& to) {
  std::uint64_t objects[kMaxDepth / 64];  // bit i: the i-th open bracket is a brace
  std::size_t open = 0;
  const char* run_begin = text_ + offset();
  const char* run_end = run_begin;
  const auto copy_run = [&] {
    if constexpr (kCopy) {
      const auto bytes = static_cast<std::size_t>(run_end - run_begin);
      std::memcpy(to, run_begin, bytes);
      to += bytes;
    }
  };
  const auto take = [&](const char* token_end) {
    if constexpr (kCopy) {
      const char* const begin = text_ + *next_;
      if (begin != run_end) {
        copy_run();
        run_begin = begin;
      }
      run_end = token_end;
    }
    ++next_;
  };
  const auto take_string = [&](const char* expected) {
    std::string_view raw;
    bool escaped = false;
    if (!take_text(expected, raw, escaped)) return false;
    if (escaped) {
      if (const char* bad = find_bad_escape(raw)) return fail_escape(bad);
    }
    --next_;
    take(raw.data() + raw.size() + 1);
    return true;
  };
  const auto take_name = [&] {
    if (!take_string("a member name")) return false;
    if (token() != ':') return fail_expected("a colon");
    take(text_ + *next_ + 1);
    return true;
  };

  for (;;) {
    // One value, or the opening of one.
    const char c = token();
    const char* const at = text_ + *next_;
    bool opened = false;
    switch (c) {
      case '{':
      case '[': {
        if (depth_ + open >= max_depth_) return fail("nested too deeply");
        const std::uint64_t bit = std::uint64_t{1} << (open % 64);
        std::uint64_t& word = objects[open / 64];
        word = c == '{' ? word | bit : word & ~bit;
        ++open;
        take(at + 1);
        const char closing = c == '{' ? '}' : ']';
        if (token() == closing) {
          take(text_ + *next_ + 1);
          --open;
        } else {
          if (c == '{' && !take_name()) return false;
          opened = true;
        }
        break;
      }
      case '"':
        if (!take_string("a value")) return false;
        break;
      case 't':
        if (!token_is("true")) return fail_expected("a value");
        take(at + 4);
        break;
      case 'f':
        if (!token_is("false")) return fail_expected("a value");
        take(at + 5);
        break;
      case 'n':
        if (!token_is("null")) return fail_expected("a value");
        take(at + 4);
        break;
      default: {
        if (!begins_number(c)) return fail_expected("a value");
        const ScannedNumber number = scan_number(at, token_end_limit());
        if (number.end == nullptr || !ends_token(number.end)) return fail("malformed number");
        take(number.end);
        break;
      }
    }
    if (opened) continue;
    // Behind a value: what it closes, and whether another follows.
    for (;;) {
      if (open == 0) {
        copy_run();
        return true;
      }
      const bool in_object = (objects[(open - 1) / 64] >> ((open - 1) % 64) & 1) != 0;
      const char separator = token();
      if (separator == ',') {
        take(text_ + *next_ + 1);
        if (in_object && !take_name()) return false;
        break;
      }
      if (separator != (in_object ? '}' : ']')) {
        return fail_expected(in_object ? "a comma or a closing brace" : "a comma or a closing bracket");
      }
      take(text_ + *next_ + 1);
      --open;
    }
  }
}

bool Cursor::skip_value() {
  char* nowhere = nullptr;
  return walk<false>(nowhere);
}

bool Cursor::copy_value(char*& to) { return walk<true>(to); }

// --- Errors --------------------------------------------------------------------------------------

void Cursor::note(std::size_t offset, int status, std::string message) {
  if (error_ == nullptr) {
    error_ = std::make_unique<Error>(Error{status, offset, std::string(), std::move(message)});
  }
}

void Cursor::note_expected(const char* what) {
  std::string message = "expected ";
  message += what;
  message += ", found ";
  const char c = token();
  const bool broken_atom = (c == 't' && !token_is("true")) || (c == 'f' && !token_is("false")) ||
                           (c == 'n' && !token_is("null"));
  message += broken_atom ? "something that is not JSON" : describe(c);
  note(offset(), 400, std::move(message));
}

bool Cursor::in_member(std::string_view name) {
  std::string step = "/";
  for (const char c : name.substr(0, 64)) {
    // As in RFC 6901.
    if (c == '~') {
      step += "~0";
    } else if (c == '/') {
      step += "~1";
    } else {
      step += c;
    }
  }
  if (error_->path.size() + step.size() <= kMaxPathBytes) error_->path.insert(0, step);
  return false;
}

bool Cursor::in_element(std::size_t index) {
  const std::string step = "/" + std::to_string(index);
  if (error_->path.size() + step.size() <= kMaxPathBytes) error_->path.insert(0, step);
  return false;
}

}  // namespace tailrace::json::internal
