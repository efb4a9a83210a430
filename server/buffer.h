// Buffer: a growing run of bytes out of a per-worker pool, with head room in front, so that a
// response's head is written before its body and both leave in one send. Buffer memory is not
// managed memory.
//
// Movable, owned by one fiber at a time; returns its memory to the pool of the worker that destroys
// it. Memory of more than kMaxPooledBytes is freed instead of pooled; a worker has a pool for each use,
// which holds at most kMaxPoolBytes. Growth doubles and is bounded by kMaxBytes: append() beyond it
// returns false.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "gcruntime/pool/pool_stats.h"

namespace tailrace::http {

// What a buffer is for. Pools are listed by it (gcruntime/pool/pool_stats.h).
enum class BufferUse : std::uint32_t {
  kEncoder,     // "json_encoder": what replies are written into
  kConnection,  // "connection": input, and replies that wait to be sent together
};

class Buffer {
 public:
  static constexpr std::size_t kHeadRoomBytes = 1024;
  static constexpr std::size_t kPaddingBytes = 64;       // readable behind the end, for simdjson
  static constexpr std::size_t kFirstBytes = 16 * 1024;  // of memory; pooled sizes: 16, 32, 64 KiB
  static constexpr std::size_t kMaxPooledBytes = 64 * 1024;
  static constexpr std::size_t kMaxPoolBytes = 2 * 1024 * 1024;
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

  Buffer() noexcept = default;  // no memory until the first reserve
  explicit Buffer(BufferUse use) noexcept : use_(use) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer moved(std::move(other));
    swap(moved);
    return *this;
  }
  ~Buffer() {
    if (memory_ != nullptr) release();
  }

  char* data() noexcept { return memory_ + begin_; }
  const char* data() const noexcept { return memory_ + begin_; }
  std::size_t size() const noexcept { return end_ - begin_; }
  bool empty() const noexcept { return begin_ == end_; }
  std::string_view view() const noexcept { return {memory_ + begin_, end_ - begin_}; }

  // Room for `bytes` more at the end (and the padding); null if that would pass kMaxBytes or the
  // memory cannot be had. Write there, then commit what was written.
  char* reserve(std::size_t bytes) noexcept {
    if (bytes <= room()) [[likely]]
      return memory_ + end_;
    return grow(bytes);
  }
  void commit(std::size_t bytes) noexcept { end_ += static_cast<std::uint32_t>(bytes); }
  // Bytes that can be written at the end without growth.
  std::size_t room() const noexcept { return limit_ - end_; }
  bool append(std::string_view text) noexcept {
    char* to = reserve(text.size());
    if (to == nullptr) return false;
    if (!text.empty()) std::memcpy(to, text.data(), text.size());  // an empty view may be null
    commit(text.size());
    return true;
  }
  // Puts text before the data, into the head room; false if it does not fit.
  bool prepend(std::string_view text) noexcept {
    if (text.size() > begin_ || memory_ == nullptr) return false;
    begin_ -= static_cast<std::uint32_t>(text.size());
    if (!text.empty()) std::memcpy(memory_ + begin_, text.data(), text.size());
    return true;
  }
  // Drops bytes from the front (consumed input), from the end, or all.
  void consume(std::size_t bytes) noexcept { begin_ += static_cast<std::uint32_t>(bytes); }
  void truncate(std::size_t size) noexcept { end_ = begin_ + static_cast<std::uint32_t>(size); }
  void clear() noexcept { begin_ = end_ = memory_ == nullptr ? 0 : kHeadRoomBytes; }

  void swap(Buffer& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    std::swap(limit_, other.limit_);
    std::swap(use_, other.use_);
  }

 private:
  char* grow(std::size_t bytes) noexcept;
  void release() noexcept;
  // Of memory_.
  std::size_t capacity() const noexcept { return memory_ == nullptr ? 0 : limit_ + kPaddingBytes; }

  char* memory_ = nullptr;
  std::uint32_t begin_ = 0;
  std::uint32_t end_ = 0;
  std::uint32_t limit_ = 0;  // where the padding begins
  BufferUse use_ = BufferUse::kEncoder;
};

// Sums over all workers since start.
gc::PoolStats buffer_pool_stats(BufferUse use) noexcept;

}  // namespace tailrace::http
