// See scenario_json.h.
#include "loadtest/scenario_json.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <variant>

#include "loadtest/template.h"

namespace tailrace::loadtest {
namespace {

constexpr int kDepthMost = 64;

// RFC 8259's number.
bool is_json_number(std::string_view text) noexcept {
  const auto digits = [&] {
    const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(count);
    return count;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool zero = text.starts_with('0');
  const std::size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return text.empty();
}

class Writer {
 public:
  void value(const YAML::Node& node, int depth);
  std::string take() { return std::move(out_); }

 private:
  void scalar(const YAML::Node& node);
  void string(std::string_view text);
  // Whether the string is a number's field; refuses what does not compile, with the line of the
  // string.
  static bool is_number_field(const YAML::Node& node);

  std::string out_;
};

void Writer::value(const YAML::Node& node, int depth) {
  if (depth > kDepthMost) refuse(node, "json deeper than 64");
  // An alias may stand for much: look before it grows.
  if (out_.size() > Template::kRenderedMost) refuse(node, "json of more than 16 MiB");
  bool first = true;
  std::set<std::string> keys;
  switch (node.Type()) {
    case YAML::NodeType::Undefined:
    case YAML::NodeType::Null:
      out_ += "null";
      return;
    case YAML::NodeType::Scalar:
      return scalar(node);
    case YAML::NodeType::Sequence:
      out_ += '[';
      for (const auto& element : node) {
        if (!std::exchange(first, false)) out_ += ',';
        value(element, depth + 1);
      }
      out_ += ']';
      return;
    case YAML::NodeType::Map:
      out_ += '{';
      for (const auto& member : node) {
        if (!std::exchange(first, false)) out_ += ',';
        if (!member.first.IsScalar()) refuse(member.first, "a key of json is a text");
        if (!keys.insert(member.first.Scalar()).second) {
          refuse(member.first, "key \"" + member.first.Scalar() + "\" stands twice in json");
        }
        is_number_field(member.first);
        string(member.first.Scalar());
        out_ += ':';
        value(member.second, depth + 1);
      }
      out_ += '}';
      return;
  }
}

bool Writer::is_number_field(const YAML::Node& node) {
  if (node.Scalar().find("{{") == std::string::npos) return false;
  const std::variant<Template, std::string> made = Template::compile(node.Scalar());
  if (const auto* message = std::get_if<std::string>(&made)) refuse(node, "json, " + *message);
  return std::get<Template>(made).is_number();
}

void Writer::scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  const bool plain = node.Tag() == "?";  // "!" if it was quoted
  const bool is_bare = text == "true" || text == "false" || text == "null" || is_json_number(text);
  if ((plain && is_bare) || is_number_field(node)) {
    out_ += text;
  } else {
    string(text);
  }
}

void Writer::string(std::string_view text) {
  out_ += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out_ += '\\';
      out_ += c;
    } else if (c == '\n') {
      out_ += "\\n";
    } else if (byte < 0x20) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      out_ += "\\u00";
      out_ += kDigits[byte >> 4];
      out_ += kDigits[byte & 15];
    } else {
      out_ += c;
    }
  }
  out_ += '"';
}

}  // namespace

void refuse(const YAML::Node& at, const std::string& message) {
  const int line = at.Mark().line;
  throw Refusal{(line < 0 ? "" : "line " + std::to_string(line + 1) + ": ") + message};
}

std::string json_text(const YAML::Node& tree) {
  Writer writer;
  writer.value(tree, 0);
  return writer.take();
}

}  // namespace tailrace::loadtest
