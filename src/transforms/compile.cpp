// compile and checkpoint.
#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "base/require.h"
#include "ops/kinds.h"
#include "tarn/transforms.h"
#include "transforms/derive.h"
#include "transforms/record.h"

namespace tarn {
namespace {

std::atomic<CompileMode> mode{CompileMode::enabled};

// Loops over growing arrays make recordings that nobody asks for again.
constexpr size_t most_recordings = 256;
constexpr size_t most_tried = 16;

Hash signature(const std::vector<ArraySpec>& arguments, bool with_sizes) {
  Hash h;
  for (const auto& x : arguments) {
    h.add(static_cast<uint64_t>(x.dtype.val) * 64 + x.shape.size());
    if (!with_sizes) continue;
    for (auto d : x.shape) h.add(static_cast<uint64_t>(d));
  }
  return h;
}

using Shared = std::shared_ptr<const Recording>;

// A recording and the sizes at which the function was recorded again, with the same calls.
struct Resizable {
  Shared base{};
  std::vector<std::vector<ArraySpec>> tried{};
};

class Recordings {
 public:
  Shared get(const ArraysFunction& fun, const std::vector<ArraySpec>& arguments, bool shapeless) {
    Hash key = signature(arguments, true), of_ranks = signature(arguments, false);
    std::optional<Resizable> from;
    {
      std::lock_guard lock(mutex_);
      if (auto it = by_sizes_.find(key); it != by_sizes_.end()) return it->second;
      if (auto it = by_ranks_.find(of_ranks); shapeless && it != by_ranks_.end()) from = it->second;
    }
    if (Shared r = from ? by_resizing(*from, arguments) : nullptr) return keep(key, r);
    auto r = std::make_shared<const Recording>(record_function(fun, arguments, shapeless));
    if (shapeless) learn(of_ranks, from, r);
    return keep(key, r);
  }

 private:
  static std::optional<Recording> try_to_resize(const Recording& r,
                                                const std::vector<ArraySpec>& arguments) {
    try {
      return resized(r, arguments);
    } catch (const ShapeError&) {
      return std::nullopt;  // sizes that do not go together: the function itself shall say so
    }
  }
  static Shared by_resizing(const Resizable& from, const std::vector<ArraySpec>& arguments) {
    for (const auto& tried : from.tried) {
      if (!covers(from.base->arguments, tried, arguments)) continue;
      if (auto r = try_to_resize(*from.base, arguments))
        return std::make_shared<const Recording>(std::move(*r));
    }
    return nullptr;
  }
  void learn(const Hash& of_ranks, const std::optional<Resizable>& from, const Shared& r) {
    std::optional<Recording> guess;
    if (from) guess = try_to_resize(*from->base, r->arguments);
    bool right = guess && same(*guess, *r);
    std::lock_guard lock(mutex_);
    Resizable& known = by_ranks_.try_emplace(of_ranks, Resizable{r, {}}).first->second;
    if (right && known.base == from->base && known.tried.size() < most_tried)
      known.tried.push_back(r->arguments);
    // What fun captured may have been computed since, so the newer recording is the better base.
    if (!right && known.tried.empty()) known.base = r;
  }
  Shared keep(const Hash& key, const Shared& r) {
    std::lock_guard lock(mutex_);
    if (by_sizes_.size() >= most_recordings) by_sizes_.clear();
    return by_sizes_.emplace(key, r).first->second;
  }

  std::mutex mutex_{};
  std::unordered_map<Hash, Shared, HashOfHash> by_sizes_{};
  std::unordered_map<Hash, Resizable, HashOfHash> by_ranks_{};
};

ArraysFunction compiled(const ArraysFunction& fun, bool shapeless,
                        const std::shared_ptr<Recordings>& recordings) {
  return [fun, shapeless, recordings](const Arrays& inputs) {
    if (mode == CompileMode::disabled) return fun(inputs);
    return recordings->get(fun, specs_of(inputs), shapeless)->run(inputs);
  };
}

}  // namespace

void set_compile_mode(CompileMode m) { mode = m; }
void disable_compile() { mode = CompileMode::disabled; }
void enable_compile() { mode = CompileMode::enabled; }

ArraysFunction compile(const ArraysFunction& fun, bool shapeless) {
  return compiled(fun, shapeless, std::make_shared<Recordings>());
}

ArraysFunction compile(ArraysPointer fun, bool shapeless) {
  // A function of the program is compiled once, however often compile is called with it.
  static auto* const mutex = new std::mutex;
  static auto* const known =
      new std::map<std::pair<ArraysPointer, bool>, std::shared_ptr<Recordings>>;
  std::lock_guard lock(*mutex);
  auto& recordings = (*known)[{fun, shapeless}];
  if (!recordings) recordings = std::make_shared<Recordings>();
  return compiled(fun, shapeless, recordings);
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
    .view = [](const Params&, const Layout& l) { return std::optional(l); },
    .transparent = true};

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
    .view = [](const Params&, const Layout& l) { return std::optional(l); },
    .transparent = true};

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
