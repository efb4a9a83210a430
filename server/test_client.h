// TestClient: a small blocking HTTP/1.1 client over a loopback socket, for tests of services and
// for the healthcheck command. Knows no fibers; one thread at a time.
//
// It can also send raw bytes and read what comes, for tests of what no proper client sends.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailrace::http {

struct ClientResponse {
  int status = 0;
  std::string head;  // status line and fields, as received
  std::string body;

  // The first field of that name, in any case; empty if there is none.
  std::string_view header(std::string_view name) const noexcept;
};

class TestClient {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  explicit TestClient(std::uint16_t port, std::string host = "127.0.0.1",
                      std::int64_t timeout_ms = 10'000);
  ~TestClient();
  TestClient(TestClient&& other) noexcept;
  TestClient& operator=(TestClient&&) = delete;

  // One request on the kept connection (made anew if the server has closed it). nullopt: no
  // connection, no complete answer, or too late.
  std::optional<ClientResponse> request(std::string_view method, std::string_view target,
                                        std::string_view body = {}, const Headers& headers = {});
  std::optional<ClientResponse> get(std::string_view target, const Headers& headers = {}) {
    return request("GET", target, {}, headers);
  }
  std::optional<ClientResponse> post_json(std::string_view target, std::string_view body) {
    return request("POST", target, body, {{"Content-Type", "application/json"}});
  }

  // --- Raw
  bool connect();
  void close();
  // No more from us; we still read.
  void shutdown_send();
  bool send(std::string_view bytes);
  // The next complete answer; the head of one to HEAD says how long a body would be, so say so.
  std::optional<ClientResponse> read_response(bool to_head = false);
  // Everything up to the server's end; nullopt if it does not end in time. `reset`: it ended by
  // RST.
  std::optional<std::string> read_to_end(bool* reset = nullptr);
  // At most so many bytes, what is there; empty at the end or when nothing comes in time.
  std::string read_some(std::size_t bytes);
  int fd() const noexcept { return fd_; }

 private:
  // More bytes into received_. False: the end, an error, or too late.
  bool read_more();

  std::uint16_t port_;
  std::string host_;
  std::int64_t timeout_ms_;
  int fd_ = -1;
  bool reset_ = false;
  bool ended_ = false;
  std::string received_;
};

}  // namespace tailrace::http
