// Many at once, with a checksum as oracle: each value that send said was sent is received exactly
// once, whatever is closed, cancelled or late meanwhile, and with collections going on. The
// scheduler is perturbed; TAILRACE_SEED repeats a run's choices.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/sync/select.h"
#include "gcruntime/sync/wait_group.h"

namespace tailrace::fiber {
namespace {

struct Parcel {
  std::uint64_t id = 0;
  std::uint64_t check = 0;
  gc::Member<Parcel> inner;
  gc::String text;
};
BOOST_DESCRIBE_STRUCT(Parcel, (), (id, check, inner, text))

struct Pair {  // not described: a raw pointer beside one that owns
  Parcel* parcel = nullptr;
  std::unique_ptr<std::uint64_t> id;
};

std::uint64_t mix(std::uint64_t value) { return (value ^ (value >> 31)) * 0x9E3779B97F4A7C15u; }

Parcel* make_parcel(std::uint64_t id) {
  Parcel* inner = gc::make<Parcel>();
  inner->id = id;
  inner->check = mix(id + 1);
  Parcel* parcel = gc::make<Parcel>();
  parcel->id = id;
  parcel->check = mix(id);
  parcel->inner = inner;
  parcel->text = gc::String(std::to_string(id) + " is the number of this parcel");
  return parcel;
}
std::uint64_t open_parcel(const Parcel* parcel) {
  EXPECT_EQ(parcel->check, mix(parcel->id));
  EXPECT_EQ(parcel->inner->check, mix(parcel->id + 1));
  EXPECT_EQ(parcel->text, std::to_string(parcel->id) + " is the number of this parcel");
  return parcel->id;
}

// What is sent: the same numbers in several clothes.
void wrap(std::uint64_t id, std::uint64_t& out) { out = id; }
void wrap(std::uint64_t id, Parcel*& out) { out = make_parcel(id); }
void wrap(std::uint64_t id, gc::Member<Parcel>& out) { out = make_parcel(id); }
void wrap(std::uint64_t id, gc::String& out) { out = make_parcel(id)->text; }
void wrap(std::uint64_t id, Parcel& out) { out = *make_parcel(id); }
void wrap(std::uint64_t id, std::unique_ptr<std::uint64_t>& out) {
  out = std::make_unique<std::uint64_t>(id);
}
void wrap(std::uint64_t id, Pair& out) {
  out = Pair{make_parcel(id), std::make_unique<std::uint64_t>(id)};
}
std::uint64_t unwrap(std::uint64_t value) { return value; }
std::uint64_t unwrap(const Parcel* value) { return open_parcel(value); }
std::uint64_t unwrap(const gc::Member<Parcel>& value) { return open_parcel(value.get()); }
std::uint64_t unwrap(const gc::String& value) {
  return std::stoull(std::string(std::string_view(value)));
}
std::uint64_t unwrap(const Parcel& value) { return open_parcel(&value); }
std::uint64_t unwrap(const std::unique_ptr<std::uint64_t>& value) { return *value; }
std::uint64_t unwrap(const Pair& value) {
  EXPECT_EQ(open_parcel(value.parcel), *value.id);
  return *value.id;
}

// What was sent and what was received: equal, or something was lost, doubled or damaged.
struct Ledger {
  std::atomic<std::uint64_t> count{0};
  std::atomic<std::uint64_t> sum{0};
  void add(std::uint64_t id) {
    ++count;
    sum += mix(id);
  }
};

class ChannelStressTest : public FiberTest {
 protected:
  void start_perturbed(std::uint64_t salt) {
    seed_ = base::test_seed(1) + salt;
    SchedulerOptions options;
    options.perturb_seed = seed_;
    start(options);
  }
  std::uint64_t seed_ = 0;
};
TAILRACE_FIBER_TESTS(ChannelStressTest);

// Collects back to back until told to stop.
class Collecting {
 public:
  explicit Collecting(Group& group) {
    group.go([this] {
      while (!stop_) {
        gc::collect();
        yield();
      }
    });
  }
  void stop() { stop_ = true; }

 private:
  std::atomic<bool> stop_{false};
};

template <typename T>
void pass_through(std::size_t capacity, std::uint64_t each) {
  constexpr int kProducers = 6;
  Channel<T> channel(capacity);
  Ledger sent;
  Ledger received;
  Group group;
  Collecting collecting(group);
  WaitGroup producing;
  WaitGroup consuming;
  producing.add(kProducers);
  consuming.add(kProducers);
  for (std::uint64_t id = 0; id < kProducers; ++id) {
    group.go([&, id] {
      for (std::uint64_t turn = 0; turn < each; ++turn) {
        T value{};
        wrap(id * each + turn, value);
        ASSERT_EQ(channel.send(std::move(value)), ChannelStatus::kOk);
        sent.add(id * each + turn);
      }
      producing.done();
    });
    group.go([&] {
      for (T& value : channel) received.add(unwrap(value));
      consuming.done();
    });
  }
  producing.wait();
  channel.close();
  consuming.wait();
  collecting.stop();
  group.wait();
  EXPECT_EQ(received.count, kProducers * each);
  EXPECT_EQ(received.sum, sent.sum);
}

TEST_P(ChannelStressTest, EveryKindOfElementPassesThrough) {
  start_perturbed(0);
  SCOPED_TRACE("TAILRACE_SEED=" + std::to_string(base::test_seed(1)));
  run([] {
    for (std::size_t capacity : {std::size_t{0}, std::size_t{1}, std::size_t{7}}) {
      pass_through<std::uint64_t>(capacity, 300);
      pass_through<Parcel*>(capacity, 100);
      pass_through<gc::Member<Parcel>>(capacity, 100);
      pass_through<gc::String>(capacity, 100);
      pass_through<Parcel>(capacity, 100);
      pass_through<std::unique_ptr<std::uint64_t>>(capacity, 100);
      pass_through<Pair>(capacity, 100);
    }
  });
}

// Fibers that select over all channels, sending and receiving, under deadlines and contexts, while
// channels are closed under them.
class Storm {
 public:
  static constexpr std::size_t kChannels = 4;

  explicit Storm(std::uint64_t seed) : seed_(seed) {}

  void rage(std::uint64_t turns) {
    CancelScope scope = with_cancel(Context::background());
    Group group;
    Collecting collecting(group);
    {
      Group storm;
      for (std::uint64_t id = 0; id < 12; ++id) {
        storm.go([this, id, turns, &scope] { member(id, turns, scope); });
      }
      storm.go([this] { close_some(); });
    }
    // What is left in the rings.
    for (auto& channel : channels_) {
      channel->close();
      for (Parcel*& parcel : *channel) received_.add(unwrap(parcel));
    }
    collecting.stop();
    group.wait();
    EXPECT_EQ(sent_.count, received_.count);
    EXPECT_EQ(sent_.sum, received_.sum);
    EXPECT_GT(sent_.count, turns);
  }

 private:
  void member(std::uint64_t id, std::uint64_t turns, const Context& above) {
    std::mt19937_64 random(seed_ + id);
    for (std::uint64_t turn = 0; turn < turns; ++turn) {
      CancelScope scope = with_timeout(above, static_cast<std::int64_t>(random() % 2'000'000));
      JoinHandle canceller;
      if (random() % 8 == 0) canceller = spawn([&scope] { scope.cancel(); });
      const std::uint64_t number = id * turns + turn;
      Channel<Parcel*>& out = *channels_[random() % kChannels];
      Channel<Parcel*>& in = *channels_[random() % kChannels];
      Channel<Parcel*>& also_in = *channels_[random() % kChannels];
      const auto note_sent = [&](ChannelStatus status) {
        if (status == ChannelStatus::kOk) sent_.add(number);
      };
      const auto note_received = [&](Received<Parcel*> parcel) {
        if (parcel) received_.add(unwrap(*parcel));
      };
      Parcel* parcel = make_parcel(number);
      switch (random() % 6) {
        case 0:
          note_sent(out.send_for(parcel, static_cast<std::int64_t>(random() % 300'000)));
          break;
        case 1:
          note_received(in.receive(scope));
          break;
        case 2:
          select(on_send(out, parcel, note_sent), on_receive(in, note_received), otherwise());
          break;
        default:
          select(on_receive(in, note_received), on_send(out, parcel, note_sent),
                 on_receive(also_in, note_received), on_done(scope),
                 on_timeout(static_cast<std::int64_t>(random() % 1'000'000)));
      }
      if (canceller.joinable()) canceller.join();
    }
  }
  // One of them closes on the way: the others carry on.
  void close_some() {
    sleep_for_ns(5'000'000);
    channels_[seed_ % kChannels]->close();
  }

  const std::uint64_t seed_;
  std::unique_ptr<Channel<Parcel*>> channels_[kChannels] = {
      std::make_unique<Channel<Parcel*>>(0), std::make_unique<Channel<Parcel*>>(0),
      std::make_unique<Channel<Parcel*>>(1), std::make_unique<Channel<Parcel*>>(5)};
  Ledger sent_;
  Ledger received_;
};

TEST_P(ChannelStressTest, SelectStormLosesAndDoublesNothing) {
  start_perturbed(17);
  SCOPED_TRACE("TAILRACE_SEED=" + std::to_string(base::test_seed(1)));
  run([this] {
    for (std::uint64_t round = 0; round < 3; ++round) Storm(seed_ + round).rage(150);
  });
}

// Channels that are gone as soon as the last one has woken: nobody may touch them any more.
TEST_P(ChannelStressTest, AChannelMayGoAtOnce) {
  start_perturbed(31);
  SCOPED_TRACE("TAILRACE_SEED=" + std::to_string(base::test_seed(1)));
  run([] {
    for (int round = 0; round < 2000; ++round) {
      auto channel = std::make_unique<Channel<int>>(static_cast<std::size_t>(round % 2));
      auto other = std::make_unique<Channel<int>>();
      Channel<int>* const sending = channel.get();
      spawn([sending, round] { sending->send(round); });
      int got = -1;
      select(on_receive(*other), on_receive(*channel, [&](Received<int> value) { got = *value; }));
      EXPECT_EQ(got, round);
      other.reset();
      channel.reset();
    }
  });
}

}  // namespace
}  // namespace tailrace::fiber
