// See poller_asio.h.
#include "server/poller_asio.h"

#include <chrono>

#include "gcruntime/gc/mutator.h"

namespace tailrace::http {

namespace asio = boost::asio;

// Leads from a context back to its poller.
class PollerAsio::Owner final : public asio::execution_context::service {
 public:
  using key_type = Owner;
  static asio::execution_context::id id;

  Owner(asio::execution_context& context, Poller* the_poller)
      : service(context), poller(the_poller) {}
  explicit Owner(asio::execution_context& context) : Owner(context, nullptr) {}

  Poller* const poller;

 private:
  void shutdown() override {}
};

asio::execution_context::id PollerAsio::Owner::id;

PollerAsio::PollerAsio(Poller& poller, int epoll_fd) : epoll_fd_(epoll_fd) {
  asio::make_service<Owner>(context_, &poller);
}

PollerAsio::~PollerAsio() {
  // The descriptor is the poller's.
  if (bridge_) bridge_->release();
}

PollerAsio::Work PollerAsio::run_ready() {
  const std::lock_guard lock(mutex_);
  // A context that has run out of work calls itself stopped, and poll() leaves it at once: no system
  // call is made for it.
  context_.restart();
  Work work;
  gc::native([&] { work.ran = context_.poll() != 0; });
  work.under_way = !context_.stopped();
  return work;
}

void PollerAsio::wait(int timeout_ms) {
  const std::lock_guard lock(mutex_);
  if (!bridge_) bridge_.emplace(context_, epoll_fd_);
  // Arming looks at the epoll's readiness anew, so what came before is not missed.
  bridge_->async_wait(asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code&) { bridge_armed_ = false; });
  bridge_armed_ = true;
  context_.restart();
  if (timeout_ms < 0) {
    context_.run_one();
  } else {
    context_.run_one_for(std::chrono::milliseconds(timeout_ms));
  }
  // Taken down again: an armed bridge is an operation under way, and run_ready() asks for those.
  if (bridge_armed_) bridge_->cancel();
  while (bridge_armed_) {
    context_.restart();
    context_.poll();
  }
}

void PollerAsio::rescue() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  context_.restart();
  gc::native([this] { context_.poll(); });
}

Poller* PollerAsio::owner_of(asio::execution_context& context) {
  return asio::has_service<Owner>(context) ? asio::use_service<Owner>(context).poller : nullptr;
}

}  // namespace tailrace::http
