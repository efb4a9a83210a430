// RFC 3339 by hand: the standard library's parsers want locales and streams.
#include "server/json/timestamp.h"

#include <chrono>
#include <cstring>

#include "server/json/number_format.h"

namespace tailrace::json {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

char* write_two(char* to, unsigned value) {
  internal::write_two_digits(to, value);
  return to + 2;
}

// Takes exactly `digits` digits; false if there are not that many.
bool take_number(std::string_view& text, std::size_t digits, int& value) {
  if (text.size() < digits) return false;
  value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return true;
}
bool take(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}
// The letters may be in lower case.
bool take_letter(std::string_view& text, char upper) {
  return take(text, upper) || take(text, static_cast<char>(upper | 0x20));
}

bool take_fraction(std::string_view& text, std::int64_t& ns) {
  ns = 0;
  if (!take(text, '.')) return true;
  std::int64_t unit = kSecondNs / 10;
  std::size_t digits = 0;
  for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; ++digits, unit /= 10) {
    ns += (text[0] - '0') * unit;
    text.remove_prefix(1);
  }
  return digits >= 1 && digits <= 9;
}

bool take_offset(std::string_view& text, std::int64_t& seconds) {
  seconds = 0;
  if (take_letter(text, 'Z')) return true;
  const bool negative = !text.empty() && text[0] == '-';
  if (!take(text, '+') && !take(text, '-')) return false;
  int hours;
  int minutes;
  if (!take_number(text, 2, hours) || !take(text, ':') || !take_number(text, 2, minutes))
    return false;
  if (hours > 23 || minutes > 59) return false;
  seconds = (hours * 60 + minutes) * 60;
  if (negative) seconds = -seconds;
  return true;
}

}  // namespace

std::size_t TextCodec<Timestamp>::format(const Timestamp& value, char* to) noexcept {
  using namespace std::chrono;
  std::int64_t second = value.unix_ns / kSecondNs;
  std::int64_t ns = value.unix_ns % kSecondNs;
  if (ns < 0) {
    ns += kSecondNs;
    --second;
  }
  const sys_days day = floor<days>(sys_seconds(seconds(second)));
  const year_month_day date(day);
  const auto in_day =
      static_cast<unsigned>(second - duration_cast<seconds>(day.time_since_epoch()).count());
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  char* at = write_two(to, year / 100);
  at = write_two(at, year % 100);
  *at++ = '-';
  at = write_two(at, static_cast<unsigned>(date.month()));
  *at++ = '-';
  at = write_two(at, static_cast<unsigned>(date.day()));
  *at++ = 'T';
  at = write_two(at, in_day / 3600);
  *at++ = ':';
  at = write_two(at, in_day / 60 % 60);
  *at++ = ':';
  at = write_two(at, in_day % 60);
  if (ns != 0) {
    *at++ = '.';
    auto left = static_cast<unsigned>(ns);
    char digits[9];
    for (int i = 8; i >= 0; --i, left /= 10) digits[i] = static_cast<char>('0' + left % 10);
    const std::size_t count = ns % 1'000'000 == 0 ? 3 : ns % 1000 == 0 ? 6 : 9;
    std::memcpy(at, digits, count);
    at += count;
  }
  *at++ = 'Z';
  return static_cast<std::size_t>(at - to);
}

bool TextCodec<Timestamp>::parse(std::string_view text, Timestamp& value) noexcept {
  using namespace std::chrono;
  int y, m, d, hour, minute, second;
  std::int64_t ns;
  std::int64_t offset;
  const bool well_formed = take_number(text, 4, y) && take(text, '-') && take_number(text, 2, m) &&
                           take(text, '-') && take_number(text, 2, d) && take_letter(text, 'T') &&
                           take_number(text, 2, hour) && take(text, ':') &&
                           take_number(text, 2, minute) && take(text, ':') &&
                           take_number(text, 2, second) && take_fraction(text, ns) &&
                           take_offset(text, offset) && text.empty();
  // A leap second reads as the second after it.
  if (!well_formed || hour > 23 || minute > 59 || second > 60) return false;
  const year_month_day date{year(y), month(static_cast<unsigned>(m)),
                            day(static_cast<unsigned>(d))};
  if (!date.ok()) return false;
  const std::int64_t unix_seconds =
      duration_cast<seconds>(sys_days(date).time_since_epoch()).count() + hour * 3600 +
      minute * 60 + second - offset;
  std::int64_t scaled;
  if (__builtin_mul_overflow(unix_seconds, kSecondNs, &scaled) ||
      __builtin_add_overflow(scaled, ns, &value.unix_ns)) {
    return false;
  }
  return true;
}

}  // namespace tailrace::json
