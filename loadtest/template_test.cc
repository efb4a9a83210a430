// What each field writes, that it follows from draw, number and worker alone, and what is refused.
#include "loadtest/template.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

namespace tailrace::loadtest {
namespace {

Template compiled(std::string_view text) {
  std::variant<Template, std::string> made = Template::compile(text);
  EXPECT_TRUE(std::holds_alternative<Template>(made))
      << text << ": " << (made.index() == 1 ? std::get<std::string>(made) : "");
  return made.index() == 0 ? std::get<Template>(made) : Template();
}

std::string rendered(const Template& made, FieldSource source) {
  std::string out;
  made.render(out, source);
  EXPECT_LE(out.size(), made.longest()) << out;
  return out;
}
std::string rendered(std::string_view text, std::uint64_t draw = 1, std::uint64_t number = 0,
                     unsigned worker = 0, std::uint32_t step = 0) {
  return rendered(compiled(text), FieldSource(draw, number, worker, step));
}

TEST(Template, TextIsItself) {
  for (const char* text : {"", "/", "no fields } here }}", "{\"a\":{\"b\":{}}}", "{ {", "a{b{c"}) {
    EXPECT_EQ(rendered(text), text);
    EXPECT_TRUE(compiled(text).fixed());
    EXPECT_EQ(compiled(text).longest(), std::string_view(text).size());
  }
  EXPECT_TRUE(Template().fixed());
  EXPECT_TRUE(Template().empty());
  EXPECT_EQ(rendered(Template(), FieldSource(1, 1, 1)), "");
  EXPECT_EQ(rendered(Template::literal("{{int 0 9"), FieldSource(1, 1, 1)), "{{int 0 9");
}

TEST(Template, BracesCanBeWritten) {
  EXPECT_EQ(rendered("{{{{"), "{{");
  EXPECT_EQ(rendered("{{{{int 0 9}}"), "{{int 0 9}}");
  EXPECT_EQ(rendered("{{{{{{int 7 7}}"), "{{7");
  EXPECT_EQ(rendered("{{{int 7 7}}}"), "{7}");
  EXPECT_EQ(rendered("{\"a\":{{int 7 7}}}"), "{\"a\":7}");
}

TEST(Template, AppendsOnly) {
  std::string out = "before ";
  FieldSource source(1, 2, 3);
  compiled("{{int 5 5}}").render(out, source);
  EXPECT_EQ(out, "before 5");
}

TEST(Template, FollowsFromDrawNumberAndWorker) {
  const std::string_view all =
      "{{counter}} {{int 0 99999}} {{float 0 1 6}} {{choice a|b|c|d}} {{hex 16}} {{uuid}} {{string "
      "12}} {{repeat 3 ,}}{{int 0 99}}{{end}}";
  EXPECT_EQ(rendered(all, 5, 6, 7, 1), rendered(all, 5, 6, 7, 1));
  EXPECT_NE(rendered(all, 5, 6, 7, 1), rendered(all, 6, 6, 7, 1));
  EXPECT_NE(rendered(all, 5, 6, 7, 1), rendered(all, 5, 7, 7, 1));
  EXPECT_NE(rendered(all, 5, 6, 7, 1), rendered(all, 5, 6, 8, 1));
  EXPECT_NE(rendered(all, 5, 6, 7, 1), rendered(all, 5, 6, 7, 2)) << "steps of a session";
  // The bytes are kept in users' baselines: a change has to show in review.
  EXPECT_EQ(
      rendered(all, 5, 6, 7, 1),
      "6151 16736 0.075220 c abf4a9d3eb5dd0e1 8743cc58-39c1-499d-8476-62d4be73d1a8 E03hq6F5iUip "
      "5,97,43");
}

TEST(Template, CountersAreUniqueOverWorkers) {
  std::set<std::string> seen;
  for (unsigned worker = 0; worker < FieldSource::kWorkersMost; worker += 31) {
    for (std::uint64_t number = 0; number < 100; ++number) {
      EXPECT_TRUE(seen.insert(rendered("{{counter}}", 1, number, worker)).second);
    }
  }
  EXPECT_EQ(rendered("{{counter}}", 1, (std::uint64_t{1} << 43) - 1, FieldSource::kWorkersMost - 1),
            "9007199254740991");
}

TEST(Template, IntsAreEvenAndWithin) {
  std::map<std::string, int> seen;
  FieldSource source(1, 0, 0);
  const Template made = compiled("{{int -2 7}}");
  for (int i = 0; i < 100'000; ++i) ++seen[rendered(made, FieldSource(source.random(), 0, 0))];
  ASSERT_EQ(seen.size(), 10u);
  for (int i = -2; i <= 7; ++i) EXPECT_NEAR(seen[std::to_string(i)], 10'000, 500) << i;
  EXPECT_EQ(rendered("{{int 9223372036854775807 9223372036854775807}}"), "9223372036854775807");
  EXPECT_EQ(rendered("{{int -9223372036854775808 -9223372036854775808}}"), "-9223372036854775808");
  std::set<bool> signs;
  const Template whole = compiled("{{int -9223372036854775808 9223372036854775807}}");
  for (std::uint64_t draw = 0; draw < 64; ++draw) {
    signs.insert(rendered(whole, FieldSource(draw, 0, 0)).starts_with('-'));
  }
  EXPECT_EQ(signs.size(), 2u);
}

TEST(Template, FloatsHaveTheirDecimals) {
  EXPECT_EQ(rendered("{{float 0 0 2}}"), "0.00");
  EXPECT_EQ(rendered("{{float -0.05 -0.05 2}}"), "-0.05");
  EXPECT_EQ(rendered("{{float -1.5 -1.5 1}}"), "-1.5");
  EXPECT_EQ(rendered("{{float 8.75 8.75 3}}"), "8.750");
  EXPECT_EQ(rendered("{{float 3 3 0}}"), "3");
  EXPECT_EQ(rendered("{{float 999999 999999 9}}"), "999999.000000000");
  std::set<std::string> seen;
  const Template made = compiled("{{float -0.1 0.1 1}}");
  for (std::uint64_t draw = 0; draw < 100; ++draw) {
    seen.insert(rendered(made, FieldSource(draw, 0, 0)));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"-0.1", "0.0", "0.1"}));
}

TEST(Template, ChoicesKeepTheirBlanks) {
  std::map<std::string, int> seen;
  const Template made = compiled("{{choice a|a|dark blue||x }}");
  for (std::uint64_t draw = 0; draw < 10'000; ++draw)
    ++seen[rendered(made, FieldSource(draw, 0, 0))];
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_NEAR(seen["a"], 4000, 300);
  for (const char* text : {"dark blue", "", "x "}) EXPECT_NEAR(seen[text], 2000, 250) << text;
}

TEST(Template, LettersAndUuids) {
  constexpr std::string_view kForm = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
  const auto fits = [&](std::string_view uuid) {
    return std::equal(uuid.begin(), uuid.end(), kForm.begin(), kForm.end(), [](char c, char form) {
      const std::string_view digits = form == 'y' ? "89ab" : "0123456789abcdef";
      return form == 'x' || form == 'y' ? digits.find(c) != std::string_view::npos : c == form;
    });
  };
  std::set<char> hex;
  std::set<char> letters;
  std::set<std::string> uuids;
  for (std::uint64_t draw = 0; draw < 500; ++draw) {
    EXPECT_TRUE(fits(rendered("{{uuid}}", draw))) << rendered("{{uuid}}", draw);
    uuids.insert(rendered("{{uuid}}", draw));
    const std::string digits = rendered("{{hex 37}}", draw);
    EXPECT_EQ(digits.size(), 37u);
    hex.insert(digits.begin(), digits.end());
    const std::string text = rendered("{{string 23}}", draw);
    EXPECT_EQ(text.size(), 23u);
    letters.insert(text.begin(), text.end());
  }
  EXPECT_EQ(uuids.size(), 500u);
  EXPECT_EQ(hex.size(), 16u);
  EXPECT_EQ(letters.size(), 62u);
}

TEST(Template, SameIsTheSameInOneArrival) {
  const std::string_view text =
      "{{same user int 0 999999}}/{{int 0 999999}}/{{same user int 0 999999}}";
  const std::string out = rendered(text);
  const std::string first = out.substr(0, out.find('/'));
  EXPECT_TRUE(out.ends_with("/" + first)) << out;
  const std::string_view user = "{{same user hex 40}}";
  EXPECT_EQ(rendered(user, 1, 0, 0, 0), rendered(user, 1, 0, 0, 5)) << "steps of a session";
  EXPECT_NE(rendered(user, 1), rendered(user, 2));
  EXPECT_NE(rendered(user, 1), rendered("{{same item hex 40}}", 1));
  const std::string digits = rendered(user, 1);
  EXPECT_NE(digits.substr(0, 16), digits.substr(16, 16)) << "its second number is its first";
}

TEST(Template, RepeatsAndNests) {
  EXPECT_EQ(rendered("[{{repeat 3 ,}}{{index}}{{end}}]"), "[0,1,2]");
  EXPECT_EQ(rendered("{{repeat 2  - }}x{{end}}"), "x - x");
  EXPECT_EQ(rendered("{{repeat 1 ,}}x{{end}}"), "x");
  EXPECT_EQ(rendered("{{repeat 3}}x{{end}}"), "xxx");
  EXPECT_EQ(rendered("{{repeat 2 ;}}{{index}}:{{repeat 2 ,}}{{index}}{{end}}{{end}}"),
            "0:0,1;1:0,1");
  EXPECT_EQ(compiled("{{repeat 3 ,}}ab{{end}}").longest(), 8u);
  EXPECT_TRUE(compiled("{{repeat 3 ,}}ab{{end}}").fixed());
  // Each round draws its own.
  const std::string out = rendered("{{repeat 2 ,}}{{hex 16}}{{end}}");
  EXPECT_NE(out.substr(0, 16), out.substr(17));
}

TEST(Template, EventsAreJson) {
  const Template made = compiled(
      "[{{repeat 20 ,}}{\"id\":\"ev-{{counter}}-{{index}}\",\"user_id\":{{int 0 99999}},"
      "\"payload\":{\"k\":\"{{string 12}}\"}}{{end}}]");
  const nlohmann::json document = nlohmann::json::parse(rendered(made, FieldSource(3, 4, 5)));
  ASSERT_EQ(document.size(), 20u);
  EXPECT_EQ(document[19]["id"], "ev-" + std::to_string(4 * FieldSource::kWorkersMost + 5) + "-19");
}

TEST(Template, NowIsTheTimeOfDay) {
  const auto now = [] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  const auto before = now();
  const long long written = std::stoll(rendered("{{now_ms}}"));
  EXPECT_GE(written, before);
  EXPECT_LE(written, now());
}

TEST(Template, TellsWhatItIs) {
  for (const char* number :
       {"{{int 0 9}}", "{{float 0 1 2}}", "{{counter}}", "{{now_ms}}", "{{same x int 0 9}}"}) {
    EXPECT_TRUE(compiled(number).is_number()) << number;
    EXPECT_FALSE(compiled(number).fixed()) << number;
  }
  for (const char* text :
       {"", "7", "{{int 0 9}} ", "{{hex 3}}", "{{choice 1|2}}", "{{int 0 9}}{{int 0 9}}"}) {
    EXPECT_FALSE(compiled(text).is_number()) << text;
  }
  EXPECT_EQ(compiled("/a{{choice b|c}}{{int 0 9}}d{{repeat 2 ,}}e{{end}}").texts(),
            (std::vector<std::string_view>{"/a", "b", "c", "d", ",", "e"}));
  for (const char* text : {"/", "/{{hex 1}}", "{{choice /a|/b}}", "{{repeat 2 ,}}/a{{end}}"}) {
    EXPECT_TRUE(compiled(text).begins_with('/')) << text;
  }
  for (const char* text : {"", "a", "{{int 0 9}}/", "{{choice /a|b}}", "{{repeat 2 /}}a{{end}}"}) {
    EXPECT_FALSE(compiled(text).begins_with('/')) << text;
  }
}

TEST(Template, RefusesWithOffsetAndRemedy) {
  for (const auto& [text, expected] : std::initializer_list<std::pair<std::string, std::string>>{
           {"ab{{int 0 9", "offset 2: \"{{\" without \"}}\": close the field, or write {{{{"},
           {"ab{{itn 0 9}}", "offset 2: no field is named \"itn\": there are counter, index"},
           {"{{}}", "offset 0: no field is named \"\""},
           {"{{int 0 {9}}", "a brace inside a field"},
           {"x{{int 9 0}}", "offset 1: int wants the least and the most whole number, as {{int 0"},
           {"{{int 0}}", "int wants"},
           {"{{int 0 9 }} ", ""},  // a blank at the end is none of a third argument
           {"{{int 0 9 9}}", "int wants"},
           {"{{int 0 9223372036854775808}}", "int wants"},
           {"{{int 0 1.5}}", "int wants"},
           {"{{float 0 1}}", "float wants the least, the most and 0 to 9 decimals"},
           {"{{float 0 1 10}}", "float wants"},
           {"{{float 1 0 2}}", "float wants"},
           {"{{float 0 inf 2}}", "float wants"},
           {"{{float nan 1 2}}", "float wants"},
           {"{{float 0 10000000 9}}", "with at most 15 digits"},
           {"{{choice}}", "choice wants texts, as {{choice red|green|dark blue}}"},
           {"{{hex}}", "hex wants a length, as {{hex 16}}"},
           {"{{hex 0}}", "hex wants"},
           {"{{string -1}}", "string wants a length"},
           {"{{string 16777217}}", "string wants a length"},
           {"{{uuid 4}}", "{{uuid}} takes nothing"},
           {"{{counter 4}}", "{{counter}} takes nothing"},
           {"{{same int 0 9}}", "no field is named \"0\""},
           {"{{same x}}", "same wants a name of yours and a random field"},
           {"{{same x counter}}", "no field is named \"counter\""},
           {"{{index}}", "{{index}} stands for the place in a {{repeat}}"},
           {"a{{repeat 2 ,}}x", "offset 1: {{repeat}} without {{end}}"},
           {"{{repeat 2 ,}}{{end}}", "nothing between"},
           {"x{{end}}", "offset 1: {{end}} without {{repeat}}"},
           {"{{repeat 0 ,}}x{{end}}", "repeat wants a count"},
           {"{{repeat ,}}x{{end}}", "repeat wants a count"},
           {"{{repeat 16777216 ,}}xy{{end}}", "more than 16 MiB"},
           {"{{repeat 5000}}{{repeat 5000}}x{{end}}{{end}}", "more than 16 MiB"},
           {"{{repeat 2}}{{repeat 2}}{{repeat 2}}{{repeat 2}}{{repeat 2}}x",
            "more than 4 repeats inside each other"},
       }) {
    const std::variant<Template, std::string> made = Template::compile(text);
    if (expected.empty()) {
      EXPECT_EQ(made.index(), 0u) << text;
      continue;
    }
    ASSERT_EQ(made.index(), 1u) << text << " was taken";
    EXPECT_NE(std::get<std::string>(made).find(expected), std::string::npos)
        << text << ": " << std::get<std::string>(made);
  }
}

TEST(Template, HasBounds) {
  const std::string most(Template::kRenderedMost, 'x');
  EXPECT_EQ(compiled(most).longest(), most.size());
  EXPECT_EQ(Template::compile(most + "x").index(), 1u);
  EXPECT_EQ(Template::compile(most.substr(1) + "{{uuid}}").index(), 1u);
  EXPECT_EQ(compiled("{{repeat 16777216}}x{{end}}").longest(), most.size());
  std::string fields;
  for (int i = 0; i < 100'000; ++i) fields += "{{hex 1}}";
  EXPECT_EQ(compiled(fields).longest(), 100'000u);
  EXPECT_EQ(Template::compile(fields + "{{hex 1}}").index(), 1u);
}

}  // namespace
}  // namespace tailrace::loadtest
