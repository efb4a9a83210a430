#include "handlers/patterns/oversized.h"

#include <string_view>

namespace tailrace::patterns {

Scratch* ScratchPool::take() {
  if (free_->empty()) return gc::make<Scratch>();
  Scratch* const scratch = free_->back().get();
  free_->pop_back();
  scratch->bytes.clear();
  return scratch;
}

void ScratchPool::put(Scratch* scratch) {
  if (scratch->bytes.capacity() > most_bytes_kept_ || free_->size() == kMostBuffers) return;
  free_->push_back(scratch);
}

std::size_t ScratchPool::held_bytes() const {
  std::size_t bytes = 0;
  for (const gc::Member<Scratch>& each : *free_) bytes += each->bytes.capacity();
  return bytes;
}

std::size_t write_report(ScratchPool& pool, std::size_t lines) {
  constexpr std::string_view kLine = "a line of the report, 32 bytes.\n";
  Scratch* const scratch = pool.take();
  for (std::size_t i = 0; i < lines; ++i) {
    for (const char c : kLine) scratch->bytes.push_back(c);
  }
  const std::size_t bytes = scratch->bytes.size();
  pool.put(scratch);
  return bytes;
}

}  // namespace tailrace::patterns
