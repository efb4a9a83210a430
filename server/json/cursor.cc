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
// The opening quote of the last string if it is unclosed, or the first control character in a
// string.
std::size_t find_bad_string(std::string_view text, bool control_characters) {
  std::size_t opened = std::string_view::npos;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (opened == std::string_view::npos) {
      if (text[i] == '"') opened = i;
    } else if (text[i] == '\\') {
      ++i;
      if (control_characters && i < text.size() && static_cast<unsigned char>(text[i]) < 0x20)
        return i;
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
      return token == '-' || (token >= '0' && token <= '9') ? "a number"
                                                            : "something that is not JSON";
  }
}

}  // namespace

Cursor::Cursor(std::string_view text, const StructuralIndex& index, const Limits& limits)
    : text_(text.data()),
      begin_(index.offsets()),
      end_(index.offsets() + index.count()),
      max_depth_(std::min(limits.max_depth, kMaxDepth)),
      stack_floor_(stack_floor()),
      counting_left_(2 * index.count()),
      limits_(limits) {
  if (text.size() > limits.max_bytes) {
    note(0, 413, "the document is larger than " + std::to_string(limits.max_bytes) + " bytes");
    return;
  }
  if (text.substr(0, 3) == "\xEF\xBB\xBF") {
    note(0, 400, "the text begins with a byte order mark: send UTF-8 without one");
    return;
  }
  using Status = StructuralIndex::Status;
  switch (index.status()) {
    case Status::kOk:
      break;
    case Status::kEmpty:
      note(text.size(), 400, "the document is empty");
      break;
    case Status::kUtf8:
      note(find_invalid_utf8(text), 400, "the text is not UTF-8");
      break;
    case Status::kUnclosedString:
      note(find_bad_string(text, false), 400, "unclosed string");
      break;
    case Status::kControlCharacter:
      note(find_bad_string(text, true), 400, "control character in a string: write it as \\u00XX");
      break;
    case Status::kTooLarge:
      note(0, 413, "the document is larger than 1 GiB");
      break;
    case Status::kNoMemory:
      note(0, 413, "no memory for a document of this size: lower the limit of body bytes");
      break;
  }
}

// --- Names and strings ---------------------------------------------------------------------------

Position Cursor::read_name(Position at, std::string_view& name) {
  bool escaped = false;
  if (!string_at(at, "a member name", name, escaped)) return nullptr;
  if (escaped) {
    if (name.size() <= kScratchBytes) {
      const Unescaped result = unescape_text(name, scratch_);
      if (result.bad != nullptr) return fail_escape(result.bad);
      name = {scratch_, static_cast<std::size_t>(result.end - scratch_)};
    } else if (const char* bad = find_bad_escape(name)) {
      return fail_escape(bad);
    }
  }
  if (token(at + 1) != ':') return fail_expected(at + 1, "a colon");
  return at + 2;
}

Position Cursor::read_name(Position at, gc::String& name) {
  if (token(at) != '"') return fail_expected(at, "a member name");
  if (read_string(at, name) == nullptr) return nullptr;
  if (token(at + 1) != ':') return fail_expected(at + 1, "a colon");
  return at + 2;
}

Position Cursor::unescape(Position at, std::string_view raw, gc::String& value) {
  // Short texts by way of the stack, so that the String takes no more memory than it needs.
  char local[256];
  if (raw.size() <= sizeof(local)) {
    const Unescaped result = unescape_text(raw, local);
    if (result.bad != nullptr) return fail_escape(result.bad);
    value = gc::String(std::string_view(local, static_cast<std::size_t>(result.end - local)));
    return at + 1;
  }
  // One byte more: a past-the-end pointer must lie within the object.
  char* const memory = static_cast<char*>(gc::allocate_noscan(raw.size() + 1));
  const Unescaped result = unescape_text(raw, memory);
  if (result.bad != nullptr) return fail_escape(result.bad);
  value = gc::String::adopt(memory, static_cast<std::size_t>(result.end - memory));
  return at + 1;
}

Position Cursor::read_short_string(Position at, const char* expected, std::string_view& value) {
  bool escaped = false;
  if (!string_at(at, expected, value, escaped)) return nullptr;
  if (!escaped) return at + 1;
  if (value.size() > kScratchBytes) return fail(at, 400, std::string("expected ") + expected);
  const Unescaped result = unescape_text(value, scratch_);
  if (result.bad != nullptr) return fail_escape(result.bad);
  value = {scratch_, static_cast<std::size_t>(result.end - scratch_)};
  return at + 1;
}

Position Cursor::fail_escape(const char* backslash) {
  note(static_cast<std::size_t>(backslash - text_), 400,
       "malformed escape in a string (or half of a surrogate pair)");
  return nullptr;
}

// --- Numbers and atoms ---------------------------------------------------------------------------

namespace {

constexpr const char* kNotAnInteger =
    "expected an integer, found a number with a fraction or an exponent";

bool begins_number(char token) { return token == '-' || is_digit(token); }

}  // namespace

Position Cursor::read_signed(Position at, std::int64_t& value, std::int64_t low,
                             std::int64_t high) {
  if (!begins_number(token(at))) return fail_expected(at, "an integer");
  const ScannedNumber number = scan_number(text_ + *at, limit(at));
  if (number.end == nullptr || !ends_token(at, number.end)) return fail(at, "malformed number");
  if (!number.integer) return fail(at, kNotAnInteger);
  constexpr std::uint64_t kMost = std::uint64_t{1} << 63;
  const bool fits =
      number.exact && (number.negative ? number.digits <= kMost : number.digits < kMost);
  const auto parsed =
      static_cast<std::int64_t>(number.negative ? 0 - number.digits : number.digits);
  if (!fits || parsed < low || parsed > high) {
    return fail(at, 400,
                "number out of range: " + std::to_string(low) + " to " + std::to_string(high));
  }
  value = parsed;
  return at + 1;
}

Position Cursor::read_unsigned(Position at, std::uint64_t& value, std::uint64_t high) {
  if (!begins_number(token(at))) return fail_expected(at, "an integer");
  const ScannedNumber number = scan_number(text_ + *at, limit(at));
  if (number.end == nullptr || !ends_token(at, number.end)) return fail(at, "malformed number");
  if (!number.integer) return fail(at, kNotAnInteger);
  if (!number.exact || number.digits > high || (number.negative && number.digits != 0)) {
    return fail(at, 400, "number out of range: 0 to " + std::to_string(high));
  }
  value = number.digits;
  return at + 1;
}

Position Cursor::read_double(Position at, double& value) {
  if (!begins_number(token(at))) return fail_expected(at, "a number");
  const char* const text = text_ + *at;
  const ScannedNumber number = scan_number(text, limit(at));
  if (number.end == nullptr || !ends_token(at, number.end)) return fail(at, "malformed number");
  const double parsed = to_double(number, text);
  if (std::isinf(parsed)) return fail(at, "number out of range of a double");
  value = parsed;
  return at + 1;
}

Position Cursor::read_float(Position at, float& value) {
  if (!begins_number(token(at))) return fail_expected(at, "a number");
  const char* const text = text_ + *at;
  const ScannedNumber number = scan_number(text, limit(at));
  if (number.end == nullptr || !ends_token(at, number.end)) return fail(at, "malformed number");
  const float parsed = to_float(number, text);
  if (std::isinf(parsed)) return fail(at, "number out of range of a float");
  value = parsed;
  return at + 1;
}

Position Cursor::read_bool(Position at, bool& value) {
  if (token(at) == 't' && token_is(at, "true")) {
    value = true;
  } else if (token(at) == 'f' && token_is(at, "false")) {
    value = false;
  } else {
    return fail_expected(at, "true or false");
  }
  return at + 1;
}

// --- Values of any kind --------------------------------------------------------------------------

std::size_t Cursor::expect_elements(Position at) noexcept {
  if (token(at) == ']') return 0;
  constexpr std::size_t kSample = 64;
  const auto left = static_cast<std::size_t>(end_ - at);
  const std::size_t most = std::min(counting_left_, left);
  std::size_t commas = 0;
  std::size_t i = 0;
  std::size_t behind_comma = 0;  // the last one
  std::ptrdiff_t depth = 0;
  const auto count_to = [&](std::size_t end) __attribute__((always_inline)) {
    for (; i < end; ++i) {
      const char c = text_[at[i]];
      // `{ } [ ]` are 0x7B 0x7D 0x5B 0x5D: one bit apart each.
      const char folded = static_cast<char>(c | 0x20);
      depth += folded == '{';
      depth -= folded == '}';
      if (depth < 0) break;
      const bool between = c == ',' && depth == 0;
      commas += static_cast<std::size_t>(between);
      behind_comma = between ? i + 1 : behind_comma;
    }
  };
  count_to(std::min(kSample, most));
  if (depth_ == 1 && commas > 0 && depth >= 0 && left > 2 * kSample) {
    counting_left_ -= i;
    // An eighth more, as a backing that is too short by one costs another of twice the size.
    const std::size_t elements = commas * left / behind_comma + 1;
    return elements + elements / 8;
  }
  if (depth >= 0) count_to(most);
  counting_left_ -= i;
  return commas + 1;
}

std::size_t Cursor::count_scalars(Position at) const noexcept {
  if (token(at) == ']') return 0;
  std::size_t count = 1;
  const auto left = static_cast<std::size_t>(end_ - at);
  while (2 * count <= left && text_[at[2 * count - 1]] == ',') ++count;
  return count;
}

// No recursion: the open brackets are one bit each. White space is left out by copying runs of
// adjacent tokens, so text that is minified already is one copy.
template <bool kCopy>
Position Cursor::walk(Position at, char*& to) {
  std::uint64_t objects[kMaxDepth / 64];  // bit i: the i-th open bracket is a brace
  std::size_t open = 0;
  const char* run_begin = text_ + *at;
  const char* run_end = run_begin;
  const auto copy_run = [&] {
    if constexpr (kCopy) {
      const auto bytes = static_cast<std::size_t>(run_end - run_begin);
      std::memcpy(to, run_begin, bytes);
      to += bytes;
    }
  };
  // Takes the token, which ends at token_end.
  const auto take = [&](const char* token_end) {
    if constexpr (kCopy) {
      const char* const begin = text_ + *at;
      if (begin != run_end) {
        copy_run();
        run_begin = begin;
      }
      run_end = token_end;
    }
    ++at;
  };
  const auto take_character = [&] { take(text_ + *at + 1); };
  const auto take_string = [&](const char* expected) {
    std::string_view raw;
    bool escaped = false;
    if (!string_at(at, expected, raw, escaped)) return false;
    if (escaped) [[unlikely]] {
      if (const char* bad = find_bad_escape(raw)) {
        fail_escape(bad);
        return false;
      }
    }
    take(raw.data() + raw.size() + 1);
    return true;
  };
  const auto take_name = [&] {
    if (!take_string("a member name")) return false;
    if (token(at) != ':') {
      fail_expected(at, "a colon");
      return false;
    }
    take_character();
    return true;
  };

  for (;;) {
    // One value, or the opening of one.
    const char c = token(at);
    const char* const text = text_ + *at;
    bool opened = false;
    switch (c) {
      case '{':
      case '[': {
        if (depth_ + open >= max_depth_) return fail(at, "nested too deeply");
        const std::uint64_t bit = std::uint64_t{1} << (open % 64);
        std::uint64_t& word = objects[open / 64];
        word = c == '{' ? word | bit : word & ~bit;
        ++open;
        take_character();
        if (token(at) == (c == '{' ? '}' : ']')) {
          take_character();
          --open;
        } else {
          if (c == '{' && !take_name()) return nullptr;
          opened = true;
        }
        break;
      }
      case '"':
        if (!take_string("a value")) return nullptr;
        break;
      case 't':
        if (!token_is(at, "true")) return fail_expected(at, "a value");
        take(text + 4);
        break;
      case 'f':
        if (!token_is(at, "false")) return fail_expected(at, "a value");
        take(text + 5);
        break;
      case 'n':
        if (!token_is(at, "null")) return fail_expected(at, "a value");
        take(text + 4);
        break;
      default: {
        if (!begins_number(c)) return fail_expected(at, "a value");
        const ScannedNumber number = scan_number(text, limit(at));
        if (number.end == nullptr || !ends_token(at, number.end))
          return fail(at, "malformed number");
        take(number.end);
        break;
      }
    }
    if (opened) continue;
    // Behind a value: what it closes, and whether another follows.
    for (;;) {
      if (open == 0) {
        copy_run();
        return at;
      }
      const bool in_object = (objects[(open - 1) / 64] >> ((open - 1) % 64) & 1) != 0;
      const char separator = token(at);
      if (separator == ',') {
        take_character();
        if (in_object && !take_name()) return nullptr;
        break;
      }
      const char closing = in_object ? '}' : ']';
      if (separator != closing) return fail_separator(at, closing);
      take_character();
      --open;
    }
  }
}

Position Cursor::skip_value(Position at) {
  char* nowhere = nullptr;
  return walk<false>(at, nowhere);
}

Position Cursor::copy_value(Position at, char*& to) { return walk<true>(at, to); }

// --- Errors --------------------------------------------------------------------------------------

void Cursor::note(std::size_t offset, int status, std::string message) {
  if (error_ == nullptr) {
    error_ = std::make_unique<Error>(Error{status, offset, std::string(), std::move(message)});
  }
}

void Cursor::note_expected(Position at, const char* what) {
  std::string message = "expected ";
  message += what;
  message += ", found ";
  const char c = token(at);
  const bool broken_atom = (c == 't' && !token_is(at, "true")) ||
                           (c == 'f' && !token_is(at, "false")) ||
                           (c == 'n' && !token_is(at, "null"));
  message += broken_atom ? "something that is not JSON" : describe(c);
  note(*at, 400, std::move(message));
}

Position Cursor::in_member(std::string_view name) {
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
  return nullptr;
}

Position Cursor::in_element(std::size_t index) {
  const std::string step = "/" + std::to_string(index);
  if (error_->path.size() + step.size() <= kMaxPathBytes) error_->path.insert(0, step);
  return nullptr;
}

}  // namespace tailrace::json::internal
