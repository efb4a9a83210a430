// See query.h.
#include "server/query.h"

#include "server/ascii.h"

namespace tailrace::http {

bool percent_decode(std::string_view text, bool plus_is_space, Buffer& out) {
  char* to = out.reserve(text.size());
  if (to == nullptr) return false;
  const char* const begin = to;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3) return false;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0 || (high | low) == 0) return false;
      c = static_cast<char>(high << 4 | low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    *to++ = c;
  }
  out.commit(static_cast<std::size_t>(to - begin));
  return true;
}

bool Query::add(std::string_view name, std::string_view value) {
  Pair& pair = pairs_[count_++];
  if (base_ != nullptr) {  // nothing is escaped
    pair = {
        static_cast<std::uint16_t>(name.data() - base_), static_cast<std::uint16_t>(name.size()),
        static_cast<std::uint16_t>(value.data() - base_), static_cast<std::uint16_t>(value.size())};
    return true;
  }
  const std::size_t name_at = decoded_.size();
  if (!percent_decode(name, true, decoded_)) return false;
  const std::size_t value_at = decoded_.size();
  if (!percent_decode(value, true, decoded_)) return false;
  pair = {static_cast<std::uint16_t>(name_at), static_cast<std::uint16_t>(value_at - name_at),
          static_cast<std::uint16_t>(value_at),
          static_cast<std::uint16_t>(decoded_.size() - value_at)};
  return true;
}

Query::Result Query::parse() {
  if (parsed_) return result_;
  parsed_ = true;
  if (text_.find_first_of("%+") == std::string_view::npos) {
    base_ = text_.data();
  } else if (decoded_.reserve(text_.size()) == nullptr) {  // decoding only shrinks: no growth later
    return result_ = Result::kTooManyPairs;
  }
  std::string_view rest = text_;
  while (!rest.empty()) {
    const std::size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (pair.empty()) continue;
    if (count_ == kMaxQueryPairs) return result_ = Result::kTooManyPairs;
    const std::size_t equals = pair.find('=');
    const std::string_view name = pair.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? pair.substr(pair.size()) : pair.substr(equals + 1);
    if (!add(name, value)) return result_ = Result::kBadEscape;
  }
  if (base_ == nullptr) base_ = decoded_.data();
  return result_;
}

std::optional<std::string_view> Query::find(std::string_view name) const noexcept {
  for (unsigned i = 0; i < count_; ++i) {
    const Pair& pair = pairs_[i];
    if (std::string_view(base_ + pair.name_offset, pair.name_bytes) == name) {
      return std::string_view(base_ + pair.value_offset, pair.value_bytes);
    }
  }
  return std::nullopt;
}

}  // namespace tailrace::http
