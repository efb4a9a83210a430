// GET P/churn: allocates as much as it is told, to see what the collector makes of it.
//
// The objects are linked into one list of `live` bytes at most: the newest ones stay reachable until the
// request ends, the others are garbage at once. The allocation loop is the same in every style.
#include <string>

#include "gcruntime/heap/size_class.h"
#include "handlers/api.h"

namespace tailrace::api {
namespace {

struct ChurnNode {
  gc::Member<ChurnNode> next;
};
BOOST_DESCRIBE_STRUCT(ChurnNode, (), (next))

struct ChurnAnswer {
  std::int64_t objects = 0;
};
BOOST_DESCRIBE_STRUCT(ChurnAnswer, (), (objects))

constexpr std::int64_t kMaxBytes = std::int64_t{64} << 20;
constexpr std::int64_t kSmallestObject = 16;  // the header and one pointer

std::size_t read_slot_bytes(Request& request) {
  const std::int64_t wanted = request.query<std::int64_t>("object").value_or(64);
  const bool in_range =
      wanted >= kSmallestObject && wanted <= static_cast<std::int64_t>(heap::kMaxSmallBytes);
  if (in_range && heap::exact_size_class(static_cast<std::size_t>(wanted)) < heap::kSizeClasses) {
    return static_cast<std::size_t>(wanted);
  }
  // The nearest class, of two equally near ones the larger.
  std::int64_t nearest = kSmallestObject;
  for (const heap::SizeClass& each : heap::kSizeClassTable) {
    const auto distance = [&](std::int64_t bytes) {
      return bytes < wanted ? wanted - bytes : bytes - wanted;
    };
    if (distance(each.bytes) <= distance(nearest)) nearest = each.bytes;
  }
  throw BadRequest("object=" + std::to_string(wanted) +
                   " is not a size class of the heap; the nearest is " + std::to_string(nearest));
}

Response churn(Request& request) {
  const auto bytes = request.query<std::int64_t>("bytes");
  if (!bytes) throw BadRequest("bytes is missing");
  if (*bytes < 0 || *bytes > kMaxBytes) throw BadRequest("bytes must be between 0 and 67108864");
  const std::size_t slot_bytes = read_slot_bytes(request);
  const std::int64_t live = request.query<std::int64_t>("live").value_or(0);
  if (live < 0 || live > *bytes) throw BadRequest("live must be between 0 and bytes");

  ChurnAnswer answer;
  answer.objects = *bytes / static_cast<std::int64_t>(slot_bytes);
  const std::int64_t live_objects = live / static_cast<std::int64_t>(slot_bytes);
  ChurnNode* newest = nullptr;
  ChurnNode* oldest = nullptr;  // of the list, whose links lead from older to newer
  for (std::int64_t i = 0; i < answer.objects; ++i) {
    ChurnNode* node = gc::make_in_slot<ChurnNode>(slot_bytes);
    if (newest != nullptr) newest->next = node;
    newest = node;
    if (oldest == nullptr) oldest = node;
    // Lets the oldest go as soon as the list is longer than what is to stay.
    if (i >= live_objects) oldest = oldest->next.get();
  }
  Response response = json(answer);
  // Reachable until here, whatever the optimiser thinks of the last use.
  asm volatile("" : : "r"(oldest), "r"(newest) : "memory");
  return response;
}

}  // namespace

void add_churn(App& app) {
  app.get("/api/churn", churn);
  app.get("/pooled/churn", churn, kCollectedHeap);
  app.get("/naive/churn", churn, kCollectedHeap);
}

}  // namespace tailrace::api
