// The Prometheus grammar of names, and what label values may hold.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tailrace::metrics {

// The label value of everything beyond a cap.
inline constexpr std::string_view kOther = "(other)";
inline constexpr std::size_t kMaxLabelValueBytes = 256;

// [a-zA-Z_:][a-zA-Z0-9_:]*, at most 256 bytes.
bool valid_metric_name(std::string_view name) noexcept;
// [a-zA-Z_][a-zA-Z0-9_]*, not beginning with "__", and not what the text format uses itself.
bool valid_label_name(std::string_view name) noexcept;
// One invalid byte makes Prometheus refuse the whole scrape: bytes that are not UTF-8 become '?',
// and what exceeds kMaxLabelValueBytes is cut at a character's start.
std::string clean_label_value(std::string_view value);

}  // namespace tailrace::metrics
