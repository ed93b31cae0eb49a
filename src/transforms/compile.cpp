// compile and checkpoint.
#include <atomic>
#include <memory>
#include <mutex>

#include "base/require.h"
#include "ops/kinds.h"
#include "tarn/transforms.h"
#include "transforms/derive.h"

namespace tarn {
namespace {

std::atomic<bool> compile_enabled{true};

// A recording: calls whose inputs are earlier results (>= 0), or ~i for constant i.
struct Recording {
  struct CallOf {
    const Op* op;
    Params params;
    std::vector<int> in;
    ArraySpec spec;
  };
  size_t arguments = 0;
  std::vector<CallOf> calls{};
  Arrays constants{};
  std::vector<int> outputs{};

  Arrays run(const Arrays& inputs) const {
    Arrays values(inputs);
    values.reserve(arguments + calls.size());
    auto value = [&](int i) -> const array& {
      return i >= 0 ? values[static_cast<size_t>(i)] : constants[static_cast<size_t>(~i)];
    };
    for (const auto& c : calls) {
      std::vector<array> in;
      in.reserve(c.in.size());
      for (int i : c.in) in.push_back(value(i));
      values.push_back(record(*c.op, c.params, std::move(in), c.spec.shape, c.spec.dtype, {}));
    }
    Arrays out;
    for (int i : outputs) out.push_back(value(i));
    return out;
  }
};

Recording record_function(const ArraysFunction& fun, const Arrays& inputs) {
  Arrays arguments;
  for (const auto& x : inputs) arguments.push_back(new_placeholder({x.shape(), x.dtype()}));
  Arrays outs = fun(arguments);
  Recording r;
  r.arguments = arguments.size();
  NodeSet known = index_of(arguments);
  auto index = [&](const array& a) {
    auto [it, added] = known.try_emplace(a.node(), 0);
    if (added) {
      it->second = ~static_cast<int>(r.constants.size());
      r.constants.push_back(a);
    }
    return it->second;
  };
  for (auto& e : trace_between(outs, arguments)) {
    Recording::CallOf c{e.op, e.params, {}, {e.out.shape(), e.out.dtype()}};
    for (const auto& x : e.in) c.in.push_back(index(x));
    known[e.out.node()] = static_cast<int>(r.arguments + r.calls.size());
    r.calls.push_back(std::move(c));
  }
  for (const auto& out : outs) r.outputs.push_back(index(out));
  return r;
}

Hash signature(const Arrays& inputs) {
  Hash h;
  for (const auto& x : inputs) {
    h.add(static_cast<uint64_t>(x.dtype().val) * 64 + x.ndim());
    for (auto d : x.shape()) h.add(static_cast<uint64_t>(d));
  }
  return h;
}

struct Recordings {
  std::mutex mutex{};
  std::unordered_map<Hash, std::shared_ptr<const Recording>, HashOfHash> by_signature{};
};

}  // namespace

void disable_compile() { compile_enabled = false; }
void enable_compile() { compile_enabled = true; }

ArraysFunction compile(const ArraysFunction& fun, bool) {
  auto cache = std::make_shared<Recordings>();
  return [fun, cache](const Arrays& inputs) {
    if (!compile_enabled) return fun(inputs);
    Hash key = signature(inputs);
    std::shared_ptr<const Recording> recording;
    {
      std::lock_guard lock(cache->mutex);
      auto it = cache->by_signature.find(key);
      if (it != cache->by_signature.end()) recording = it->second;
    }
    if (!recording) {
      recording = std::make_shared<const Recording>(record_function(fun, inputs));
      std::lock_guard lock(cache->mutex);
      cache->by_signature.emplace(key, recording);
    }
    return recording->run(inputs);
  };
}

namespace {

struct CheckpointParams {
  std::shared_ptr<const ArraysFunction> fun{};
  int output = 0;
  TARN_FIELDS(fun, output)
};

// The value of its first input, made to wait for the others.
const Op depends_op{
    .name = "depends",
    .kind = Kind::movement,
    .doc = "A value that waits for others.",
    .infer =
        [](const Params&, std::span<const array> in) {
          return ArraySpec{in[0].shape(), in[0].dtype()};
        },
    .vjp =
        [](const Call& c, std::span<const Maybe> g) {
          std::vector<Maybe> out(c.in.size());
          out[0] = g[0];
          return out;
        },
    .jvp = [](const Call&, std::span<const Maybe> t) { return std::vector{t[0]}; },
    .vmap = [](const Params&, std::span<const array> in, const Batch&) { return Arrays{in[0]}; },
    .view = [](const Params&, const Layout& l) { return std::optional(l); }};

// in: output `output` of fun, then fun's arguments. The derivative runs fun again, after the
// cotangent is there, so that the intermediate values of the first run can be dropped.
std::vector<Maybe> vjp_of_checkpoint(const Call& call, std::span<const Maybe> g) {
  std::vector<Maybe> result(call.in.size());
  if (!g[0]) return result;
  const auto& p = call.params.as<CheckpointParams>();
  Arrays late;
  for (size_t i = 1; i < call.in.size(); ++i)
    late.push_back(record(depends_op, {}, {call.in[i], *g[0]}, {}));
  Arrays in = fresh_arguments(late), out = (*p.fun)(in);
  std::vector<Maybe> cotangents(out.size());
  cotangents[static_cast<size_t>(p.output)] = g[0];
  auto terms = pull_back(out, in, cotangents);
  for (size_t i = 0; i < terms.size(); ++i) result[i + 1] = terms[i];
  return result;
}

const Op checkpoint_op{
    .name = "checkpoint",
    .kind = Kind::movement,
    .doc = "A result whose derivative computes its history again.",
    .infer =
        [](const Params&, std::span<const array> in) {
          return ArraySpec{in[0].shape(), in[0].dtype()};
        },
    .vjp = vjp_of_checkpoint,
    .jvp = [](const Call&, std::span<const Maybe> t) { return std::vector{t[0]}; },
    .vmap = [](const Params&, std::span<const array> in, const Batch&) { return Arrays{in[0]}; },
    .view = [](const Params&, const Layout& l) { return std::optional(l); }};

}  // namespace

ArraysFunction checkpoint(const ArraysFunction& fun) {
  auto shared = std::make_shared<const ArraysFunction>(fun);
  return [shared](const Arrays& inputs) {
    Arrays out = (*shared)(inputs), result;
    for (size_t i = 0; i < out.size(); ++i) {
      std::vector<array> in{out[i]};
      in.insert(in.end(), inputs.begin(), inputs.end());
      CheckpointParams p{shared, static_cast<int>(i)};
      result.push_back(record(checkpoint_op, p, std::move(in), {}));
    }
    return result;
  };
}

}  // namespace tarn
