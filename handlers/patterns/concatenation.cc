#include "handlers/patterns/concatenation.h"

namespace tailrace::patterns {

gc::String bad::cache_key(std::span<const std::string_view> parts) {
  gc::String key;
  for (const std::string_view part : parts) {
    if (!key.empty()) key = gc::concat(key, ":");
    key = gc::concat(key, part);
  }
  return key;
}

gc::String good::cache_key(std::span<const std::string_view> parts) {
  std::size_t bytes = parts.size();
  for (const std::string_view part : parts) bytes += part.size();
  gc::StringBuilder key(bytes);
  for (const std::string_view part : parts) {
    if (!key.view().empty()) key.append(':');
    key.append(part);
  }
  return key.finish();
}

}  // namespace tailrace::patterns
