// Reads the fields of one JSON object into plain values, and remembers the first thing that is wrong and
// where: after any number of takes, one look at the message tells whether all of them went well.
//
// Nothing is trusted: types, signs and ranges are checked, and a value stays as it was when they are wrong.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loadtest/result.h"

namespace tailrace::loadtest {

class JsonFields {
 public:
  // `path` is for messages; `message` is set once and outlives this.
  JsonFields(const nlohmann::json& value, std::string path, std::string& message);

  void take(const char* key, std::string& value);
  void take(const char* key, bool& value);
  void take(const char* key, unsigned& value);
  void take(const char* key, std::uint64_t& value);
  // Not negative.
  void take(const char* key, std::int64_t& value);
  // Finite and not negative.
  void take(const char* key, double& value);
  // Null is NaN; absent too.
  void take_known(const char* key, double& value);
  // Null is NaN, "inf" infinity.
  void take_any(const char* key, double& value);
  void take(const char* key, std::vector<std::string>& value);
  void take(const char* key, SparseHistogram& value);
  void take(const char* key, Counts& value);
  void take(const char* key, ServerFigures& value);

  bool has(const char* key) const;  // and it is not null
  // Of an object or an array; a null value if there is none.
  const nlohmann::json& at(const char* key, nlohmann::json::value_t type);
  JsonFields object(const char* key);
  std::string path_of(const std::string& key) const;
  void fail(const char* key, const std::string& what);
  bool failed() const { return !message_.empty(); }

 private:
  const nlohmann::json* find(const char* key, const char* kind);

  const nlohmann::json& value_;
  std::string path_;
  std::string& message_;
};

}  // namespace tailrace::loadtest
