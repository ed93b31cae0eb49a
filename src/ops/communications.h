// Ops by which the processes of a group exchange arrays. They are never merged with their like: a
// group is a run-time parameter.
#pragma once

#include <memory>

#include "ops/kinds.h"
#include "tarn/distributed.h"

namespace tarn::ops {

struct GroupParams {
  std::shared_ptr<distributed::Peers> peers{};
  int cards = 0;  // GPUs that exchange arrays themselves; a plan is made for so many
  TARN_FIELDS(cards)
  TARN_RUNTIME_FIELDS(peers)
};

#define TARN_RULES                                                         \
  using P = GroupParams;                                                   \
  static ArraySpec infer(const Params& params, std::span<const array> in); \
  static Arrays vmap(const Params& params, std::span<const array> in, const Batch& batch);
#define TARN_VJP static std::vector<Maybe> vjp(const Call& call, std::span<const Maybe> cotangents);
#define TARN_JVP static std::vector<Maybe> jvp(const Call& call, std::span<const Maybe> tangents);

struct AllSum {
  static constexpr Spec spec{"all_sum", Types::number, "The sum over the ranks of a group."};
  using Kind = Reduction;
  static constexpr int linear = 1;
  TARN_RULES TARN_VJP
};
struct AllMax {
  static constexpr Spec spec{"all_max", Types::number, "The largest over a group; NaN wins."};
  using Kind = Reduction;
  TARN_RULES TARN_VJP TARN_JVP
};
struct AllMin {
  static constexpr Spec spec{"all_min", Types::number, "The smallest over a group; NaN wins."};
  using Kind = Reduction;
  TARN_RULES TARN_VJP TARN_JVP
};
struct SumScatter {
  static constexpr Spec spec{"sum_scatter", Types::number, "A rank's part of the sum."};
  using Kind = Reduction;
  static constexpr int linear = 1;
  TARN_RULES TARN_VJP
};
struct AllGather {
  static constexpr Spec spec{"all_gather", Types::number, "Every rank's rows, by rank."};
  using Kind = Movement;
  static constexpr int linear = 1;
  TARN_RULES static std::vector<Maybe> transpose(const Call& call, const array& g);
};

struct PeerParams {
  int peer = 0;
  std::shared_ptr<distributed::Peers> peers{};
  TARN_FIELDS(peer)
  TARN_RUNTIME_FIELDS(peers)
};
struct Send {
  static constexpr Spec spec{"send", Types::number, "The same value, sent to a rank."};
  using Kind = Movement;
  using P = PeerParams;
  using grad = none;
  static ArraySpec infer(const Params& params, std::span<const array> in);
  static Arrays vmap(const Params& params, std::span<const array> in, const Batch& batch);
};
struct Recv {
  static constexpr Spec spec{"recv", Types::number, "What a rank sends."};
  using Kind = Source;
  struct P {
    int peer = 0;
    Shape shape{};
    Dtype dtype{};
    std::shared_ptr<distributed::Peers> peers{};
    TARN_FIELDS(peer, shape, dtype)
    TARN_RUNTIME_FIELDS(peers)
  };
  static ArraySpec infer(const Params& params, std::span<const array> in);
};

#undef TARN_RULES
#undef TARN_VJP
#undef TARN_JVP

using CommunicationOps = List<AllSum, AllMax, AllMin, SumScatter, AllGather, Send, Recv>;

// Whether an op's steps must happen in the order of the graph, each once.
inline bool communicates(const Op* op) {
  bool one = false;
  CommunicationOps::each([&]<class T>(type<T>) { one |= op == &op_of<T>; });
  return one;
}

}  // namespace tarn::ops
