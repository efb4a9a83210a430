// See scrape.h.
#include "loadtest/scrape.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace tailrace::loadtest {
namespace {

constexpr std::size_t kMostBytes = std::size_t{64} << 20;
constexpr long kTimeoutMs = 900;  // within the second
constexpr std::int64_t kSecond = 1'000'000'000;

std::int64_t steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* text) {
  auto& body = *static_cast<std::string*>(text);
  if (body.size() + size * count > kMostBytes) return 0;
  body.append(data, size * count);
  return size * count;
}

// NaN counts as nothing yet.
void add(double& sum, double value) { sum = std::isnan(sum) ? value : sum + value; }

struct Sample {
  std::string_view name;
  std::string_view labels;  // between the braces
  double value = 0;
};

// One line of the text format; false for comments and what is no sample.
bool parse_sample(std::string_view line, Sample& sample) {
  if (line.empty() || line[0] == '#') return false;
  const std::size_t name_end = line.find_first_of("{ ");
  if (name_end == line.npos) return false;
  sample.name = line.substr(0, name_end);
  sample.labels = {};
  std::size_t value_begin = name_end;
  if (line[name_end] == '{') {
    // A label's value may hold braces, and quotes behind a backslash.
    bool quoted = false;
    std::size_t i = name_end + 1;
    for (; i < line.size() && (quoted || line[i] != '}'); ++i) {
      if (line[i] == '\\') {
        ++i;
      } else if (line[i] == '"') {
        quoted = !quoted;
      }
    }
    if (i >= line.size()) return false;
    sample.labels = line.substr(name_end + 1, i - name_end - 1);
    value_begin = i + 1;
  }
  while (value_begin < line.size() && line[value_begin] == ' ') ++value_begin;
  if (value_begin < line.size() && line[value_begin] == '+') ++value_begin;
  const auto [end, error] =
      std::from_chars(line.data() + value_begin, line.data() + line.size(), sample.value);
  return error == std::errc();
}

double seconds_between(const Reading& from, const Reading& to) {
  return static_cast<double>(to.at_ns - from.at_ns) / 1e9;
}

}  // namespace

ServerFigures parse_exposition(std::string_view text) {
  ServerFigures figures;
  double go_alloc_bytes = ServerFigures::kNone;
  double go_heap_bytes = ServerFigures::kNone;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    Sample sample;
    if (parse_sample(text.substr(0, end), sample)) {
      if (sample.name == "http_requests_total") {
        add(figures.requests, sample.value);
      } else if (sample.name == "go_gc_duration_seconds_count") {
        figures.gc_cycles = sample.value;
      } else if (sample.name == "go_gc_duration_seconds_sum") {
        figures.gc_hold_seconds = sample.value;
      } else if (sample.name == "go_cpu_classes_gc_total_cpu_seconds_total") {
        figures.gc_cpu_seconds = sample.value;
      } else if (sample.name == "tailrace_http_request_alloc_bytes_total") {
        const bool heap = sample.labels.find("kind=\"heap\"") != sample.labels.npos ||
                          sample.labels.find("kind=\"large\"") != sample.labels.npos;
        if (heap) add(figures.heap_alloc_bytes, sample.value);
        if (heap || sample.labels.find("kind=\"arena\"") != sample.labels.npos) {
          add(figures.alloc_bytes, sample.value);
        }
      } else if (sample.name == "go_memstats_alloc_bytes_total") {
        go_alloc_bytes = sample.value;
      } else if (sample.name == "process_cpu_seconds_total") {
        figures.cpu_seconds = sample.value;
      } else if (sample.name == "process_resident_memory_bytes") {
        figures.resident_bytes = sample.value;
      } else if (sample.name == "go_gc_heap_live_bytes") {
        figures.heap_live_bytes = sample.value;
      } else if (sample.name == "go_memstats_heap_alloc_bytes") {
        go_heap_bytes = sample.value;
      }
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  // A Go service counts bytes for the process only.
  if (std::isnan(figures.alloc_bytes)) figures.alloc_bytes = go_alloc_bytes;
  if (std::isnan(figures.heap_alloc_bytes)) figures.heap_alloc_bytes = go_alloc_bytes;
  if (std::isnan(figures.heap_live_bytes)) figures.heap_live_bytes = go_heap_bytes;
  return figures;
}

ServerFigures between(const ServerFigures& before, const ServerFigures& after) {
  const auto counted = [](double from, double to) {
    return to >= from ? to - from : ServerFigures::kNone;
  };
  ServerFigures result = after;
  for (double ServerFigures::*counter :
       {&ServerFigures::requests, &ServerFigures::gc_cycles, &ServerFigures::gc_cpu_seconds,
        &ServerFigures::gc_hold_seconds, &ServerFigures::alloc_bytes,
        &ServerFigures::heap_alloc_bytes, &ServerFigures::cpu_seconds}) {
    result.*counter = counted(before.*counter, after.*counter);
  }
  // Those with labels are not there before the first request.
  for (double ServerFigures::*labelled :
       {&ServerFigures::requests, &ServerFigures::alloc_bytes, &ServerFigures::heap_alloc_bytes}) {
    if (std::isnan(before.*labelled)) result.*labelled = after.*labelled;
  }
  return result;
}

Scraper::Scraper(std::string url) : url_(std::move(url)), curl_(curl_easy_init()) {
  if (curl_ == nullptr) throw std::runtime_error("libcurl gives no handle");
}

Scraper::~Scraper() {
  stop();
  curl_easy_cleanup(curl_);
}

Reading Scraper::read_once() {
  std::string body;
  CURL* const curl = curl_;
  curl_easy_setopt(curl, CURLOPT_URL, url_.c_str());
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, kTimeoutMs);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
  Reading reading;
  const std::int64_t begin_ns = steady_ns();
  const CURLcode code = curl_easy_perform(curl);
  reading.at_ns = begin_ns + (steady_ns() - begin_ns) / 2;
  if (code != CURLE_OK) {
    reading.error = curl_easy_strerror(code);
  } else {
    reading.figures = parse_exposition(body);
  }
  return reading;
}

void Scraper::start(std::int64_t begin_ns, std::int64_t duration_ns) {
  stop();
  end_ = false;
  begin_ns_ = begin_ns;
  readings_.clear();
  thread_ = std::thread([this, begin_ns, duration_ns] { run(begin_ns, duration_ns); });
}

void Scraper::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  ending_.notify_all();
  thread_.join();
}

void Scraper::run(std::int64_t begin_ns, std::int64_t duration_ns) {
  const std::int64_t edges = (duration_ns + kSecond - 1) / kSecond;
  for (std::int64_t edge = 0; edge <= edges; ++edge) {
    const std::int64_t at_ns = begin_ns + std::min(edge * kSecond, duration_ns);
    {
      std::unique_lock lock(mutex_);
      const std::chrono::steady_clock::time_point at{std::chrono::nanoseconds(at_ns)};
      // An interrupted run still gets its last edge.
      if (ending_.wait_until(lock, at, [this] { return end_; })) edge = edges;
    }
    readings_.push_back(read_once());
  }
}

void Scraper::annotate(Measurement& measurement) const {
  const Reading* first = nullptr;
  const Reading* previous = nullptr;
  const Reading* last = nullptr;
  for (const Reading& reading : readings_) {
    if (!reading.error.empty()) {
      previous = nullptr;
      continue;
    }
    if (first == nullptr) first = &reading;
    last = &reading;
    if (previous != nullptr) {
      // The second that lies between the two, by its middle.
      const std::int64_t middle_ns = (previous->at_ns + reading.at_ns) / 2 - begin_ns_;
      const std::int64_t number = middle_ns / kSecond;
      const auto second = std::lower_bound(
          measurement.seconds.begin(), measurement.seconds.end(), number,
          [](const Second& each, std::int64_t wanted) { return each.number < wanted; });
      if (middle_ns >= 0 && second != measurement.seconds.end() && second->number == number) {
        second->server = between(previous->figures, reading.figures);
        second->server.seconds = seconds_between(*previous, reading);
      }
    }
    previous = &reading;
  }
  if (first != nullptr && last != first) {
    measurement.server = between(first->figures, last->figures);
    measurement.server.seconds = seconds_between(*first, *last);
  }
}

}  // namespace tailrace::loadtest
