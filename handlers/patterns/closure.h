// What some orders cost in fees.
//
// bad: makes a closure for each order and keeps it for a second loop. A std::function has room for
// 16 bytes; a closure that captures more is a malloc.
// good: hands the closure to a template, which calls it where it stands; nothing is kept.
#pragma once

#include <cstdint>

#include "gcruntime/gcruntime.h"

namespace tailrace::patterns {

struct Order {
  std::int64_t id = 0;
  std::int64_t cents = 0;
};
BOOST_DESCRIBE_STRUCT(Order, (), (id, cents))

template <typename Visit>
void for_each_order(const gc::Vector<Order>& orders, Visit&& visit) {
  for (const Order& order : orders) visit(order);
}

namespace bad {
std::int64_t fees(const gc::Vector<Order>& orders, std::int64_t per_mille, std::int64_t least);
}
namespace good {
std::int64_t fees(const gc::Vector<Order>& orders, std::int64_t per_mille, std::int64_t least);
}

}  // namespace tailrace::patterns
