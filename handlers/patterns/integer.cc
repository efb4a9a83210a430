#include "handlers/patterns/integer.h"

#include <string>

namespace tailrace::patterns {
namespace {

constexpr std::size_t kMostDigits = 20;

}  // namespace

gc::String bad::to_csv(std::span<const std::int64_t> unix_ns) {
  gc::StringBuilder line(unix_ns.size() * (kMostDigits + 1));
  for (const std::int64_t each : unix_ns) {
    const gc::String digits(std::to_string(each));
    if (!line.view().empty()) line.append(',');
    line.append(digits);
  }
  return line.finish();
}

gc::String good::to_csv(std::span<const std::int64_t> unix_ns) {
  gc::StringBuilder line(unix_ns.size() * (kMostDigits + 1));
  for (const std::int64_t each : unix_ns) {
    if (!line.view().empty()) line.append(',');
    line.append(each);
  }
  return line.finish();
}

}  // namespace tailrace::patterns
