// The rule on the length of functions: a body of product code has at most 70 lines. Bodies are found
// in the text: a brace at the level of namespaces and classes whose head (the text since the last
// statement) has a parameter list. What is inside a body, lambdas and local classes too, counts as
// its own. Tests and benchmarks may be long: they are lists.
//
// What was longer when the rule came stands in deploy/tidy.ratchet, "path function lines" on a line.
// Such a function may only get shorter, and its line goes when it does.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <utility>

#include "deploy/tidy.h"

namespace tailrace::tidy {
namespace {

constexpr std::size_t kMaxBodyLines = 70;
constexpr std::string_view kRatchet = "deploy/tidy.ratchet";

bool word_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Blanks out preprocessor lines, whose braces need not match.
void blank_directives(std::string& code) {
  for (std::size_t at = 0; at < code.size();) {
    std::size_t end = std::min(code.find('\n', at), code.size());
    const std::size_t first = code.find_first_not_of(" \t", at);
    if (first < end && code[first] == '#') {
      while (end < code.size() && code[end - 1] == '\\') {
        end = std::min(code.find('\n', end + 1), code.size());
      }
      for (; at < end; ++at) {
        if (code[at] != '\n') code[at] = ' ';
      }
    }
    at = end + 1;
  }
}

// The head of what `brace` opens: back to the end of the statement, block or label before it.
std::string_view head_of(std::string_view code, std::size_t brace) {
  const std::size_t before =
      brace == 0 ? std::string_view::npos : code.find_last_of(";{}", brace - 1);
  const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
  std::string_view head = code.substr(begin, brace - begin);
  const std::size_t text = head.find_first_not_of(" \t\n");
  head.remove_prefix(std::min(text, head.size()));
  while (!head.empty() && std::isspace(static_cast<unsigned char>(head.back())) != 0) {
    head.remove_suffix(1);
  }
  if (head.starts_with("template")) {
    int depth = 0;
    for (std::size_t i = 0; i < head.size(); ++i) {
      if (head[i] == '<') ++depth;
      if (head[i] == '>' && --depth == 0) return head.substr(i + 1);
    }
  }
  return head;
}

bool has_word(std::string_view text, std::string_view word) {
  for (std::size_t at = text.find(word); at != std::string_view::npos;
       at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !word_char(text[at - 1])) && (end == text.size() || !word_char(text[end]))) {
      return true;
    }
  }
  return false;
}

enum class Block { kScope, kFunction, kOther };

Block kind_of(std::string_view head) {
  const bool parameters = head.find('(') != std::string_view::npos;
  if (has_word(head, "namespace") || (head.starts_with("extern") && !parameters)) {
    return Block::kScope;
  }
  const bool type = has_word(head, "class") || has_word(head, "struct") || has_word(head, "union");
  if (type && !ends_with_any(head, {")", "const", "noexcept", "override"})) return Block::kScope;
  if (!parameters || ends_with_any(head, {"=", ",", "(", "return"})) return Block::kOther;
  return Block::kFunction;
}

// "Span::sweep" of "std::size_t Span::sweep(const Marks& marks) noexcept".
std::string name_in(std::string_view head) {
  std::size_t end = head.find('(');
  if (head.substr(0, end).ends_with("operator")) end = head.find('(', end + 1);
  while (end > 0 && head[end - 1] == ' ') --end;
  std::size_t begin = end;
  if (const std::size_t at = head.substr(0, end).rfind("operator"); at != std::string_view::npos) {
    begin = at;
  }
  while (begin > 0 &&
         (word_char(head[begin - 1]) || head[begin - 1] == ':' || head[begin - 1] == '~')) {
    --begin;
  }
  std::string name(head.substr(begin, end - begin));
  std::replace(name.begin(), name.end(), ' ', '_');  // "operator bool"
  return name;
}

std::size_t behind_block(std::string_view code, std::size_t open) {
  int depth = 0;
  for (std::size_t at = open; at < code.size(); ++at) {
    if (code[at] == '{') ++depth;
    if (code[at] == '}' && --depth == 0) return at + 1;
  }
  return code.size();
}

struct Allowed {
  std::size_t lines;
  std::size_t line;  // in the ratchet
  bool used = false;
};
using Ratchet = std::map<std::pair<std::string, std::string>, Allowed>;

Ratchet read_ratchet(const File& file, std::vector<Finding>& findings) {
  Ratchet ratchet;
  std::size_t number = 0;
  std::string_view text = file.text;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    const std::size_t name = line.find(' ');
    const std::size_t count = line.rfind(' ');
    std::size_t lines = 0;
    if (name != count) std::from_chars(line.data() + count + 1, line.data() + line.size(), lines);
    if (lines <= kMaxBodyLines) {
      findings.push_back({file.path, number, "want \"path function lines\", lines over 70"});
      continue;
    }
    ratchet[{std::string(line.substr(0, name)),
             std::string(line.substr(name + 1, count - name - 1))}] = {lines, number};
  }
  return ratchet;
}

void check_length(const File& file, const Function& function, Ratchet& ratchet,
                  std::vector<Finding>& findings) {
  if (function.lines <= kMaxBodyLines) return;
  const std::string shown = function.name + " has " + std::to_string(function.lines) + " lines";
  const auto found = ratchet.find({file.path, function.name});
  if (found == ratchet.end()) {
    findings.push_back({file.path, function.line, shown + ", more than 70: is this one step?"});
    return;
  }
  found->second.used = true;
  if (function.lines > found->second.lines) {
    findings.push_back({file.path, function.line,
                        shown + ", but was allowed " + std::to_string(found->second.lines) +
                            ": long functions only get shorter"});
  } else if (function.lines < found->second.lines) {
    findings.push_back({std::string(kRatchet), found->second.line,
                        shown + " by now: write that down, it may not grow back"});
  }
}

}  // namespace

std::vector<Function> functions_of(std::string_view text) {
  std::vector<Function> functions;
  std::string code = code_only(text);
  blank_directives(code);
  for (std::size_t at = code.find('{'); at != std::string::npos; at = code.find('{', at)) {
    const std::string_view head = head_of(code, at);
    const Block kind = kind_of(head);
    if (kind == Block::kScope) {
      ++at;
      continue;
    }
    const std::size_t end = behind_block(code, at);
    if (kind == Block::kFunction) {
      const std::size_t line = line_of(code, at);
      const std::size_t last = line_of(code, end - 1);
      functions.push_back({name_in(head), line, last > line ? last - line - 1 : 0});
    }
    at = end;
  }
  return functions;
}

void check_functions(const std::vector<File>& files, std::vector<Finding>& findings) {
  Ratchet ratchet;
  for (const File& file : files) {
    if (file.path == kRatchet) ratchet = read_ratchet(file, findings);
  }
  for (const File& file : files) {
    if (!ends_with_any(file.path, {".h", ".cc"}) || is_test(file.path)) continue;
    for (const Function& function : functions_of(file.text)) {
      check_length(file, function, ratchet, findings);
    }
  }
  for (const auto& [key, allowed] : ratchet) {
    if (!allowed.used) {
      findings.push_back({std::string(kRatchet), allowed.line,
                          key.second + " is gone or short enough: drop the line"});
    }
  }
}

}  // namespace tailrace::tidy
