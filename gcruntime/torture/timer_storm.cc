// Timers: fibers sleep, and wait for wakers and deadlines that race. Oracle: no sleep ends early, each wait
// is ended by exactly one side, which both sides agree on, and what a waiter holds is still there.
#include <array>
#include <atomic>

#include "gcruntime/fiber/timed_wait.h"
#include "gcruntime/os/clock.h"
#include "gcruntime/sync/mutex.h"
#include "gcruntime/torture/item.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

// One waiter and whoever may wake it. `wait` points to the waiter's stack while it waits.
struct Place {
  fiber::Mutex mutex;
  fiber::TimedWait* wait = nullptr;  // guarded by mutex
  std::uint64_t woken = 0;           // guarded by mutex: waits that a waker has ended
};

struct Publication {
  Place* place;
  fiber::TimedWait* wait;
};

// On the scheduler context, so it must not wait for the lock but by spinning; it is held for moments.
bool publish(fiber::Fiber*, void* argument) {
  const auto publication = *static_cast<Publication*>(argument);
  while (!publication.place->mutex.try_lock()) __builtin_ia32_pause();
  publication.place->wait = publication.wait;
  publication.place->mutex.unlock();
  return true;
}
// Held for a few steps and never over a switch, because publish spins for it.
void lock(fiber::Mutex& mutex) {
  while (!mutex.try_lock()) fiber::yield();
}

std::int64_t short_while_ns(Random& random) {
  return static_cast<std::int64_t>(random.log_uniform(21));  // to 3 ms
}

void wait_in(Run& run, Random& random, Place& place, std::uint64_t& woken) {
  fiber::TimedWait wait;
  Publication publication{&place, &wait};
  const std::int64_t deadline_ns = os::now_ns() + short_while_ns(random);
  const fiber::TimedWait::Outcome outcome =
      wait.wait(fiber::WaitReason::kOther, deadline_ns, publish, &publication);
  if (outcome == fiber::TimedWait::Outcome::kTimedOut) {
    run.expect(os::now_ns() >= deadline_ns, "wait that ended early", &wait, 0, 1);
    lock(place.mutex);
    place.wait = nullptr;
    place.mutex.unlock();
  } else {
    ++woken;
  }
}

void wake_in(Place& place) {
  lock(place.mutex);
  fiber::TimedWait* wait = place.wait;
  fiber::Fiber* sleeper = nullptr;
  if (wait != nullptr) {
    sleeper = wait->fiber();
    if (wait->claim()) {
      place.wait = nullptr;
      ++place.woken;
    } else {
      sleeper = nullptr;
    }
  }
  place.mutex.unlock();
  if (sleeper != nullptr) fiber::ready(sleeper);
}

}  // namespace

void timer_storm(Run& run) {
  constexpr unsigned kPlaces = 8;
  std::array<Place, kPlaces> places;
  const unsigned sleepers = 4 * run.workers();
  std::atomic<unsigned> waiting{kPlaces};
  run.fibers(2 * kPlaces + sleepers, [&](unsigned number, Random random) {
    std::int64_t next_id = std::int64_t{number + 1} << 40;
    if (number < kPlaces) {
      std::uint64_t woken = 0;
      do {
        Item* held = make_chain(1 + random.below(3), next_id, random);
        wait_in(run, random, places[number], woken);
        check_chain(run, held);
        run.step();
      } while (run.more());
      lock(places[number].mutex);
      run.expect_equal(woken, places[number].woken, "waits ended by a waker");
      places[number].mutex.unlock();
      waiting.fetch_sub(1, std::memory_order_relaxed);
    } else if (number < 2 * kPlaces) {
      while (waiting.load(std::memory_order_relaxed) != 0) {
        wake_in(places[random.below(kPlaces)]);
        fiber::sleep_for_ns(short_while_ns(random) / 8);
      }
    } else {
      do {
        Item* held = make_chain(1 + random.below(3), next_id, random);
        const std::int64_t until_ns = os::now_ns() + short_while_ns(random);
        fiber::sleep_for_ns(until_ns - os::now_ns());
        run.expect(os::now_ns() >= until_ns, "sleep that ended early", held, 0, 1);
        check_chain(run, held);
        litter(random, 8);
        run.step();
      } while (run.more());
    }
  });
}

}  // namespace tailrace::torture
