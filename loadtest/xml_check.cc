// A strict reader of the little markup that we write.
#include "loadtest/xml_check.h"

#include <algorithm>
#include <cctype>

namespace tailrace::loadtest::test_results {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  XmlCheck read() {
    while (check_.error.empty() && at_ < text_.size()) {
      if (text_[at_] != '<') {
        read_text(text_.find('<', at_));
      } else if (text_.substr(at_).starts_with("<!DOCTYPE html>")) {
        at_ += 15;
      } else if (text_.substr(at_).starts_with("</")) {
        read_end();
      } else {
        read_begin();
      }
    }
    if (check_.error.empty() && !open_.empty()) fail("not closed: " + open_.back());
    std::vector<std::string> ids = check_.ids;
    std::sort(ids.begin(), ids.end());
    const auto twice = std::adjacent_find(ids.begin(), ids.end());
    if (twice != ids.end()) fail("an id twice: " + *twice);
    return std::move(check_);
  }

 private:
  void fail(const std::string& what) {
    if (!check_.error.empty()) return;
    check_.error = what + " at byte " + std::to_string(at_) + ": " +
                   std::string(text_.substr(std::min(at_, text_.size()), 60));
  }

  // Character data up to `end`: references are known, no stray '>' or control.
  void read_text(std::size_t end) {
    end = std::min(end, text_.size());
    for (; at_ < end && check_.error.empty(); ++at_) {
      const char c = text_[at_];
      if (c == '>') return fail("a stray >");
      if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') return fail("a control");
      if (c != '&') continue;
      const std::string_view rest = text_.substr(at_);
      bool known = false;
      for (const std::string_view name : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}) {
        known = known || rest.starts_with(name);
      }
      if (!known) return fail("an unknown reference");
    }
  }

  std::string read_name() {
    const std::size_t begin = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '-')) {
      ++at_;
    }
    if (at_ == begin) fail("no name");
    return std::string(text_.substr(begin, at_ - begin));
  }

  void read_end() {
    at_ += 2;
    const std::string name = read_name();
    if (open_.empty() || open_.back() != name) return fail("closes " + name);
    open_.pop_back();
    if (at_ >= text_.size() || text_[at_] != '>') return fail("no >");
    ++at_;
  }

  void read_begin() {
    ++at_;
    const std::string name = read_name();
    ++check_.elements;
    check_.names.push_back(name);
    std::vector<std::string> seen;
    while (check_.error.empty() && at_ < text_.size() && text_[at_] == ' ') {
      ++at_;
      read_attribute(seen);
    }
    if (!check_.error.empty()) return;
    if (text_.substr(at_).starts_with("/>")) {
      at_ += 2;
      return;
    }
    if (at_ >= text_.size() || text_[at_] != '>') return fail("no > of " + name);
    ++at_;
    open_.push_back(name);
    // HTML reads no markup in these.
    if (name == "script" || name == "style")
      at_ = std::min(text_.find("</" + name, at_), text_.size());
  }

  void read_attribute(std::vector<std::string>& seen) {
    const std::string name = read_name();
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) return fail("twice: " + name);
    seen.push_back(name);
    if (!text_.substr(at_).starts_with("=\"")) return fail("no quoted value of " + name);
    at_ += 2;
    const std::size_t begin = at_;
    const std::size_t end = text_.find('"', at_);
    if (end == std::string_view::npos) return fail("a value without end");
    if (text_.substr(begin, end - begin).find('<') != std::string_view::npos)
      return fail("< in a value");
    read_text(end);
    at_ = end + 1;
    const std::string value(text_.substr(begin, end - begin));
    check_.attributes.push_back(name + "=" + value);
    if (name == "id") check_.ids.push_back(value);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<std::string> open_;
  XmlCheck check_;
};

}  // namespace

XmlCheck check_xml(std::string_view text) { return Reader(text).read(); }

std::vector<std::string> svgs_of(std::string_view page) {
  std::vector<std::string> svgs;
  for (std::size_t at = page.find("<svg "); at != std::string_view::npos;
       at = page.find("<svg ", at)) {
    const std::size_t end = page.find("</svg>", at);
    if (end == std::string_view::npos) break;
    svgs.emplace_back(page.substr(at, end + 6 - at));
    at = end;
  }
  return svgs;
}

}  // namespace tailrace::loadtest::test_results
