// Vector<T>: a growing array, 16 bytes: {backing, size, capacity}. The elements live in a managed object
// of their own, zeroed and traced over its full capacity, so the marker never reads size or capacity.
//
// T is traceable, trivially destructible and moved without throwing; an all-zero T must mean "nothing"
// to the marker (it does for every handle). Copying copies the elements; moving takes the backing.
// begin() and end() are raw pointers, valid until the next growth; the pointed-to backing stays alive as
// long as they are on a stack. Not for writing by several fibers at once. Errors: indices out of range
// stop the program in builds with debug checks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>
#include <utility>

#include "gcruntime/gc/make.h"

namespace tailrace::gc {

namespace internal {
class Publisher;
}

template <typename T>
class Vector {
 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  Vector() noexcept = default;
  Vector(std::initializer_list<T> elements) {
    reserve(elements.size());
    for (const T& element : elements) push_back(element);
  }
  Vector(const Vector& other) { append_all(other); }
  Vector(Vector&& other) noexcept
      : backing_(other.backing_), size_(other.size_), capacity_(other.capacity_) {
    other.forget();
  }
  Vector& operator=(const Vector& other) {
    if (this != &other) {
      Vector copy(other);
      *this = std::move(copy);
    }
    return *this;
  }
  Vector& operator=(Vector&& other) noexcept {
    if (this != &other) {
      backing_ = other.backing_;
      size_ = other.size_;
      capacity_ = other.capacity_;
      other.forget();
    }
    return *this;
  }
  ~Vector() = default;

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  std::size_t capacity() const noexcept { return capacity_; }
  T* data() noexcept { return elements(); }
  const T* data() const noexcept { return elements(); }
  T* begin() noexcept { return elements(); }
  T* end() noexcept { return elements() + size_; }
  const T* begin() const noexcept { return elements(); }
  const T* end() const noexcept { return elements() + size_; }
  T& operator[](std::size_t index) noexcept {
    TAILRACE_DCHECK(index < size_, "index out of range");
    return elements()[index];
  }
  const T& operator[](std::size_t index) const noexcept {
    TAILRACE_DCHECK(index < size_, "index out of range");
    return elements()[index];
  }
  T& front() noexcept { return (*this)[0]; }
  T& back() noexcept { return (*this)[size_ - 1]; }
  const T& front() const noexcept { return (*this)[0]; }
  const T& back() const noexcept { return (*this)[size_ - 1]; }

  void reserve(std::size_t capacity) {
    if (capacity > capacity_) grow(capacity);
  }
  template <typename... Args>
  T& emplace_back(Args&&... args) {
    if (size_ == capacity_) {
      // First the element, then the growth: the arguments may refer to an element.
      T element = make_element(std::forward<Args>(args)...);
      grow(size_ + 1);
      return *construct_at_end(std::move(element));
    }
    if constexpr (std::is_constructible_v<T, Args...>) {
      return *construct_at_end(std::forward<Args>(args)...);
    } else {
      return *construct_at_end(make_element(std::forward<Args>(args)...));
    }
  }
  void push_back(const T& element) { emplace_back(element); }
  void push_back(T&& element) { emplace_back(std::move(element)); }
  void pop_back() noexcept {
    TAILRACE_DCHECK(size_ > 0, "pop_back of an empty Vector");
    --size_;
    vacate(size_, 1);
  }
  void clear() noexcept {
    vacate(0, size_);
    size_ = 0;
  }
  void resize(std::size_t size) {
    reserve(size);
    if (size < size_) vacate(size, size_ - size);
    while (size_ < size) construct_at_end();
    size_ = static_cast<std::uint32_t>(size);
  }
  // Removes one element; those behind it move up.
  void erase(std::size_t index) noexcept {
    TAILRACE_DCHECK(index < size_, "index out of range");
    T* all = elements();
    for (std::size_t i = index; i + 1 < size_; ++i) all[i] = std::move(all[i + 1]);
    pop_back();
  }

  friend bool operator==(const Vector& a, const Vector& b) requires std::equality_comparable<T> {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (!(a[i] == b[i])) return false;
    }
    return true;
  }

 private:
  friend class internal::Publisher;

  static constexpr std::size_t kWordsPerElement = sizeof(T) / 8;

  T* elements() const noexcept { return static_cast<T*>(backing_.get()); }
  template <typename... Args>
  static T make_element(Args&&... args) {
    if constexpr (std::is_constructible_v<T, Args...>) {
      return T(std::forward<Args>(args)...);
    } else {
      return T{std::forward<Args>(args)...};
    }
  }
  template <typename... Args>
  T* construct_at_end(Args&&... args) {
    T* element = ::new (static_cast<void*>(elements() + size_)) T(std::forward<Args>(args)...);
    ++size_;
    return element;
  }
  void forget() noexcept {
    backing_ = nullptr;
    size_ = capacity_ = 0;
  }
  void append_all(const Vector& other) {
    reserve(other.size());
    for (const T& element : other) push_back(element);
  }
  void vacate(std::size_t first, std::size_t count) noexcept {
    if constexpr (!kNoscan<T>) clear_range(elements() + first, count * kWordsPerElement);
  }
  // [vector.growth] Fill the new backing, store its pointer (release), then the capacity. Allocation
  // comes first, so a failure leaves the Vector as it was.
  void grow(std::size_t at_least) {
    static_assert(Traceable<T>, "a Vector's elements are handles, numbers or described structs");
    static_assert(std::is_trivially_destructible_v<T>,
                  "a Vector's elements have trivial destructors: the collector runs none");
    static_assert(std::is_nothrow_move_constructible_v<T> && alignof(T) <= 8,
                  "a Vector's elements move without throwing and are aligned to 8 bytes at most");
    TAILRACE_CHECK_VALUE(at_least <= UINT32_MAX / 2, "a Vector holds less than 2^31 elements",
                         at_least);
    std::size_t wanted = capacity_ * std::size_t{2};
    if (wanted < at_least) wanted = at_least;
    if (wanted < 4 && sizeof(T) <= 32) wanted = 4;
    T* larger;
    std::size_t capacity;
    if constexpr (kNoscan<T>) {
      const std::size_t usable = usable_noscan_bytes(wanted * sizeof(T));
      capacity = std::min<std::size_t>(usable / sizeof(T), UINT32_MAX);
      larger = static_cast<T*>(allocate_noscan(usable + 1, place_for(this)));
    } else {
      const std::size_t usable = usable_scanned_bytes(wanted * sizeof(T));
      capacity = std::min<std::size_t>(usable / sizeof(T), UINT32_MAX);
      larger = static_cast<T*>(allocate_scanned(
          usable + 1, kTypeNumber<T>, static_cast<std::uint32_t>(capacity), place_for(this)));
    }
    // Relocation: the elements' bytes move, and nobody destroys the old ones.
    if constexpr (!kNoscan<T>) {
      internal::before_move(elements());
      store_range(larger, elements(), size_ * kWordsPerElement);
    } else if (size_ > 0) {
      std::memcpy(static_cast<void*>(larger), elements(), size_ * sizeof(T));
    }
    backing_ = larger;
    capacity_ = static_cast<std::uint32_t>(capacity);
  }

  [[no_unique_address]] internal::HandlePlace<Vector> place_;
  Member<void> backing_;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;
};

template <typename T>
struct Trace<Vector<T>> {
  static constexpr bool kKnown = true;
  static constexpr void words(WordSet& set, std::size_t offset) { set.add(offset); }
};

}  // namespace tailrace::gc
