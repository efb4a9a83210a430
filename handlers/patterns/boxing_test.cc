// A box is an object a number, a malloc or two a text; a template is nothing.
#include "handlers/patterns/boxing.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "gcruntime/gc/mutator.h"
#include "handlers/patterns/costs.h"

namespace tailrace::patterns {
namespace {

constexpr std::array<std::int64_t, 100> kLatencies = [] {
  std::array<std::int64_t, 100> list{};
  for (std::size_t i = 0; i < list.size(); ++i) list[i] = static_cast<std::int64_t>(i);
  return list;
}();
const std::string kName = "a name of more than fifteen bytes";

std::vector<std::any> boxed_fields() { return {std::int64_t{7}, kName}; }

TEST(BoxingTest, BothSayTheSame) {
  const gc::ThreadScope attached;
  EXPECT_EQ(bad::mean(kLatencies), 49.5);
  EXPECT_EQ(good::mean(std::span<const std::int64_t>(kLatencies)), 49.5);
  EXPECT_EQ(bad::mean({}), 0);
  EXPECT_EQ(good::mean(std::span<const int>()), 0);
  EXPECT_EQ(good::log_line("get user", 7, kName),
            "get user field=7 field=a name of more than fifteen bytes");
  EXPECT_EQ(bad::log_line("get user", boxed_fields()), good::log_line("get user", 7, kName));
}

TEST(BoxingTest, ABoxIsAnObjectForEachNumber) {
  const gc::ThreadScope attached;
  double sum = 0;
  const Costs good =
      costs_of([&] { sum += good::mean(std::span<const std::int64_t>(kLatencies)); });
  const Costs bad = costs_of([&] { sum += bad::mean(kLatencies); });
  EXPECT_EQ(good.objects, 0u);
  EXPECT_EQ(bad.objects, kLatencies.size() + 1);
  EXPECT_GT(sum, 0);
}

TEST(BoxingTest, AnAnyIsAMallocForWhatIsNotSmall) {
  const gc::ThreadScope attached;
  const Costs good = costs_of([] { good::log_line("get user", 7, kName); });
  const Costs bad = costs_of([] { bad::log_line("get user", boxed_fields()); });
  EXPECT_EQ(good.objects, 1u);
  EXPECT_EQ(bad.objects, 1u);
  EXPECT_EQ(good.mallocs, 0u);
  // The vector; and twice, as the list is copied into it, a string in its box and its text.
  if (kMallocsCounted) {
    EXPECT_EQ(bad.mallocs, 5u);
  }
}

}  // namespace
}  // namespace tailrace::patterns
