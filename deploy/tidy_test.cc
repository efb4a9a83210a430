// Runs tidy over the project, and shows that each of its rules can fail: bad files, written to a
// folder of the test's own, must give the finding that names them, and good ones none.
#include "deploy/tidy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace tailrace::tidy {
namespace {

namespace fs = std::filesystem;

// A tree of files in a temporary folder that ends with the test.
class TidyTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "tailrace-tidy-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path, std::ios::binary) << text;
  }

  // And lists it, as headers must be.
  void write_header(const std::string& path, const std::string& text) {
    write(path, text);
    write(path.substr(0, path.find('/')) + "/headers.cmake",
          "set(headers " + path.substr(path.rfind('/') + 1) + ")\n");
  }

  // What tidy finds, one line a finding.
  std::string found() {
    std::string lines;
    for (const Finding& finding : check(read_tree(root_))) {
      lines += finding.path + ":" + std::to_string(finding.line) + ": " + finding.message + "\n";
    }
    return lines;
  }

  // A header with a head and `body`, and what tidy finds in it.
  std::string found_in_header(const std::string& path, const std::string& body) {
    write_header(path, "// What it is.\n#pragma once\n" + body);
    std::string result = found();
    fs::remove(root_ / path);
    return result;
  }

  std::string found_in_span(const std::string& body) {
    return found_in_header("gcruntime/heap/span.h", body);
  }

  fs::path root_;
};

void expect_finding(const std::string& found, const std::string& place,
                    const std::string& message) {
  EXPECT_NE(found.find(place), std::string::npos) << "no " << place << " in:\n" << found;
  EXPECT_NE(found.find(message), std::string::npos) << "no \"" << message << "\" in:\n" << found;
  EXPECT_EQ(std::count(found.begin(), found.end(), '\n'), 1) << found;
}

TEST(Tidy, TheProjectHoldsTheRules) {
  const std::vector<File> files = read_tree(TAILRACE_SOURCE_DIR);
  // An empty or half-read tree would hold every rule.
  for (const char* path : {"CMakeLists.txt", "deploy/tidy.cc", "gcruntime/base/check.h"}) {
    EXPECT_TRUE(std::any_of(files.begin(), files.end(), [&](const File& f) {
      return f.path == path;
    })) << path;
  }
  for (const Finding& finding : check(files)) {
    ADD_FAILURE() << finding.path << ":" << finding.line << ": " << finding.message;
  }
}

TEST_F(TidyTest, IncludesRunOneWay) {
  const struct {
    const char* path;
    const char* include;
    const char* message;  // empty: allowed
  } cases[] = {
      {"gcruntime/base/a.h", "\"gcruntime/os/clock.h\"", "runs up the house"},
      {"gcruntime/gc/a.h", "\"gcruntime/fiber/fiber.h\"", "runs up the house"},
      {"gcruntime/fiber/a.h", "\"gcruntime/arena/arena.h\"", "runs up the house"},
      {"gcruntime/profile/a.h", "\"metrics/counter.h\"", "runs up the house"},
      {"gcruntime/heap/a.h", "\"gcruntime/runtime.h\"", "runs up the house"},
      {"gcruntime/attic/a.h", "\"gcruntime/base/check.h\"", "no room"},
      {"gcruntime/heap/a.h", "\"gcruntime/attic/b.h\"", "no such room"},
      {"metrics/a.h", "\"server/router.h\"", "runs up the house"},
      {"metrics/a.h", "<tailrace/server/router.h>", "runs up the house"},
      {"server/a.h", "\"handlers/users.h\"", "runs up the house"},
      {"server/a.h", "\"loadtest/plan.h\"", "stand beside"},
      {"handlers/a.h", "\"deploy/tidy.h\"", "stand beside"},
      {"loadtest/a.h", "\"server/router.h\"", "over the wire"},
      {"loadtest/a.h", "\"metrics/counter.h\"", "over the wire"},
      {"deploy/a.h", "\"metrics/counter.h\"", "no product code"},
      {"server/a.h", "\"router.h\"", "repo-rooted"},
      {"server/a.h", "<prometheus/registry.h>", "only metrics/exporter"},
      {"metrics/counter.h", "<prometheus/registry.h>", "only metrics/exporter"},
      {"gcruntime/fiber/a.h", "<sys/epoll.h>", "knows no socket"},
      {"gcruntime/fiber/a.h", "<boost/asio/io_context.hpp>", "knows no socket"},
      {"gcruntime/fiber/a.h", "\"gcruntime/gc/mutator.h\"", ""},
      {"gcruntime/fiber/a.h", "<boost/context/detail/fcontext.hpp>", ""},
      {"gcruntime/runtime.h", "\"gcruntime/fiber/fiber.h\"", ""},
      {"metrics/exporter.h", "<prometheus/registry.h>", ""},
      {"server/json/a.h", "\"gcruntime/gc/member.h\"", ""},
      {"handlers/a.h", "\"server/app.h\"", ""},
      {"handlers/a.h", "<tailrace/tailrace.h>", ""},
      {"loadtest/a.h", "\"metrics/histogram.h\"", ""},
      {"loadtest/a.h", "\"loadtest/plan.h\"", ""},
      {"server/a.h", "<boost/beast/http.hpp>", ""},
  };
  for (const auto& c : cases) {
    const std::string result = found_in_header(c.path, "#include " + std::string(c.include) + "\n");
    SCOPED_TRACE(std::string(c.path) + " includes " + c.include);
    if (*c.message == 0) {
      EXPECT_EQ(result, "");
    } else {
      expect_finding(result, std::string(c.path) + ":3:", c.message);
    }
  }
}

TEST_F(TidyTest, AtomicOperationsNameTheirOrder) {
  for (const char* bad : {
           "std::atomic<int> n_;\nint f() { return n_.load(); }\n",
           "std::atomic<int> n_;\nvoid f() { n_.store(1); }\n",
           "std::atomic<int> n_;\nvoid f() {\n  n_.fetch_add(g(1, 2)); }\n",
           "std::atomic<bool> n_;\nbool f() { return n_.exchange(true); }\n",
           "std::atomic<int> n_;\nbool f(int a) { return n_.compare_exchange_weak(a, 2); }\n",
           "std::array<std::atomic<int>, 4> n_;\nint f(int i) { return n_[i].load(); }\n",
           "struct S;\nint f(S* s) { return s->part().n.load(); }\n",
           "std::atomic_flag n_ = ATOMIC_FLAG_INIT;\nbool f() { return n_.test_and_set(); }\n",
           "std::atomic_flag n_;\nvoid f() { n_.clear(); }\n",
           "int n;\nint f() { return std::atomic_ref<int>(n).load(); }\n",
           "int n;\nint f() { return std::atomic_load(&n); }\n",
           "int n;\nint f() { return __sync_fetch_and_add(&n, 1); }\n",
           "std::atomic<int> n_{0};\nvoid f() { n_++; }\n",
           "std::atomic<int> n_{0};\nvoid f() { --n_; }\n",
           "std::atomic<int> n_{0};\nvoid f() { n_ += 2; }\n",
           "std::atomic<int> n_{0};\nvoid f() { n_ = 2; }\n",
           "std::atomic<int> n_{0};\nint f() { return n_; }\n",
           "std::atomic<int> n_{0};\nvoid f() { if (n_) g(); }\n",
           "std::atomic<int> n_{0};\nvoid f() { if (!n_) g(); }\n",
           "std::atomic<int> n_{0};\nvoid f() { const int x = n_; }\n",
           "std::atomic<int> n_[4];\nvoid f(int i) { n_[i]++; }\n",
           "std::array<std::atomic<int>, 4> n_;\nvoid f(int i) { n_[i] = 1; }\n",
           "std::unique_ptr<std::atomic<int>[]> n_;\nvoid f() { n_[2] = 1; }\n",
           "struct S { std::atomic<long> calls{0}; };\nvoid f(S* s) { ++s->calls; }\n",
           "struct S { std::atomic<long> calls{0}; };\nbool f(S& s) { return s.calls == 3; }\n",
       }) {
    SCOPED_TRACE(bad);
    expect_finding(found_in_span(bad), "gcruntime/heap/span.h:", "order");
  }
  for (const char* good : {
           "std::atomic<int> n_{0};\nint f() { return n_.load(std::memory_order_relaxed); }\n",
           "std::atomic<int> n_ = 0;\nvoid f() {\n  n_.store(\n      g(1), "
           "std::memory_order_release);\n}\n",
           "std::atomic<int> n_{0};\nint f(std::memory_order order) { return n_.load(order); }\n",
           "std::atomic<int> n_{0};\nvoid f() { std::atomic<int>& x = n_; g(&n_, sizeof(n_)); }\n",
           "std::atomic<int> n_{0};\nS() : n_(3) {}\n// n_ = 3, n_.load()\nconst char* t = "
           "\"n_.load()\";\n",
           "gc::Atomic<User> user_;\nUser* f() { return user_.load(); }\nvoid f(User* u) { "
           "user_.store(u); }\n",
           "gc::Atomic<User>& place(int i);\nvoid f(User* u) { place(1).store(u); }\n",
           "std::atomic<S*> s_;\nint f() { return s_.load(std::memory_order_acquire)->n; }\n",
           "struct A { std::atomic<long> n; };\nstruct B { long n; };\nvoid f(B& b) { b.n++; }\n",
           "struct A { std::atomic<long> hits{0}; };\nA a{.hits = 1};\n",
           "int f(Parser& p) { return p.load(path); }  // tidy: reads a file\n",
           "std::unique_ptr<std::atomic<int>[]> n_;\nvoid f() { n_ = make(7); }\n",
           "long f(Group& g) { g.wait(); return 1'000; }\n",
           "std::string s = R\"x(n_.load()\")x\";\n",
       }) {
    SCOPED_TRACE(good);
    EXPECT_EQ(found_in_span(good), "");
  }
}

TEST_F(TidyTest, OtherFilesOfTheUnitKnowItsAtomics) {
  write("metrics/CMakeLists.txt", "sources(counter.cc)\n");
  write_header("metrics/counter.h",
               "// Head.\n#pragma once\nclass Counter { std::atomic<long> total_{0}; };\n");
  write("metrics/counter.cc", "// Head.\nvoid Counter::add() { total_ += 1; }\n");
  expect_finding(found(), "metrics/counter.cc:2:", "total_ is atomic");
}

TEST_F(TidyTest, HeadersHaveAHeadAndOnePragma) {
  write_header("server/a.h", "// Head.\nint f();\n");
  expect_finding(found(), "server/a.h:1:", "#pragma once");
  write_header("server/a.h", "#pragma once\n// Too late.\n");
  expect_finding(found(), "server/a.h:1:", "head comment");
  write_header("server/a.h", "// Head.\n#pragma once\n");
  write("server/main.cc", "int main() {}\n");
  write("server/CMakeLists.txt", "add_executable(a main.cc a.cc a_test.cc)\n");
  expect_finding(found(), "server/main.cc:1:", "head comment");
  write("server/main.cc", "// Head.\nint main() {}\n");
  write("server/a.cc", "int f() { return 0; }\n");  // its header has one
  write("server/a_test.cc", "TEST(A, B) {}\n");
  EXPECT_EQ(found(), "");
  write("deploy/go", "#!/bin/sh\nset -eu\n");
  expect_finding(found(), "deploy/go:1:", "head comment");
  write("deploy/go", "#!/bin/sh\n# What it does.\nset -eu\n");
  EXPECT_EQ(found(), "");
}

TEST_F(TidyTest, FilesEndSomewhere) {
  std::string text = "// Head.\n#pragma once\n";
  for (int i = 0; i < 498; ++i) text += "int a;\n";
  write_header("server/a.h", text);
  EXPECT_EQ(found(), "");
  write_header("server/a.h", text + "int a;\n");
  expect_finding(found(), "server/a.h:501:", "500 lines");
}

// "int f() {" with so many lines in it.
std::string function_of(std::size_t lines, const std::string& head = "int f()") {
  std::string text = head + " {\n";
  for (std::size_t i = 1; i < lines; ++i) text += "  g();\n";
  return text + "  return 0;\n}\n";
}

TEST(Tidy, FindsBodiesInTheText) {
  const auto listed = [](const std::string& text) {
    std::string lines;
    for (const Function& each : functions_of(text)) {
      lines += each.name + ":" + std::to_string(each.line) + ":" + std::to_string(each.lines) + " ";
    }
    return lines;
  };
  EXPECT_EQ(listed("int f() {\n  return 0;\n}\n"), "f:1:1 ");
  EXPECT_EQ(listed("int f() { return 0; }\nint g();\n"), "f:1:0 ");
  EXPECT_EQ(listed("namespace a::b {\nvoid f() noexcept {\n  if (x) {\n    g();\n  }\n}\n}\n"),
            "f:2:3 ");
  EXPECT_EQ(listed("extern \"C\" {\nvoid f() {\n}\n}\nextern \"C\" void g() {\n}\n"),
            "f:2:0 g:5:0 ");
  EXPECT_EQ(
      listed("class A final : public B {\n public:\n  A() : a_(1) {\n\n  }\n  ~A() {\n  }\n};\n"),
      "A:3:1 ~A:6:0 ");
  EXPECT_EQ(listed("template <class T, int (*F)()>\nstruct A {\n  int f() const {\n  }\n};\n"),
            "f:3:0 ");
  EXPECT_EQ(listed("struct stat f(int a) {\n}\nbool A::operator()(int a) {\n}\n"),
            "f:1:0 A::operator():3:0 ");
  EXPECT_EQ(
      listed("const S kTable[] = {\n  {1, f(2)},\n};\nint x{f(1)};\nenum class E : int { k };\n"),
      "");
  EXPECT_EQ(listed("#define M(x) \\\n  if (x) {\nint f() {  // }\n  g(\"}\");\n}\n"), "f:3:1 ");
  EXPECT_EQ(listed("void f() {\n  auto g = [] {\n    h();\n  };\n}\nvoid i() {\n}\n"),
            "f:1:3 i:6:0 ");
}

TEST_F(TidyTest, FunctionsEndSomewhere) {
  EXPECT_EQ(found_in_span(function_of(70)), "");
  expect_finding(found_in_span(function_of(71)), "span.h:3:", "f has 71 lines, more than 70");
  expect_finding(found_in_span("struct S {\n" + function_of(71) + "};\n"),
                 "span.h:4:", "more than 70");
  EXPECT_EQ(found_in_header("gcruntime/heap/test_span.h", function_of(71)), "");
}

TEST_F(TidyTest, LongFunctionsOnlyGetShorter) {
  write("deploy/tidy.ratchet", "# Head.\ngcruntime/heap/span.h S::f 80\n");
  EXPECT_EQ(found_in_span(function_of(80, "int S::f()")), "");
  expect_finding(found_in_span(function_of(81, "int S::f()")), "span.h:3:", "was allowed 80");
  expect_finding(found_in_span(function_of(75, "int S::f()")),
                 "deploy/tidy.ratchet:2:", "S::f has 75 lines by now");
  expect_finding(found_in_span(function_of(70, "int S::f()")),
                 "deploy/tidy.ratchet:2:", "drop the line");
  for (const char* bad :
       {"gcruntime/heap/span.h S::f\n", "gcruntime/heap/span.h S::f 70\n", "f\n"}) {
    write("deploy/tidy.ratchet", bad);
    expect_finding(found(), "deploy/tidy.ratchet:1:", "path function lines");
  }
}

TEST_F(TidyTest, NoDrawers) {
  const std::string text = "// Head.\n#pragma once\n";
  write_header("server/util/a.h", text);
  expect_finding(found(), "server/util/a.h", "drawer");
  fs::remove_all(root_ / "server/util");
  write_header("server/common/b.h", text);
  expect_finding(found(), "server/common/b.h", "drawer");
}

TEST_F(TidyTest, NothingIsLeftBehindByMerges) {
  for (const char* path : {"server/router.cc.orig", "deploy/run.rej"}) {
    write(path, "// Head.\n");
    expect_finding(found(), std::string(path) + ":1:", "merge");
    fs::remove(root_ / path);
  }
  write("server/original.md", "Text.\n");
  EXPECT_EQ(found(), "");
}

TEST_F(TidyTest, NoPathsOfMachinesNoRegistries) {
  // In halves, so that this file itself keeps the rule.
  for (const char* bad : {"/wo"
                          "rk/main/x",
                          "/home/anna/x", "/root/.cache",
                          "https://de"
                          "b.debian.org/x",
                          "https://regist"
                          "ry.npmjs.com",
                          "https://pro"
                          "xy.golang.org",
                          "pyp"
                          "i.org/simple"}) {
    write("README.md", std::string("Read on.\nSee ") + bad + ".\n");
    expect_finding(
        found(), "README.md:2:",
        std::string(bad).find("http") == 0 || bad[0] == 'p' ? "package registry" : "one machine");
  }
}

TEST_F(TidyTest, WordsOfTheHouse) {
  expect_finding(found_in_span("// marks it gray\n"), "span.h:3:", "write grey");
  expect_finding(found_in_span("int gray_count;\n"), "span.h:3:", "write grey");
  expect_finding(found_in_span("// each coroutine runs\n"), "span.h:3:", "write fiber");
  expect_finding(found_in_span("// TODO: later\n"), "span.h:3:", "unfinished");
  EXPECT_EQ(found_in_span("// greyer than C++20's coroutines\n"), "");
}

TEST_F(TidyTest, SourcesAreListed) {
  write("server/CMakeLists.txt",
        "tailrace_library(server SOURCES app.cc my_router.cc json/reader.cc)\n");
  write("server/app.cc", "// Head.\n");
  write("server/json/reader.cc", "// Head.\n");
  EXPECT_EQ(found(), "");
  write("server/router.cc", "// Head.\n");
  expect_finding(found(), "server/router.cc:1:", "in no CMake list");
  fs::remove(root_ / "server/router.cc");
  const std::string text = "// Head.\n#pragma once\n";
  write("server/router.h", text);
  expect_finding(found(), "server/router.h:1:", "in no CMake list");
  write_header("server/router.h", text);
  write("server/test_router.h", text);
  EXPECT_EQ(found(), "");
  write("loadtest/floor/main.cc", "// Head.\n");
  expect_finding(found(), "loadtest/floor/main.cc:1:", "in no CMake list");
  write("deploy/compare", "#!/bin/sh\n# Head.\ng++ loadtest/floor/main.cc\n");
  EXPECT_EQ(found(), "");
  write("metrics/CMakeLists.txt", "file(GLOB sources *.cc)\n");
  expect_finding(found(), "metrics/CMakeLists.txt:1:", "not globbed");
}

TEST_F(TidyTest, WhatIsBuiltIsNotRead) {
  write("build/dev/common/a.h", "int bad;\n");
  write(".git/common/a.h", "int bad;\n");
  write("deploy/picture", std::string("\0gray", 5));
  EXPECT_EQ(found(), "");
}

}  // namespace
}  // namespace tailrace::tidy
