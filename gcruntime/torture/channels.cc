// Channels: chains of items sent through channels of capacity 0, 1 and 8 by plain sends, by sends that give
// up, and by selects over two; received by selects that lose channels as they are closed. In between an
// item is known to a parked waiter's stack or the channel's ring only.
// Oracle: what was sent, by count and sum of ids, is what was received; and the items themselves.
#include <array>
#include <atomic>

#include "gcruntime/sync/channel.h"
#include "gcruntime/sync/select.h"
#include "gcruntime/torture/item.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

using Items = fiber::Channel<Item*>;
constexpr std::size_t kChannels = 3;

// Relaxed: compared when all have ended.
struct Tally {
  std::atomic<std::uint64_t> count{0};
  std::atomic<std::uint64_t> sum{0};

  void add(const Item* item) {
    count.fetch_add(1, std::memory_order_relaxed);
    sum.fetch_add(static_cast<std::uint64_t>(item->id), std::memory_order_relaxed);
  }
};

class Traffic {
 public:
  explicit Traffic(Run& run) : run_(run) {}

  void produce(unsigned number, Random& random) {
    std::int64_t next_id = std::int64_t{number + 1} << 40;
    do {
      Item* item = make_chain(1 + random.below(3), next_id, random);
      sent_or_not_.add(item);
      if (send(item, random) != fiber::ChannelStatus::kOk) kept_.add(item);
      if (random.one_in(4)) pause(random);
      run_.step();
    } while (run_.more());
  }
  void consume(Random& random) {
    std::array<Items*, kChannels> open{&channels_[0], &channels_[1], &channels_[2]};
    std::size_t left = kChannels;
    const auto take = [&](std::size_t which) {
      return [&, which](fiber::Received<Item*> item) {
        if (!item) {
          run_.expect(item.status() == fiber::ChannelStatus::kClosed, "status of a receive", &item,
                      static_cast<std::uint64_t>(item.status()), 0);
          open[which] = nullptr;
          --left;
          return;
        }
        if (random.one_in(4)) pause(random);
        check_chain(run_, *item);
        received_.add(*item);
        run_.step();
      };
    };
    while (left > 0) {
      fiber::select(fiber::on_receive(open[0], take(0)), fiber::on_receive(open[1], take(1)),
                    fiber::on_receive(open[2], take(2)),
                    fiber::on_timeout(static_cast<std::int64_t>(random.log_uniform(20)), [] {}));
    }
  }
  void close() {
    for (Items& channel : channels_) channel.close();
  }
  void finish() {
    const auto read = [](const std::atomic<std::uint64_t>& word) {
      return word.load(std::memory_order_relaxed);
    };
    run_.expect_equal(read(received_.count) + read(kept_.count), read(sent_or_not_.count),
                      "items through channels");
    run_.expect_equal(read(received_.sum) + read(kept_.sum), read(sent_or_not_.sum),
                      "sum of what went through channels");
  }

 private:
  fiber::ChannelStatus send(Item* item, Random& random) {
    Items& channel = channels_[random.below(kChannels)];
    switch (random.below(4)) {
      case 0:
        return channel.send(item);
      case 1:
        return channel.try_send(item);
      case 2:
        return channel.send_for(item, static_cast<std::int64_t>(random.log_uniform(18)));
      default: {
        fiber::ChannelStatus status = fiber::ChannelStatus::kWouldBlock;
        const auto sent = [&](fiber::ChannelStatus now) { status = now; };
        fiber::select(fiber::on_send(channels_[0], item, sent),
                      fiber::on_send(channel, item, sent));
        return status;
      }
    }
  }

  Run& run_;
  std::array<Items, kChannels> channels_{Items(0), Items(1), Items(8)};
  Tally sent_or_not_;
  Tally kept_;  // not sent after all
  Tally received_;
};

}  // namespace

void channels(Run& run) {
  Traffic traffic(run);
  const unsigned producers = 3 * run.workers();
  std::atomic<unsigned> producing{producers};
  run.fibers(2 * producers, [&](unsigned number, Random random) {
    if (number >= producers) {
      traffic.consume(random);
      return;
    }
    traffic.produce(number, random);
    // Relaxed: a count; what is closed is closed after all sends.
    if (producing.fetch_sub(1, std::memory_order_relaxed) == 1) traffic.close();
  });
  traffic.finish();
}

}  // namespace tailrace::torture
