// The chunked transfer coding, decoded in place: a state machine over bytes, so that however the
// body is split over reads the outcome is the same.
//
// Ours and not Beast's: a chunk header's bound, quoted extensions and trailers differ between Beast
// 345 and its successors, and 345 asserts on a last chunk that comes byte by byte. Strict: CRLF
// only, sizes of 1 to 15 hex digits, extensions and trailers bounded, checked for control
// characters and dropped.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailrace::http {

class ChunkedDecoder {
 public:
  enum class Result { kNeedMore, kDone, kMalformed, kTooLarge };

  explicit ChunkedDecoder(std::uint64_t max_body_bytes) noexcept : left_(max_body_bytes) {}

  // Takes [from, end) and moves the body's bytes to `to`, which is not behind `from`; both are
  // advanced. On kNeedMore everything was taken; on kDone `from` is where the next message begins.
  Result decode(char*& to, const char*& from, const char* end) noexcept;

 private:
  enum class State : std::uint8_t {
    kSize,       // first digit of a size
    kSizeMore,   // further digits
    kExtension,  // up to CR
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailer,  // at the start of a line
    kTrailerLine,
    kTrailerLf,
    kEndLf,
  };

  std::uint64_t size_ = 0;  // of this chunk: read so far, then left
  std::uint64_t left_;      // of the body's limit
  std::uint32_t line_bytes_ = 0;
  std::uint32_t trailer_bytes_ = 0;
  State state_ = State::kSize;
};

}  // namespace tailrace::http
