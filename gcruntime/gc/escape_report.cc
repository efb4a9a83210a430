#include "gcruntime/gc/escape_report.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <tuple>

#include "gcruntime/base/describe_code.h"
#include "gcruntime/gc/escape_counts.h"
#include "gcruntime/gc/escape_watch.h"
#include "gcruntime/gc/type_info.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

constexpr const char* kOthers = "(others)";

constinit internal::EscapeCounts counts;

constinit std::atomic<EscapeAlarm> escape_alarm{nullptr};
constinit base::SpinLock watch_lock;
constinit std::array<internal::EscapeWatch, internal::EscapeLabels::kMost + 1> watches;

std::string text_of(unsigned label) {
  if (label == 0) return kOthers;
  const std::string text = counts.labels.text(label);
  return text.empty() ? "(no label)" : text;
}

[[gnu::cold, gnu::noinline]] void look(unsigned label) noexcept {
  // Acquire pairs with set_escape_alarm's release.
  const EscapeAlarm alarm = escape_alarm.load(std::memory_order_acquire);
  if (alarm == nullptr) return;
  std::optional<double> share;
  {
    // Who finds it taken leaves it to the next look.
    const std::unique_lock guard(watch_lock, std::try_to_lock);
    if (!guard.owns_lock()) return;
    share = watches[label].judge(counts.sums(label), os::now_ns());
  }
  if (share.has_value()) alarm(label == 0 ? kOthers : counts.labels.text(label), *share);
}

template <typename... Args>
void append(std::string& text, const char* format, Args... args) {
  char line[128];
  std::snprintf(line, sizeof line, format, args...);
  text += line;
}

}  // namespace

namespace internal {

void note_escape(const char* label, std::uint16_t type, std::uint64_t bytes, std::uint64_t objects,
                 const void* site) noexcept {
  counts.add_escape({counts.labels.number_of(label), type, site}, bytes, objects);
}

void note_arena_end(const char* label, std::uint64_t arena_bytes, std::uint64_t arena_objects,
                    std::uint64_t faded_bytes, std::uint64_t faded_objects) noexcept {
  const unsigned number = counts.labels.number_of(label);
  if (counts.add_arena(number, {1, arena_bytes, arena_objects, faded_bytes, faded_objects}))
      [[unlikely]] {
    look(number);
  }
}

// g++: "... [with T = Order]", clang++: "... [T = Order]".
std::string readable_type(const char* type_name) {
  std::string_view name = type_name;
  constexpr std::string_view kBefore = "T = ";
  const std::size_t at = name.find(kBefore);
  if (at == std::string_view::npos || !name.ends_with(']')) return type_name;
  name.remove_prefix(at + kBefore.size());
  name.remove_suffix(1);
  return std::string(name);
}

}  // namespace internal

void set_escape_alarm(EscapeAlarm alarm) noexcept {
  // Release pairs with look's acquire.
  escape_alarm.store(alarm, std::memory_order_release);
}

std::vector<LabelEscapes> label_escapes() {
  std::vector<LabelEscapes> labels;
  for (unsigned label = 0; label <= counts.labels.count(); ++label) {
    const internal::ArenaSums sums = counts.sums(label);
    if (sums.arenas == 0) continue;
    labels.push_back({text_of(label), sums.arenas, sums.bytes, sums.objects, sums.faded_bytes,
                      sums.faded_objects});
  }
  return labels;
}

EscapeReport escape_report() {
  EscapeReport report;
  report.labels = label_escapes();
  std::sort(report.labels.begin(), report.labels.end(),
            [](const LabelEscapes& a, const LabelEscapes& b) {
              return std::tie(b.faded_bytes, b.bytes, a.label) <
                     std::tie(a.faded_bytes, a.bytes, b.label);
            });
  std::array<std::uint64_t, internal::EscapeLabels::kMost + 1> label_bytes{};
  for (unsigned label = 0; label <= counts.labels.count(); ++label) {
    label_bytes[label] = counts.sums(label).bytes;
  }

  // One place may stand in the table twice.
  std::map<std::tuple<unsigned, std::uint16_t, const void*>, internal::EscapeSums> by_place;
  counts.for_each_place([&](const internal::EscapePlace& place, const internal::EscapeSums& sums) {
    internal::EscapeSums& all = by_place[{place.label, place.type, place.site}];
    all.stores += sums.stores;
    all.bytes += sums.bytes;
    all.objects += sums.objects;
  });
  const auto share = [](std::uint64_t bytes, std::uint64_t of) {
    return of == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(of);
  };
  for (const auto& [place, sums] : by_place) {
    const auto& [label, type, site] = place;
    const TypeInfo* info = type == 0 ? nullptr : type_info(type);
    report.sites.push_back(
        {text_of(label), info == nullptr ? "text or numbers" : internal::readable_type(info->name),
         site,
         // The call is just before what it returns to.
         site == nullptr ? "(not known)" : base::describe_code(static_cast<const char*>(site) - 1),
         sums.stores, sums.bytes, sums.objects, share(sums.bytes, label_bytes[label])});
  }
  if (const internal::EscapeSums others = counts.others(); others.stores != 0) {
    std::uint64_t all = 0;
    for (const std::uint64_t bytes : label_bytes) all += bytes;
    report.sites.push_back({kOthers, kOthers, nullptr, kOthers, others.stores, others.bytes,
                            others.objects, share(others.bytes, all)});
  }
  std::sort(report.sites.begin(), report.sites.end(),
            [](const SiteEscapes& a, const SiteEscapes& b) { return a.bytes > b.bytes; });
  return report;
}

std::string format_escape_report(const EscapeReport& report) {
  std::string text = "arenas, by label\n";
  append(text, "%12s %16s %12s %16s %13s %7s  %s\n", "arenas", "bytes", "objects", "faded bytes",
         "faded objects", "share", "label");
  for (const LabelEscapes& row : report.labels) {
    append(text, "%12" PRIu64 " %16" PRIu64 " %12" PRIu64 " %16" PRIu64 " %13" PRIu64 " %6.1f%%  ",
           row.arenas, row.bytes, row.objects, row.faded_bytes, row.faded_objects,
           row.share() * 100);
    text += row.label + '\n';
  }
  text += "\nescapes, by label, type and place of the store\n";
  append(text, "%12s %16s %12s %7s  %s\n", "stores", "faded bytes", "objects", "share",
         "label, type, place");
  for (const SiteEscapes& row : report.sites) {
    append(text, "%12" PRIu64 " %16" PRIu64 " %12" PRIu64 " %6.1f%%  ", row.stores, row.bytes,
           row.objects, row.share * 100);
    text += row.label + ", " + row.type + ", " + row.place + '\n';
  }
  return text;
}

}  // namespace tailrace::gc
