// Exceptions over steals: fibers throw through many frames, suspend in handlers (nested ones too), are
// resumed by other workers and rethrow there. Oracle: each handler still has its own exception, and the
// counts of caught and uncaught ones are the fiber's own.
#include <exception>
#include <stdexcept>
#include <string>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/torture/item.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

struct Ticket : std::runtime_error {
  Ticket(std::uint64_t the_id, Item* item)
      : std::runtime_error("ticket " + std::to_string(the_id)), id(the_id), held(item) {}
  std::uint64_t id;
  gc::Root<Item> held;
};

class Thrower {
 public:
  Thrower(Run& run, Random& random, unsigned number)
      : run_(run), random_(random), id_(std::uint64_t{number + 1} << 32) {}

  void turn() {
    expect_none();
    const std::uint64_t id = ++id_;
    bool caught = false;
    try {
      nest(id, static_cast<unsigned>(random_.below(3)));
    } catch (const Ticket& ticket) {
      caught = true;
      expect_ticket(ticket, id);
      suspend();
      expect_ticket(ticket, id);
      expect_current(id);
    }
    run_.expect(caught, "ticket that never came", nullptr, 0, id);
    expect_none();
  }

 private:
  // Throws ticket `id`, which passes `depth` handlers that suspend, throw and catch their own, and
  // rethrow it.
  TAILRACE_NOINLINE void nest(std::uint64_t id, unsigned depth) {
    if (depth == 0) {
      const Unwinding guard{*this};
      climb(id, static_cast<unsigned>(random_.below(8)));
      return;
    }
    try {
      nest(id, depth - 1);
    } catch (const Ticket& ticket) {
      expect_ticket(ticket, id);
      suspend();
      if (random_.one_in(2)) {
        const std::uint64_t inner = ++id_;
        try {
          climb(inner, 2);
        } catch (const Ticket& other) {
          expect_ticket(other, inner);
          suspend();
          expect_current(inner);
        }
      }
      expect_current(id);
      throw;
    }
  }
  TAILRACE_NOINLINE void climb(std::uint64_t id, unsigned depth) {
    if (depth > 0) {
      climb(id, depth - 1);
      return;
    }
    std::int64_t next_id = static_cast<std::int64_t>(id << 8);
    throw Ticket(id, make_chain(1 + random_.below(3), next_id, random_));
  }

  // Suspends while an exception is under way: a destructor may.
  struct Unwinding {
    Thrower& owner;
    ~Unwinding() {
      owner.run_.expect_equal(static_cast<std::uint64_t>(std::uncaught_exceptions()), 1,
                              "uncaught exceptions while unwinding");
      owner.suspend();
      owner.run_.expect_equal(static_cast<std::uint64_t>(std::uncaught_exceptions()), 1,
                              "uncaught exceptions after a switch");
    }
  };

  void suspend() {
    switch (random_.below(4)) {
      case 0:
        pause(random_);
        break;
      case 1:
        fiber::sleep_for_ns(static_cast<std::int64_t>(random_.log_uniform(16)));
        break;
      default:
        for (std::uint64_t left = 1 + random_.below(4); left > 0; --left) fiber::yield();
    }
  }
  // Not inlined and by this room only, so that no compiler keeps what it read before a switch.
  TAILRACE_NOINLINE void expect_none() {
    run_.expect_equal(static_cast<std::uint64_t>(std::uncaught_exceptions()), 0,
                      "uncaught exceptions of nobody");
    run_.expect(std::current_exception() == nullptr, "another's exception", nullptr, 1, 0);
  }
  TAILRACE_NOINLINE void expect_current(std::uint64_t id) {
    run_.expect_equal(static_cast<std::uint64_t>(std::uncaught_exceptions()), 0,
                      "uncaught exceptions in a handler");
    const std::exception_ptr current = std::current_exception();
    run_.expect(current != nullptr, "exception in its handler", nullptr, 0, id);
    try {
      std::rethrow_exception(current);
    } catch (const Ticket& ticket) {
      expect_ticket(ticket, id);
    }
  }
  void expect_ticket(const Ticket& ticket, std::uint64_t id) {
    run_.expect_equal(ticket.id, id, "ticket", &ticket);
    run_.expect(check_chain(run_, ticket.held.get()) > 0, "items of a ticket", &ticket, 0, 1);
  }

  Run& run_;
  Random& random_;
  std::uint64_t id_;
};

}  // namespace

void exceptions(Run& run) {
  run.fibers(4 * run.workers(), [&](unsigned number, Random random) {
    Thrower thrower(run, random, number);
    do {
      thrower.turn();
      litter(random, 4);
      run.step();
    } while (run.more());
  });
}

}  // namespace tailrace::torture
