#include "gcruntime/torture/escape_node.h"

#include <cstring>
#include <string_view>

#include "gcruntime/gc/escape.h"

namespace tailrace::torture::escape {
namespace {

template <std::size_t kWords>
struct Larger : Node {
  std::array<std::uint64_t, kWords - 1> words;
  BOOST_DESCRIBE_CLASS(Larger, (Node), (words), (), ())
};

constexpr std::uint32_t kMostWords = 1800;
constexpr std::size_t kMostElements = 100'000;
constexpr std::size_t kLongestText = 240;

// Never 0, so that fresh memory is not taken for it.
std::uint64_t pattern(std::uint64_t serial, std::uint64_t index) {
  return (serial * 31 + index + 1) * 0x9E3779B97F4A7C15u | 1;
}

template <typename T>
Node* make_of(std::uint64_t serial, std::uint32_t words, bool on_heap) {
  Node* const node = on_heap ? gc::heap_make<T>() : gc::make<T>();
  node->serial = serial;
  node->payload_words = words;
  node->seal = pattern(serial, words);
  std::uint64_t* const payload = node->payload.data();
  for (std::uint32_t i = 0; i < words; ++i) payload[i] = pattern(serial, i);
  return node;
}
template <std::uint32_t kWords>
Node* make_larger(std::uint64_t serial, bool on_heap) {
  static_assert(kWords <= kMostWords && sizeof(Larger<kWords>) == sizeof(Node) + 8 * (kWords - 1));
  return make_of<Larger<kWords>>(serial, kWords, on_heap);
}

std::size_t text_bytes(std::uint64_t serial) {
  const std::uint64_t word = pattern(serial, 1u << 20);
  return serial % 4 == 0 ? (word >> 40) % (gc::String::kInlineBytes + 1)
                         : gc::String::kInlineBytes + 1 +
                               (word >> 40) % (kLongestText - gc::String::kInlineBytes - 1);
}
void fill_text(std::uint64_t serial, char* text, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += 8) {
    const std::uint64_t word = pattern(serial, at);
    std::memcpy(text + at, &word, bytes - at < 8 ? bytes - at : 8);
  }
}

void check_text(Run& run, const Node* node) {
  if (node->text_serial == 0) return run.expect_equal(node->text.size(), 0, "no text", node);
  const std::size_t bytes = text_bytes(node->text_serial);
  run.expect_equal(node->text.size(), bytes, "bytes of a text", node);
  char expected[kLongestText + 8];
  fill_text(node->text_serial, expected, bytes);
  run.expect(node->text == std::string_view(expected, bytes), "a text", node, node->text_serial,
             node->text_serial);
}

}  // namespace

Node* make_node(std::uint64_t serial, bool on_heap, Random& random) {
  const std::uint64_t choice = random.below(64);
  if (choice < 40) return make_of<Node>(serial, 1, on_heap);
  if (choice < 56) return make_larger<6>(serial, on_heap);
  if (choice < 62) return make_larger<40>(serial, on_heap);
  if (choice < 63) return make_larger<1100>(serial, on_heap);
  return make_larger<kMostWords>(serial, on_heap);
}

gc::String make_text(std::uint64_t serial) {
  char text[kLongestText + 8];
  const std::size_t bytes = text_bytes(serial);
  fill_text(serial, text, bytes);
  return gc::String(std::string_view(text, bytes));
}

void check_node(Run& run, const Node* node) {
  const std::uint32_t words = node->payload_words;
  run.expect(words >= 1 && words <= kMostWords, "payload size", node, words, 1);
  run.expect_equal(node->seal, pattern(node->serial, words), "seal", node);
  const std::uint64_t* const payload = node->payload.data();
  const std::uint32_t stride = words < 64 ? 1 : 61;
  for (std::uint32_t i = words % stride; i < words; i += stride) {
    run.expect_equal(payload[i], pattern(node->serial, i), "payload", node);
  }
  run.expect_equal(payload[words - 1], pattern(node->serial, words - 1), "payload's end", node);
  const bool outside = !gc::internal::is_unfaded(node);
  const auto expect_faded = [&](const void* object, const char* what) {
    if (outside) run.expect(!gc::internal::is_unfaded(object), what, node, 1, 0);
  };
  const auto expect_child = [&](const Node* child, std::uint64_t serial, const char* what) {
    run.expect_equal(serial_of(child), serial, what, node);
    expect_faded(child, "what a node outside points to is unfaded");
  };
  for (std::size_t i = 0; i < Node::kEdges; ++i) {
    expect_child(node->edges[i].get(), node->edge_serials[i], "serial of an edge");
  }
  if (const std::uint64_t* const inner = node->inner.get()) {
    run.expect_equal(*inner, node->inner_value, "what the inner pointer leads to", node);
    expect_faded(inner, "what a node outside points into is unfaded");
  } else {
    run.expect_equal(node->inner_value, 0, "inner pointer", node);
  }
  const auto* const either = std::get_if<gc::Member<Node>>(&node->either);
  expect_child(either == nullptr ? nullptr : either->get(), node->either_serial,
               "serial of a variant's");
  check_text(run, node);
  expect_faded(node->text.data(), "the text of a node outside is unfaded");
  run.expect(node->more.size() <= kMostElements, "size of a vector", node, node->more.size(), 0);
  std::uint64_t sum = 0;
  for (const gc::Member<Node>& each : node->more) sum += serial_of(each.get());
  run.expect_equal(sum, node->more_sum, "sum of a vector's serials", node);
  expect_faded(node->more.data(), "the backing of a node outside is unfaded");
}

Node* step_from(const Node* node, Random& random) {
  const std::uint64_t choice = random.below(Node::kEdges + 3);
  if (choice < Node::kEdges) return node->edges[choice].get();
  if (choice == Node::kEdges) {
    const auto* const either = std::get_if<gc::Member<Node>>(&node->either);
    return either == nullptr ? nullptr : either->get();
  }
  return node->more.empty() ? nullptr : node->more[random.below(node->more.size())].get();
}

void check_walk(Run& run, const Node* node, Random& random, unsigned steps) {
  for (; node != nullptr; node = step_from(node, random)) {
    check_node(run, node);
    if (steps-- == 0) break;
  }
}

void check_outside(Run& run, const Node* node, Random& random, unsigned steps) {
  run.expect(!gc::internal::is_unfaded(node), "what was found outside is unfaded", node, 1, 0);
  check_walk(run, node, random, steps);
}

}  // namespace tailrace::torture::escape
