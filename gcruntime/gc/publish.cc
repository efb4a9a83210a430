#include "gcruntime/gc/publish.h"

namespace tailrace::gc::internal {

String Publisher::copy_of_text(const String& text) {
  // One byte more: a past-the-end pointer must lie within the object.
  char* copy = static_cast<char*>(allocate_noscan(text.size() + 1, Place::kHeap));
  std::memcpy(copy, text.data(), text.size());
  return String::adopt(copy, text.size());
}

// In the list by where it ends, so that no other length is taken for it; there is nothing more to fill in.
String Publisher::shared_text(const String& text) {
  constexpr Fill kText = [](Publisher&, void*, const void*) {};
  const char* const end = text.data() + text.size();
  if (void* known = find(end)) {
    return String::adopt(static_cast<const char*>(known), text.size());
  }
  String copy = copy_of_text(text);
  add({end, const_cast<char*>(copy.data()), kText});
  return copy;
}

TAILRACE_NO_SANITIZE std::uint64_t Publisher::word_before(const void* object) noexcept {
  // Payloads are aligned.
  if (reinterpret_cast<std::uintptr_t>(object) % heap::kGranuleBytes != 0) return 0;
  return static_cast<const std::uint64_t*>(object)[-1];
}

std::size_t Publisher::place_in_index(const void* from) const noexcept {
  const std::size_t mask = index_.size() - 1;
  const std::uint64_t hash = fold_multiply(reinterpret_cast<std::uintptr_t>(from), kHashMultiplier);
  for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
    if (index_[i] == 0) return i;
    if (many_[index_[i] - 1].from == from) return i;
  }
}

void* Publisher::find_in_many(const void* from) const noexcept {
  const std::uint32_t number = index_[place_in_index(from)];
  return number == 0 ? nullptr : many_[number - 1].to;
}

void Publisher::add_to_many(const Copy& copy) {
  TAILRACE_CHECK_VALUE(count_ < UINT32_MAX, "publish of less than 2^32 objects", count_);
  if (many_.empty()) many_.assign(few_, few_ + count_);
  many_.push_back(copy);
  ++count_;
  const auto enter = [this](std::size_t number) {
    index_[place_in_index(many_[number].from)] = static_cast<std::uint32_t>(number + 1);
  };
  if (count_ * 2 <= index_.size()) return enter(count_ - 1);
  // A power of two, at least twice the count.
  index_.assign(index_.empty() ? 8 * kFew : index_.size() * 2, 0);
  for (std::size_t number = 0; number < count_; ++number) enter(number);
}

}  // namespace tailrace::gc::internal
