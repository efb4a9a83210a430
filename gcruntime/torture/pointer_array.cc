// One array of pointers, up to 1 GiB of them, which the marker scans in pieces while fibers write it at
// random. Oracle: each fiber owns every n-th place and keeps the sum of what it put there.
#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

struct Box {
  std::uint64_t index = 0;
  std::uint64_t value = 0;
};
BOOST_DESCRIBE_STRUCT(Box, (), (index, value))

// ThreadSanitizer's shadow costs four times the memory, and two shadows of it.
constexpr std::size_t kMostBytes = (std::size_t{1} << 30) / (TAILRACE_TSAN ? 16 : 1);

std::uint64_t seal(std::uint64_t index, std::uint64_t value) { return (index + 1) * (value | 1); }

}  // namespace

void pointer_array(Run& run) {
  const std::size_t places =
      run.scaled(std::size_t{64} << 10, std::size_t{64} << 20, kMostBytes) / sizeof(void*);
  const unsigned fibers = run.workers() + 1;
  gc::Root<gc::Vector<gc::Member<Box>>> array;
  array->resize(places);
  run.fibers(fibers, [&](unsigned number, Random random) {
    gc::Vector<gc::Member<Box>>& all = *array;
    const std::size_t own = (places - number + fibers - 1) / fibers;
    // At most so many are in use at once: the array's size is the point, not the boxes'.
    const std::size_t window = own < 20'000 ? own : 20'000;
    const std::size_t first = random.below(own);
    std::uint64_t sum = 0;
    const auto index_of = [&](std::size_t place) {
      return (first + place) % own * fibers + number;
    };
    do {
      for (int turn = 0; turn < 64; ++turn) {
        const std::size_t index = index_of(random.below(window));
        gc::Member<Box>& place = all[index];
        if (const Box* old = place.get()) {
          run.expect_equal(old->index, index, "box in another's place", old);
          sum -= seal(index, old->value);
        }
        if (random.one_in(3)) {
          place = nullptr;
          continue;
        }
        Box* box = gc::make<Box>();
        box->index = index;
        box->value = random.next();
        sum += seal(index, box->value);
        place = box;
      }
      pause(random);
      run.step();
    } while (run.more());
    std::uint64_t found = 0;
    for (std::size_t place = 0; place < window; ++place) {
      const std::size_t index = index_of(place);
      const Box* box = all[index].get();
      if (box == nullptr) continue;
      run.expect_equal(box->index, index, "box in another's place", box);
      found += seal(index, box->value);
    }
    run.expect_equal(found, sum, "sum of the boxes");
  });
}

}  // namespace tailrace::torture
