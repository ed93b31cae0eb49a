// Programs of several processes: groups of them, and the ops by which the processes of a group
// exchange arrays. docs/distributed.md tells how such a program is started.
//
// Every process of a group, a rank, makes the same communications in the same order. Those of one
// evaluation happen one after the other, in the order in which the graph was walked; evaluations of
// one thread, and what async_eval was given, in the order of the calls. Ranks whose calls differ
// get a DeviceError that says where. Two threads of a process must not communicate at the same
// time.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "tarn/array.h"
#include "tarn/device.h"

namespace tarn::distributed {

class Peers;  // the connections of a group, src/distributed/peers.h

// Some processes that know each other by rank, 0 to size() - 1. A value: copies are the same group.
class Group {
 public:
  explicit Group(std::shared_ptr<Peers> peers) : peers_(std::move(peers)) {}
  int rank() const;
  int size() const;
  // The ranks that give the same colour, in the order of their keys, and among equal or negative
  // keys of their ranks here. Every rank has to call it. Throws ValueError for a negative colour.
  Group split(int color, int key = -1) const;
  // Whether the ranks' GPUs exchange arrays themselves, by NCCL.
  bool has_cards() const;
  const std::shared_ptr<Peers>& raw_group() const { return peers_; }

 private:
  std::shared_ptr<Peers> peers_;
};

// What MLX's jaccl backend is given, which is not here.
using AllGatherFn = std::function<void(const char*, char*, size_t)>;
using AllGatherFactory = std::function<AllGatherFn(int, int)>;

// Whether this process can be one of several: Open MPI is installed, or a ring was started.
bool is_available();
// "mpi": Open MPI's library is found. "ring": MLX_HOSTFILE and MLX_RANK are set, as `tarn launch`
// and MLX's launcher do. "any": one of them. "nccl": NCCL's library and a GPU are found. "jaccl":
// never, today. Throws ValueError for another name.
bool is_available(const std::string& bk);
// All processes that were started together; connects them at the first call, later ones give the
// same group. A process that was started alone is a group of one or, when `strict`, a DeviceError
// that says how to start several. Throws DeviceError, strict or not, when it was started as one of
// several and cannot reach the others. "nccl": those of "any", with a GPU each, which then exchange
// arrays of GPU streams themselves; DeviceError where one of them lacks a GPU or NCCL.
Group init(bool strict = false, const std::string& bk = "any");
// Throws ValueError unless bk is "jaccl", else as init(strict, bk).
Group init(bool strict, const std::string& bk, AllGatherFactory factory);
// The next init connects anew; groups that somebody holds keep their connections.
void clear_backends();

// The sum, the largest or the smallest of every rank's x, element by element; the shapes must be
// the same. Sums are added in rank order in float64 or 64-bit integers and rounded once, so that
// every rank has the same bits; of bool it is "any". Without a group: all processes. The
// cotangents of all_sum are those of one loss that all ranks share, as in MLX: they pass unchanged.
array all_sum(const array& x, std::optional<Group> group = std::nullopt, StreamOrDevice s = {});
array all_max(const array& x, std::optional<Group> group = std::nullopt, StreamOrDevice s = {});
array all_min(const array& x, std::optional<Group> group = std::nullopt, StreamOrDevice s = {});
// Every rank's x one after the other along axis 0, by rank: (n, ...) to (size * n, ...), () to
// (size,).
array all_gather(const array& x, std::optional<Group> group = std::nullopt, StreamOrDevice s = {});
// This rank's part along axis 0 of the sum: (size * n, ...) to (n, ...). Throws ShapeError.
array sum_scatter(const array& x, std::optional<Group> group = std::nullopt, StreamOrDevice s = {});
// x, which is sent to rank `dst` when the result is evaluated. Throws ValueError for a rank that is
// not there, oneself included.
array send(const array& x, int dst, std::optional<Group> group = std::nullopt,
           StreamOrDevice s = {});
// What rank `src` sends; shape and dtype must be those of what it sends. Throws ValueError.
array recv(Shape shape, Dtype dtype, int src, std::optional<Group> group = std::nullopt,
           StreamOrDevice s = {});
array recv_like(const array& x, int src, std::optional<Group> group = std::nullopt,
                StreamOrDevice s = {});

}  // namespace tarn::distributed
