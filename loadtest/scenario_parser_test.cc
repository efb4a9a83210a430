// Every mistake in a scenario is refused with its line and the remedy; every bound holds; YAML
// trees become the JSON that they look like.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "loadtest/scenario.h"

namespace tailrace::loadtest {
namespace {

std::string refusal(std::string_view yaml, const std::string& directory = ".") {
  const std::variant<Scenario, std::string> scenario = Scenario::parse(yaml, directory);
  return scenario.index() == 1 ? std::get<std::string>(scenario) : "(taken)";
}
// In one route of a scenario: it begins on line 3.
std::string route_refusal(std::string_view route) {
  std::string yaml = "name: test\nroutes:\n";
  std::string indent = "- ";
  for (std::size_t at = 0; at < route.size();) {
    const std::size_t end = std::min(route.find('\n', at), route.size());
    yaml += indent + std::string(route.substr(at, end - at)) + "\n";
    indent = "  ";
    at = end + 1;
  }
  return refusal(yaml);
}

#define EXPECT_IN(part, whole) EXPECT_NE((whole).find(part), std::string::npos) << (whole)

TEST(ScenarioParser, NamesWhatItDoesNotKnow) {
  EXPECT_IN("line 2: unknown key \"roots\" in a scenario: it may have name, headers, routes",
            refusal("name: x\nroots: []\n"));
  EXPECT_IN("line 4: unknown key \"wieght\" in a route: it may have name, weight, method",
            route_refusal("path: /\nwieght: 5"));
  EXPECT_IN("line 6: unknown key \"thnik\" in a step",
            route_refusal("name: s\nsteps:\n  - path: /\n    thnik: 1s"));
  EXPECT_IN("line 3: unknown key \"expect\" in a step",
            route_refusal("{name: s, steps: [{path: /, expect: 200}]}"));
  EXPECT_IN("line 3: unknown key \"average\" in think: it may have mean, distribution",
            route_refusal("{name: s, steps: [{path: /}, {path: /, think: {average: 1s}}]}"));
  EXPECT_IN("line 4: \"path\" stands twice in a route", route_refusal("path: /\npath: /"));
  EXPECT_IN("unknown key \"?\"", route_refusal("{path: /, [a]: b}"));
  EXPECT_IN("unknown key \"<<\"", route_refusal("path: /\n<<: {weight: 3}"));
}

TEST(ScenarioParser, WantsWholeRoutes) {
  EXPECT_IN("one YAML document", refusal(""));
  EXPECT_IN("one YAML document", refusal("routes: [{path: /}]\n---\nroutes: [{path: /}]\n"));
  EXPECT_IN("a scenario is a mapping", refusal("- path: /\n"));
  EXPECT_IN("a scenario has routes", refusal("name: x\n"));
  EXPECT_IN("a scenario has routes", refusal("routes: []\n"));
  EXPECT_IN("a scenario has routes", refusal("routes: {path: /}\n"));
  EXPECT_IN("line 2: a route is a mapping", refusal("routes:\n- GET /\n"));
  EXPECT_IN("line 3: no path: write one", route_refusal("weight: 1"));
  EXPECT_IN("line 3: path is a text", route_refusal("path: [/]"));
  EXPECT_IN("line 3: \"path\" has no value", route_refusal("path:"));
  EXPECT_IN("\"weight\" has no value", route_refusal("{path: /, weight: ~}"));
  EXPECT_IN("line 4: weight is a number", route_refusal("path: /\nweight: -1"));
  EXPECT_IN("weight is a number", route_refusal("{path: /, weight: .inf}"));
  EXPECT_IN("weight is a number", route_refusal("{path: /, weight: nan}"));
  EXPECT_IN("weight is a number", route_refusal("{path: /, weight: 5x}"));
  EXPECT_IN("all weights are 0", route_refusal("{path: /, weight: 0}"));
  EXPECT_IN("line 2: two routes are named \"GET /\"", refusal("routes: [{path: /},\n{path: /}]"));
  EXPECT_IN("name is one line of 1 to 100 bytes", route_refusal("{path: /, name: ''}"));
  EXPECT_IN("name is one line", route_refusal("{path: /, name: \"a\\nb\"}"));
  EXPECT_IN("name is one line", route_refusal("{path: /, name: " + std::string(101, 'x') + "}"));
  EXPECT_EQ("(taken)", route_refusal("{path: /" + std::string(200, 'x') + "}"));
  EXPECT_IN("line 4: end of sequence flow not found", refusal("routes:\n- path: /\n- path: [\n"));
}

TEST(ScenarioParser, ChecksMethodsAndPaths) {
  EXPECT_IN("line 4: a method is 1 to 20 capital letters", route_refusal("path: /\nmethod: get"));
  EXPECT_IN("a method is", route_refusal("{path: /, method: \"GET /x HTTP/1.1\\r\\nA: b\"}"));
  EXPECT_IN("CONNECT is for proxies", route_refusal("{path: /, method: CONNECT}"));
  EXPECT_IN("a path begins with \"/\"", route_refusal("path: users"));
  EXPECT_IN("a path begins with \"/\"", route_refusal("path: http://h/users"));
  EXPECT_IN("a path begins with \"/\"", route_refusal("path: \"{{int 0 9}}/x\""));
  EXPECT_IN("a blank in a path: write %20", route_refusal("path: /a b"));
  EXPECT_IN("a blank in a path: write %20", route_refusal("path: \"/{{choice a|b c}}\""));
  EXPECT_IN("the byte 0x0d in a path: write %0D", route_refusal("path: \"/a\\r\\nX: y\""));
  EXPECT_IN("the byte 0x00 in a path", route_refusal("path: \"/a\\0\""));
  EXPECT_IN("write %C3", route_refusal("path: /\xc3\xa9"));
  EXPECT_IN("a field is written {{int 0 99999}}, a literal brace %7B",
            route_refusal("path: /users/{id}"));
  EXPECT_IN("line 3: path, offset 1: no field is named \"id\"", route_refusal("path: /{{id}}"));
  EXPECT_IN("more than 64 KiB", route_refusal("path: /{{string 65536}}"));
  EXPECT_EQ("(taken)", route_refusal("path: /{{string 65535}}"));
}

TEST(ScenarioParser, ChecksHeaders) {
  EXPECT_IN("line 4: Content-Length is counted from the body: leave it out",
            route_refusal("path: /\nheaders: {content-length: 5}"));
  EXPECT_IN("Transfer-Encoding has no place here",
            refusal("headers: {TRANSFER-encoding: chunked}\nroutes: [{path: /}]"));
  EXPECT_IN("a header's name is letters, digits and hyphens",
            route_refusal("{path: /, headers: {\"X\\r\\nY\": z}}"));
  EXPECT_IN("a header's name is", route_refusal("{path: /, headers: {\"X:\": z}}"));
  EXPECT_IN("a header's name is", route_refusal("{path: /, headers: {\"\": z}}"));
  EXPECT_IN("a header's name is", route_refusal("{path: /, headers: {\"a b\": z}}"));
  EXPECT_IN("the byte 0x0d in a header", route_refusal("{path: /, headers: {X: \"a\\r\\nY: z\"}}"));
  EXPECT_IN("the byte 0x0a in a header",
            route_refusal("{path: /, headers: {X: \"{{choice a|b\\nY: z}}\"}}"));
  EXPECT_IN("the byte 0x0a in a header",
            route_refusal("{path: /, headers: {X: \"{{repeat 2 \\n}}a{{end}}\"}}"));
  EXPECT_IN("the byte 0x00 in a header", route_refusal("{path: /, headers: {X: \"\\0\"}}"));
  EXPECT_IN("line 5: header \"x-a\" stands twice",
            route_refusal("path: /\nheaders: {X-A: 1,\n x-a: 2}"));
  EXPECT_IN("headers are a mapping", route_refusal("{path: /, headers: [a]}"));
  EXPECT_IN("a header's value is a text", route_refusal("{path: /, headers: {X: [a]}}"));
  EXPECT_IN("a header of more than 64 KiB",
            route_refusal("{path: /, headers: {X: \"{{string 65537}}\"}}"));
  std::string many = "{path: /, headers: {X0: a";
  for (int i = 1; i < 100; ++i) many += ", X" + std::to_string(i) + ": a";
  EXPECT_EQ("(taken)", route_refusal(many + "}}"));
  EXPECT_IN("more than 100 headers", route_refusal(many + ", Y: a}}"));
}

TEST(ScenarioParser, ChecksStatusesAndSteps) {
  for (const char* bad :
       {"20", "2000", "99", "600", "2XX", "6xx", "xx", "abc", "200-", "-200", "2xx-3xx", "+20"}) {
    EXPECT_IN("a status is written 201, 2xx or 200-204",
              route_refusal("{path: /, expect: " + std::string(bad) + "}"));
  }
  EXPECT_IN("the lesser one first", route_refusal("{path: /, expect: 204-200}"));
  EXPECT_IN("expect is a status or a list", route_refusal("{path: /, expect: []}"));
  EXPECT_IN("an expected status is a text", route_refusal("{path: /, expect: [[200]]}"));
  EXPECT_IN("a route with steps wants a name", route_refusal("steps: [{path: /}]"));
  EXPECT_IN("steps are a list", route_refusal("{name: s, steps: []}"));
  EXPECT_IN("line 4: \"path\" beside steps", route_refusal("name: s\npath: /\nsteps: [{path: /}]"));
  EXPECT_IN("\"json\" beside steps", route_refusal("{name: s, json: {}, steps: [{path: /}]}"));
  EXPECT_IN("think before the first step",
            route_refusal("{name: s, steps: [{path: /, think: 1s}]}"));
  const auto think = [](const std::string& value) {
    return route_refusal("{name: s, steps: [{path: /}, {path: /, think: " + value + "}]}");
  };
  EXPECT_IN("think: \"100\" has no unit: write 100s or 100ms", think("100"));
  EXPECT_IN("think wants a mean", think("{distribution: constant}"));
  EXPECT_IN("a distribution is exponential or constant", think("{mean: 1s, distribution: normal}"));
  EXPECT_EQ("(taken)", think("{mean: 1s, distribution: constant}"));
  std::string steps = "{path: /}";
  for (int i = 1; i < 100; ++i) steps += ", {path: /}";
  EXPECT_EQ("(taken)", route_refusal("{name: s, steps: [" + steps + "]}"));
  EXPECT_IN("more than 100 steps", route_refusal("{name: s, steps: [" + steps + ", {path: /}]}"));
}

TEST(ScenarioParser, ChecksBodies) {
  EXPECT_IN("a body wants a method", route_refusal("{path: /, body: x}"));
  EXPECT_IN("only one of body, body_file and json",
            route_refusal("{path: /, method: PUT, body: x, json: {}}"));
  EXPECT_IN("line 5: body, offset 2: no field",
            route_refusal("path: /\nmethod: PUT\nbody: ab{{x}}"));
  EXPECT_IN("line 6: json, offset 0: no field is named \"x\"",
            route_refusal("path: /\nmethod: PUT\njson:\n  a: \"{{x}}\""));
  EXPECT_IN("key \"a\" stands twice in json",
            route_refusal("{path: /, method: PUT, json: {a: 1, a: 2}}"));
  EXPECT_IN("more than 16 MiB",
            route_refusal("{path: /, method: PUT, body: \"{{string 16777216}}x\"}"));
  std::string yaml = "routes:\n";
  for (int i = 0; i < 16; ++i) {
    yaml += "- {name: r" + std::to_string(i) +
            ", path: /, method: PUT, body: \"{{string 16777216}}\"}\n";
  }
  EXPECT_EQ("(taken)", refusal(yaml));
  EXPECT_IN("line 18: all bodies together have more than 256 MiB",
            refusal(yaml + "- {path: /, method: PUT, body: x}\n"));
}

TEST(ScenarioParser, HasBounds) {
  std::string yaml = "routes:\n";
  for (int i = 0; i < 1000; ++i) yaml += "- path: /" + std::to_string(i) + "\n";
  EXPECT_EQ("(taken)", refusal(yaml));
  EXPECT_IN("more than 1000 routes", refusal(yaml + "- path: /x\n"));
  std::string whole = "routes: [{path: /}]\n#";
  whole.resize(1 << 20, 'x');
  EXPECT_EQ("(taken)", refusal(whole));
  EXPECT_IN("at most 1 MiB", refusal(whole + "x"));
  EXPECT_NE("(taken)", refusal(std::string(1 << 20, '[')));
  EXPECT_NE("(taken)",
            refusal("routes: [{path: /, method: PUT, json: " + std::string(100, '[') + "]"));
  std::string deep = "{path: /, method: PUT, json: ";
  EXPECT_IN("json deeper than 64",
            route_refusal(deep + std::string(66, '[') + std::string(66, ']') + "}"));
  EXPECT_EQ("(taken)", route_refusal(deep + std::string(65, '[') + std::string(65, ']') + "}"));
  // Aliases: one that holds itself, and a small text for a huge tree.
  EXPECT_NE("(taken)", route_refusal("path: /\nmethod: PUT\njson: &a [*a, *a]"));
  std::string laughs = "path: /\nmethod: PUT\njson:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string alias = "*a" + std::to_string(i - 1);
    laughs += "  a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + alias;
    for (int j = 1; j < 10; ++j) laughs += ", " + alias;
    laughs += "]\n";
  }
  EXPECT_IN("json of more than 16 MiB", route_refusal(laughs));
}

class BodyFile : public ::testing::Test {
 protected:
  BodyFile() { std::filesystem::create_directory(directory_); }
  ~BodyFile() override { std::filesystem::remove_all(directory_); }
  void write(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_ + "/" + name, std::ios::binary) << bytes;
  }
  const std::string directory_ = ::testing::TempDir() + "scenario_" + std::to_string(::getpid()) +
                                 "_" +
                                 ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(BodyFile, IsSentAsItIs) {
  const std::string bytes("{{not a field\r\n\0\xff", 17);
  write("body.bin", bytes);
  write("a.yaml", "routes: [{path: /, method: PUT, body_file: body.bin}]");
  const std::variant<Scenario, std::string> loaded = Scenario::load(directory_ + "/a.yaml");
  ASSERT_EQ(loaded.index(), 0u) << std::get<std::string>(loaded);
  EXPECT_EQ(std::get<Scenario>(loaded).name(), "a");
  std::string out;
  std::get<Scenario>(loaded).write(out, 0, 0, "h", 1, 2, 3);
  EXPECT_EQ(out, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 17\r\n\r\n" + bytes);
}

TEST_F(BodyFile, MustBeThereAndBeBounded) {
  const auto of = [&](const std::string& name) {
    return refusal("routes: [{path: /, method: PUT, body_file: " + name + "}]", directory_);
  };
  EXPECT_IN("line 1: body_file " + directory_ + "/none is no file: paths count from", of("none"));
  EXPECT_IN("is no file", of("."));
  EXPECT_IN("is no file", of("/dev/zero"));
  write("most", std::string(16 << 20, 'x'));
  EXPECT_EQ("(taken)", of("most"));
  write("more", std::string((16 << 20) + 1, 'x'));
  EXPECT_IN("has more than 16 MiB", of("more"));
}

TEST_F(BodyFile, LoadNamesTheFile) {
  write("bad.yaml", "routes:\n- pth: /\n");
  const auto of = [&](const std::string& name) {
    return std::get<std::string>(Scenario::load(directory_ + "/" + name));
  };
  EXPECT_IN("scenario " + directory_ + "/bad.yaml, line 2: unknown key \"pth\"", of("bad.yaml"));
  EXPECT_IN("is no file", of("none.yaml"));
  EXPECT_IN("is no file", of("."));
  write("long.yaml", std::string((1 << 20) + 1, '#'));
  EXPECT_IN("more than 1 MiB", of("long.yaml"));
}

std::string json_of(std::string_view yaml) {
  const std::variant<Scenario, std::string> scenario = Scenario::parse(
      "routes:\n- path: /\n  method: PUT\n  json:\n    " + std::string(yaml) + "\n", ".");
  if (scenario.index() == 1) return std::get<std::string>(scenario);
  std::string out;
  std::get<Scenario>(scenario).write(out, 0, 0, "h", 1, 2, 3);
  EXPECT_IN("Content-Type: application/json\r\n", out);
  return out.substr(out.find("\r\n\r\n") + 4);
}

TEST(ScenarioParser, WritesTreesAsJson) {
  EXPECT_EQ(json_of("{a: 1, b: [true, false, null, ~, x], c: {}}"),
            R"({"a":1,"b":[true,false,null,null,"x"],"c":{}})");
  EXPECT_EQ(json_of("[-0, 1.50, 1e9, -2.5E-3, 0.0]"), "[-0,1.50,1e9,-2.5E-3,0.0]");
  EXPECT_EQ(json_of("[01, .5, 1., +1, 0x1F, .inf, 1_000, -, 1e, yes, True]"),
            R"(["01",".5","1.","+1","0x1F",".inf","1_000","-","1e","yes","True"])");
  EXPECT_EQ(json_of(R"(["1", 'true', "null", !!str 5])"), R"(["1","true","null","5"])");
  EXPECT_EQ(json_of(R"(["q\"b\\s\nt\x01", "é"])"), "[\"q\\\"b\\\\s\\nt\\u0001\",\"é\"]");
  EXPECT_EQ(json_of(R"(["{{int 7 7}}", "a{{int 7 7}}", "{{choice 7|7}}", "{{float 1.5 1.5 2}}"])"),
            R"([7,"a7","7",1.50])");
  EXPECT_EQ(json_of(R"({"k{{int 7 7}}": "{{choice \"|\"}}"})"), R"({"k7":"\""})");
  EXPECT_EQ(json_of("|\n      two\n      lines"), "\"two\\nlines\\n\"");
  EXPECT_EQ(json_of("~"), "null");
  EXPECT_EQ(json_of("7"), "7");
  EXPECT_IN("a key of json is a text", json_of("{[a]: b}"));
  // One's own Content-Type stays alone.
  const Scenario own = std::get<Scenario>(Scenario::parse(
      "routes: [{path: /, method: PUT, json: {}, headers: {content-type: text/x}}]", "."));
  std::string out;
  own.write(out, 0, 0, "h", 1, 2, 3);
  EXPECT_EQ(out,
            "PUT / HTTP/1.1\r\nHost: h\r\ncontent-type: text/x\r\nContent-Length: 2\r\n\r\n{}");
}

}  // namespace
}  // namespace tailrace::loadtest
