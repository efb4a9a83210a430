#include "handlers/patterns/append.h"

namespace tailrace::patterns {
namespace {

void fill(gc::Vector<std::int64_t>& ids, std::int64_t first, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) ids.push_back(first + static_cast<std::int64_t>(i));
}
void fill(gc::Map<std::int64_t, std::int64_t>& places, std::int64_t first, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto place = static_cast<std::int64_t>(i);
    places.insert(first + place, place);
  }
}

}  // namespace

gc::Vector<std::int64_t> bad::list_ids(std::int64_t first, std::size_t count) {
  gc::Vector<std::int64_t> ids;
  fill(ids, first, count);
  return ids;
}

gc::Vector<std::int64_t> good::list_ids(std::int64_t first, std::size_t count) {
  gc::Vector<std::int64_t> ids;
  ids.reserve(count);
  fill(ids, first, count);
  return ids;
}

gc::Map<std::int64_t, std::int64_t> bad::index_ids(std::int64_t first, std::size_t count) {
  gc::Map<std::int64_t, std::int64_t> places;
  fill(places, first, count);
  return places;
}

gc::Map<std::int64_t, std::int64_t> good::index_ids(std::int64_t first, std::size_t count) {
  gc::Map<std::int64_t, std::int64_t> places;
  places.reserve(count);
  fill(places, first, count);
  return places;
}

}  // namespace tailrace::patterns
