// The collector's two knobs as a service shows and changes them, and who turned each of them last.
//
// The control group's limit is followed only while nobody else has set one: not a flag, variable or file,
// not a request to /debug/gc/settings, not the program by gc::set_memory_limit. Any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "server/config.h"

namespace tailrace::http {

class GcSettings {
 public:
  struct View {
    int percent = 100;  // -1: off
    std::string percent_from;
    std::uint64_t memory_limit = kOff;
    std::string memory_limit_from;
  };

  GcSettings();

  // Takes what the configuration gives; the percentage has gone to gc::configure.
  void begin(const Config& config);
  // The group allows so many bytes (nothing: no limit). Returns the limit in force if this changed it.
  std::optional<std::uint64_t> follow_cgroup(std::optional<std::uint64_t> group_bytes);
  // By request; nothing: as it is. Returns what is wrong with the limit, and then has changed nothing. On a
  // fiber, or a thread that is in no native scope.
  std::optional<std::string> change(std::optional<int> percent,
                                    std::optional<std::uint64_t> memory_limit);
  // What is in force. On a fiber, or a thread that is in no native scope.
  View view() const;

 private:
  mutable std::mutex mutex_;  // guards all below
  // As set last by this class; another value in force is the program's.
  int percent_;
  std::uint64_t memory_limit_;
  std::string percent_from_;
  std::string memory_limit_from_;
};

}  // namespace tailrace::http
