// The grammar of names, and label values that cannot spoil a scrape.
#include "metrics/names.h"

#include <gtest/gtest.h>

namespace tailrace::metrics {
namespace {

TEST(Names, MetricNames) {
  for (const char* name : {"a", "_a", ":a", "http_requests_total", "a1:b2", "A"}) {
    EXPECT_TRUE(valid_metric_name(name)) << name;
  }
  for (const char* name : {"", "1a", "a-b", "a b", "a.b", "\xC3\xA9", "a{", "a\n"}) {
    EXPECT_FALSE(valid_metric_name(name)) << name;
  }
  EXPECT_FALSE(valid_metric_name(std::string(257, 'a')));
}

TEST(Names, LabelNames) {
  for (const char* name : {"a", "_a", "route", "a1"}) {
    EXPECT_TRUE(valid_label_name(name)) << name;
  }
  for (const char* name : {"", "1a", "a:b", "__name__", "le", "quantile", "a-b"}) {
    EXPECT_FALSE(valid_label_name(name)) << name;
  }
}

TEST(Names, LabelValuesKeepGoodTextAndLoseBadBytes) {
  EXPECT_EQ(clean_label_value("/api/users/{id}"), "/api/users/{id}");
  EXPECT_EQ(clean_label_value("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80"),
            "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80");
  EXPECT_EQ(clean_label_value("a\xFF\x62"), "a?b");
  EXPECT_EQ(clean_label_value("\xC0\x80"), "??");            // overlong
  EXPECT_EQ(clean_label_value("\xE0\x80\x80"), "???");       // overlong
  EXPECT_EQ(clean_label_value("\xED\xA0\x80"), "???");       // surrogate
  EXPECT_EQ(clean_label_value("\xF4\x90\x80\x80"), "????");  // beyond the last point
  EXPECT_EQ(clean_label_value("a\xE2\x82"), "a??");          // cut short
}

TEST(Names, LongLabelValuesAreCutBetweenCharacters) {
  EXPECT_EQ(clean_label_value(std::string(300, 'x')).size(), kMaxLabelValueBytes);
  std::string wide(255, 'x');
  wide += "\xC3\xBC";
  EXPECT_EQ(clean_label_value(wide), std::string(255, 'x'));
}

}  // namespace
}  // namespace tailrace::metrics
