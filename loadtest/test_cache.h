// A directory of a test's own, gone at its end, in which the tool keeps its cache for as long.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>

namespace tailrace::loadtest {

class TestCache {
 public:
  TestCache() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "tailrace-load-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no directory: " + pattern);
    directory_ = pattern;
    if (const char* before = ::getenv("XDG_CACHE_HOME")) before_ = before;
    ::setenv("XDG_CACHE_HOME", directory_.c_str(), 1);
  }
  ~TestCache() {
    before_ ? ::setenv("XDG_CACHE_HOME", before_->c_str(), 1) : ::unsetenv("XDG_CACHE_HOME");
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  TestCache(const TestCache&) = delete;
  TestCache& operator=(const TestCache&) = delete;

  const std::string& directory() const noexcept { return directory_; }

 private:
  std::string directory_;
  std::optional<std::string> before_;
};

}  // namespace tailrace::loadtest
