#include "gcruntime/fiber/timer_heap.h"

namespace tailrace::fiber {

void TimerHeap::add(Timer* timer, std::int64_t deadline_ns) {
  std::lock_guard lock(mutex_);
  insert(timer, deadline_ns);
}

bool TimerHeap::cancel(Timer* timer) {
  std::lock_guard lock(mutex_);
  if (timer->place == Timer::kNowhere) return false;
  erase(timer);
  return true;
}

std::size_t TimerHeap::expire(std::int64_t now_ns, Fiber** out, std::size_t capacity,
                              bool try_only) {
  std::unique_lock lock(mutex_, std::defer_lock);
  if (!try_only) {
    lock.lock();
  } else if (!lock.try_lock()) {
    return 0;
  }
  std::size_t count = 0;
  while (!nodes_.empty() && nodes_[0].deadline_ns <= now_ns && count < capacity) {
    Timer* timer = nodes_[0].timer;
    remove(0);
    timer->place = Timer::kNowhere;
    if (Fiber* fiber = timer->claim(timer)) out[count++] = fiber;
  }
  publish_next();
  return count;
}

void TimerHeap::insert(Timer* timer, std::int64_t deadline_ns) {
  timer->heap = this;
  nodes_.emplace_back();
  sift_up(nodes_.size() - 1, Node{deadline_ns, timer});
  publish_next();
}

void TimerHeap::erase(Timer* timer) noexcept {
  remove(timer->place);
  timer->place = Timer::kNowhere;
  publish_next();
}

void TimerHeap::publish_next() noexcept {
  // Relaxed: see next_deadline_ns().
  next_deadline_ns_.store(nodes_.empty() ? kNever : nodes_[0].deadline_ns,
                          std::memory_order_relaxed);
}

void TimerHeap::remove(std::size_t index) noexcept {
  const Node last = nodes_.back();
  nodes_.pop_back();
  if (index == nodes_.size()) return;
  if (index > 0 && last.deadline_ns < nodes_[(index - 1) / 4].deadline_ns) {
    sift_up(index, last);
  } else {
    sift_down(index, last);
  }
}

void TimerHeap::sift_up(std::size_t index, Node node) noexcept {
  while (index > 0) {
    const std::size_t parent = (index - 1) / 4;
    if (nodes_[parent].deadline_ns <= node.deadline_ns) break;
    place(index, nodes_[parent]);
    index = parent;
  }
  place(index, node);
}

void TimerHeap::sift_down(std::size_t index, Node node) noexcept {
  for (;;) {
    const std::size_t first = index * 4 + 1;
    if (first >= nodes_.size()) break;
    std::size_t least = first;
    for (std::size_t child = first + 1; child < first + 4 && child < nodes_.size(); ++child) {
      if (nodes_[child].deadline_ns < nodes_[least].deadline_ns) least = child;
    }
    if (nodes_[least].deadline_ns >= node.deadline_ns) break;
    place(index, nodes_[least]);
    index = least;
  }
  place(index, node);
}

}  // namespace tailrace::fiber
