#include "gcruntime/gc/string.h"

#include <charconv>

namespace tailrace::gc {

void StringBuilder::append(std::int64_t number) {
  char digits[20];
  const auto result = std::to_chars(digits, digits + sizeof(digits), number);
  append(std::string_view(digits, static_cast<std::size_t>(result.ptr - digits)));
}

void StringBuilder::grow(std::size_t at_least_bytes) {
  TAILRACE_CHECK_VALUE(at_least_bytes <= String::kMaxBytes, "a String holds less than 4 GiB",
                       at_least_bytes);
  const std::size_t wanted = at_least_bytes > 2 * capacity_ ? at_least_bytes : 2 * capacity_;
  const std::size_t usable = usable_noscan_bytes(wanted);
  char* larger = static_cast<char*>(allocate_noscan(usable + 1));
  if (size_ > 0) std::memcpy(larger, buffer_, size_);
  buffer_ = larger;
  capacity_ = usable;
}

}  // namespace tailrace::gc
