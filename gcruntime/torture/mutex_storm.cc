// Locks: fibers and attached threads change managed structures under Mutex and SharedMutex, held over
// switches and sleeps. Oracle: counters that only a lock keeps right, readers who never see a half change,
// and the items under the locks.
#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "gcruntime/gc/root.h"
#include "gcruntime/sync/mutex.h"
#include "gcruntime/sync/shared_mutex.h"
#include "gcruntime/torture/item.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

// Guarded by `mutex`: a stack of items, its depth twice.
struct Guarded {
  fiber::Mutex mutex;
  gc::Root<Item> top;
  std::uint64_t depth = 0;
  std::uint64_t depth_again = 0;
};
// Guarded by `mutex`: three words that are equal whenever nobody writes.
struct Shared {
  fiber::SharedMutex mutex;
  gc::Root<Item> item;
  std::uint64_t words[3] = {};
};

class Storm {
 public:
  explicit Storm(Run& run) : run_(run) {}

  void on_fiber(Random& random, std::int64_t& next_id) {
    if (random.one_in(2)) {
      change(random, next_id, true);
    } else if (random.one_in(4)) {
      write(random, next_id, true);
    } else {
      read(random, true);
    }
  }
  void on_thread(Random& random, std::int64_t& next_id) {
    change(random, next_id, false);
    write(random, next_id, false);
    read(random, false);
  }
  void finish() {
    run_.expect_equal(changes_, changes_again_.load(std::memory_order_relaxed),
                      "changes under the lock");
    run_.expect_equal(check_chain(run_, guarded_.top.get()), guarded_.depth,
                      "items under the lock");
  }

 private:
  void change(Random& random, std::int64_t& next_id, bool fiber) {
    const std::lock_guard guard(guarded_.mutex);
    run_.expect_equal(guarded_.depth, guarded_.depth_again, "counters of one lock");
    ++changes_;
    // Relaxed: compared when all have ended.
    changes_again_.fetch_add(1, std::memory_order_relaxed);
    Item* top = guarded_.top.get();
    if (top != nullptr && (guarded_.depth > 30 || random.one_in(3))) {
      guarded_.depth -= 1;
      guarded_.top = nullptr;
      Item* below = detach(top);
      if (fiber && random.one_in(4)) pause(random);
      check_fixed(run_, top);
      guarded_.top = below;
      guarded_.depth_again -= 1;
    } else {
      Item* item = make_item(++next_id, random);
      guarded_.depth += 1;
      hang(item, top);
      guarded_.top = item;
      if (fiber && random.one_in(16)) {
        fiber::sleep_for_ns(static_cast<std::int64_t>(random.log_uniform(14)));
      }
      guarded_.depth_again += 1;
    }
  }
  void write(Random& random, std::int64_t& next_id, bool fiber) {
    const std::lock_guard guard(shared_.mutex);
    const std::uint64_t word = random.next();
    shared_.words[0] = word;
    shared_.item = make_item(++next_id, random);
    if (fiber && random.one_in(4)) fiber::yield();
    shared_.words[1] = word;
    shared_.words[2] = word;
  }
  void read(Random& random, bool fiber) {
    const std::shared_lock guard(shared_.mutex);
    const std::uint64_t word = shared_.words[0];
    const Item* item = shared_.item.get();
    if (fiber && random.one_in(4)) pause(random);
    run_.expect_equal(shared_.words[1], word, "words of one lock");
    run_.expect_equal(shared_.words[2], word, "words of one lock");
    run_.expect(shared_.item.get() == item, "item of a shared lock", item, 1, 0);
    if (item != nullptr) check_fixed(run_, item);
  }

  Run& run_;
  Guarded guarded_;
  Shared shared_;
  std::uint64_t changes_ = 0;                    // guarded by guarded_.mutex
  std::atomic<std::uint64_t> changes_again_{0};  // right without a lock
};

}  // namespace

void mutex_storm(Run& run) {
  Storm storm(run);
  constexpr unsigned kThreads = 2;
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < kThreads; ++number) {
    threads.emplace_back([&, number] {
      const gc::ThreadScope attached;
      Random random = run.random(1'000 + number);
      std::int64_t next_id = std::int64_t{1'000 + number} << 40;
      do {
        storm.on_thread(random, next_id);
        run.step();
        litter(random, 4);
        gc::native([] { std::this_thread::sleep_for(std::chrono::microseconds(50)); });
      } while (run.more());
    });
  }
  run.fibers(6 * run.workers(), [&](unsigned number, Random random) {
    std::int64_t next_id = std::int64_t{number + 1} << 40;
    do {
      storm.on_fiber(random, next_id);
      run.step();
      if (random.one_in(4)) pause(random);
    } while (run.more());
  });
  gc::native([&] {
    for (std::thread& thread : threads) thread.join();
  });
  storm.finish();
}

}  // namespace tailrace::torture
