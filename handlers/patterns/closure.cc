#include "handlers/patterns/closure.h"

#include <algorithm>
#include <functional>
#include <vector>

namespace tailrace::patterns {

std::int64_t bad::fees(const gc::Vector<Order>& orders, std::int64_t per_mille,
                       std::int64_t least) {
  std::vector<std::function<std::int64_t()>> work;
  for (const Order& order : orders) {
    work.push_back([cents = order.cents, per_mille, least] {
      return std::max(cents * per_mille / 1000, least);
    });
  }
  std::int64_t sum = 0;
  for (const auto& each : work) sum += each();
  return sum;
}

std::int64_t good::fees(const gc::Vector<Order>& orders, std::int64_t per_mille,
                        std::int64_t least) {
  std::int64_t sum = 0;
  for_each_order(
      orders, [&](const Order& order) { sum += std::max(order.cents * per_mille / 1000, least); });
  return sum;
}

}  // namespace tailrace::patterns
