// Ranks that are connected by sockets, each with each.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "distributed/peers.h"

namespace tarn::distributed {

// A file descriptor that is closed with its owner.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  Socket& operator=(Socket&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  ~Socket();
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

// sockets[r] leads to rank r, whatever stands at `rank`; all are connected stream sockets.
std::shared_ptr<Peers> make_mesh(int rank, std::vector<Socket> sockets);

}  // namespace tarn::distributed
