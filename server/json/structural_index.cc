// simdjson's first stage and the pool of its parsers. All that simdjson.h costs to compile is paid
// here.
#include "server/json/structural_index.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <new>

#include "metrics/shard.h"

namespace tailrace::json::internal {

struct StructuralIndex::Parser {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> stage1;
  std::size_t capacity = 0;  // bytes of text
};

namespace {

// A decoder may suspend while it allocates, so a thread may need a second parser. The first place
// takes any parser of up to kMaxKeptBytes, the others only small ones.
constexpr std::size_t kPlaces = 4;
constexpr std::size_t kSmallBytes = 64 * 1024;
constexpr std::size_t kFirstBytes = 16 * 1024;

// As in server/buffer.cc: a pool belongs to the thread that leases the shard, nothing here
// suspends.
struct alignas(64) Pool {
  std::array<StructuralIndex::Parser*, kPlaces> parsers;
};
constinit std::array<Pool, metrics::kShards> pools{};

StructuralIndex::Parser* take(std::size_t bytes) {
  const metrics::Shard shard = metrics::current_shard();
  if (!shard.common()) {
    auto& places = pools[shard.index()].parsers;
    // From the last: small texts leave the large parser alone.
    for (std::size_t i = kPlaces; i-- > 0;) {
      if (places[i] != nullptr && (places[i]->capacity >= bytes || i == 0)) {
        return std::exchange(places[i], nullptr);
      }
    }
  }
  return new (std::nothrow) StructuralIndex::Parser;
}

void give(StructuralIndex::Parser* parser) {
  const metrics::Shard shard = metrics::current_shard();
  if (!shard.common()) {
    auto& places = pools[shard.index()].parsers;
    for (std::size_t i = kPlaces; i-- > 0;) {
      const std::size_t most = i == 0 ? StructuralIndex::kMaxKeptBytes : kSmallBytes;
      if (places[i] == nullptr && parser->capacity <= most) {
        places[i] = parser;
        return;
      }
    }
  }
  delete parser;
}

bool make_room(StructuralIndex::Parser& parser, std::size_t bytes) {
  if (parser.capacity >= bytes) return true;
  // By powers of two, so that a stream of growing texts does not allocate for each.
  const std::size_t capacity = std::bit_ceil(std::max(bytes, kFirstBytes));
  const simdjson::error_code error =
      parser.stage1 == nullptr
          ? simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, 1,
                                                                                    parser.stage1)
          : parser.stage1->allocate(capacity, 1);
  parser.capacity = error == simdjson::SUCCESS ? capacity : 0;
  if (error != simdjson::SUCCESS) parser.stage1.reset();
  return error == simdjson::SUCCESS;
}

}  // namespace

StructuralIndex::StructuralIndex(std::string_view text) noexcept {
  if (text.size() > kMaxBytes) {
    status_ = Status::kTooLarge;
    return;
  }
  if (text.empty()) return;
  parser_ = take(text.size());
  if (parser_ == nullptr || !make_room(*parser_, text.size())) {
    status_ = Status::kNoMemory;
    return;
  }
  auto& stage1 = *parser_->stage1;
  switch (stage1.stage1(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                        simdjson::stage1_mode::regular)) {
    case simdjson::SUCCESS:
      break;
    case simdjson::EMPTY:
      status_ = Status::kEmpty;
      return;
    case simdjson::UTF8_ERROR:
      status_ = Status::kUtf8;
      return;
    case simdjson::UNCLOSED_STRING:
      status_ = Status::kUnclosedString;
      return;
    case simdjson::UNESCAPED_CHARS:
      status_ = Status::kControlCharacter;
      return;
    default:
      status_ = Status::kNoMemory;
      return;
  }
  count_ = stage1.n_structural_indexes;
  stage1.structural_indexes[count_] = static_cast<std::uint32_t>(text.size());
  offsets_ = stage1.structural_indexes.get();
  status_ = Status::kOk;
}

StructuralIndex::~StructuralIndex() {
  if (parser_ != nullptr) give(parser_);
}

}  // namespace tailrace::json::internal
