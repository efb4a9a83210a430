// Hide-and-seek: a chain's tail is cut off by a plain store and then known in one place only, while cycles
// run: a register, half a vector register, the red zone (by an assembly leaf), the callee-saved registers
// over switches, a parked fiber's stack, the captures of a fiber that has not begun, a handler of an
// exception. Then it is hung under a stranger. Oracle: ids and payloads of item.h.
//
// What a compiler keeps decides what this finds: whoever holds the pointer gets it through a memory word
// that is zeroed, from a function that is not inlined (its frame is dead stack below the holder's).
#include <array>
#include <atomic>
#include <exception>
#include <iterator>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/mutant.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_hideout.h"
#include "gcruntime/sync/mutex.h"
#include "gcruntime/torture/item.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

constexpr std::size_t kSlots = 64;
struct Slots {
  std::array<gc::Atomic<Item>, kSlots> slots;
};
BOOST_DESCRIBE_STRUCT(Slots, (), (slots))

// A parked fiber that waits for a pointer to be written into its stack.
struct Mailbox {
  Item* letter = nullptr;
  fiber::Fiber* owner = nullptr;
};

// Parked receivers, for all seekers of one run. A bound of its own: who finds no room goes on.
struct PostOffice {
  fiber::Mutex mutex;
  std::array<Mailbox*, 8> boxes{};  // guarded by mutex
  bool closed = false;              // guarded by mutex
};

struct Carrier : std::exception {
  explicit Carrier(Item* item) : carried(item) {}
  // Exceptions live in malloc's memory, which is not scanned.
  gc::Root<Item> carried;
};

class Seeker {
 public:
  Seeker(Run& run, Random& random, Slots& slots, PostOffice& office, unsigned number)
      : run_(run),
        random_(random),
        slots_(slots),
        office_(office),
        next_id_(std::int64_t{number + 1} << 40) {}

  void turn() {
    switch (random_.below(10)) {
      case 0:
        put(make_item(++next_id_, random_), 0);
        break;
      case 1:
        put(make_chain(1 + random_.below(8), next_id_, random_), 0);
        break;
      case 2:
        litter(random_, random_.below(60));
        break;
      case 3:
      case 4:
        in_hideout();
        break;
      case 5:
        over_switches();
        break;
      case 6:
        in_deep_frame(static_cast<unsigned>(random_.below(24)));
        break;
      case 7:
        in_captures();
        break;
      case 8:
        by_mail();
        break;
      default:
        by_exception();
        break;
    }
  }

  // Until the office closes: park, take what was written here, put it elsewhere.
  void receive() {
    for (;;) {
      Mailbox box;
      Call call{&office_, &box};
      fiber::park(fiber::WaitReason::kOther, publish, &call);
      if (box.letter == nullptr) return;
      rehang(box.letter);
      run_.step();
    }
  }

 private:
  struct Call {
    PostOffice* office;
    Mailbox* box;
  };

  // On the scheduler context: it must not wait, so a taken lock sends the fiber round again by a letter
  // of null only when the office is closed; else it tries until it has the lock (held for a few steps).
  static bool publish(fiber::Fiber* self, void* argument) {
    const Call call = *static_cast<Call*>(argument);
    call.box->owner = self;
    while (!call.office->mutex.try_lock()) __builtin_ia32_pause();
    bool published = false;
    if (!call.office->closed) {
      for (Mailbox*& place : call.office->boxes) {
        if (place != nullptr) continue;
        place = call.box;
        published = true;
        break;
      }
    }
    call.office->mutex.unlock();
    return published;
  }

  Item* take() { return slots_.slots[random_.below(kSlots)].exchange(nullptr); }
  void put(Item* item, int depth) {
    Item* old = slots_.slots[random_.below(kSlots)].exchange(item);
    // Elsewhere, or else garbage.
    if (old != nullptr && depth < 3 && random_.one_in(2)) put(old, depth + 1);
  }

  // Leaves a tail's only pointer in *place. Returns its id; 0: there was none.
  TAILRACE_NOINLINE std::int64_t cut_tail(void** place) {
    Item* chain = take();
    if (chain == nullptr) return 0;
    if (check_chain(run_, chain) > 40) return 0;
    Item* tail = detach(chain);
    put(chain, 0);
    *place = tail;
    return tail == nullptr ? 0 : tail->id;
  }
  TAILRACE_NOINLINE void rehang(Item* item) {
    check_chain(run_, item);
    Item* stranger = make_item(++next_id_, random_);
    hang(stranger, item);
    put(stranger, 0);
  }
  TAILRACE_NOINLINE void check_and_rehang(void* place, std::int64_t id) {
    auto* item = static_cast<Item*>(place);
    run_.expect_equal(static_cast<std::uint64_t>(item->id), static_cast<std::uint64_t>(id),
                      "id of what was hidden", item);
    rehang(item);
  }

  void in_hideout() {
#if TAILRACE_TSAN
    // No signals there: a thread that is in a leaf is not stopped, so there is nothing to find.
    in_deep_frame(1);
#else
    void* place = nullptr;
    const std::int64_t id = cut_tail(&place);
    if (id == 0) return;
    std::atomic<int> started{0};
    const std::atomic<int> release{0};
    gc::test::hide(gc::test::kHideouts[random_.below(std::size(gc::test::kHideouts))], &place,
                   &started, &release, random_.log_uniform(14));
    check_and_rehang(place, id);
#endif
  }

  // Six at once in the callee-saved registers; the switch saves them on the fiber's stack.
  void over_switches() {
    void* places[6] = {};
    std::int64_t ids[6] = {};
    for (int i = 0; i < 6; ++i) ids[i] = cut_tail(&places[i]);
    struct Steps {
      std::uint64_t left;
    } steps{1 + random_.below(6)};
    gc::test::hold_over_calls(
        places,
        [](void* argument) {
          fiber::yield();
          return --static_cast<Steps*>(argument)->left == 0 ? 1 : 0;
        },
        &steps);
    for (int i = 0; i < 6; ++i) {
      void* item = places[i];
      places[i] = nullptr;
      if (ids[i] != 0) check_and_rehang(item, ids[i]);
    }
  }

  // The holder's frame is deeper or shallower than at the fiber's last switch.
  TAILRACE_NOINLINE void in_deep_frame(unsigned depth) {
    volatile char frame[256];
    frame[0] = static_cast<char>(depth);
    if (depth > 0) {
      in_deep_frame(depth - 1);
      frame[1] = frame[0];
      return;
    }
    void* place = nullptr;
    const std::int64_t id = cut_tail(&place);
    if (id == 0) return;
    if (random_.one_in(2)) {
      fiber::yield();
    } else {
      fiber::sleep_for_ns(static_cast<std::int64_t>(random_.log_uniform(20)));
    }
    pause(random_);
    check_and_rehang(place, id);
  }

  void in_captures() {
    void* place = nullptr;
    const std::int64_t id = cut_tail(&place);
    if (id == 0) return;
    fiber::JoinHandle handle = spawn_holder(&place, id);
    if (random_.one_in(2)) handle.join();
    handle = {};  // what runs on uses nothing of this fiber's
  }
  // Clears *place: the captures are all there is.
  TAILRACE_NOINLINE fiber::JoinHandle spawn_holder(void** place, std::int64_t id) {
    void* item = *place;
    *place = nullptr;
    Run* run = &run_;
    Slots* slots = &slots_;
    const std::uint64_t choice = random_.next();
    return fiber::spawn({0, "holder"}, [item, id, run, slots, choice] {
      Random random(run->seed(), choice);
      if (random.one_in(2)) fiber::yield();
      pause(random);
      auto* held = static_cast<Item*>(item);
      run->expect_equal(static_cast<std::uint64_t>(held->id), static_cast<std::uint64_t>(id),
                        "id of what was captured", held);
      check_chain(*run, held);
      slots->slots[random.below(kSlots)].exchange(held);
    });
  }

  // Into the stack of a parked fiber, which knows nothing of it yet.
  void by_mail() {
    void* place = nullptr;
    const std::int64_t id = cut_tail(&place);
    if (id == 0) return;
    Mailbox* box = nullptr;
    {
      while (!office_.mutex.try_lock()) fiber::yield();
      for (Mailbox*& each : office_.boxes) {
        if (each == nullptr || box != nullptr) continue;
        box = each;
        each = nullptr;
      }
      office_.mutex.unlock();
    }
    if (box == nullptr) {
      check_and_rehang(place, id);
      return;
    }
    // [gc.barrier.stack] The stack is another fiber's.
    if (base::mutant(base::Mutant::kChannelWithoutBarrier)) {
      box->letter = static_cast<Item*>(place);
    } else {
      gc::store(&box->letter, static_cast<Item*>(place));
    }
    place = nullptr;
    pause(random_);
    fiber::ready(box->owner);
  }

  TAILRACE_NOINLINE void throw_tail(unsigned depth) {
    if (depth > 0) {
      throw_tail(depth - 1);
      return;
    }
    void* place = nullptr;
    if (cut_tail(&place) == 0) return;
    throw Carrier(static_cast<Item*>(place));
  }
  void by_exception() {
    try {
      throw_tail(static_cast<unsigned>(random_.below(4)));
    } catch (Carrier& caught) {
      Item* item = caught.carried.get();
      caught.carried = nullptr;
      pause(random_);
      fiber::yield();
      run_.expect(std::current_exception() != nullptr, "exception in its handler", &caught, 0, 1);
      rehang(item);
    }
  }

  Run& run_;
  Random& random_;
  Slots& slots_;
  PostOffice& office_;
  std::int64_t next_id_;
};

}  // namespace

void hide_and_seek(Run& run) {
  constexpr unsigned kReceivers = 4;
  const unsigned seekers = 4 + 4 * run.workers();
  const gc::Root<Slots> slots(gc::make<Slots>());
  PostOffice office;
  std::atomic<unsigned> seeking{seekers};
  run.fibers(seekers + kReceivers, [&](unsigned number, Random random) {
    Seeker seeker(run, random, *slots, office, number);
    if (number >= seekers) {
      seeker.receive();
      return;
    }
    do {
      seeker.turn();
      run.step();
    } while (run.more());
    // Relaxed: a count; what follows is under the office's lock.
    if (seeking.fetch_sub(1, std::memory_order_relaxed) != 1) return;
    while (!office.mutex.try_lock()) fiber::yield();
    office.closed = true;
    std::array<Mailbox*, 8> waiting = office.boxes;
    office.boxes.fill(nullptr);
    office.mutex.unlock();
    for (Mailbox* box : waiting) {
      if (box != nullptr) fiber::ready(box->owner);
    }
  });
}

}  // namespace tailrace::torture
