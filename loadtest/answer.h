// Reads HTTP/1.1 answers from bytes as they come, one after the other, and keeps the status only:
// the body is counted off, never stored. Interim answers (1xx) are passed over.
//
// Bounds: kHeadMost bytes of a head, of a chunk's size line and of trailers; the body has none.
// Not synchronised.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace tailrace::loadtest {

class Answer {
 public:
  static constexpr std::size_t kHeadMost = 64 << 10;
  enum class State { kMore, kWhole, kBroken };

  Answer();
  ~Answer();
  Answer(Answer&&) noexcept;
  Answer& operator=(Answer&&) noexcept;

  // Forgets everything. `head`: the request's method was HEAD, so that no body follows.
  void begin(bool head);
  // kWhole: `unused` is how many of the bytes come after the answer. kBroken: error() says why.
  State put(std::string_view bytes, std::size_t& unused);
  // The server has closed: that ends an answer without a length.
  State put_eof();

  // Of a whole answer.
  int status() const noexcept { return status_; }
  bool keep_alive() const noexcept { return keep_alive_; }
  const std::string& error() const noexcept { return error_; }

 private:
  struct Reader;
  State put_all(std::string_view bytes, std::size_t& unused);
  State broken(std::string why);
  State whole();

  std::unique_ptr<Reader> reader_;
  std::string held_;  // the begin of a line that has not come whole
  std::string error_;
  int status_ = 0;
  bool head_ = false;
  bool keep_alive_ = false;
};

}  // namespace tailrace::loadtest
