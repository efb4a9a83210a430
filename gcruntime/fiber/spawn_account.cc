#include "gcruntime/fiber/spawn_account.h"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

#include "gcruntime/base/check.h"
#include "gcruntime/base/spin_lock.h"
#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/fiber_record.h"

namespace tailrace::fiber {
namespace internal {

// What an account and its fibers share: it lives as long as the last of them.
class Ledger {
 public:
  // Of an account's first spawn.
  static Ledger& of(SpawnAccount& account) {
    if (account.ledger_ == nullptr) account.ledger_ = new Ledger(account);
    return *account.ledger_;
  }

  Ledger* share() noexcept {
    // Relaxed: who shares has a reference.
    references_.fetch_add(1, std::memory_order_relaxed);
    return this;
  }
  void drop() noexcept {
    // Acq_rel: the last one sees what the others did before it frees the record.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  void add(const gc::AllocCounts& counts) noexcept {
    {
      const std::lock_guard guard(lock_);
      if (!closed_) {
        settled_ = settled_ + counts;
        return;
      }
    }
    late_(to_, counts);
  }
  gc::AllocCounts settled() noexcept {
    const std::lock_guard guard(lock_);
    return settled_;
  }
  void close() noexcept {
    const std::lock_guard guard(lock_);
    closed_ = true;
  }

 private:
  explicit Ledger(const SpawnAccount& account) noexcept
      : late_(account.late_), to_(account.to_), closed_(account.closed_) {}

  const SpawnAccount::Late late_;
  void* const to_;
  std::atomic<std::uint32_t> references_{1};  // the account's
  base::SpinLock lock_;                       // guards all below
  bool closed_;
  gc::AllocCounts settled_;
};

Bill* bill_for_spawn(Fiber* spawner) {
  if (spawner == nullptr) return nullptr;
  if (spawner->account != nullptr) {
    Ledger& ledger = Ledger::of(*spawner->account);
    return new Bill{ledger.share(), {}};
  }
  return spawner->bill == nullptr ? nullptr : new Bill{spawner->bill->ledger->share(), {}};
}

namespace {

void settle(Bill& bill) noexcept {
  const gc::AllocCounts counts = alloc_counts();
  bill.ledger->add(counts - bill.settled);
  bill.settled = counts;
}

}  // namespace

void settle_own() noexcept {
  const Fiber* const self = current();
  if (self != nullptr && self->bill != nullptr) settle(*self->bill);
}

void end_bill(Fiber* self) noexcept {
  Bill* const bill = std::exchange(self->bill, nullptr);
  settle(*bill);
  bill->ledger->drop();
  delete bill;
}

}  // namespace internal

SpawnAccount::SpawnAccount(Late late, void* to) noexcept
    : late_(late),
      to_(to),
      fiber_(current()),
      outer_(fiber_ == nullptr ? nullptr : fiber_->account) {
  TAILRACE_CHECK(fiber_ != nullptr, "a SpawnAccount is a fiber's: this thread runs none");
  fiber_->account = this;
}

SpawnAccount::~SpawnAccount() {
  fiber_->account = outer_;
  if (ledger_ == nullptr) return;
  if (!closed_) {
    ledger_->close();
    late_(to_, ledger_->settled());
  }
  ledger_->drop();
}

gc::AllocCounts SpawnAccount::settled() const noexcept {
  return ledger_ == nullptr ? gc::AllocCounts{} : ledger_->settled();
}

void SpawnAccount::close_ledger() noexcept { ledger_->close(); }

}  // namespace tailrace::fiber
