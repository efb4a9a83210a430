// For tests: a series of gathered families, by its name and labels.
#pragma once

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "metrics/family.h"

namespace tailrace::metrics {

// Null if there is none.
inline const Series* find_series(const std::vector<Family>& families, std::string_view name,
                                 const std::vector<Label>& labels = {}) {
  if (const Family* const family = find_family(families, name)) {
    for (const Series& series : family->series) {
      if (series.labels == labels) {
        return &series;
      }
    }
  }
  return nullptr;
}

// Never null: fails the test if there is none.
inline const Series* series_of(const std::vector<Family>& families, std::string_view name,
                               const std::vector<Label>& labels = {}) {
  static const Series none;
  const Series* const series = find_series(families, name, labels);
  EXPECT_NE(series, nullptr) << "no such series of " << name;
  return series == nullptr ? &none : series;
}
inline double series_value(const std::vector<Family>& families, std::string_view name,
                           const std::vector<Label>& labels = {}) {
  return series_of(families, name, labels)->value;
}

}  // namespace tailrace::metrics
