// The escape report as its readers see it. Its counts are the process's: each test has labels of its own.
#include "gcruntime/gc/escape_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/test_support.h"

namespace tailrace::gc {
namespace {

using internal::note_arena_end;
using internal::note_escape;

const LabelEscapes* find_label(const EscapeReport& report, std::string_view label) {
  const auto at = std::find_if(report.labels.begin(), report.labels.end(),
                               [&](const LabelEscapes& row) { return row.label == label; });
  return at == report.labels.end() ? nullptr : &*at;
}
std::vector<SiteEscapes> sites_of(const EscapeReport& report, std::string_view label) {
  std::vector<SiteEscapes> sites;
  for (const SiteEscapes& row : report.sites) {
    if (row.label == label) sites.push_back(row);
  }
  return sites;
}

TAILRACE_NOINLINE void store_orders(const char* label) {
  for (int i = 0; i < 5; ++i) {
    note_escape(label, kTypeNumber<test::Node>, 100, 2, __builtin_return_address(0));
  }
}
TAILRACE_NOINLINE void keep_orders(const char* label) {
  store_orders(label);
  asm volatile("");  // no tail call
}

TEST(EscapeReport, SaysWhereWhatEscaped) {
  static const char kLabel[] = "POST /orders";
  keep_orders(kLabel);
  note_escape(kLabel, 0, 2000, 1, nullptr);
  for (int i = 0; i < 10; ++i) note_arena_end(kLabel, 1000, 20, 250, 2);
  const EscapeReport report = escape_report();

  const LabelEscapes* label = find_label(report, kLabel);
  ASSERT_NE(label, nullptr);
  EXPECT_EQ(label->arenas, 10u);
  EXPECT_EQ(label->bytes, 10'000u);
  EXPECT_EQ(label->objects, 200u);
  EXPECT_EQ(label->faded_bytes, 2'500u);
  EXPECT_EQ(label->faded_objects, 20u);
  EXPECT_DOUBLE_EQ(label->share(), 0.25);

  const std::vector<SiteEscapes> sites = sites_of(report, kLabel);
  ASSERT_EQ(sites.size(), 2u);
  EXPECT_EQ(sites[0].type, "text or numbers");
  EXPECT_EQ(sites[0].bytes, 2000u);
  EXPECT_DOUBLE_EQ(sites[0].share, 0.2);
  EXPECT_EQ(sites[1].type, "tailrace::gc::test::Node");
  EXPECT_EQ(sites[1].stores, 5u);
  EXPECT_EQ(sites[1].bytes, 500u);
  EXPECT_EQ(sites[1].objects, 10u);
  EXPECT_NE(sites[1].place.find("keep_orders"), std::string::npos) << sites[1].place;
}

TEST(EscapeReport, WhatEscapesMostComesFirst) {
  note_arena_end("GET /little", 1000, 1, 10, 1);
  note_arena_end("GET /none", 1'000'000, 1, 0, 0);
  note_arena_end("GET /much", 1000, 1, 900, 1);
  const EscapeReport report = escape_report();
  const LabelEscapes* little = find_label(report, "GET /little");
  const LabelEscapes* none = find_label(report, "GET /none");
  const LabelEscapes* much = find_label(report, "GET /much");
  ASSERT_TRUE(little != nullptr && none != nullptr && much != nullptr);
  EXPECT_LT(much, little);
  EXPECT_LT(little, none);
  EXPECT_EQ(none->share(), 0);
}

TEST(EscapeReport, PrintsOneLineARow) {
  note_arena_end("GET /printed", 8000, 40, 2000, 4);
  note_escape("GET /printed", kTypeNumber<test::Node>, 2000, 4, nullptr);
  const std::string text = format_escape_report();
  EXPECT_NE(
      text.find("           1             8000           40             2000             4   25.0%"
                "  GET /printed\n"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("           1             2000            4   25.0%  GET /printed, "
                      "tailrace::gc::test::Node, "),
            std::string::npos)
      << text;
  EXPECT_EQ(text.back(), '\n');
  const EscapeReport empty;
  EXPECT_EQ(std::ranges::count(format_escape_report(empty), '\n'), 5);
}

TEST(EscapeReport, AnArenaWithoutALabelIsCalledThat) {
  note_arena_end("", 10, 1, 0, 0);
  EXPECT_NE(find_label(escape_report(), "(no label)"), nullptr);
}

std::vector<std::string> alarms;

TEST(EscapeReport, ALabelThatLosesTooMuchSoundsTheAlarm) {
  set_escape_alarm([](const char* label, double share) {
    EXPECT_GT(share, 0.25);
    alarms.emplace_back(label);
  });
  for (int i = 0; i < 200; ++i) {
    note_arena_end("GET /leaky", 64 * 1024, 10, 32 * 1024, 5);
    note_arena_end("GET /tight", 640 * 1024, 10, 32 * 1024, 5);
  }
  set_escape_alarm(nullptr);
  ASSERT_FALSE(alarms.empty());
  for (const std::string& label : alarms) EXPECT_EQ(label, "GET /leaky");
  alarms.clear();
  note_arena_end("GET /unheard", 4 << 20, 10, 4 << 20, 5);
  EXPECT_TRUE(alarms.empty());
}

TEST(EscapeReport, TypesAreNamedAsProgrammersDo) {
  EXPECT_EQ(internal::readable_type(internal::type_name<test::Node>()), "tailrace::gc::test::Node");
  EXPECT_EQ(internal::readable_type(internal::type_name<Member<test::Node>>()),
            "tailrace::gc::Member<tailrace::gc::test::Node>");
  EXPECT_EQ(internal::readable_type("something else"), "something else");
}

}  // namespace
}  // namespace tailrace::gc
