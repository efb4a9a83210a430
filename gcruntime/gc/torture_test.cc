// Torture: threads tear object graphs apart and hang the pieces elsewhere while cycles run back to back.
// Every object carries its id, its child's id and a payload made from its id, all checked on every read, so
// that whatever is freed too early or scanned wrongly shows as a wrong number. The pieces are held for a
// while in one place only: a stack word, a register, half a vector register, the red zone.
//
// Seeded: TAILRACE_SEED repeats a run's choices (not its timing). TAILRACE_TORTURE_SECONDS makes it long.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_hideout.h"
#include "gcruntime/gc/vector.h"

namespace tailrace::gc {
namespace {

struct Item {
  std::int64_t id = 0;
  std::int64_t child_id = 0;
  std::int64_t payload_words = 0;
  Member<Item> child;
};
BOOST_DESCRIBE_STRUCT(Item, (), (id, child_id, payload_words, child))

template <std::size_t kWords>
struct Sized : Item {
  std::array<std::int64_t, kWords> payload;
  BOOST_DESCRIBE_CLASS(Sized, (Item), (payload), (), ())
};

std::int64_t pattern(std::int64_t id, std::int64_t index) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(id * 31 + index) *
                                   0x9e3779b97f4a7c15);
}

template <std::size_t kWords>
Item* make_sized(std::int64_t id) {
  auto* item = make<Sized<kWords>>();
  item->id = id;
  item->payload_words = kWords;
  for (std::size_t i = 0; i < kWords; ++i) {
    item->payload[i] = pattern(id, static_cast<std::int64_t>(i));
  }
  return item;
}

struct Slots {
  std::array<Atomic<Item>, 64> slots;
};
BOOST_DESCRIBE_STRUCT(Slots, (), (slots))

[[noreturn]] void fail(const char* what, const Item* item, std::int64_t found, std::uint64_t seed) {
  std::fprintf(stderr, "torture: %s: object %p holds %lld; seed %llu\n", what,
               static_cast<const void*>(item), static_cast<long long>(found),
               static_cast<unsigned long long>(seed));
  std::abort();
}

class Torturer {
 public:
  Torturer(Slots& slots, std::uint64_t seed, int number)
      : slots_(slots),
        seed_(seed),
        random_(seed * 1000 + static_cast<std::uint64_t>(number)),
        next_id_(std::int64_t{number + 1} << 40) {}

  void step() {
    switch (random_() % 8) {
      case 0:
        put(make_item(), 0);
        break;
      case 1:
        put(new_chain(), 0);
        break;
      case 2:
        graft();
        break;
      case 3:
        hold_in_hideout();
        break;
      case 4:
        hold_on_stack();
        break;
      case 5:
        read_published();
        break;
      case 6:
        litter();
        break;
      default:
        use_containers();
        break;
    }
  }

 private:
  Item* make_item() {
    const std::int64_t id = ++next_id_;
    switch (random_() % 5) {
      case 0:
        return make_sized<1>(id);
      case 1:
        return make_sized<4>(id);
      case 2:
        return make_sized<13>(id);
      case 3:
        return make_sized<100>(id);
      default:
        return make_sized<2>(id);
    }
  }

  void check(const Item* item) const {
    const std::int64_t words = item->payload_words;
    if (words < 1 || words > 100) fail("payload size", item, words, seed_);
    const auto* payload = reinterpret_cast<const std::int64_t*>(item + 1);
    for (std::int64_t i = 0; i < words; ++i) {
      if (payload[i] != pattern(item->id, i)) fail("payload", item, payload[i], seed_);
    }
    const Item* child = item->child.get();
    const std::int64_t child_id = child == nullptr ? 0 : child->id;
    if (child_id != item->child_id) fail("child's id", item, child_id, seed_);
  }
  std::size_t check_chain(const Item* item) const {
    std::size_t length = 0;
    for (; item != nullptr; item = item->child.get(), ++length) check(item);
    return length;
  }

  // What is in a slot may be read by all and written by nobody; who takes it out owns it, but for readers:
  // they check only what does not change (id and payload).
  Item* take() { return slots_.slots[random_() % 64].exchange(nullptr); }
  void put(Item* item, int depth) {
    Item* old = slots_.slots[random_() % 64].exchange(item);
    if (old == nullptr) return;
    if (depth < 3 && random_() % 2 == 0) {
      put(old, depth + 1);  // elsewhere; otherwise garbage
    }
  }

  static void hang(Item* parent, Item* child) {
    parent->child_id = child == nullptr ? 0 : child->id;
    parent->child = child;
  }
  // Takes the child off by a plain store; the only pointer to it is the returned one.
  static Item* detach(Item* parent) {
    Item* child = parent->child.get();
    parent->child_id = 0;
    parent->child = nullptr;
    return child;
  }

  Item* new_chain() {
    Item* chain = nullptr;
    for (std::uint64_t i = random_() % 8; i > 0; --i) {
      Item* item = make_item();
      hang(item, chain);
      chain = item;
    }
    return chain;
  }

  // A chain's tail is cut off, held while others are made, and hung under a stranger.
  void graft() {
    Item* chain = take();
    if (chain == nullptr || check_chain(chain) > 40) return;
    Item* tail = detach(chain);
    put(chain, 0);
    pause();
    Item* stranger = random_() % 2 == 0 ? make_item() : take();
    if (stranger == nullptr) stranger = make_item();
    check_chain(tail);
    if (stranger->child.get() == nullptr) hang(stranger, tail);
    put(stranger, 0);
  }

  void hold_in_hideout() {
    void* place = nullptr;
    const std::int64_t id = cut_tail(&place);
    if (id == 0) return;
    std::atomic<int> started{0};
    const std::atomic<int> release{0};
    // 0.1 us to a few 100 us.
    test::hide(test::kHideouts[random_() % std::size(test::kHideouts)], &place, &started, &release,
               std::uint64_t{1} << (1 + random_() % 13));
    auto* item = static_cast<Item*>(place);
    if (item->id != id) fail("id out of a hideout", item, item->id, seed_);
    check_chain(item);
    Item* stranger = make_item();
    hang(stranger, item);
    put(stranger, 0);
  }
  // Leaves a chain's tail in *place and nowhere else. Returns its id; 0: there was none.
  TAILRACE_NOINLINE std::int64_t cut_tail(void** place) {
    Item* chain = take();
    if (chain == nullptr || check_chain(chain) > 40) return 0;
    Item* tail = detach(chain);
    put(chain, 0);
    *place = tail;
    return tail == nullptr ? 0 : tail->id;
  }

  void hold_on_stack() {
    std::array<Item*, 8> held{};
    for (Item*& item : held) {
      Item* chain = take();
      if (chain == nullptr) continue;
      item = detach(chain);
      if (item == nullptr) item = chain;
    }
    pause();
    for (Item* item : held) {
      if (item == nullptr) continue;
      check_chain(item);
      if (random_() % 4 != 0) put(item, 0);
    }
  }

  void read_published() {
    for (Atomic<Item>& slot : slots_.slots) {
      const Item* item = slot.load();
      if (item == nullptr) continue;
      const std::int64_t words = item->payload_words;
      if (words < 1 || words > 100) fail("published payload size", item, words, seed_);
      const auto* payload = reinterpret_cast<const std::int64_t*>(item + 1);
      for (std::int64_t i = 0; i < words; ++i) {
        if (payload[i] != pattern(item->id, i)) fail("published payload", item, payload[i], seed_);
      }
    }
  }

  void litter() {
    for (std::uint64_t i = random_() % 50; i > 0; --i) {
      if (random_() % 200 == 0) {
        allocate_noscan(40'000);
      } else {
        auto* bytes = static_cast<char*>(allocate_noscan(16 + random_() % 600));
        bytes[0] = static_cast<char>(i);
      }
    }
  }

  void use_containers() {
    const auto key = static_cast<std::int64_t>(random_() % 32);
    if (Member<Item>* found = map_->find(key)) {
      check_chain(found->get());
      Item* item = found->get();
      map_->erase(key);
      put(item, 0);
    } else {
      map_->insert(key, new_chain());
    }
    if (vector_->size() > 50) {
      for (const Member<Item>& item : *vector_) check_chain(item.get());
      *vector_ = Vector<Member<Item>>();
    }
    vector_->push_back(new_chain());
  }

  // Log-uniform from nothing to 100 us, with and without allocations.
  void pause() {
    const std::uint64_t end = std::uint64_t{1} << (random_() % 12);
    if (random_() % 2 == 0) {
      for (std::uint64_t i = 0; i < end; ++i) __builtin_ia32_pause();
    } else {
      for (std::uint64_t i = 0; i < end / 16; ++i) allocate_noscan(16 + i % 64);
    }
  }

  Slots& slots_;
  std::uint64_t seed_;
  std::mt19937_64 random_;
  std::int64_t next_id_;
  Root<Map<std::int64_t, Member<Item>>> map_;
  Root<Vector<Member<Item>>> vector_;
};

// How long: so many cycles or, on a machine that does not get to them, so many seconds.
struct Length {
  int cycles = 300;
  double seconds = 3;
};
Length length() {
  const char* text = std::getenv("TAILRACE_TORTURE_SECONDS");
  if (text == nullptr) return {};
  return {INT32_MAX, std::strtod(text, nullptr)};
}

// Runs body(number, stop) on threads, and cycles back to back beside them.
template <typename Body>
void torture(int threads, const char* name, Body&& body) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      const ThreadScope scope;
      body(t, stop);
    });
  }
  const Length wanted = length();
  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  int cycles = 0;
  for (; cycles < wanted.cycles && seconds() < wanted.seconds; ++cycles) {
    collect();
    // Stopped threads are slow to wake: without a moment of theirs they would stand still.
    native([] { std::this_thread::sleep_for(std::chrono::microseconds(200)); });
  }
  const double rate = cycles / seconds();
  stop.store(true, std::memory_order_relaxed);
  native([&] {
    for (std::thread& thread : all) thread.join();
  });
  std::printf("torture %s, %d threads: %d cycles, %.0f a second\n", name, threads, cycles, rate);
  testing::Test::RecordProperty("cycles_per_second", static_cast<int>(rate));
}

class TortureTest : public testing::TestWithParam<int> {
 protected:
  ThreadScope scope_;
};

TEST_P(TortureTest, GraphsAreTornApartAndHungElsewhere) {
  const std::uint64_t seed = base::test_seed(std::random_device()());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Root<Slots> slots(make<Slots>());
  std::atomic<std::uint64_t> steps{0};
  torture(GetParam(), "graphs", [&](int number, const std::atomic<bool>& stop) {
    Torturer torturer(*slots, seed, number);
    std::uint64_t done = 0;
    for (; done < 1000 || !stop.load(std::memory_order_relaxed); ++done) torturer.step();
    steps.fetch_add(done, std::memory_order_relaxed);
  });
  EXPECT_GE(steps.load(std::memory_order_relaxed), 1000u * static_cast<unsigned>(GetParam()));
}

struct Tree {
  Member<Tree> left;
  Member<Tree> right;
  std::int64_t depth = 0;
};
BOOST_DESCRIBE_STRUCT(Tree, (), (left, right, depth))

Tree* make_tree(std::int64_t depth) {
  Tree* tree = make<Tree>();
  tree->depth = depth;
  if (depth > 0) {
    tree->left = make_tree(depth - 1);
    tree->right = make_tree(depth - 1);
  }
  return tree;
}
std::int64_t count_tree(const Tree* tree, std::int64_t depth) {
  if (tree->depth != depth) std::abort();
  if (depth == 0) return 1;
  return 1 + count_tree(tree->left.get(), depth - 1) + count_tree(tree->right.get(), depth - 1);
}

TEST_P(TortureTest, BinaryTrees) {
  const Root<Tree> long_lived(make_tree(12));
  torture(GetParam(), "trees", [&](int, const std::atomic<bool>& stop) {
    for (std::int64_t i = 0; i < 5 || !stop.load(std::memory_order_relaxed); ++i) {
      const std::int64_t depth = 4 + i % 8;
      ASSERT_EQ(count_tree(make_tree(depth), depth), (std::int64_t{2} << depth) - 1);
    }
  });
  EXPECT_EQ(count_tree(long_lived.get(), 12), (1 << 13) - 1);
}

INSTANTIATE_TEST_SUITE_P(Threads, TortureTest, testing::Values(1, 2, 4));

}  // namespace
}  // namespace tailrace::gc
