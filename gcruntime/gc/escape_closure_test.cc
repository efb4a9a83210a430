// What a fade reaches: exactly what the stored object reaches, through every kind of word, however deep and
// however large; before the store can be seen; and it outlives the arena.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/escape_scene.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/root.h"

namespace tailrace::gc {
namespace {

using internal::is_unfaded;
using test::Disguised;
using test::make_node;
using test::make_part;
using test::Node;
using test::Part;
using test::Scene;

constexpr ArenaOptions kRoomy{.max_bytes = std::uint64_t{1} << 30, .label = "test"};

struct Wide {
  std::int64_t number = 0;
  std::array<Member<Node>, 3> three;
};
BOOST_DESCRIBE_STRUCT(Wide, (), (number, three))
struct alignas(16) Aligned {
  std::array<std::uint64_t, 2> numbers{};
  Member<Node> node;
  std::uint64_t number = 0;
};
BOOST_DESCRIBE_STRUCT(Aligned, (), (numbers, node, number))
struct Everything {
  Member<Node> member;
  Atomic<Node> atomic;
  std::array<Wide, 4> wides;
  std::optional<Member<Node>> optional;
  std::variant<std::int64_t, Member<Node>, String> variant;
  std::pair<std::int64_t, Member<Node>> pair;
  Vector<Wide> vector;
  Vector<std::int64_t> numbers;
  Map<String, Member<Node>> map;
  Member<std::int64_t> within;
  Member<Aligned> aligned;
  Opaque<Node*> opaque{nullptr};
  std::uintptr_t address = 0;  // no pointer, as it is described
};
BOOST_DESCRIBE_STRUCT(Everything, (),
                      (member, atomic, wides, optional, variant, pair, vector, numbers, map, within,
                       aligned, opaque, address))

class EscapeClosure : public testing::Test {
 protected:
  ThreadScope scope_;
  test::NoCycles no_cycles_;
};

TEST_F(EscapeClosure, EveryKindOfWord) {
  with_arena([&] {
    std::vector<Disguised> reached;
    const auto keep = [&](auto* object) {
      EXPECT_TRUE(is_unfaded(object));
      reached.emplace_back(object);
      return object;
    };
    auto* const all = keep(make<Everything>());
    all->member = keep(make_node(0));
    all->atomic.store(keep(make_node(1)));
    for (Wide& wide : all->wides) wide.three[2] = keep(make_node(2));
    all->optional = keep(make_node(3));
    all->variant = Member<Node>(keep(make_node(4)));
    all->pair.second = keep(make_node(5));
    for (int i = 0; i < 100; ++i) {
      Wide wide;
      wide.three[static_cast<std::size_t>(i % 3)] = keep(make_node(i));
      all->vector.push_back(wide);
    }
    keep(all->vector.data());
    all->numbers.resize(1000);
    keep(all->numbers.data());
    for (int i = 0; i < 50; ++i) {
      const String key("a key that is too long to be inline: " + std::to_string(i));
      keep(key.data());
      all->map.insert(key, keep(make_node(i)));
    }
    Node* const whole = keep(make_node(6));
    all->within = &whole->value;
    all->aligned = keep(make<Aligned>());
    all->aligned->node = keep(make_node(7));
    Node* const opaque = make_node(8);
    all->opaque.value = opaque;
    Node* const number = make_node(9);
    all->address = reinterpret_cast<std::uintptr_t>(number);
    // Numbers that look like pointers, in memory that is not scanned.
    Node* const hinted = make_node(10);
    all->numbers[5] = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(hinted));

    const Root<Everything> root(all);
    for (std::size_t i = 0; i < reached.size(); ++i) {
      EXPECT_FALSE(is_unfaded(reinterpret_cast<void*>(reached[i].address()))) << i;
    }
    EXPECT_TRUE(is_unfaded(opaque));
    EXPECT_TRUE(is_unfaded(number));
    EXPECT_TRUE(is_unfaded(hinted));
  });
}

// A word that is a pointer or a number is looked at as a word of a stack is.
TEST_F(EscapeClosure, AVariantThatHoldsAText) {
  with_arena([&] {
    Everything* const all = make<Everything>();
    all->variant = String("a text that is too long to be inline");
    const char* const text = std::get<String>(all->variant).data();
    ASSERT_TRUE(is_unfaded(text));
    Everything* const inlined = make<Everything>();
    inlined->variant = String("short");
    const Root<Everything> root(all);
    const Root<Everything> other(inlined);
    EXPECT_FALSE(is_unfaded(text));
  });
}

TEST_F(EscapeClosure, CyclesOfEveryLength) {
  with_arena([&] {
    for (const int length : {1, 2, 3, 100}) {
      Node* const first = make_node(0);
      Node* last = first;
      for (int i = 1; i < length; ++i) {
        Node* const node = make_node(i);
        node->next = last;
        last = node;
      }
      first->next = last;
      const Root<Node> root(last);
      Node* node = first;
      for (int i = 0; i < length; ++i, node = node->next.get()) EXPECT_FALSE(is_unfaded(node));
      EXPECT_EQ(node, first);
    }
  });
}

// As long as no stack that recursion could use is.
TEST_F(EscapeClosure, AListOfAMillion) {
  constexpr std::int64_t kNodes = 1'000'000;
  Root<Node> root;
  with_arena(
      [&] {
        Node* list = nullptr;
        Node* aside = nullptr;
        for (std::int64_t i = 0; i < kNodes; ++i) {
          Node* const node = make_node(i);
          node->next = list;
          list = node;
          if (i % 1000 == 0) {
            Node* const other = make_node(i);
            other->next = aside;
            aside = other;
          }
        }
        root = list;
        std::int64_t faded = 0;
        for (const Node* node = list; node != nullptr; node = node->next.get()) {
          faded += is_unfaded(node) ? 0 : 1;
        }
        EXPECT_EQ(faded, kNodes);
        std::int64_t kept = 0;
        for (const Node* node = aside; node != nullptr; node = node->next.get()) {
          kept += is_unfaded(node) ? 1 : 0;
        }
        EXPECT_EQ(kept, kNodes / 1000);
      },
      kRoomy);
  collect();
  std::int64_t expected = kNodes;
  for (const Node* node = root.get(); node != nullptr; node = node->next.get()) {
    ASSERT_EQ(node->value, --expected);
  }
  EXPECT_EQ(expected, 0);
}

// Its backing has blocks of its own, and holds pointers from end to end.
TEST_F(EscapeClosure, AnArrayOfManyBlocks) {
  Root<Part> root;
  with_arena(
      [&] {
        Part* const part = make_part(1);
        for (int i = 0; i < 50'000; ++i) part->list.push_back(make_part(i));
        Part* const aside = make_part(2);
        aside->list.push_back(part);
        root = part;
        EXPECT_FALSE(is_unfaded(part->list.data()));
        std::size_t faded = 0;
        for (const Member<Part>& each : part->list) faded += is_unfaded(each.get()) ? 0 : 1;
        EXPECT_EQ(faded, 50'000u);
        EXPECT_TRUE(is_unfaded(aside));
        EXPECT_TRUE(is_unfaded(aside->list.data()));
      },
      kRoomy);
  collect();
  for (int i = 0; i < 50'000; ++i) ASSERT_EQ(root->list[static_cast<std::size_t>(i)]->number, i);
}

// Random graphs, stored piece by piece, against the closure computed here.
TEST_F(EscapeClosure, RandomGraphs) {
  std::uint64_t state = base::test_seed() * 2 + 1;
  const auto random = [&](std::uint64_t below) {
    return ((state = state * 6364136223846793005u + 1442695040888963407u) >> 33) % below;
  };
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    with_arena([&] {
      constexpr std::size_t kNodes = 40;
      std::array<Disguised, kNodes> places;
      std::array<std::vector<std::size_t>, kNodes> edges;
      std::array<bool, kNodes> faded{};
      const auto part = [&](std::size_t i) { return reinterpret_cast<Part*>(places[i].address()); };
      for (std::size_t i = 0; i < kNodes; ++i) {
        places[i] = Disguised(make_part(static_cast<std::int64_t>(i)));
      }
      for (auto& of : edges) of.assign(1, kNodes);  // [0]: next, or none
      for (std::uint64_t i = random(2 * kNodes); i > 0; --i) {
        const std::size_t from = random(kNodes);
        const std::size_t to = random(kNodes);
        if (random(2) == 0) {
          part(from)->list.push_back(part(to));
          edges[from].push_back(to);
        } else {
          part(from)->next = part(to);
          edges[from][0] = to;
        }
      }
      std::vector<Root<Part>> roots;
      for (int store = 0; store < 3; ++store) {
        std::vector<std::size_t> open{random(kNodes)};
        roots.emplace_back(part(open[0]));
        while (!open.empty()) {
          const std::size_t at = open.back();
          open.pop_back();
          if (at == kNodes || std::exchange(faded[at], true)) continue;
          open.insert(open.end(), edges[at].begin(), edges[at].end());
        }
        for (std::size_t i = 0; i < kNodes; ++i) {
          EXPECT_EQ(is_unfaded(part(i)), !faded[i]) << i;
          if (part(i)->list.capacity() > 0) {
            EXPECT_EQ(is_unfaded(part(i)->list.data()), !faded[i]) << i;
          }
        }
      }
    });
    if (HasFailure()) break;
  }
}

// It enters itself in a table before it is whole: what it stores into itself from then on goes into an
// object that has faded.
struct Registry {
  Member<Part> last;
};
BOOST_DESCRIBE_STRUCT(Registry, (), (last))
struct Registered : Part {
  Registered(Registry* registry, Part* first, Part* second) {
    next = first;
    registry->last = this;
    list.push_back(second);
    text = "a text that is too long to be inline";
  }
};
BOOST_DESCRIBE_STRUCT(Registered, (Part), ())

TEST_F(EscapeClosure, AnObjectThatEscapesFromItsConstructor) {
  Registry* const registry = heap_make<Registry>();
  const Root<Registry> root(registry);
  with_arena([&] {
    Part* const first = make_part(1);
    Part* const second = make_part(2);
    Part* const third = make_part(3);
    const Registered* const made = make<Registered>(registry, first, second);
    EXPECT_FALSE(is_unfaded(made));
    EXPECT_FALSE(is_unfaded(first));
    EXPECT_FALSE(is_unfaded(second));
    EXPECT_FALSE(is_unfaded(made->list.data()));
    EXPECT_FALSE(is_unfaded(made->text.data()));
    EXPECT_TRUE(is_unfaded(third));
  });
  collect();
  EXPECT_EQ(registry->last->next->number, 1);
  EXPECT_EQ(registry->last->list[0]->number, 2);
}

// What escaped outlives its arena and cycles; what did not gives its memory to the next ones.
TEST_F(EscapeClosure, WhatEscapedOutlivesItsArena) {
  std::vector<Root<Part>> roots;
  for (int i = 0; i < 50; ++i) {
    with_arena([&] {
      const Scene scene;
      roots.emplace_back(scene.part(Scene::kHead));
    });
    if (i % 7 == 0) collect();
  }
  for (int cycle = 0; cycle < 3; ++cycle) {
    collect();
    // Into the holes that the first ones left.
    for (int i = 0; i < 50; ++i) {
      with_arena([&] {
        const Scene scene;
        for (int j = 0; j < 100; ++j) {
          std::memset(allocate_noscan(200), 0xE1, 200);
          make_part(-1)->text = "no part of another's";
        }
      });
    }
    for (const Root<Part>& root : roots) Scene::expect_whole(root.get());
    if (HasFailure()) return;
    // Half of them die now.
    std::erase_if(roots, [&](const Root<Part>& root) {
      return (reinterpret_cast<std::uintptr_t>(root.get()) >> 7) % 2 == 0;
    });
  }
}

// [arena.fade] Another thread takes what is published and looks at once: nothing that it reaches is unfaded.
struct Board {
  Atomic<Part> part;
};
BOOST_DESCRIBE_STRUCT(Board, (), (part))

TEST_F(EscapeClosure, ItHasFadedBeforeItCanBeSeen) {
  Board* const board = heap_make<Board>();
  const Root<Board> root(board);
  std::atomic<bool> over{false};
  std::uint64_t seen = 0;
  std::uint64_t unfaded = 0;
  std::thread reader([&] {
    const ThreadScope attached;
    // Relaxed: a flag.
    while (!over.load(std::memory_order_relaxed)) {
      test::poll_without_stop_signals();
      const Part* const head = board->part.exchange(nullptr);
      if (head == nullptr) continue;
      ++seen;
      const Part* const mid = head->next.get();
      for (const void* each :
           {static_cast<const void*>(head), static_cast<const void*>(head->text.data()),
            static_cast<const void*>(head->big.get()),
            static_cast<const void*>(head->big->behind.get()), static_cast<const void*>(mid),
            static_cast<const void*>(mid->list.data()),
            static_cast<const void*>(mid->list[0].get())}) {
        unfaded += is_unfaded(each) ? 1 : 0;
      }
    }
  });
  for (int i = 0; i < 2000; ++i) {
    with_arena([&] {
      const Scene scene;
      Part* const head = scene.part(Scene::kHead);
      switch (i % 3) {
        case 0:
          board->part.store(head);
          break;
        case 1:
          board->part.exchange(head);
          break;
        default: {
          Part* expected = nullptr;
          board->part.compare_exchange(expected, head);
        }
      }
      // So that the reader meets it while it is new.
      for (int spin = 0; spin < 2000 && board->part.load() != nullptr; ++spin) {
        __builtin_ia32_pause();
      }
    });
  }
  over.store(true, std::memory_order_relaxed);
  test::join(reader);
  EXPECT_GT(seen, 0u);
  EXPECT_EQ(unfaded, 0u);
}

}  // namespace
}  // namespace tailrace::gc
