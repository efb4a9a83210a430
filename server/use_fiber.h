// use_fiber: a completion token that makes any Asio operation a plain call of the calling fiber.
//
//   asio::ip::tcp::socket socket(http::executor());
//   socket.async_connect(endpoint, use_fiber);  // throws boost::system::system_error
//   const std::size_t got = socket.async_read_some(asio::buffer(bytes), use_fiber[error]);
//
// The call starts the operation, parks the fiber, and returns (or throws) what the handler was
// given: nothing, one value, or a tuple of several. The fiber may go on on another worker; the
// object's completions still come from the context that it was made with, which another worker runs
// while that one is stuck. `executor()` is the calling worker's. A context of the program's own may
// be used too, if a thread of its own runs it.
//
// The handler stores the result and makes the fiber ready; it never suspends, and nothing of the
// fiber runs inside it. An operation that is dropped without completing (its context is destroyed)
// ends as operation_aborted. There is no deadline in the token: cancel the object from a timer
// (`socket.cancel()`), as with any Asio operation.
#pragma once

#include <atomic>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution/context_as.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/query.hpp>
#include <boost/system/system_error.hpp>
#include <cstdint>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/barrier.h"

namespace tailrace::http {

struct UseFiber {
  struct WithError {
    boost::system::error_code* error;
  };
  // Errors go to `error` and are not thrown.
  constexpr WithError operator[](boost::system::error_code& error) const noexcept {
    return {&error};
  }
};
inline constexpr UseFiber use_fiber{};

// Of the calling worker. On a fiber of a server's scheduler.
boost::asio::io_context::executor_type executor();

namespace internal {

// Between the fiber that waits, on whose stack it lies, and the handler. One word: 0, the parked
// fiber, or kDone; whoever comes second acts.
class AsioWait {
 public:
  // Stops the program with a message on a thread without a fiber.
  AsioWait();
  void wait();
  // The handler's last touch of it.
  void complete() noexcept;

 private:
  static constexpr std::uintptr_t kDone = 1;
  std::atomic<std::uintptr_t> waiter_{0};
};

// An operation was started; `context` is the one that will complete it, null if it is not known. Its
// worker is rung unless it is the calling one, which looks before it sleeps.
void asio_work_started(boost::asio::execution_context* context) noexcept;

template <typename... Values>
struct AsioResult : AsioWait {
  std::optional<std::tuple<Values...>> values;  // none: dropped
};

template <typename... Values>
class AsioHandler {
 public:
  explicit AsioHandler(AsioResult<Values...>& result) noexcept : result_(&result) {}
  AsioHandler(AsioHandler&& other) noexcept : result_(std::exchange(other.result_, nullptr)) {}
  AsioHandler& operator=(AsioHandler&&) = delete;
  ~AsioHandler() {
    if (result_ != nullptr) result_->complete();
  }
  void operator()(Values... values) noexcept {
    AsioResult<Values...>* const result = std::exchange(result_, nullptr);
    result->values.emplace(std::move(values)...);
    // [gc.barrier.stack] It stands on the fiber's stack.
    gc::barrier_after_write(&result->values, sizeof(result->values));
    result->complete();
  }

 private:
  AsioResult<Values...>* result_;
};

template <typename Initiation>
boost::asio::execution_context* context_of(const Initiation& initiation) noexcept {
  namespace execution = boost::asio::execution;
  constexpr auto kContext = execution::context_as<boost::asio::execution_context&>;
  if constexpr (requires { boost::asio::query(initiation.get_executor(), kContext); }) {
    return &boost::asio::query(initiation.get_executor(), kContext);
  } else {
    return nullptr;
  }
}

// Not inlined: Asio uses thread-locals, whose addresses a compiler may keep as long as it sees no
// call, and the fiber may go on on another thread.
template <typename Initiation, typename Handler, typename... Args>
TAILRACE_NOINLINE void start_asio(Initiation&& initiation, Handler handler, Args&&... args) {
  std::forward<Initiation>(initiation)(std::move(handler), std::forward<Args>(args)...);
}

// The error that leads a completion's values, if any; the rest is what the call returns.
template <typename... Values>
struct AsioReturn {
  static constexpr std::size_t kSkip = 0;
};
template <typename... Rest>
struct AsioReturn<boost::system::error_code, Rest...> {
  static constexpr std::size_t kSkip = 1;
};
template <typename... Rest>
struct AsioReturn<std::exception_ptr, Rest...> {
  static constexpr std::size_t kSkip = 1;
};

template <std::size_t kSkip, typename... Values>
auto asio_rest(std::tuple<Values...>&& values) {
  constexpr std::size_t kCount = sizeof...(Values) - kSkip;
  if constexpr (kCount == 0) {
    return;
  } else if constexpr (kCount == 1) {
    return std::get<kSkip>(std::move(values));
  } else {
    return [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
      return std::make_tuple(std::move(std::get<kSkip + kIndex>(values))...);
    }
    (std::make_index_sequence<kCount>());
  }
}

template <typename... Values>
struct AsioCall {
  static constexpr std::size_t kSkip = AsioReturn<Values...>::kSkip;
  using return_type = decltype(asio_rest<kSkip>(std::declval<std::tuple<Values...>>()));

  template <typename Initiation, typename... Args>
  static return_type run(boost::system::error_code* error, Initiation&& initiation,
                         Args&&... args) {
    AsioResult<Values...> result;
    boost::asio::execution_context* const context = context_of(initiation);
    start_asio(std::forward<Initiation>(initiation), AsioHandler<Values...>(result),
               std::forward<Args>(args)...);
    asio_work_started(context);
    result.wait();

    boost::system::error_code failure;
    if (!result.values) {
      failure = boost::asio::error::operation_aborted;
    } else if constexpr (kSkip == 1) {
      auto& first = std::get<0>(*result.values);
      if constexpr (std::is_same_v<std::decay_t<decltype(first)>, std::exception_ptr>) {
        if (first) std::rethrow_exception(first);
      } else {
        failure = first;
      }
    }
    if (error != nullptr) *error = failure;
    if (failure && error == nullptr) throw boost::system::system_error(failure);
    if (!result.values) {
      if constexpr (std::is_void_v<return_type>) {
        return;
      } else if constexpr (std::is_default_constructible_v<return_type>) {
        return return_type{};
      } else {
        throw boost::system::system_error(failure);
      }
    }
    return asio_rest<kSkip>(std::move(*result.values));
  }
};

}  // namespace internal
}  // namespace tailrace::http

template <typename... Values>
class boost::asio::async_result<tailrace::http::UseFiber, void(Values...)> {
  using Call = tailrace::http::internal::AsioCall<std::decay_t<Values>...>;

 public:
  using return_type = typename Call::return_type;
  template <typename Initiation, typename... Args>
  static return_type initiate(Initiation&& initiation, const tailrace::http::UseFiber&,
                              Args&&... args) {
    return Call::run(nullptr, std::forward<Initiation>(initiation), std::forward<Args>(args)...);
  }
};

template <typename... Values>
class boost::asio::async_result<tailrace::http::UseFiber::WithError, void(Values...)> {
  using Call = tailrace::http::internal::AsioCall<std::decay_t<Values>...>;

 public:
  using return_type = typename Call::return_type;
  template <typename Initiation, typename... Args>
  static return_type initiate(Initiation&& initiation,
                              const tailrace::http::UseFiber::WithError& token, Args&&... args) {
    return Call::run(token.error, std::forward<Initiation>(initiation),
                     std::forward<Args>(args)...);
  }
};
