// fast_paths PATH COUNT: takes one of the runtime's fast paths so many times, with one worker and
// without cycles. Run under callgrind with two counts, the difference is what one time costs in
// instructions; deploy/instructions does that, and keeps the figures. `fast_paths` lists the paths.
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string_view>

#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/sync/channel.h"
#include "gcruntime/sync/mutex.h"

namespace tailrace {
namespace {

// 56 bytes and the header: a 64-byte slot.
struct Node {
  gc::Member<Node> link;
  std::array<std::int64_t, 6> values{};
};
BOOST_DESCRIBE_STRUCT(Node, (), (link, values))
static_assert(sizeof(Node) == 56);

// The compiler may not know what becomes of it.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

constexpr std::int64_t kRun = 1000;  // of what grows: elements, appended pieces

void allocate_scan(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) keep(gc::make<Node>());
}

void allocate_noscan(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) keep(gc::allocate_noscan(64));
}

void store_member(std::int64_t count) {
  Node* from = gc::make<Node>();
  Node* to = gc::make<Node>();
  for (std::int64_t i = 0; i < count; ++i) {
    from->link = to;
    keep(from);
  }
}

// Two fibers in turn, so that every yield is a switch out, a look for work and a switch in.
void yield(std::int64_t count) {
  fiber::JoinHandle other = fiber::spawn([count] {
    for (std::int64_t i = 0; i < count / 2; ++i) fiber::yield();
  });
  for (std::int64_t i = 0; i < count / 2; ++i) fiber::yield();
  other.join();
}

void spawn_run_join(std::int64_t count) {
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < count; ++i) fiber::spawn([&sum] { ++sum; }).join();
  keep(sum);
}

void lock_unlock(std::int64_t count) {
  fiber::Mutex mutex;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::lock_guard lock(mutex);
    keep(mutex);
  }
}

// With the growth from nothing to 1000 elements in it.
void insert(std::int64_t count) {
  for (std::int64_t done = 0; done < count; done += kRun) {
    gc::Map<int, std::int64_t> map;
    for (int i = 0; i < kRun; ++i) map.insert(i * 7919, i);
    keep(map);
  }
}

void find(std::int64_t count) {
  gc::Map<int, std::int64_t> map;
  for (int i = 0; i < kRun; ++i) map.insert(i * 7919, i);
  for (std::int64_t done = 0; done < count; done += kRun) {
    for (int i = 0; i < kRun; ++i) keep(map.find(i * 7919));
  }
}

// With the growth from nothing to 8000 bytes in it.
void append(std::int64_t count) {
  for (std::int64_t done = 0; done < count; done += kRun) {
    gc::StringBuilder text;
    for (std::int64_t i = 0; i < kRun; ++i) text.append(std::string_view("8 bytes."));
    keep(text.finish());
  }
}

// Room is there, and a value: nobody waits.
void send_receive(std::int64_t count) {
  fiber::Channel<std::int64_t> channel(1);
  for (std::int64_t i = 0; i < count; ++i) {
    channel.send(i);
    keep(channel.receive());
  }
}

struct Path {
  const char* name;
  void (*take)(std::int64_t count);
};
constexpr Path kPaths[] = {
    {"alloc-64-scan", allocate_scan},
    {"alloc-64-noscan", allocate_noscan},
    {"member-store", store_member},
    {"yield", yield},
    {"spawn-run-join", spawn_run_join},
    {"mutex-lock-unlock", lock_unlock},
    {"map-insert", insert},
    {"map-find", find},
    {"string-append-8", append},
    {"channel-send-receive", send_receive},
};

void run(const Path& path, std::int64_t count) {
  gc::set_percent(-1);
  // Nothing that goes by the clock: under callgrind it runs fifty times slower.
  fiber::SchedulerOptions options;
  options.long_slice_ns = 0;
  options.trim_every_ns = 0;
  fiber::Scheduler scheduler(options);
  scheduler.start();
  scheduler.run([&] { path.take(count); });
}

}  // namespace
}  // namespace tailrace

int main(int argc, char** argv) {
  if (argc == 1) {
    for (const tailrace::Path& path : tailrace::kPaths) std::puts(path.name);
    return 0;
  }
  std::int64_t count = 0;
  const char* text = argc == 3 ? argv[2] : "";
  const char* end = text + std::strlen(text);
  const auto parsed = std::from_chars(text, end, count);
  for (const tailrace::Path& path : tailrace::kPaths) {
    if (parsed.ec != std::errc() || parsed.ptr != end || count < 1) break;
    if (std::strcmp(path.name, argv[1]) != 0) continue;
    tailrace::run(path, count);
    return 0;
  }
  std::fputs("fast_paths: want PATH COUNT; without them, it lists the paths\n", stderr);
  return 2;
}
