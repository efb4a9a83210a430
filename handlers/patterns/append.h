// The ids from `first` on, as a list and as an index from id to place.
//
// bad: appends and inserts without a word about how many are to come: every growth is a new backing
// and a copy, and the old ones are garbage.
// good: reserves first, one object each.
#pragma once

#include <cstdint>

#include "gcruntime/gcruntime.h"

namespace tailrace::patterns {

namespace bad {
gc::Vector<std::int64_t> list_ids(std::int64_t first, std::size_t count);
gc::Map<std::int64_t, std::int64_t> index_ids(std::int64_t first, std::size_t count);
}  // namespace bad
namespace good {
gc::Vector<std::int64_t> list_ids(std::int64_t first, std::size_t count);
gc::Map<std::int64_t, std::int64_t> index_ids(std::int64_t first, std::size_t count);
}  // namespace good

}  // namespace tailrace::patterns
