// A pool of buffers for reports, of which few are large.
//
// bad: puts every buffer back. Once each of them has been through a large report, the pool holds
// the largest size it ever saw, many times over, for good: memory that is live, so the collector
// marks around it, paces by it, and counts it against the limit.
// good: lets go of what has grown past a bound; the rare large report pays for its own buffer.
//
// This pair is not about what is allocated (bad allocates less!) but about what is held.
//
// One fiber or thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/gcruntime.h"

namespace tailrace::patterns {

struct Scratch {
  gc::Vector<char> bytes;
};
BOOST_DESCRIBE_STRUCT(Scratch, (), (bytes))

class ScratchPool {
 public:
  static constexpr std::size_t kMostBuffers = 16;

  explicit ScratchPool(std::size_t most_bytes_kept) : most_bytes_kept_(most_bytes_kept) {}

  // Empty, with whatever capacity it had.
  Scratch* take();
  void put(Scratch* scratch);
  // The capacity of all buffers in the pool.
  std::size_t held_bytes() const;

 private:
  const std::size_t most_bytes_kept_;
  gc::Root<gc::Vector<gc::Member<Scratch>>> free_;
};

namespace bad {
inline ScratchPool make_pool() { return ScratchPool(SIZE_MAX); }
}  // namespace bad
namespace good {
inline ScratchPool make_pool() { return ScratchPool(std::size_t{64} << 10); }
}  // namespace good

// A report of that many lines; returns its size.
std::size_t write_report(ScratchPool& pool, std::size_t lines);

}  // namespace tailrace::patterns
