#include "gcruntime/torture/escape_owner.h"

#include <vector>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/escape.h"
#include "gcruntime/gc/publish.h"
#include "gcruntime/sync/blocking_pool.h"

namespace tailrace::torture::escape {

Owner::Owner(Shared& shared, unsigned number, const Random& random)
    : shared_(shared),
      run_(shared.run),
      number_(number + std::uint64_t{1}),
      random_(random),
      shadow_(shared.run) {}

// --- Nodes -----------------------------------------------------------------------------------------

Shadow::Id Owner::id_of(const Node* node) const noexcept {
  return node != nullptr && node->arena != 0 && node->arena == shadow_.arena()
             ? shadow_.still(node->id, node)
             : 0;
}

bool Owner::mine(const Node* node) const noexcept {
  return node->serial >> 48 == number_ && !node->frozen();
}

Node* Owner::make(bool on_heap) {
  Node* const node = make_node(number_ << 48 | ++serials_, on_heap, random_);
  node->arena = shadow_.arena();
  node->id = shadow_.add_node(node, !on_heap);
  return node;
}

Node* Owner::load(Random& random) {
  return shared_.board->places[random.below(shared_.board->places.size())].load();
}

Node* Owner::pick(Frame& frame) {
  Node* node = nullptr;
  switch (random_.below(8)) {
    case 0:
      node = frame.held[random_.below(frame.held.size())].get();
      break;
    case 1:
      node = keep_.get();
      break;
    case 2:
      node = roots_[random_.below(roots_.size())].get();
      break;
    case 3:
      node = load(random_);
      break;
    default:
      node = static_cast<Node*>(shadow_.any_node(random_));
      break;
  }
  for (std::uint64_t steps = random_.below(4); steps > 0 && node != nullptr; --steps) {
    Node* const next = step_from(node, random_);
    if (next == nullptr) break;
    node = next;
  }
  return node;
}

Node* Owner::pick_mine(Frame& frame) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    Node* const node = pick(frame);
    if (node != nullptr && mine(node)) return node;
  }
  return nullptr;
}

Node* Owner::pick_linkable(Frame& frame) {
  Node* const node = pick(frame);
  return node != nullptr && linkable(node) ? node : nullptr;
}

void Owner::freeze(Node* node) {
  if (node == nullptr || !mine(node)) return;
  // Disguised, as it is in malloc's memory; the caller holds the first one.
  std::vector<std::uintptr_t> reached;
  std::uint64_t weight = 0;
  const auto reach = [&](Node* each) {
    if (each == nullptr) return;
    if (!mine(each)) {
      weight += each->serial >> 48 == number_ && each->weight == 1 ? 0 : each->weight;
      return;
    }
    each->weight = 1;
    reached.push_back(~reinterpret_cast<std::uintptr_t>(each));
  };
  reach(node);
  for (std::size_t i = 0; i < reached.size(); ++i) {
    const auto* const each = reinterpret_cast<const Node*>(~reached[i]);
    for (const gc::Member<Node>& edge : each->edges) reach(edge.get());
    if (const auto* either = std::get_if<gc::Member<Node>>(&each->either)) reach(either->get());
    for (const gc::Member<Node>& more : each->more) reach(more.get());
  }
  weight += reached.size();
  for (const std::uintptr_t each : reached) reinterpret_cast<Node*>(~each)->weight = weight;
}

// --- Stores out of it ------------------------------------------------------------------------------

void Owner::hold(Frame& frame, bool own, Node* node) {
  frame.held[random_.below(frame.held.size())] = node;
  if (!own) published(node);
}

// Into a Root, a Weak, or the object that keeps them over arenas' ends.
void Owner::let_go(Frame& frame) {
  Node* const node = pick(frame);
  if (keep_.get() == nullptr || !mine(keep_.get())) keep_ = make(/*on_heap=*/true);
  switch (random_.below(4)) {
    case 0:
      roots_[random_.below(roots_.size())] = node;
      published(node);
      break;
    case 1:
      weaks_[random_.below(weaks_.size())] = node;
      published(node);
      break;
    default:
      if (node == nullptr || linkable(node)) {
        store_edge(keep_.get(), random_.below(Node::kEdges), node);
      }
      break;
  }
  Node* const weak = weaks_[random_.below(weaks_.size())].lock();
  check_outside(run_, weak, random_, 1);
}

void Owner::exchange(Frame& frame) {
  Node* const node = random_.one_in(4) ? nullptr : pick(frame);
  freeze(node);
  gc::Atomic<Node>& place = shared_.board->places[random_.below(shared_.board->places.size())];
  Node* old = nullptr;
  switch (random_.below(3)) {
    case 0:
      place.store(node);
      published(node);
      break;
    case 1:
      old = place.exchange(node);
      published(node);
      break;
    default:
      old = place.load();
      // One that failed may have faded it: wholly, then.
      if (place.compare_exchange(old, node) || !gc::internal::is_unfaded(node)) published(node);
      break;
  }
  check_outside(run_, old, random_, 3);
}

// A copy goes where all can see it.
void Owner::publish(Frame& frame) {
  Node* const node = pick(frame);
  if (node == nullptr || !node->plain()) return;
  freeze(node);
  const Id id = id_of(node);
  Node* const copy = gc::publish(node);
  run_.expect((copy == node) == (id == 0), "what was published is a copy", copy, copy == node,
              id == 0);
  shadow_.look();
  shadow_.publish(id, [](bool from_node, std::size_t slot, const void* to) {
    if (to == nullptr) return true;  // a text or a backing
    return !(from_node && slot == kInner) && static_cast<const Node*>(to)->plain();
  });
  check_outside(run_, copy, random_, 16);
  shared_.board->places[random_.below(shared_.board->places.size())].store(copy);
  run_.expect(id == 0 || shadow_.still(id) == 0 || gc::internal::is_unfaded(node),
              "what was published fades", node, 0, 1);
}

// Whom it meets in a channel.
void Owner::meet(Frame& frame) {
  fiber::Channel<Node*>& channel = random_.one_in(2) ? shared_.channel : shared_.direct;
  if (random_.one_in(2)) {
    fiber::Received<Node*> received =
        random_.one_in(4) ? channel.receive_for(100'000) : channel.try_receive();
    if (received) check_outside(run_, *received, random_, 8);
    return;
  }
  Node* const node = pick(frame);
  freeze(node);
  const fiber::ChannelStatus status =
      random_.one_in(4) ? channel.send_for(node, 100'000) : channel.try_send(node);
  if (status == fiber::ChannelStatus::kOk || !gc::internal::is_unfaded(node)) published(node);
}

void Owner::spawn_by_value(Frame& frame) {
  Node* const node = pick(frame);
  if (node == nullptr) return;
  freeze(node);
  fiber::JoinHandle& child = children_[random_.below(children_.size())];
  if (child.joinable()) child.join();
  Shared* const shared = &shared_;
  child = fiber::spawn([shared, node, seed = random_.next()] {
    Random random(seed, 0);
    shared->run.expect(!gc::has_arena(), "a child without an arena", node, 1, 0);
    check_outside(shared->run, node, random, 8);
    pause(random);
    if (random.one_in(2)) shared->board->places[random.below(64)].store(node);
    check_walk(shared->run, node, random, 8);
  });
  published(node);
}

// The child goes on in its place, with its variables.
void Owner::spawn_by_reference(Frame& frame, bool own) {
  if (!own) return;  // the frame is not of this fiber
  std::atomic<bool> closed{false};
  fiber::JoinHandle child = fiber::spawn([this, &frame, &closed] {
    // Acquire: pairs with the release below.
    while (!closed.load(std::memory_order_acquire)) fiber::yield();
    visited_ = true;
    for (std::uint64_t i = random_.below(40); i > 0; --i) step(frame, false);
    visited_ = false;
  });
  shadow_.close();
  closed.store(true, std::memory_order_release);
  child.join();
}

void Owner::block(Frame& frame) {
  Node* const node = pick(frame);
  if (node == nullptr) return;
  freeze(node);
  Shared* const shared = &shared_;
  const std::uint64_t found = fiber::blocking([shared, node, seed = random_.next()] {
    Random random(seed, 1);
    check_outside(shared->run, node, random, 8);
    return node->serial;
  });
  run_.expect_equal(found, node->serial, "result of a blocking call", node);
  published(node);
}

void Owner::nest(Frame& frame) {
  if (shadow_.arena() == 0 || visited_) return;  // it would be an arena of its own
  const bool had = gc::has_arena();
  Node* const node = gc::with_arena([&] {
    Node* const made = make(false);
    change(frame);
    return made;
  });
  shadow_.look();
  run_.expect(!had || gc::has_arena() || shadow_.closed(), "the arena around another", node, 0, 1);
  check_node(run_, node);
}

// --- A life ----------------------------------------------------------------------------------------

void Owner::step(Frame& frame, bool own) {
  shadow_.look();
  run_.step();
  switch (const std::uint64_t choice = random_.below(64)) {
    default: {
      if (choice < 20) {
        Node* const node = make(random_.one_in(8));
        if (Node* const to = random_.one_in(4) ? nullptr : pick_mine(frame)) {
          store_edge(to, random_.below(Node::kEdges), node);
        } else {
          hold(frame, own, node);
        }
      } else if (choice < 50) {
        change(frame);
      } else {
        hold(frame, own, pick(frame));
      }
      break;
    }
    case 54:
      let_go(frame);
      break;
    case 55:
      exchange(frame);
      if (random_.one_in(4)) publish(frame);
      break;
    case 56:
      meet(frame);
      break;
    case 57:
    case 58:
      check_walk(run_, pick(frame), random_, 8);
      break;
    case 59:
      if (random_.one_in(4)) spawn_by_value(frame);
      break;
    case 60:
      nest(frame);
      break;
    case 61:
      if (random_.one_in(4)) pause(random_);
      break;
    case 62:
      litter(random_, random_.below(8));
      break;
    case 63:
      switch (random_.below(64)) {
        case 0:
          spawn_by_reference(frame, own);
          break;
        case 1:
          block(frame);
          break;
        case 2:
          if (random_.one_in(8)) gc::collect();
          break;
        default:
          break;
      }
      break;
  }
  shadow_.look();
  shadow_.check_some(random_);
}

void Owner::steps(Frame& frame, bool own) {
  for (std::uint64_t count = 4 * random_.log_uniform(9); count > 0; --count) step(frame, own);
  shadow_.look();
  shadow_.check_all();
}

void Owner::begin_arena(bool capped) { shadow_.open(number_ << 40 | ++arenas_, capped); }

void Owner::live() {
  if (random_.one_in(16)) forget();
  // In the caller's frames: kept to the end whatever is stored there.
  Frame outer;
  Node* result = nullptr;
  const bool capped = random_.one_in(8);
  const gc::ArenaOptions options{
      .max_bytes = capped ? 16 * 1024 * random_.log_uniform(6) : std::uint64_t{1} << 30,
      .label = "torture"};
  switch (random_.below(8)) {
    case 0:
      shadow_.open_none();
      steps(outer, true);
      break;
    case 1: {
      // A child's arena, and this fiber's variables.
      fiber::JoinHandle child = fiber::spawn([&] {
        gc::with_arena(
            [&] {
              begin_arena(capped);
              steps(outer, false);
            },
            options);
        shadow_.open_none();
      });
      child.join();
      break;
    }
    default:
      result = gc::with_arena(
          [&] {
            begin_arena(capped);
            Frame frame;
            steps(frame, true);
            for (gc::Member<Node>& each : outer.held) {
              Node* const node = pick(frame);
              each = node;
              published(node);  // another fiber may have had a reference to that frame
            }
            shadow_.check_all();
            return pick(frame);
          },
          options);
      shadow_.open_none();
      break;
  }
  // Relaxed: figures.
  shared_.arenas.fetch_add(1, std::memory_order_relaxed);
  if (random_.one_in(2)) pause(random_);
  const auto expect_kept = [&](const Node* node) { check_outside(run_, node, random_, 16); };
  expect_kept(result);
  for (const gc::Member<Node>& each : outer.held) expect_kept(each.get());
  for (const gc::Root<Node>& each : roots_) expect_kept(each.get());
  expect_kept(keep_.get());
  for (int i = 0; i < 4; ++i) expect_kept(load(random_));
}

// What hangs from it does not grow for ever.
void Owner::forget() {
  keep_ = nullptr;
  for (gc::Root<Node>& each : roots_) each = nullptr;
  for (gc::Weak<Node>& each : weaks_) each = nullptr;
}

void Owner::finish() {
  for (fiber::JoinHandle& each : children_) {
    if (each.joinable()) each.join();
  }
  forget();
  // Relaxed: figures.
  shared_.made.fetch_add(shadow_.made(), std::memory_order_relaxed);
  shared_.faded.fetch_add(shadow_.faded(), std::memory_order_relaxed);
}

}  // namespace tailrace::torture::escape
