// The connections of a group, as kernels use them: bytes to and from other ranks.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/distributed.h"

namespace tarn::distributed {

using Sent = std::span<const std::byte>;
using Received = std::span<std::byte>;

struct Cards;  // the GPUs of a group, one a rank, as the backend of the GPU has them

class Peers {
 public:
  virtual ~Peers() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Sends sent[r] to rank r and receives received[r] from it, all at the same time; empty: nothing.
  // Of this rank itself both are left alone. Returns when everything has arrived and what was sent
  // may be overwritten. A rank that only sends does not wait for the others to receive, so two that
  // send before they receive do not wait for each other. `what` names the communication. Throws
  // DeviceError when a rank is gone or made another communication; the group is then of no use.
  virtual void exchange(std::string_view what, std::span<const Sent> sent,
                        std::span<const Received> received) = 0;
  // What the GPUs exchange arrays by that lie in their memory; null: those go through the host.
  virtual Cards* cards() const { return nullptr; }
  // A rank whose connection has ended; -1: none that is known. Any thread may ask.
  virtual int gone() { return -1; }
};

// What each rank has, by rank; of a type that is its bytes.
template <class T>
std::vector<T> of_all(Peers& ranks, std::string_view what, const T& mine) {
  std::vector<T> all(static_cast<size_t>(ranks.size()));
  std::vector<Sent> sent(all.size(), std::as_bytes(std::span(&mine, 1)));
  std::vector<Received> received;
  for (T& one : all) received.push_back(std::as_writable_bytes(std::span(&one, 1)));
  ranks.exchange(what, sent, received);
  all[static_cast<size_t>(ranks.rank())] = mine;
  return all;
}

// A process without others.
std::shared_ptr<Peers> alone();
// Those of `all` that `members` names, which have the places in it as their ranks.
std::shared_ptr<Peers> some_of(std::shared_ptr<Peers> all, std::vector<int> members);

// Whether this process was started as one of several by this engine, and its connections.
bool started_by_mpi();
bool mpi_is_there();
std::shared_ptr<Peers> connect_mpi();
bool started_as_ring();
std::shared_ptr<Peers> connect_ring();
// The same ranks with a GPU each, which exchange arrays by NCCL; every one of them calls it.
std::shared_ptr<Peers> connect_nccl(std::shared_ptr<Peers> ranks);
bool nccl_is_there();

}  // namespace tarn::distributed
