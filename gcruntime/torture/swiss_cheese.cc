// Swiss cheese: the heap is filled with objects of one size, a part is let go at random, and the holes are
// filled by the next round. Oracle: every survivor's bytes; and the pages in use stay below a bound that
// what may live gives, so that holes are filled and not left.
#include <atomic>
#include <iterator>

#include "gcruntime/gc/allocate.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

constexpr std::size_t kSizes[] = {16, 24, 48, 64, 112, 256, 640, 1536, 4096, 9000};

struct Blob {
  gc::Member<std::uint64_t> words;
  std::uint64_t id = 0;
  std::uint64_t count = 0;  // of words
};
BOOST_DESCRIBE_STRUCT(Blob, (), (words, id, count))

Blob* make_blob(std::uint64_t id, std::size_t bytes) {
  auto* words = static_cast<std::uint64_t*>(gc::allocate_noscan(bytes));
  for (std::size_t i = 0; i < bytes / 8; ++i) words[i] = id + i * 0x9E3779B97F4A7C15u;
  Blob* blob = gc::make<Blob>();
  blob->words = words;
  blob->id = id;
  blob->count = bytes / 8;
  return blob;
}
void check(Run& run, const Blob* blob) {
  const std::uint64_t* words = blob->words.get();
  for (std::uint64_t i = 0; i < blob->count; ++i) {
    run.expect_equal(words[i], blob->id + i * 0x9E3779B97F4A7C15u, "word of a blob", &words[i]);
  }
}

}  // namespace

void swiss_cheese(Run& run) {
  const unsigned fibers = run.workers() + 1;
  const std::size_t places = run.scaled(2'000, 2'000, 50'000) / fibers;
  std::atomic<std::uint64_t> id{0};
  run.fibers(fibers, [&](unsigned number, Random random) {
    gc::Root<gc::Vector<gc::Member<Blob>>> blobs;
    blobs->resize(places);
    gc::Vector<gc::Member<Blob>>& all = *blobs;
    std::uint64_t rounds = 0;
    do {
      const std::size_t bytes = kSizes[random.below(std::size(kSizes))];
      const std::uint64_t kept_in_16 = 1 + random.below(15);  // 6 to 94 % stay
      for (std::size_t i = 0; i < places; ++i) {
        gc::Member<Blob>& place = all[i];
        if (place) check(run, place.get());
        if (random.below(16) < kept_in_16) continue;
        // Relaxed: only has to be new.
        place = make_blob(id.fetch_add(1, std::memory_order_relaxed) * 8 + 1, bytes);
        if (i % 256 == 0) fiber::yield();
      }
      pause(random);
      run.step();
      // The bound: what may live, twice for what conservative stacks and half-filled spans add, and
      // 32 MiB for caches and for what is allocated before a cycle ends it.
      if (number == 0 && ++rounds % 16 == 0) {
        gc::collect();
        const std::uint64_t inuse = gc::read_mem_stats().heap_inuse;
        const std::uint64_t most = 2 * places * fibers * (kSizes[std::size(kSizes) - 1] + 2'000) +
                                   (std::uint64_t{32} << 20);
        run.expect(inuse <= most, "bytes of pages in use", nullptr, inuse, most);
      }
    } while (run.more());
    for (std::size_t i = 0; i < places; ++i) {
      if (all[i]) check(run, all[i].get());
    }
  });
}

}  // namespace tailrace::torture
