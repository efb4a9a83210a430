// Fibers by the hundred: families that spawn, join and return sums; a token that goes round a ring of
// parked fibers; jobs; and quiet phases in which all workers sleep and one thread outside spawns, submits
// and readies, so that a wake that is lost has nobody who repairs it (the watchdog's case).
// Oracle: the sums, and items that go with every hand-over.
#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "gcruntime/torture/item.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

// Members of a family: number n has children 2n+1 and 2n+2 below the limit. The sum of their numbers.
std::uint64_t family(Run& run, std::uint64_t number, std::uint64_t limit, Random random) {
  if (number >= limit) return 0;
  std::int64_t next_id = static_cast<std::int64_t>(number << 20);
  Item* held = make_chain(1 + random.below(3), next_id, random);
  std::array<std::uint64_t, 2> sums{};
  {
    std::array<fiber::JoinHandle, 2> children;
    for (std::uint64_t side = 0; side < 2; ++side) {
      const Random own(random.next(), side);
      children[side] = fiber::spawn({0, "child"}, [&, held, side, own] {
        check_chain(run, held);
        sums[side] = family(run, 2 * number + 1 + side, limit, own);
      });
      if (random.one_in(8)) pause(random);
    }
    for (fiber::JoinHandle& child : children) child.join();
  }
  check_chain(run, held);
  run.step();
  return number + sums[0] + sums[1];
}

// One place of the ring: a parked fiber, and the letter that it is readied with.
struct Seat {
  std::atomic<fiber::Fiber*> parked{nullptr};
  std::atomic<Item*> letter{nullptr};  // on the holder's stack: scanned there
};
bool sit_down(fiber::Fiber* self, void* seat) {
  // Release: pairs with pass_on's acquire; the fiber is parked.
  static_cast<Seat*>(seat)->parked.store(self, std::memory_order_release);
  return true;
}
void pass_on(Seat& seat, Item* token) {
  fiber::Fiber* next = nullptr;
  // Acquire: pairs with sit_down.
  while ((next = seat.parked.exchange(nullptr, std::memory_order_acquire)) == nullptr)
    fiber::yield();
  // Relaxed: ready orders it before the fiber's next step.
  seat.letter.store(token, std::memory_order_relaxed);
  fiber::ready(next);
}

void ring(Run& run, Random random, unsigned rounds) {
  constexpr unsigned kSeats = 6;
  std::array<Seat*, kSeats> seats{};
  std::atomic<unsigned> seated{0};
  std::array<fiber::JoinHandle, kSeats> handles;
  for (unsigned i = 0; i < kSeats; ++i) {
    const Random own(random.next(), i);
    handles[i] = fiber::spawn({0, "ring"}, [&, i, own] {
      Random choices = own;
      Seat seat;
      seats[i] = &seat;
      // Release: pairs with the acquire below.
      seated.fetch_add(1, std::memory_order_release);
      for (unsigned round = 0; round < rounds; ++round) {
        fiber::park(fiber::WaitReason::kOther, sit_down, &seat);
        Item* token = seat.letter.exchange(nullptr, std::memory_order_relaxed);
        run.expect_equal(check_chain(run, token), 1, "token", token);
        run.expect_equal(static_cast<std::uint64_t>(token->id), round * kSeats + i + 1,
                         "token's id", token);
        if (choices.one_in(4)) pause(choices);
        Item* next = make_item(token->id + 1, choices);
        run.step();
        if (i + 1 < kSeats || round + 1 < rounds) pass_on(*seats[(i + 1) % kSeats], next);
      }
    });
  }
  // Acquire: pairs with the release above; all seats can be found.
  while (seated.load(std::memory_order_acquire) != kSeats) fiber::yield();
  pass_on(*seats[0], make_item(1, random));
  for (fiber::JoinHandle& handle : handles) handle.join();
}

void storm(Run& run, std::uint64_t round) {
  run.fibers(run.workers() + 2, [&](unsigned number, Random) {
    Random random = run.random(round << 8 | number);
    const std::uint64_t limit = 1 + random.below(60);
    run.expect_equal(family(run, 0, limit, random), limit * (limit - 1) / 2, "sum of a family");
    ring(run, random, 1 + static_cast<unsigned>(random.below(8)));
  });
}

struct Counting : fiber::Job {
  std::atomic<std::uint32_t> done{0};
};

// Short waits of any length, so that the next call meets the workers in any state of going to sleep.
void wait_outside(Random& random) {
  const std::uint64_t spins = random.log_uniform(14);
  for (std::uint64_t i = 0; i < spins; ++i) __builtin_ia32_pause();
  gc::poll();
  if (random.one_in(4)) {
    gc::native([&] { std::this_thread::sleep_for(std::chrono::nanoseconds(spins * 16)); });
  }
}

// The only source of work: whoever loses a wake here sleeps for ever.
void quiet(Run& run, Random& random) {
  for (int turn = 0; turn < 12; ++turn) {
    std::uint64_t ran = 0;
    fiber::JoinHandle handle = run.scheduler().spawn({0, "outside"}, [&ran] { ran = 1; });
    handle.join();
    run.expect_equal(ran, 1, "fiber spawned from outside");
    wait_outside(random);

    Counting job;
    job.run = [](fiber::Job* self) {
      // Release: the thread outside lets the job go when it sees 1.
      static_cast<Counting*>(self)->done.store(1, std::memory_order_release);
    };
    run.scheduler().submit(&job);
    // Acquire: pairs with the job's release.
    gc::native([&] {
      while (job.done.load(std::memory_order_acquire) == 0) std::this_thread::yield();
    });
    wait_outside(random);

    Seat seat;
    handle = run.scheduler().spawn(
        {0, "readied"}, [&] { fiber::park(fiber::WaitReason::kOther, sit_down, &seat); });
    fiber::Fiber* parked = nullptr;
    gc::native([&] {
      // Acquire: pairs with sit_down.
      while ((parked = seat.parked.load(std::memory_order_acquire)) == nullptr) {
        std::this_thread::yield();
      }
    });
    wait_outside(random);
    fiber::ready(parked);
    handle.join();
    run.step();
  }
}

}  // namespace

void fiber_storm(Run& run) {
  Random random = run.random(0);
  std::uint64_t round = 0;
  do {
    storm(run, ++round);
    quiet(run, random);
  } while (run.more());
}

}  // namespace tailrace::torture
