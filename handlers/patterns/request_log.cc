#include "handlers/patterns/request_log.h"

#include <charconv>
#include <utility>

#include "gcruntime/os/clock.h"

namespace tailrace::patterns {
namespace {

std::int64_t since_us(std::int64_t start_ns) { return (os::now_ns() - start_ns) / 1000; }

// A line in an array on the stack. What does not fit is cut.
class ShortLine {
 public:
  ShortLine& operator<<(std::string_view text) noexcept {
    size_ += text.copy(text_ + size_, kRoom - size_);
    return *this;
  }
  ShortLine& operator<<(std::int64_t number) noexcept {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    return *this << std::string_view(digits, static_cast<std::size_t>(end - digits));
  }
  std::string_view finish() noexcept {
    text_[size_++] = '\n';
    return {text_, size_};
  }

 private:
  static constexpr std::size_t kRoom = 255;
  char text_[kRoom + 1];
  std::size_t size_ = 0;
};

// A client may not write most of the line.
constexpr std::size_t kMostTargetBytes = 160;

}  // namespace

void LogLines::add(std::string_view line) {
  const std::lock_guard lock(mutex_);
  if (line.size() > most_bytes_ - text_.size()) {
    ++dropped_;
    return;
  }
  text_.append(line);
}

std::string LogLines::take() {
  std::string empty;
  empty.reserve(most_bytes_);
  const std::lock_guard lock(mutex_);
  return std::exchange(text_, std::move(empty));
}

std::uint64_t LogLines::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

Handler bad::logged(Handler next, LogLines& lines) {
  return [next = std::move(next), &lines](Request& request) -> Response {
    const std::int64_t start_ns = os::now_ns();
    Response response = next(request);
    gc::String line = gc::concat("method=", to_string(request.method()),
                                 " target=", request.target().substr(0, kMostTargetBytes));
    line = gc::concat(line, " status=", std::to_string(response.status()),
                      " us=", std::to_string(since_us(start_ns)), "\n");
    lines.add(line);
    return response;
  };
}

Handler good::logged(Handler next, LogLines& lines) {
  return [next = std::move(next), &lines](Request& request) -> Response {
    const std::int64_t start_ns = os::now_ns();
    Response response = next(request);
    ShortLine line;
    line << "method=" << to_string(request.method())
         << " target=" << request.target().substr(0, kMostTargetBytes)
         << " status=" << response.status() << " us=" << since_us(start_ns);
    lines.add(line.finish());
    return response;
  };
}

}  // namespace tailrace::patterns
