// See chunked.h.
#include "server/chunked.h"

#include <algorithm>
#include <cstring>

#include "server/ascii.h"
#include "server/limits.h"

namespace tailrace::http {
namespace {

bool is_text(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

}  // namespace

ChunkedDecoder::Result ChunkedDecoder::decode(char*& to, const char*& from,
                                              const char* end) noexcept {
  while (from != end) {
    if (state_ == State::kData) {
      const std::size_t bytes = static_cast<std::size_t>(
          std::min<std::uint64_t>(size_, static_cast<std::uint64_t>(end - from)));
      if (to != from) std::memmove(to, from, bytes);
      to += bytes;
      from += bytes;
      size_ -= bytes;
      if (size_ == 0) state_ = State::kDataCr;
      continue;
    }
    const char c = *from++;
    switch (state_) {
      case State::kSize:
      case State::kSizeMore: {
        const int digit = hex_value(c);
        ++line_bytes_;
        if (digit >= 0) {
          if (size_ >> 56 != 0) return Result::kMalformed;  // over 15 digits' worth
          if (line_bytes_ > kMaxChunkLineBytes) return Result::kMalformed;
          size_ = size_ << 4 | static_cast<std::uint64_t>(digit);
          state_ = State::kSizeMore;
        } else if (state_ == State::kSize) {
          return Result::kMalformed;
        } else if (c == '\r') {
          state_ = State::kSizeLf;
        } else if (c == ';') {
          state_ = State::kExtension;
        } else {
          return Result::kMalformed;
        }
        break;
      }
      case State::kExtension:
        if (c == '\r') {
          state_ = State::kSizeLf;
        } else if (!is_text(c) || ++line_bytes_ > kMaxChunkLineBytes) {
          return Result::kMalformed;
        }
        break;
      case State::kSizeLf:
        if (c != '\n') return Result::kMalformed;
        if (size_ == 0) {
          state_ = State::kTrailer;
        } else {
          if (size_ > left_) return Result::kTooLarge;
          left_ -= size_;
          state_ = State::kData;
        }
        break;
      case State::kDataCr:
        if (c != '\r') return Result::kMalformed;
        state_ = State::kDataLf;
        break;
      case State::kDataLf:
        if (c != '\n') return Result::kMalformed;
        size_ = 0;
        line_bytes_ = 0;
        state_ = State::kSize;
        break;
      case State::kTrailer:
        if (c == '\r') {
          state_ = State::kEndLf;
          break;
        }
        // A field's name begins; a fold or anything else does not.
        if (!is_token(c)) return Result::kMalformed;
        state_ = State::kTrailerLine;
        [[fallthrough]];
      case State::kTrailerLine:
        if (c == '\r') {
          state_ = State::kTrailerLf;
        } else if (!is_text(c) || ++trailer_bytes_ > kMaxTrailerBytes) {
          return Result::kMalformed;
        }
        break;
      case State::kTrailerLf:
        if (c != '\n') return Result::kMalformed;
        state_ = State::kTrailer;
        break;
      case State::kEndLf:
        return c == '\n' ? Result::kDone : Result::kMalformed;
      case State::kData:
        break;
    }
  }
  return Result::kNeedMore;
}

}  // namespace tailrace::http
