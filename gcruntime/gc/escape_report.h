// The escape report: what requests' arenas could not keep to themselves, and where it left them. The
// counterpart of Go's -gcflags=-m, by measurement.
//
//   by label (a request's route)           how much its arenas allocated, and which share of that faded
//   by label, type and place of the store  how much escaped there, with what it reaches
//
// Counted from the process's start. Any thread, attached or not; allocates by malloc only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tailrace::gc {

// Of arenas that have ended.
struct LabelEscapes {
  std::string label;
  std::uint64_t arenas = 0;
  std::uint64_t bytes = 0;  // allocated in them
  std::uint64_t objects = 0;
  std::uint64_t faded_bytes = 0;
  std::uint64_t faded_objects = 0;

  double share() const noexcept {
    return bytes == 0 ? 0 : static_cast<double>(faded_bytes) / static_cast<double>(bytes);
  }
};

struct SiteEscapes {
  std::string label;
  std::string type;            // of the object stored; "text or numbers" where it holds no pointers
  const void* site = nullptr;  // where the store returns to; null: stores beyond the table's room
  std::string place;           // the same in words
  std::uint64_t stores = 0;
  std::uint64_t bytes = 0;  // of all that faded by them
  std::uint64_t objects = 0;
  double share = 0;  // of the label's bytes
};

// What escaped most comes first. Beyond 255 labels and 1024 places the rest is one row "(others)".
struct EscapeReport {
  std::vector<LabelEscapes> labels;
  std::vector<SiteEscapes> sites;
};
EscapeReport escape_report();
// Its labels alone, in no order; they cost no look at the program's symbols.
std::vector<LabelEscapes> label_escapes();
// Two tables, one line a row; ends with a line break.
std::string format_escape_report(const EscapeReport& report = escape_report());

// Called when a label's arenas lose more than a quarter of their bytes (over 1 MiB at least) to the collector,
// once a minute at most for each: on the thread whose arena just ended. It must neither wait nor touch managed
// memory, and `label` lives for ever. Null: nobody (the default). Any thread.
using EscapeAlarm = void (*)(const char* label, double share);
void set_escape_alarm(EscapeAlarm alarm) noexcept;

namespace internal {

// By the arena's own thread, in no section. `label` is never freed, and not null.
// One store let this much out: an object of that type (0: without pointers), and all it reaches. `site`: where
// the store returns to.
void note_escape(const char* label, std::uint16_t type, std::uint64_t bytes, std::uint64_t objects,
                 const void* site) noexcept;
// Once for every arena, at its end.
void note_arena_end(const char* label, std::uint64_t arena_bytes, std::uint64_t arena_objects,
                    std::uint64_t faded_bytes, std::uint64_t faded_objects) noexcept;

// "Order" of what the compiler says of type_name<Order>().
std::string readable_type(const char* type_name);

}  // namespace internal
}  // namespace tailrace::gc
