#include "gcruntime/torture/item.h"

namespace tailrace::torture {
namespace {

template <std::size_t kWords>
struct Sized : Item {
  std::array<std::int64_t, kWords> payload;
  BOOST_DESCRIBE_CLASS(Sized, (Item), (payload), (), ())
};

constexpr std::int64_t kMostWords = 100;

std::int64_t pattern(std::int64_t id, std::int64_t index) {
  return static_cast<std::int64_t>(
      (static_cast<std::uint64_t>(id) * 31 + static_cast<std::uint64_t>(index)) *
      0x9e3779b97f4a7c15);
}

template <std::size_t kWords>
Item* make_sized(std::int64_t id) {
  static_assert(kWords <= kMostWords);
  auto* item = gc::make<Sized<kWords>>();
  item->id = id;
  item->payload_words = kWords;
  for (std::size_t i = 0; i < kWords; ++i) {
    item->payload[i] = pattern(id, static_cast<std::int64_t>(i));
  }
  return item;
}

std::uint64_t bits(std::int64_t number) { return static_cast<std::uint64_t>(number); }

}  // namespace

Item* make_item(std::int64_t id, Random& random) {
  switch (random.below(5)) {
    case 0:
      return make_sized<1>(id);
    case 1:
      return make_sized<4>(id);
    case 2:
      return make_sized<13>(id);
    case 3:
      return make_sized<kMostWords>(id);
    default:
      return make_sized<2>(id);
  }
}

void check_fixed(Run& run, const Item* item) {
  const std::int64_t words = item->payload_words;
  run.expect(words >= 1 && words <= kMostWords, "payload size", item, bits(words), 1);
  const auto* payload = reinterpret_cast<const std::int64_t*>(item + 1);
  for (std::int64_t i = 0; i < words; ++i) {
    run.expect_equal(bits(payload[i]), bits(pattern(item->id, i)), "payload", item);
  }
}

std::size_t check_chain(Run& run, const Item* item) {
  std::size_t length = 0;
  for (; item != nullptr; ++length) {
    check_fixed(run, item);
    const Item* child = item->child.get();
    const std::int64_t child_id = child == nullptr ? 0 : child->id;
    run.expect_equal(bits(child_id), bits(item->child_id), "child's id", item);
    item = child;
  }
  return length;
}

Item* make_chain(std::size_t length, std::int64_t& next_id, Random& random) {
  Item* chain = nullptr;
  for (; length > 0; --length) {
    Item* item = make_item(++next_id, random);
    hang(item, chain);
    chain = item;
  }
  return chain;
}

}  // namespace tailrace::torture
