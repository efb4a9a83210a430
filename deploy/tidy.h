// Tidy: the rules of the house that a program can read off the tree. A test runs them over the
// whole project; each rule is a pure function of file names and texts, so that the test can also
// show each of them a bad file and see it fail.
//
// A finding that a rule gets wrong is silenced on its line by a comment `tidy: reason`; only the
// rules on atomics and on words listen to it, because only they guess.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tailrace::tidy {

// `path` is relative to the root of the project, with '/' between its parts.
struct File {
  std::string path;
  std::string text;
};

struct Finding {
  std::string path;
  std::size_t line;  // from 1
  std::string message;
};

// The project's text files, sorted by path; what is built or belongs to git is left out.
std::vector<File> read_tree(const std::filesystem::path& root);

// All rules over all files.
std::vector<Finding> check(const std::vector<File>& files);

// The rules, one by one.
void check_includes(const File& file, std::vector<Finding>& findings);
void check_shape(const File& file, const std::vector<File>& files, std::vector<Finding>& findings);
void check_words(const File& file, std::vector<Finding>& findings);
void check_lists(const std::vector<File>& files, std::vector<Finding>& findings);
void check_atomics(const std::vector<File>& files, std::vector<Finding>& findings);
void check_functions(const std::vector<File>& files, std::vector<Finding>& findings);

// A function, or the outermost lambda, with a body: where that begins and the lines between its braces.
struct Function {
  std::string name;
  std::size_t line;
  std::size_t lines;
};
std::vector<Function> functions_of(std::string_view text);

// Shared by the rules.
bool ends_with_any(std::string_view text, std::initializer_list<std::string_view> ends);
bool is_cpp(std::string_view path);
// A test, a benchmark, or what only they use.
bool is_test(std::string_view path);
// "gcruntime/heap/span" for span.h, span.cc, span_test.cc, span_bench.cc and span_fuzz.cc.
std::string unit_of(std::string_view path);
std::size_t line_of(std::string_view text, std::size_t position);
std::string_view line_at(std::string_view text, std::size_t position);
// The same text, same length, with comments and the insides of literals blanked out.
std::string code_only(std::string_view text);

}  // namespace tailrace::tidy
