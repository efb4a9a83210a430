// The system calls of a session, as values: a count of bytes, or a negative errno.
//
// Never inlined: a fiber may resume on another thread, compilers keep the address of errno over
// calls, so errno is read in the very function that made the call.
#pragma once

#include <cstddef>

namespace tailrace::http {

// Bytes read, 0 at the peer's end, or -errno. Retries EINTR.
long receive_some(int fd, char* to, std::size_t bytes) noexcept;
// Bytes taken by the kernel or -errno; a peer that is gone gives -EPIPE, no signal.
long send_some(int fd, const char* from, std::size_t bytes) noexcept;
// The peer sees the end of our stream; what it sends still arrives.
void shutdown_send(int fd) noexcept;
// Nothing moves any more in either direction; whoever waits for the socket wakes.
void shutdown_both(int fd) noexcept;
void close_socket(int fd) noexcept;

}  // namespace tailrace::http
