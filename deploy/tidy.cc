// The rules that look at one line or one path at a time, and the walk over the tree.
#include "deploy/tidy.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <iterator>
#include <set>

namespace tailrace::tidy {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxLines = 500;

bool word_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

std::string_view first_part(std::string_view path) { return path.substr(0, path.find('/')); }

// Calls f(number, line) for each line, numbers from 1.
template <class F>
void each_line(std::string_view text, F f) {
  std::size_t number = 1;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    f(number++, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

constexpr std::array<std::string_view, 10> kRuntimeRooms = {
    "base", "os", "heap", "gc", "fiber", "arena", "sync", "pool", "profile", "torture"};
constexpr std::array<std::string_view, 3> kUpperRooms = {"metrics", "server", "handlers"};
constexpr int kRuntimeTop = 50;  // gcruntime/*.h: the umbrella over its rooms
constexpr int kUnknownRoom = -1;
constexpr int kApart = -2;  // loadtest and deploy stand beside the house

// Who may include whom: a file includes ranks up to its own.
int rank_of(std::string_view path) {
  const std::string_view room = first_part(path);
  if (room == "gcruntime") {
    const std::string_view rest = path.substr(std::min(path.size(), room.size() + 1));
    if (rest.find('/') == std::string_view::npos) return kRuntimeTop;
    const auto* found = std::find(kRuntimeRooms.begin(), kRuntimeRooms.end(), first_part(rest));
    return found == kRuntimeRooms.end() ? kUnknownRoom
                                        : static_cast<int>(found - kRuntimeRooms.begin());
  }
  if (room == "loadtest" || room == "deploy") return kApart;
  if (path == "tailrace.h") return 100 + 1;  // the library's umbrella, at the height of the server
  const auto* found = std::find(kUpperRooms.begin(), kUpperRooms.end(), room);
  return found == kUpperRooms.end() ? kUnknownRoom
                                    : 100 + static_cast<int>(found - kUpperRooms.begin());
}

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> starts) {
  return std::any_of(starts.begin(), starts.end(),
                     [&](std::string_view start) { return text.starts_with(start); });
}

// The name between the brackets of an #include line, with its opening bracket; else empty.
std::pair<char, std::string_view> included(std::string_view line) {
  const std::size_t hash = line.find_first_not_of(" \t");
  if (hash == std::string_view::npos || line[hash] != '#') return {};
  const std::size_t word = line.find_first_not_of(" \t", hash + 1);
  if (word == std::string_view::npos || !line.substr(word).starts_with("include")) return {};
  const std::size_t open = line.find_first_of("<\"", word);
  if (open == std::string_view::npos) return {};
  const std::size_t close = line.find(line[open] == '<' ? '>' : '"', open + 1);
  if (close == std::string_view::npos) return {};
  return {line[open], line.substr(open + 1, close - open - 1)};
}

// Why `path` may not include the project's file `name`; empty if it may.
std::string refuse(std::string_view path, std::string_view name) {
  const std::string_view room = first_part(path);
  if (room == "loadtest") {
    if (first_part(name) == "loadtest" || name == "metrics/histogram.h") return {};
    return "loadtest talks over the wire: of the house it may include metrics/histogram.h only";
  }
  if (room == "deploy") {
    return first_part(name) == "deploy" ? "" : "deploy holds no product code and includes none";
  }
  const int from = rank_of(path);
  const int to = rank_of(name);
  if (to == kUnknownRoom) return "no such room";
  if (to == kApart) return "loadtest and deploy stand beside the house";
  if (from == kUnknownRoom) return "this file stands in no room of the house";
  if (to > from) {
    return "runs up the house (handlers -> server -> metrics -> gcruntime, in it torture -> "
           "profile -> pool -> sync -> arena -> fiber -> gc -> heap -> os -> base)";
  }
  return {};
}

// Whether another file, a header of the same stem, says what this one is: span.h for span_test.cc.
bool has_header(std::string_view path, const std::vector<File>& files) {
  if (!path.ends_with(".cc")) return false;
  const std::string header = unit_of(path) + ".h";
  return std::any_of(files.begin(), files.end(), [&](const File& f) { return f.path == header; });
}

void add(std::vector<Finding>& findings, const File& file, std::size_t line, std::string message) {
  findings.push_back({file.path, line, std::move(message)});
}

}  // namespace

bool ends_with_any(std::string_view text, std::initializer_list<std::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(),
                     [&](std::string_view end) { return text.ends_with(end); });
}

bool is_cpp(std::string_view path) { return ends_with_any(path, {".h", ".cc", ".S"}); }

bool is_test(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return name.starts_with("test_") || name.find("_test.") != std::string_view::npos ||
         name.find("_bench") != std::string_view::npos ||
         name.find("_fixture.") != std::string_view::npos ||
         name.find("_cases.") != std::string_view::npos || name.starts_with("fake_");
}

std::string unit_of(std::string_view path) {
  path = path.substr(0, path.rfind('.'));
  for (std::string_view suffix : {"_test", "_bench", "_fuzz"}) {
    if (path.ends_with(suffix)) path.remove_suffix(suffix.size());
  }
  return std::string(path);
}

std::size_t line_of(std::string_view text, std::size_t position) {
  return 1 + static_cast<std::size_t>(std::count(
                 text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
}

std::string_view line_at(std::string_view text, std::size_t position) {
  const std::size_t before = text.rfind('\n', position == 0 ? 0 : position - 1);
  const std::size_t begin = before == std::string_view::npos || position == 0 ? 0 : before + 1;
  return text.substr(begin, std::min(text.find('\n', position), text.size()) - begin);
}

std::vector<File> read_tree(const fs::path& root) {
  std::vector<File> files;
  for (auto entry = fs::recursive_directory_iterator(root); entry != fs::end(entry); ++entry) {
    const std::string path = entry->path().lexically_relative(root).generic_string();
    const std::string name = entry->path().filename().string();
    if (entry->is_directory()) {
      if (name == ".git" || path == "build" || name == "CMakeFiles")
        entry.disable_recursion_pending();
      continue;
    }
    if (!entry->is_regular_file() || name == "LICENSE") continue;
    std::ifstream in(entry->path(), std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    if (text.find('\0') != std::string::npos) continue;  // not text
    files.push_back({path, std::move(text)});
  }
  std::sort(files.begin(), files.end(),
            [](const File& a, const File& b) { return a.path < b.path; });
  return files;
}

std::vector<Finding> check(const std::vector<File>& files) {
  std::vector<Finding> findings;
  for (const File& file : files) {
    check_includes(file, findings);
    check_shape(file, files, findings);
    check_words(file, findings);
  }
  check_lists(files, findings);
  check_atomics(files, findings);
  check_functions(files, findings);
  return findings;
}

void check_includes(const File& file, std::vector<Finding>& findings) {
  if (!is_cpp(file.path)) return;
  each_line(file.text, [&](std::size_t number, std::string_view line) {
    auto [bracket, name] = included(line);
    if (name.empty()) return;
    const std::string shown = "#include of " + std::string(name) + ": ";
    const bool installed_style = name.starts_with("tailrace/");
    if (installed_style) name.remove_prefix(std::string_view("tailrace/").size());
    const bool ours =
        installed_style || rank_of(name) != kUnknownRoom || first_part(name) == "gcruntime";
    if (bracket == '"' && !ours) {
      add(findings, file, number, shown + "quoted includes are repo-rooted (room/file.h)");
      return;
    }
    if (ours) {
      if (const std::string why = refuse(file.path, name); !why.empty()) {
        add(findings, file, number, shown + why);
      }
      return;
    }
    if (name.starts_with("prometheus/") && !file.path.starts_with("metrics/exporter")) {
      add(findings, file, number, shown + "only metrics/exporter knows prometheus-cpp");
    }
    if (first_part(file.path) == "gcruntime" &&
        starts_with_any(name, {"boost/asio", "boost/beast", "simdjson", "sys/epoll.h",
                               "sys/socket.h", "netinet/", "arpa/"})) {
      add(findings, file, number, shown + "gcruntime knows no socket, no HTTP and no JSON");
    }
  });
}

void check_shape(const File& file, const std::vector<File>& files, std::vector<Finding>& findings) {
  const std::string_view path = file.path;
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = path.find('/', begin);
    if (end == std::string_view::npos) break;
    static const std::set<std::string_view> kDrawers = {"util",   "utils",   "common",
                                                        "helper", "helpers", "misc"};
    if (kDrawers.count(path.substr(begin, end - begin)) != 0) {
      add(findings, file, 1, "a folder is named after what is in it, not after being a drawer");
    }
    begin = end + 1;
  }
  if (ends_with_any(path, {".orig", ".rej"})) {
    add(findings, file, 1, "left behind by a merge or a patch: remove it");
  }
  const bool script = file.text.starts_with("#!");
  if (is_cpp(path) || script || ends_with_any(path, {".go", ".sh", ".lua"})) {
    const auto lines =
        static_cast<std::size_t>(std::count(file.text.begin(), file.text.end(), '\n'));
    if (lines > kMaxLines) {
      add(findings, file, lines, "more than 500 lines: is this one concept?");
    }
    std::string_view head = file.text;
    if (script) head.remove_prefix(std::min(head.find('\n') + 1, head.size()));
    if (!starts_with_any(head, {"//", "/*", "# ", "-- "}) && !has_header(path, files)) {
      add(findings, file, 1, "no head comment: say what this is, its invariant, who may enter");
    }
  }
  if (path.ends_with(".h")) {
    bool once = false;
    each_line(file.text,
              [&](std::size_t, std::string_view line) { once |= line == "#pragma once"; });
    if (!once) add(findings, file, 1, "no #pragma once");
  }
}

void check_words(const File& file, std::vector<Finding>& findings) {
  // Spelt in pieces, so that this file holds none of them.
  static const std::string kGrey =
      "gr"
      "ay";
  static const std::string kFiber =
      "corout"
      "ine";
  static const std::array<std::string, 3> kUnfinished = {
      "TO"
      "DO",
      "FIX"
      "ME",
      "XX"
      "X"};
  static const std::array<std::string, 4> kMachine = {
      "/wo"
      "rk/main",
      "/wo"
      "rk/shared",
      "/ho"
      "me/",
      "/ro"
      "ot/"};
  static const std::array<std::string, 6> kRegistry = {
      "://de"
      "b.",
      "://registr"
      "y.",
      "://prox"
      "y.",
      "://inde"
      "x.",
      "pyp"
      "i.org",
      "npmj"
      "s.org"};
  if (file.path == "deploy/tidy_test.cc") return;  // its fixtures are bad on purpose
  each_line(file.text, [&](std::size_t number, std::string_view line) {
    for (const std::string& machine : kMachine) {
      if (line.find(machine) != std::string_view::npos) {
        add(findings, file, number, "a path of one machine: " + machine);
      }
    }
    for (const std::string& host : kRegistry) {
      if (line.find(host) != std::string_view::npos) {
        add(findings, file, number, "an address of a package registry: " + host);
      }
    }
    if (line.find("tidy: ") != std::string_view::npos) return;
    for (const std::string& word : kUnfinished) {
      const std::size_t at = line.find(word);
      if (at == std::string_view::npos) continue;
      const bool whole = (at == 0 || !word_char(line[at - 1])) &&
                         (at + word.size() == line.size() || !word_char(line[at + word.size()]));
      if (whole) add(findings, file, number, "unfinished work: " + word);
    }
    const std::string low = lower(line);
    if (const std::size_t at = low.find(kGrey);
        at != std::string::npos &&
        (at == 0 || std::isalpha(static_cast<unsigned char>(low[at - 1])) == 0)) {
      add(findings, file, number, "write grey");
    }
    // The language's, Asio's and other libraries' own may be named as such.
    if (is_cpp(file.path) && low.find(kFiber) != std::string::npos &&
        low.find("c++20") == std::string::npos && low.find("asio") == std::string::npos &&
        low.find("stackless") == std::string::npos && low.find("librar") == std::string::npos) {
      add(findings, file, number, "write fiber");
    }
  });
}

// A source that no list names is never built, and so never tested; a header that none names is not
// compiled alone (the test headers.stand_alone). Headers of tests are, with their first user.
void check_lists(const std::vector<File>& files, std::vector<Finding>& findings) {
  for (const File& list : files) {
    if (!ends_with_any(list.path, {"CMakeLists.txt", ".cmake"})) continue;
    each_line(list.text, [&](std::size_t number, std::string_view line) {
      if (line.find("GLOB") != std::string_view::npos && !line.starts_with("#")) {
        add(findings, list, number, "sources are listed, not globbed");
      }
    });
  }
  for (const File& file : files) {
    const bool header = file.path.ends_with(".h") && !is_test(file.path);
    if (!header && !ends_with_any(file.path, {".cc", ".S"})) continue;
    const std::string name = file.path.substr(file.path.rfind('/') + 1);
    const bool listed = std::any_of(files.begin(), files.end(), [&](const File& list) {
      // A script may compile one by itself, and names all of its path.
      if (list.text.starts_with("#!")) return list.text.find(file.path) != std::string::npos;
      if (!ends_with_any(list.path, {"CMakeLists.txt", ".cmake"})) return false;
      if (first_part(list.path) != first_part(file.path)) return false;
      for (std::size_t at = list.text.find(name); at != std::string::npos;
           at = list.text.find(name, at + 1)) {
        if (at == 0 || !word_char(list.text[at - 1])) return true;
      }
      return false;
    });
    if (!listed) add(findings, file, 1, "in no CMake list of its room");
  }
}

}  // namespace tailrace::tidy
