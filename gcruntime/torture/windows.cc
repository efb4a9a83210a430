// Windows: the interleavings that a collector beside its mutators can lose an object by, each built on
// purpose where hide-and-seek would wait for chance. An actor knows which round of which cycle it is in,
// and does its one move there: the only pointer to a white chain is taken from the end of a long list,
// which the marker has not reached, after the actor's own stack was scanned, and is then held to the end
// of the cycle where only one rule of the collector's finds it. A prompter on another worker wakes the
// actor, or gives the cue. Oracle: the chain's slots are still allocated when the cycle has been swept, and
// hold what item.h says.
//
// A move has to leave no copy behind: pointers pass through functions that are not inlined, what they
// leave is scrubbed, and the list's end is known by its complement only.
#include <array>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <iterator>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/mutant.h"
#include "gcruntime/base/thread_state.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_hideout.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/heap/sweep.h"
#include "gcruntime/sync/channel.h"
#include "gcruntime/torture/item.h"
#include "gcruntime/torture/programs.h"
#include "gcruntime/torture/windows_stage.h"

namespace tailrace::torture {
namespace {

using namespace staged;  // NOLINT(google-build-using-namespace)

class Actor {
 public:
  Actor(Run& run, Random& random, Stage& stage, Cues& cues)
      : run_(run), random_(random), stage_(stage), cues_(cues) {
    grow();
  }

  void turn() {
    const Move move = choose();
    stage_.newborn.store(nullptr);
    // In a quiet moment: what the list's end gets now is white when the cycle begins.
    if (!wait([] { return base::phase() == gc::kPhaseOff && heap::swept(); })) return;
    set_chain();
    scrub();
    fiber::yield();
    void* place = nullptr;
    ++turns_[move];
    play(move, &place);
    if (place == nullptr) place = take_early();
    if (place != nullptr) verify(place);
    stage_.early = nullptr;
    litter(random_, random_.below(40));
  }

  void print() const {
    std::printf("torture windows: met");
    for (unsigned move = 0; move < kMoves; ++move) {
      std::printf(" %s %" PRIu64 "/%" PRIu64, kMoveNames[move], met_[move], turns_[move]);
    }
    std::printf("\n");
  }

 private:
  static constexpr std::uint64_t kMoment = 20'000;  // turns of a loop: a signal comes first

  TAILRACE_NOINLINE void grow() {
    Link* list = gc::make<Link>();
    end_ = ~reinterpret_cast<std::uintptr_t>(list);
    for (std::size_t i = 1; i < kLinks; ++i) {
      Link* link = gc::make<Link>();
      link->next = list;
      list = link;
    }
    stage_.list = list;
    stage_.array.resize(kElements);
  }
  TAILRACE_NO_SANITIZE Link* end() const noexcept { return reinterpret_cast<Link*>(~end_); }

  TAILRACE_NOINLINE void set_chain() {
    end()->child = make_chain(2 + random_.below(3), next_id_, random_);
  }
  // The chain is in *place and nowhere else.
  TAILRACE_NOINLINE void take(Move move, void** place) {
    Link* const last = end();
    Item* const chain = last->child.get();
    if (!heap::find_object(reinterpret_cast<std::uintptr_t>(chain)).marked()) ++met_[move];
    last->child = nullptr;
    *place = chain;
  }
  TAILRACE_NOINLINE void* take_early() {
    Item* const item = stage_.early.get();
    if (item != nullptr) return item;
    Item* const born = stage_.newborn.load();  // with what was hung under it
    return born;
  }
  // As take(), into objects.
  TAILRACE_NOINLINE void store_early() {
    Link* const last = end();
    stage_.early = last->child.get();
    last->child = nullptr;
  }
  // From the end of an array, which is scanned piece by piece, as its slot is on this stack meanwhile.
  TAILRACE_NOINLINE void fill_array() {
    stage_.array[kElements - 1] = end()->child;
    end()->child = nullptr;
  }
  TAILRACE_NOINLINE void copy_early() {
    stage_.early = stage_.array[kElements - 1];
    stage_.array[kElements - 1] = nullptr;
  }
  TAILRACE_NOINLINE void hang_under(Item* stranger) {
    Link* const last = end();
    hang(stranger, last->child.get());
    last->child = nullptr;
  }

  // Against a mutant that is met in one move only, that one every other time.
  Move choose() {
    const auto any = static_cast<Move>(random_.below(kMoves));
    if (random_.one_in(2)) return any;
    if (base::mutant(base::Mutant::kOneHandshake)) return kStranger;
    if (base::mutant(base::Mutant::kHoistedTest)) return kCopy;
    if (base::mutant(base::Mutant::kLateStackPointer)) return kLate;
    if (base::mutant(base::Mutant::kClaimNotAwaited)) return kClaimed;
    if (base::mutant(base::Mutant::kLateCopyDropped)) return kWoken;
    if (base::mutant(base::Mutant::kShadeUnflagged)) return kShade;
    return any;
  }

  template <typename Until>
  bool wait(Until&& until) {
    while (!until()) {
      if (!run_.more()) return false;
      gc::poll();
      __builtin_ia32_pause();
      if (run_.workers() == 1) fiber::yield();
    }
    return true;
  }
  // Until the cycle's first round has scanned this fiber; false: there is none.
  bool wait_for_scan(std::uint64_t& first) {
    if (!run_.beside()) return false;
    if (!wait([] { return gc::rounds.open.load(std::memory_order_acquire) != 0; })) return false;
    first = gc::rounds.first.load(std::memory_order_relaxed);
    fiber::Fiber* const self = fiber::current();
    return wait([&] { return scanned(self, first) || !open_since(first); });
  }
  // Until the cycle has marked and this thread knows it.
  void wait_for_end(std::uint64_t first) {
    wait([&] { return !open_since(first); });
    wait([&] {
      return base::phase() == gc::kPhaseOff ||
             gc::rounds.first.load(std::memory_order_relaxed) != first;
    });
  }

  static bool publish_actor(fiber::Fiber* self, void* cues) {
    static_cast<Cues*>(cues)->actor.store(self, std::memory_order_release);
    return true;
  }
  void park_until_cue(std::uint64_t first, Move move) {
    cues_.at_claim.store(move == kClaimed, std::memory_order_relaxed);
    cues_.in_walk.store(move == kWoken, std::memory_order_relaxed);
    cues_.first.store(first, std::memory_order_relaxed);
    fiber::park(fiber::WaitReason::kOther, publish_actor, &cues_);
  }

  // Moves the pointer below all that was this stack's while it was parked.
  TAILRACE_NOINLINE void sink(void** place, std::uint64_t first) {
    void* volatile frame[512];
    frame[0] = *place;
    *place = nullptr;
    scrub_registers();
    wait_for_end(first);
    *place = frame[0];
  }
  TAILRACE_NOINLINE void park_deep(Move move, unsigned depth, void** place, std::uint64_t first) {
    volatile char frame[256];
    frame[0] = static_cast<char>(depth);
    if (depth > 0) {
      park_deep(move, depth - 1, place, first);
      frame[1] = frame[0];
      return;
    }
    void* here = nullptr;
    take(move, &here);
    park_until_cue(first, move);
    *place = here;
  }

  void play(Move move, void** place) {
    // Known in a quiet moment: of the last cycle.
    const std::uint64_t last = gc::rounds.first.load(std::memory_order_relaxed);
    std::uint64_t first = 0;
    switch (move) {
      case kLate:
        if (!run_.beside() || !wait([] { return base::phase() >= gc::kPhaseBlack; })) return;
        park_deep(kLate, 12, place, gc::rounds.first.load(std::memory_order_relaxed));
        return;
      case kCopy:
        fill_array();
        scrub();
        // Asked for the barrier, and does not know yet.
        while (run_.beside() && run_.more() && !base::barrier_on() && run_.workers() > 1 &&
               gc::stop_request.load(std::memory_order_relaxed) == 0) {
          __builtin_ia32_pause();
        }
        if (!base::barrier_on()) ++met_[kCopy];
        copy_early();
        break;
      case kShade:
        if (run_.beside() && !wait([] { return base::barrier_on(); })) return;
        if (base::phase() == gc::kPhaseBarrier) ++met_[kShade];
        store_early();
        break;
      case kStranger:
        hang_when_born();
        break;
      default:
        if (!wait_for_scan(first)) return;
        play_after_scan(move, place, first);
        return;
    }
    scrub();
    if (!run_.beside()) return;
    wait([&] {
      first = gc::rounds.first.load(std::memory_order_relaxed);
      return first != last;
    });
    wait_for_end(first);
  }

  // Takes no notice of the collector while it waits for the object.
  void hang_when_born() {
    if (!run_.beside()) return;
    Item* stranger = nullptr;
    while (stranger == nullptr && run_.more()) {
      for (std::uint64_t i = 0; i < kMoment && stranger == nullptr; ++i) {
        stranger = stage_.newborn.load();
        __builtin_ia32_pause();
      }
      if (stranger == nullptr) gc::poll();
      if (run_.workers() == 1) fiber::yield();
    }
    if (stranger == nullptr) return;
    if (base::phase() == gc::kPhaseOff) ++met_[kStranger];
    hang_under(stranger);
  }

  void play_after_scan(Move move, void** place, std::uint64_t first) {
    switch (move) {
      case kHideout: {
#if TAILRACE_TSAN
        take(move, place);
#else
        cues_.release.store(0, std::memory_order_relaxed);
        cues_.first.store(first, std::memory_order_relaxed);
        std::atomic<int> started{0};
        const std::uint64_t spins = run_.workers() == 1 ? 1u << 14 : 1u << 20;
        const auto where = gc::test::kHideouts[random_.below(std::size(gc::test::kHideouts))];
        take(move, place);
        scrub();
        gc::test::hide(where, place, &started, &cues_.release, spins);
        cues_.first.store(0, std::memory_order_relaxed);
#endif
        break;
      }
      case kParked:
        take(move, place);
        scrub();
        park_until_cue(first, kParked);
        break;
      case kWoken:
        // More than is scanned at the switch.
        park_deep(kWoken, 100, place, first);
        break;
      case kClaimed:
        take(move, place);
        scrub();
        park_until_cue(first, kClaimed);
        sink(place, first);
        break;
      case kMail:
        mail(place, first);
        break;
      case kChannel:
        send(place, first);
        break;
      default:
        if (open_since(first)) ++met_[kStore];
        store_early();
        scrub();
        break;
    }
    wait_for_end(first);
  }

  void mail(void** place, std::uint64_t first) {
    fiber::Fiber* const receiver = cues_.mail_receiver.load(std::memory_order_acquire);
    if (receiver == nullptr) return take(kMail, place);
    wait([&] { return scanned(receiver, first) || !open_since(first); });
    take(kMail, place);
    Box* const box = cues_.box.load(std::memory_order_relaxed);
    // [gc.barrier.stack]
    if (base::mutant(base::Mutant::kChannelWithoutBarrier)) {
      box->letter = static_cast<Item*>(*place);
    } else {
      gc::store(&box->letter, static_cast<Item*>(*place));
    }
    *place = nullptr;
    scrub();
    wait_for_end(first);
    cues_.mail_receiver.store(nullptr, std::memory_order_relaxed);
    fiber::ready(receiver);
  }

  void send(void** place, std::uint64_t first) {
    fiber::Fiber* const receiver = cues_.channel_receiver.load(std::memory_order_acquire);
    if (receiver != nullptr) {
      wait([&] { return scanned(receiver, first) || !open_since(first); });
    }
    take(kChannel, place);
    hand_over(place);
    scrub();
  }
  TAILRACE_NOINLINE void hand_over(void** place) {
    if (channel.try_send(static_cast<Item*>(*place)) == fiber::ChannelStatus::kOk) *place = nullptr;
  }

 public:
  // By whoever has it in the end: once all is swept, what was lost is free.
  TAILRACE_NOINLINE void verify(void* place) {
    const std::uint64_t first = gc::rounds.first.load(std::memory_order_relaxed);
    wait(
        [&] { return heap::swept() || gc::rounds.first.load(std::memory_order_relaxed) != first; });
    for (const Item* item = static_cast<Item*>(place); item != nullptr; item = item->child.get()) {
      const auto address = reinterpret_cast<std::uintptr_t>(item);
      run_.expect(heap::contains(address), "no object's address", item, address, 1);
      const heap::ObjectPlace place_of_item = heap::find_object(address);
      run_.expect(place_of_item.slot != 0 && place_of_item.allocated(),
                  "freed, though this fiber had it", item, 0, 1);
      check_fixed(run_, item);
    }
    check_chain(run_, static_cast<Item*>(place));
    run_.step();
  }

  fiber::Channel<Item*> channel{0};

 private:
  Run& run_;
  Random& random_;
  Stage& stage_;
  Cues& cues_;
  std::uintptr_t end_ = 0;  // the list's last link, as its complement
  std::int64_t next_id_ = 0;
  std::array<std::uint64_t, kMoves> turns_{};
  std::array<std::uint64_t, kMoves> met_{};  // the move was made in its window
};

// Wakes the actor, gives it what its thread has born black, and sets what a hideout spins for.
void prompt(Run& run, Random& random, Stage& stage, Cues& cues) {
  bool black = false;
  std::int64_t next_id = std::int64_t{1} << 40;
  while (!cues.over.load(std::memory_order_relaxed)) {
    gc::poll();
    const std::uint64_t cycle = gc::rounds.first.load(std::memory_order_relaxed);
    const bool was_black = black;
    black = base::phase() >= gc::kPhaseBlack;
    if (black && !was_black) stage.newborn.store(make_item(++next_id, random));
    // The slots that were at hand went back: so that the next birth takes a moment only.
    for (int i = 0; !black && was_black && i < 16; ++i) make_item(++next_id, random);
    const std::uint64_t first = cues.first.load(std::memory_order_relaxed);
    const bool ended =
        first != 0 && !open_since(first) && (base::phase() == gc::kPhaseOff || cycle != first);
    if (first != 0 && !open_since(first) && cycle == first) {
      cues.release.store(1, std::memory_order_relaxed);
    }
    if (fiber::Fiber* const actor = cues.actor.load(std::memory_order_acquire)) {
      const bool claimed = cues.at_claim.load(std::memory_order_relaxed) &&
                           gc::ScanWord::state(actor->scan.load(std::memory_order_acquire)) ==
                               gc::ScanWord::kClaimed;
      const std::uint64_t open = gc::rounds.open.load(std::memory_order_acquire);
      const bool walking = cues.in_walk.load(std::memory_order_relaxed) && first != 0 &&
                           open > first && scanned(fiber::current(), open);
      if (ended || claimed || walking || !run.more()) {
        cues.actor.store(nullptr, std::memory_order_relaxed);
        cues.first.store(0, std::memory_order_relaxed);
        fiber::ready(actor);
      }
    }
    __builtin_ia32_pause();
    if (run.workers() == 1 || random.one_in(1u << 14)) fiber::yield();
  }
}

bool publish_box(fiber::Fiber* self, void* argument) {
  static_cast<Cues*>(argument)->mail_receiver.store(self, std::memory_order_release);
  return true;
}

}  // namespace

void windows(Run& run) {
  const gc::Root<Stage> stage(gc::make<Stage>());
  Cues cues;
  std::atomic<Actor*> acting{nullptr};
  run.fibers(4, [&](unsigned number, Random random) {
    if (number == 0) {
      Actor actor(run, random, *stage, cues);
      acting.store(&actor, std::memory_order_release);
      while (run.more()) {
        actor.turn();
        run.step();
      }
      // The others end, before what they use does.
      actor.channel.close();
      while (cues.channel_receiver.load(std::memory_order_acquire) != nullptr) fiber::yield();
      fiber::Fiber* receiver = nullptr;
      do {
        fiber::yield();
        receiver = cues.mail_receiver.exchange(nullptr, std::memory_order_acq_rel);
      } while (receiver == nullptr);
      cues.over.store(true, std::memory_order_relaxed);
      fiber::ready(receiver);
      while (acting.load(std::memory_order_acquire) != nullptr) fiber::yield();
      actor.print();
      return;
    }
    Actor* actor = nullptr;
    while ((actor = acting.load(std::memory_order_acquire)) == nullptr) fiber::yield();
    if (number == 1) {
      prompt(run, random, *stage, cues);
    } else if (number == 2) {
      cues.channel_receiver.store(fiber::current(), std::memory_order_release);
      while (fiber::Received<Item*> item = actor->channel.receive()) actor->verify(*item);
      cues.channel_receiver.store(nullptr, std::memory_order_release);
    } else {
      while (!cues.over.load(std::memory_order_relaxed)) {
        Box box;
        cues.box.store(&box, std::memory_order_relaxed);
        fiber::park(fiber::WaitReason::kOther, publish_box, &cues);
        if (box.letter != nullptr) actor->verify(box.letter);
      }
      acting.store(nullptr, std::memory_order_release);
    }
  });
}

}  // namespace tailrace::torture
