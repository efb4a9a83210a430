// The rule on atomics: every operation names its memory order. What the compiler would have to
// know, this guesses from declarations in the text:
//   - load, store, exchange, fetch_*, compare_exchange_*, test_and_set need an order in the call,
//     unless the receiver is declared as gc::Atomic, whose orders are fixed and documented there;
//   - ++, --, assignments and plain reads of a name that is declared std::atomic are sequentially
//     consistent operations in disguise, and are refused. A name that the same unit (files that
//     share a stem) declares in another type too is left alone.
#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "deploy/tidy.h"

namespace tailrace::tidy {
namespace {

using Names = std::set<std::string, std::less<>>;

bool word_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::size_t skip_space(std::string_view code, std::size_t at) {
  while (at < code.size() && std::isspace(static_cast<unsigned char>(code[at])) != 0) ++at;
  return at;
}

// The end of the text before `at` without its trailing space.
std::size_t back_space(std::string_view code, std::size_t at) {
  while (at > 0 && std::isspace(static_cast<unsigned char>(code[at - 1])) != 0) --at;
  return at;
}

// Behind the bracket that closes the one at `at`; the end of the text if none does.
std::size_t behind_bracket(std::string_view code, std::size_t at, char open, char close) {
  int depth = 0;
  for (; at < code.size(); ++at) {
    if (code[at] == open) ++depth;
    if (code[at] == close && --depth == 0) return at + 1;
    if (code[at] == ';' && open == '<') break;
  }
  return code.size();
}

// The start of the bracket that closes just before `at`.
std::size_t before_bracket(std::string_view code, std::size_t at, char open, char close) {
  int depth = 0;
  while (at > 0) {
    --at;
    if (code[at] == close) ++depth;
    if (code[at] == open && --depth == 0) return at;
  }
  return 0;
}

std::string_view word_at(std::string_view code, std::size_t at) {
  std::size_t end = at;
  while (end < code.size() && word_char(code[end])) ++end;
  return code.substr(at, end - at);
}

std::string_view word_before(std::string_view code, std::size_t end) {
  std::size_t begin = end;
  while (begin > 0 && word_char(code[begin - 1])) --begin;
  return code.substr(begin, end - begin);
}

// Calls f(position, word) for each identifier.
template <class F>
void each_word(std::string_view code, F f) {
  for (std::size_t at = 0; at < code.size();) {
    if (!word_char(code[at])) {
      ++at;
      continue;
    }
    const std::string_view word = word_at(code, at);
    if (std::isdigit(static_cast<unsigned char>(word[0])) == 0) f(at, word);
    at += word.size();
  }
}

struct Unit {
  Names atomics;     // declared std::atomic, or a container of them
  Names containers;  // of those: only their elements are atomic
  Names others;      // declared as something else
};

struct Tree {
  std::map<std::string, Unit> units;
  Unit all;
  Names managed;                                           // declared gc::Atomic
  std::map<std::string, std::set<std::size_t>> positions;  // of declared names, by path
};

// Notes the name that a declaration with a type ending at `at` declares, if any.
void note_name(const File& file, std::string_view code, std::size_t at, bool is_std, Tree& tree) {
  at = skip_space(code, at);
  // Inside other brackets: std::array<std::atomic<int>, 4> name.
  bool container = false;
  while (at < code.size() && (code[at] == ',' || code[at] == '>' || code[at] == '[')) {
    container = true;
    if (code[at] == '[') {  // std::unique_ptr<std::atomic<int>[]> name
      at = skip_space(code, behind_bracket(code, at, '[', ']'));
      continue;
    }
    std::size_t end = at;
    while (end < code.size() &&
           (word_char(code[end]) || code[end] == ',' || code[end] == ' ' || code[end] == ':')) {
      ++end;
    }
    if (end >= code.size() || code[end] != '>') return;
    at = skip_space(code, end + 1);
  }
  bool pointer = false;
  while (at < code.size() && (code[at] == '&' || code[at] == '*')) {
    pointer |= code[at] == '*';
    at = skip_space(code, at + 1);
  }
  const std::string_view name = word_at(code, at);
  if (name.empty() || name == "const" || name == "operator") return;
  const std::size_t next = skip_space(code, at + name.size());
  if (next < code.size() && code[next] == '(') {  // a function that returns one, or `name(initial)`
    if (!is_std) tree.managed.emplace(name);
    return;
  }
  tree.positions[file.path].insert(at);
  Unit& unit = tree.units[unit_of(file.path)];
  if (!is_std) {
    tree.managed.emplace(name);
  } else if (pointer) {
    unit.others.emplace(name);
    tree.all.others.emplace(name);
  } else {
    unit.atomics.emplace(name);
    tree.all.atomics.emplace(name);
    if (container) {
      unit.containers.emplace(name);
      tree.all.containers.emplace(name);
    }
  }
}

void collect(const File& file, std::string_view code, Tree& tree) {
  each_word(code, [&](std::size_t at, std::string_view word) {
    const std::size_t behind = at + word.size();
    if (word == "atomic" || word == "Atomic") {
      if (behind < code.size() && code[behind] == '<') {
        note_name(file, code, behind_bracket(code, behind, '<', '>'), word == "atomic", tree);
      }
    } else if (word.starts_with("atomic_") && at >= 2 && code[at - 1] == ':' &&
               !word.starts_with("atomic_ref") && behind < code.size() && code[behind] == ' ') {
      note_name(file, code, behind, true, tree);
    }
  });
  // Names with another type before them: `std::size_t name;` `int name =` `Span* name)`.
  static const Names kNotTypes = {"return", "else",     "new", "delete",    "case",   "goto",
                                  "throw",  "typename", "not", "co_return", "sizeof", "co_await"};
  each_word(code, [&](std::size_t at, std::string_view word) {
    const auto positions = tree.positions.find(file.path);
    if (positions != tree.positions.end() && positions->second.count(at) != 0) return;
    const std::size_t next = skip_space(code, at + word.size());
    if (next >= code.size() ||
        std::string_view(";={,)[").find(code[next]) == std::string_view::npos) {
      return;
    }
    if (code[next] == '=' && next + 1 < code.size() && code[next + 1] == '=') return;
    std::size_t end = back_space(code, at);
    if (end == at && (end == 0 || (code[end - 1] != '*' && code[end - 1] != '&'))) return;
    while (end > 0 && (code[end - 1] == '*' || code[end - 1] == '&'))
      end = back_space(code, end - 1);
    if (end == 0 || !(word_char(code[end - 1]) || code[end - 1] == '>')) return;
    if (code[end - 1] == '>' && end >= 2 && code[end - 2] == '-') return;
    if (kNotTypes.count(word_before(code, end)) != 0) return;
    tree.units[unit_of(file.path)].others.emplace(word);
    tree.all.others.emplace(word);
  });
}

bool names_order(std::string_view arguments) {
  bool found = false;
  each_word(arguments, [&](std::size_t, std::string_view word) {
    found |= word.starts_with("memory_order") || word.ends_with("order") ||
             word.ends_with("elaxed") || word.ends_with("cquire") || word.ends_with("elease") ||
             word.ends_with("acq_rel") || word.ends_with("seq_cst");
  });
  return found;
}

// Where the operand that ends at `at` begins with its chain of owners: a->b[i].c
std::size_t chain_begin(std::string_view code, std::size_t at) {
  for (;;) {
    std::size_t owner = at;
    if (at >= 1 && code[at - 1] == '.') owner = at - 1;
    if (at >= 2 && code[at - 2] == '-' && code[at - 1] == '>') owner = at - 2;
    if (at >= 2 && code[at - 2] == ':' && code[at - 1] == ':') owner = at - 2;
    if (owner == at) return at;
    while (owner > 0 && (code[owner - 1] == ']' || code[owner - 1] == ')')) {
      owner = code[owner - 1] == ']' ? before_bracket(code, owner, '[', ']')
                                     : before_bracket(code, owner, '(', ')');
    }
    at = owner - word_before(code, owner).size();
  }
}

class Checker {
 public:
  Checker(const File& file, std::string_view code, const Tree& tree, std::vector<Finding>& findings)
      : file_(file),
        code_(code),
        tree_(tree),
        unit_(tree.units.at(unit_of(file.path))),
        findings_(findings) {
    if (const auto found = tree.positions.find(file.path); found != tree.positions.end()) {
      declared_ = &found->second;
    }
  }

  void run() {
    each_word(code_, [&](std::size_t at, std::string_view word) {
      check_call(at, word);
      check_use(at, word);
    });
  }

 private:
  void add(std::size_t at, std::string message) {
    if (line_at(file_.text, at).find("tidy: ") != std::string_view::npos) return;
    findings_.push_back({file_.path, line_of(file_.text, at), std::move(message)});
  }

  bool accessed(std::size_t at) const {
    return at >= 1 &&
           (code_[at - 1] == '.' || (at >= 2 && code_[at - 1] == '>' && code_[at - 2] == '-'));
  }

  bool is_atomic(std::size_t at, std::string_view word) const {
    if (unit_.atomics.count(word) != 0) return unit_.others.count(word) == 0;
    return accessed(at) && tree_.all.atomics.count(word) != 0 && tree_.all.others.count(word) == 0;
  }

  void check_call(std::size_t at, std::string_view word) {
    static const Names kOperations = {"load",
                                      "store",
                                      "exchange",
                                      "fetch_add",
                                      "fetch_sub",
                                      "fetch_and",
                                      "fetch_or",
                                      "fetch_xor",
                                      "wait",
                                      "test",
                                      "clear",
                                      "test_and_set",
                                      "compare_exchange_weak",
                                      "compare_exchange_strong"};
    static const Names kShared = {"wait", "test", "clear"};  // others have these names too
    if (word.starts_with("__sync_")) add(at, std::string(word) + " has no order: use std::atomic");
    const std::size_t open = skip_space(code_, at + word.size());
    if (open >= code_.size() || code_[open] != '(') return;
    if (at >= 2 && code_[at - 1] == ':' && word.starts_with("atomic_") &&
        !word.ends_with("_explicit") &&
        (word.starts_with("atomic_load") || word.starts_with("atomic_store") ||
         word.starts_with("atomic_exchange") || word.starts_with("atomic_fetch") ||
         word.starts_with("atomic_compare"))) {
      add(at, std::string(word) + " names no order");
    }
    if (kOperations.count(word) == 0 || !accessed(at)) return;
    std::size_t owner = code_[at - 1] == '.' ? at - 1 : at - 2;
    owner = back_space(code_, owner);
    while (owner > 0 && (code_[owner - 1] == ']' || code_[owner - 1] == ')')) {
      owner = code_[owner - 1] == ']' ? before_bracket(code_, owner, '[', ']')
                                      : before_bracket(code_, owner, '(', ')');
    }
    const std::string_view receiver = word_before(code_, owner);
    if (tree_.managed.count(receiver) != 0 && unit_.atomics.count(receiver) == 0) return;
    if (kShared.count(word) != 0 && !is_atomic(owner - receiver.size(), receiver)) return;
    const std::size_t close = behind_bracket(code_, open, '(', ')');
    if (!names_order(code_.substr(open, close - open))) {
      add(at, std::string(receiver) + "." + std::string(word) + " names no memory order");
    }
  }

  void check_use(std::size_t at, std::string_view word) {
    if (!is_atomic(at, word) || (declared_ != nullptr && declared_->count(at) != 0)) return;
    const std::size_t begin = chain_begin(code_, at);
    if (accessed(at) && begin + 1 == at) return;  // a designated initialiser
    std::size_t next = skip_space(code_, at + word.size());
    const bool element = next < code_.size() && code_[next] == '[';
    while (next < code_.size() && code_[next] == '[') {
      next = skip_space(code_, behind_bracket(code_, next, '[', ']'));
    }
    if (!element && (unit_.containers.count(word) != 0 || tree_.all.containers.count(word) != 0)) {
      return;
    }
    const std::string_view after = code_.substr(next, 3);
    const std::size_t end = back_space(code_, begin);
    const std::string_view before = code_.substr(end < 2 ? 0 : end - 2, end < 2 ? end : 2);
    const std::string name(word);
    if (after.starts_with("++") || after.starts_with("--") || before == "++" || before == "--") {
      add(at, name + " is atomic: ++ and -- name no order");
      return;
    }
    if (after.size() >= 2 && after[1] == '=' &&
        std::string_view("+-|&^").find(after[0]) != std::string_view::npos) {
      add(at, name + " is atomic: this assignment names no order");
      return;
    }
    if (after.starts_with("=") && !after.starts_with("==")) {
      add(at, name + " is atomic: this assignment names no order");
      return;
    }
    if (reads(after, begin, end)) add(at, name + " is atomic: a plain read names no order");
  }

  bool reads(std::string_view after, std::size_t begin, std::size_t end) const {
    if (after.empty() || after[0] == '.' || after.starts_with("->") || after[0] == '(' ||
        after[0] == '{' || after.starts_with("::")) {
      return false;
    }
    for (std::string_view sign : {"==", "!=", "<=", ">=", "&&", "||", "?", "+", "-", "/", "%"}) {
      if (after.starts_with(sign)) return true;
    }
    const std::string_view previous = word_before(code_, end);
    if (previous == "return") return true;
    if (end == 0 || end > begin) return false;
    const char sign = code_[end - 1];
    if (sign == '!') return true;
    if (sign == '(') {
      const std::string_view keyword = word_before(code_, back_space(code_, end - 1));
      return after[0] == ')' && (keyword == "if" || keyword == "while");
    }
    // `x = name;` reads, `std::atomic<int>& x = name;` does not.
    return sign == '=' && line_at(code_, begin).find('&') == std::string_view::npos;
  }

  const File& file_;
  std::string_view code_;
  const Tree& tree_;
  const Unit& unit_;
  std::vector<Finding>& findings_;
  const std::set<std::size_t>* declared_ = nullptr;
};

}  // namespace

std::string code_only(std::string_view text) {
  std::string code(text);
  const auto blank = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < std::min(end, code.size()); ++i) {
      if (code[i] != '\n') code[i] = ' ';
    }
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    std::size_t end = at + 1;
    if (rest.starts_with("//")) {
      end = std::min(text.find('\n', at), text.size());
      blank(at, end);
    } else if (rest.starts_with("/*")) {
      end = std::min(text.find("*/", at + 2), text.size() - 2) + 2;
      blank(at, end);
    } else if (rest.starts_with("R\"") && (at == 0 || !word_char(text[at - 1]))) {
      const std::size_t open = std::min(text.find('(', at), text.size());
      const std::string close = ")" + std::string(text.substr(at + 2, open - at - 2)) + "\"";
      end = std::min(text.find(close, open), text.size() - close.size()) + close.size();
      blank(at + 2, end - 1);
    } else if (rest[0] == '"' || (rest[0] == '\'' && (at == 0 || !word_char(text[at - 1])))) {
      while (end < text.size() && text[end] != rest[0] && text[end] != '\n') {
        end += text[end] == '\\' ? 2 : 1;
      }
      blank(at + 1, end);
      end = std::min(end + 1, text.size());
    }
    at = end;
  }
  return code;
}

void check_atomics(const std::vector<File>& files, std::vector<Finding>& findings) {
  Tree tree;
  std::map<std::string, std::string> codes;
  for (const File& file : files) {
    if (!ends_with_any(file.path, {".h", ".cc"})) continue;
    const std::string& code = codes[file.path] = code_only(file.text);
    tree.units[unit_of(file.path)];
    collect(file, code, tree);
  }
  for (const File& file : files) {
    // Tests may take the default, which is the strongest: they count and wait, and prove no order.
    if (ends_with_any(file.path, {"_test.cc", "_fixture.h", "fake_netpoll.h"})) continue;
    if (const auto found = codes.find(file.path); found != codes.end()) {
      Checker(file, found->second, tree, findings).run();
    }
  }
}

}  // namespace tailrace::tidy
