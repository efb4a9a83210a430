#include "handlers/patterns/boxing.h"

#include <string>

namespace tailrace::patterns {
namespace {

double mean_of_anything(const gc::Vector<gc::Member<Boxed>>& values) {
  double sum = 0;
  for (const gc::Member<Boxed>& value : values) {
    if (value->kind == Boxed::Kind::kInteger) sum += static_cast<double>(value->integer);
  }
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

}  // namespace

double bad::mean(std::span<const std::int64_t> latencies_us) {
  gc::Vector<gc::Member<Boxed>> values;
  values.reserve(latencies_us.size());
  for (const std::int64_t latency : latencies_us) {
    Boxed* boxed = gc::make<Boxed>();
    boxed->integer = latency;
    values.push_back(boxed);
  }
  return mean_of_anything(values);
}

gc::String bad::log_line(std::string_view message, const std::vector<std::any>& fields) {
  gc::StringBuilder line(120);
  line.append(message);
  for (const std::any& field : fields) {
    line.append(" field=");
    if (const auto* number = std::any_cast<std::int64_t>(&field)) {
      line.append(*number);
    } else if (const auto* text = std::any_cast<std::string>(&field)) {
      line.append(*text);
    }
  }
  return line.finish();
}

}  // namespace tailrace::patterns
