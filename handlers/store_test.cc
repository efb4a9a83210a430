#include "handlers/store.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tailrace::api {
namespace {

class StoreTest : public testing::Test {
 protected:
  std::int64_t add(Store& store) {
    User* user = make_demo_user(store.next_id());
    store.insert(user);
    return user->id;
  }
  gc::ThreadScope scope_;
};

std::vector<std::int64_t> ids(const Store& store, std::int64_t offset, std::int64_t limit) {
  std::vector<std::int64_t> found;
  store.visit(offset, limit, [&](User& user) { found.push_back(user.id); });
  return found;
}

TEST_F(StoreTest, DemoUsersAreAsTheContractSays) {
  const User* user = make_demo_user(1007);
  EXPECT_EQ(user->name, "User Number 1007");
  EXPECT_EQ(user->email, "user1007@example.com");
  EXPECT_FALSE(user->active);
  EXPECT_EQ(user->score, 1007 * 1.25);
  EXPECT_EQ(user->roles, (gc::Vector<gc::String>{"reader", "writer", "team-7"}));
  EXPECT_EQ(user->address->street, "1007 High Street");
  EXPECT_EQ(user->address->zip, "01007");
  EXPECT_EQ(user->tags, (gc::Vector<gc::String>{"alpha", "beta", "tag-7"}));
}

TEST_F(StoreTest, FindsWhatWasInsertedAndNothingElse) {
  Store store;
  EXPECT_EQ(store.find(0), nullptr);
  EXPECT_EQ(add(store), 0);
  EXPECT_EQ(add(store), 1);
  gc::collect();
  EXPECT_EQ(store.find(1)->email, "user1@example.com");
  EXPECT_EQ(store.find(2), nullptr);
  EXPECT_EQ(store.find(-1), nullptr);
  EXPECT_EQ(store.find(Store::kMaxUsers), nullptr);
  EXPECT_EQ(store.find(INT64_MAX), nullptr);
}

TEST_F(StoreTest, ReplaceAndEraseOfTheMissingSayNo) {
  Store store;
  add(store);
  EXPECT_FALSE(store.replace(make_demo_user(1)));
  EXPECT_TRUE(store.erase(0));
  EXPECT_FALSE(store.erase(0));
  EXPECT_FALSE(store.replace(make_demo_user(0)));
  EXPECT_EQ(store.size(), 0);
}

TEST_F(StoreTest, PagesSkipTheErasedAndCrossChunks) {
  Store store;
  const auto users = static_cast<std::int64_t>(kUsersPerChunk) * 2 + 10;
  for (std::int64_t i = 0; i < users; ++i) add(store);
  for (std::int64_t i = 0; i < users; i += 2) store.erase(i);
  EXPECT_EQ(store.size(), users / 2);
  EXPECT_EQ(ids(store, 0, 3), (std::vector<std::int64_t>{1, 3, 5}));
  const std::int64_t behind_first = kUsersPerChunk / 2;
  EXPECT_EQ(ids(store, behind_first - 1, 3),
            (std::vector<std::int64_t>{2 * behind_first - 1, 2 * behind_first + 1,
                                       2 * behind_first + 3}));
  EXPECT_EQ(ids(store, users / 2 - 1, 10).size(), 1u);
  EXPECT_TRUE(ids(store, users, 10).empty());
}

TEST_F(StoreTest, OneOfManyErasersWinsAndReadersSeeWholeUsers) {
  constexpr int kThreads = 4;
  constexpr std::int64_t kUsers = 2000;
  Store store;
  for (std::int64_t i = 0; i < kUsers; ++i) add(store);
  std::atomic<std::int64_t> erased{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const gc::ThreadScope scope;
      for (std::int64_t i = 0; i < kUsers; ++i) {
        if (i % 3 == 0) store.replace(make_demo_user(i));
        if (const User* user = store.find(i)) {
          ASSERT_EQ(user->id, i);
          ASSERT_EQ(user->score, static_cast<double>(i) * 1.25);
          ASSERT_EQ(user->tags.size(), 3u);
        }
        if (store.erase(i)) erased.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  for (int i = 0; i < 20; ++i) gc::collect();
  gc::native([&] {
    for (std::thread& thread : threads) thread.join();
  });
  EXPECT_EQ(erased.load(std::memory_order_relaxed), kUsers);
  EXPECT_EQ(store.size(), 0);
}

}  // namespace
}  // namespace tailrace::api
