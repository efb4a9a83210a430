// The warning of a route whose arenas keep too little to themselves.
#include "server/escape_warnings.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"

namespace tailrace::http {
namespace {

struct Block {
  std::array<std::int64_t, 128> words{};
};
BOOST_DESCRIBE_STRUCT(Block, (), (words))

// Arenas with so many blocks each, the first of which are stored in a Root.
void open_arenas(const char* label, int count, int kept, int made = 4) {
  gc::Root<Block> root;
  for (int i = 0; i < count; ++i) {
    gc::with_arena(
        [&] {
          for (int n = 0; n < made; ++n) {
            Block* const block = gc::make<Block>();
            if (n < kept) root = block;
          }
        },
        {.label = label});
  }
}

class EscapeWarningsTest : public testing::Test {
 protected:
  gc::ThreadScope attached_;
  std::vector<std::string> lines_;
  EscapeWarnings warnings_{[this](const std::string& line) { lines_.push_back(line); }};
};

// The labels differ, because alarms of one come once a minute.
TEST_F(EscapeWarningsTest, NamesTheRouteAndTheRemedyOnce) {
  open_arenas("/half/{id}", 1000, 2);
  warnings_.tell();
  warnings_.tell();
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_NE(lines_[0].find(" 50 % "), std::string::npos) << lines_[0];
  EXPECT_NE(lines_[0].find("/half/{id}"), std::string::npos) << lines_[0];
  EXPECT_NE(lines_[0].find("publish"), std::string::npos) << lines_[0];
}

TEST_F(EscapeWarningsTest, LeavesInPeaceWhoKeepsThreeQuarters) {
  open_arenas("/none", 1000, 0);
  open_arenas("/fifth", 2000, 1, 5);  // of 10 MB
  open_arenas("/few", 20, 4);         // of less than a MiB
  warnings_.tell();
  EXPECT_TRUE(lines_.empty()) << lines_[0];
}

TEST_F(EscapeWarningsTest, RoutesAreToldOneByOneUpToTheSlots) {
  static std::vector<std::string> labels;  // for good, as labels must be
  for (int i = 0; i < 20; ++i) labels.push_back("/one/of/several/routes/" + std::to_string(i));
  for (const std::string& label : labels) open_arenas(label.c_str(), 400, 4);
  warnings_.tell();
  EXPECT_EQ(lines_.size(), 16u);
}

}  // namespace
}  // namespace tailrace::http
