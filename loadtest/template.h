// Text with fields that differ from request to request: paths, header values and bodies.
//
// "/users/{{int 0 99999}}" is compiled once into a short program of literals and fields. What a
// field writes follows from the plan's draw, its number and the worker, and from nothing else: the
// same ones give the same bytes. The one exception is {{now_ms}}, the time of day. Fields are told
// in scenarios/README.md; a literal "{{" is written "{{{{".
//
// A compiled template is immutable and used by any thread; copies share the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tailrace::loadtest {

// What fields are made of, for one request: its templates take their random numbers from it in
// turn.
class FieldSource {
 public:
  // `draw` and `number` as in the plan's Arrival; the steps of a session share them.
  FieldSource(std::uint64_t draw, std::uint64_t number, unsigned worker,
              std::uint32_t step = 0) noexcept;

  // Of this request alone.
  std::uint64_t random() noexcept;
  // The same for all requests of one arrival: its n-th number for a name.
  std::uint64_t shared(std::uint64_t name_hash, std::uint64_t n) const noexcept;
  // No two arrivals of a run have the same one (see PlanSettings::first_number): number x
  // kWorkersMost + worker. Exact as a JSON number for the first 2^43 arrivals of a worker.
  std::uint64_t counter() const noexcept { return counter_; }

  static constexpr unsigned kWorkersMost = 1024;

 private:
  std::uint64_t draw_;
  std::uint64_t state_;
  std::uint64_t counter_;
};

struct TemplateProgram;

class Template {
 public:
  // Writes nothing.
  Template() = default;
  // The text as it is, whatever is in it.
  static Template literal(std::string text);
  // An error is a message with the offset and the remedy.
  static std::variant<Template, std::string> compile(std::string_view text);

  // Appends; allocates only if `out` has to grow.
  void render(std::string& out, FieldSource& source) const;

  // Always writes the same.
  bool fixed() const noexcept;
  bool empty() const noexcept { return longest() == 0; }
  // The most bytes that render() may append; at most kRenderedMost for what compile() has made.
  std::size_t longest() const noexcept;
  // Every text that it may write but for the characters of random fields, which are letters,
  // digits, '-' and '.': literals, choices, separators. For checks of what may stand in a path or
  // header.
  std::vector<std::string_view> texts() const;
  // Whatever it writes begins so.
  bool begins_with(char c) const noexcept;
  // It is a single field whose text is a JSON number.
  bool is_number() const noexcept;

  static constexpr std::size_t kRenderedMost = 16 << 20;

 private:
  explicit Template(std::shared_ptr<const TemplateProgram> program);
  std::shared_ptr<const TemplateProgram> program_;  // null writes nothing
};

}  // namespace tailrace::loadtest
