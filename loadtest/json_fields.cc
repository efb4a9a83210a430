// Checked fields of JSON objects.
#include "loadtest/json_fields.h"

#include <cmath>
#include <utility>

namespace tailrace::loadtest {
namespace {

using nlohmann::json;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Of one histogram. So many of them can be added that sums of them stay far below 2^64.
constexpr std::uint64_t kMostRequests = std::uint64_t{1} << 40;

const json& nothing() {
  static const json kNull;
  return kNull;
}

}  // namespace

JsonFields::JsonFields(const json& value, std::string path, std::string& message)
    : value_(value), path_(std::move(path)), message_(message) {
  if (!value_.is_object() && message_.empty()) message_ = path_ + " is no object";
}

std::string JsonFields::path_of(const std::string& key) const {
  return path_.empty() ? key : path_ + "." + key;
}

void JsonFields::fail(const char* key, const std::string& what) {
  if (message_.empty()) message_ = path_of(key) + " " + what;
}

bool JsonFields::has(const char* key) const {
  return value_.is_object() && value_.contains(key) && !value_.at(key).is_null();
}

const json* JsonFields::find(const char* key, const char* kind) {
  if (failed()) return nullptr;
  if (!value_.is_object() || !value_.contains(key)) {
    fail(key, "is missing");
    return nullptr;
  }
  const json& found = value_.at(key);
  const std::string wanted = kind;
  const bool good =
      (wanted == "a text" && found.is_string()) ||
      (wanted == "true or false" && found.is_boolean()) ||
      (wanted == "a number" && found.is_number()) ||
      (wanted == "a whole number that is not negative" && found.is_number_unsigned()) ||
      wanted == "anything";
  if (good) return &found;
  fail(key, std::string("is not ") + kind);
  return nullptr;
}

void JsonFields::take(const char* key, std::string& value) {
  if (const json* found = find(key, "a text")) value = found->get<std::string>();
}
void JsonFields::take(const char* key, bool& value) {
  if (const json* found = find(key, "true or false")) value = found->get<bool>();
}
void JsonFields::take(const char* key, std::uint64_t& value) {
  if (const json* found = find(key, "a whole number that is not negative")) {
    value = found->get<std::uint64_t>();
  }
}
void JsonFields::take(const char* key, unsigned& value) {
  std::uint64_t wide = 0;
  take(key, wide);
  if (wide > std::numeric_limits<unsigned>::max()) return fail(key, "is too large");
  value = static_cast<unsigned>(wide);
}
void JsonFields::take(const char* key, std::int64_t& value) {
  std::uint64_t wide = 0;
  take(key, wide);
  // Half the range, so that sums and differences of two are safe.
  if (wide > std::uint64_t{1} << 62) return fail(key, "is too large");
  value = static_cast<std::int64_t>(wide);
}
void JsonFields::take(const char* key, double& value) {
  const json* found = find(key, "a number");
  if (found == nullptr) return;
  const double read = found->get<double>();
  if (!std::isfinite(read) || read < 0) return fail(key, "is not a number from 0");
  value = read;
}
void JsonFields::take_known(const char* key, double& value) {
  value = ServerFigures::kNone;
  if (!has(key)) return;
  const json* found = find(key, "a number");
  if (found != nullptr) value = found->get<double>();
}
void JsonFields::take_any(const char* key, double& value) {
  const json* found = find(key, "anything");
  if (found == nullptr) return;
  if (found->is_null()) {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (found->is_number()) {
    value = found->get<double>();
  } else if (*found == "inf") {
    value = kInfinity;
  } else if (*found == "-inf") {
    value = -kInfinity;
  } else {
    fail(key, R"(is not a number, null or "inf")");
  }
}

const json& JsonFields::at(const char* key, json::value_t type) {
  const json* found = find(key, "anything");
  if (found == nullptr) return nothing();
  if (found->type() == type) return *found;
  fail(key, type == json::value_t::array ? "is no array" : "is no object");
  return nothing();
}

JsonFields JsonFields::object(const char* key) {
  return {at(key, json::value_t::object), path_of(key), message_};
}

void JsonFields::take(const char* key, std::vector<std::string>& value) {
  for (const json& one : at(key, json::value_t::array)) {
    if (!one.is_string()) return fail(key, "holds something that is no text");
    value.push_back(one.get<std::string>());
  }
}

void JsonFields::take(const char* key, SparseHistogram& value) {
  JsonFields fields = object(key);
  SparseHistogram read;
  fields.take("histogram_ns", read.text);
  fields.take("infinite", read.infinite);
  if (failed()) return;
  Latencies latencies;
  if (!read.add_to(latencies)) {
    return fields.fail("histogram_ns", "is no histogram that this tool wrote");
  }
  if (read.infinite > kMostRequests || latencies.finite().count() > kMostRequests) {
    return fields.fail("infinite", "and the histogram hold more requests than can have been sent");
  }
  value = std::move(read);
}

void JsonFields::take(const char* key, Counts& value) {
  JsonFields fields = object(key);
  fields.take("planned", value.planned);
  fields.take("sent", value.sent);
  fields.take("completed", value.completed);
  fields.take("succeeded", value.succeeded);
  fields.take("dropped", value.dropped);
  fields.take("timed_out", value.timed_out);
  fields.take("failed", value.failed);
  fields.take("sent_bytes", value.bytes_sent);
  fields.take("received_bytes", value.bytes_received);
  if (value.succeeded > value.completed) fields.fail("succeeded", "is more than completed");
}

void JsonFields::take(const char* key, ServerFigures& value) {
  JsonFields fields = object(key);
  fields.take_known("seconds", value.seconds);
  fields.take_known("requests", value.requests);
  fields.take_known("gc_cycles", value.gc_cycles);
  fields.take_known("gc_cpu_seconds", value.gc_cpu_seconds);
  fields.take_known("gc_hold_seconds", value.gc_hold_seconds);
  fields.take_known("alloc_bytes", value.alloc_bytes);
  fields.take_known("heap_alloc_bytes", value.heap_alloc_bytes);
  fields.take_known("cpu_seconds", value.cpu_seconds);
  fields.take_known("heap_live_bytes", value.heap_live_bytes);
  fields.take_known("resident_bytes", value.resident_bytes);
}

}  // namespace tailrace::loadtest
