// A loss and its derivative, piece by piece.
#include "lm/cache/training.h"

#include <algorithm>

#include "tarn/fast.h"
#include "tarn/ops.h"
#include "tarn/transforms.h"

namespace tarn::lm {
namespace {

thread_local Training thread_training;

using Arrays = std::vector<array>;

// Which of `in` have derivatives: floats, but not the weights at the end.
std::vector<int> differentiable(const Arrays& in) {
  std::vector<int> places;
  for (size_t i = 0; i + 2 < in.size(); ++i)
    if (issubdtype(in[i].dtype(), floating)) places.push_back(static_cast<int>(i));
  return places;
}

// `in` with rows [from, to) of the last three.
Arrays piece_of(Arrays in, int64_t from, int64_t to) {
  size_t x = in.size() - 3;
  in[x] = slice(in[x], {0, from, 0}, {1, to, in[x].shape(2)});
  for (size_t i : {x + 1, x + 2}) in[i] = slice(in[i], {from}, {to});
  return in;
}

// Of a piece. A GPU makes numbers of all the head's codes for each.
int64_t head_rows() { return default_device() == Device::gpu ? 1024 : 256; }

// The loss, and the derivatives with respect to differentiable(in). A piece's loss waits for its
// derivative, so that one piece is done before the next begins.
std::pair<array, Arrays> loss_and_slopes(const ArraysFunction& f, const Arrays& in) {
  std::vector<int> places = differentiable(in);
  int64_t rows = in[in.size() - 3].shape(1), each = head_rows();
  array loss(0.0f);
  Arrays slopes, of_x;
  for (int64_t from = 0; from < rows; from += each) {
    auto [value, made] = value_and_grad(f, places)(piece_of(in, from, std::min(from + each, rows)));
    loss = loss + depends({value[0]}, {made.back()})[0];
    of_x.push_back(made.back());
    for (size_t i = 0; i + 1 < made.size(); ++i)
      from == 0 ? slopes.push_back(made[i]) : void(slopes[i] = slopes[i] + made[i]);
  }
  slopes.push_back(of_x.size() == 1 ? of_x[0] : concatenate(of_x, 1));
  return {loss, slopes};
}

// The sum of f(in...) over pieces of the last three of `in`: x (1, k, width), and two of k numbers.
// Its derivative is computed along with it, so that nothing inside of a piece outlives that.
array loss_in_pieces(const ArraysFunction& f, const Arrays& in) {
  auto slopes = std::make_shared<Arrays>();
  auto forward = [&](const Arrays& x) {
    auto [loss, made] = loss_and_slopes(f, x);
    *slopes = std::move(made);
    return Arrays{loss};
  };
  auto backward = [slopes, places = differentiable(in)](const Arrays& x, const Arrays& g,
                                                        const Arrays&) {
    Arrays all;
    for (const array& a : x) all.push_back(zeros_like(a));
    for (size_t i = 0; i < places.size(); ++i)
      all[static_cast<size_t>(places[i])] = g[0] * (*slopes)[i];
    return all;
  };
  return custom_vjp(forward, backward)(in)[0];
}

array logits_by(const nn::Linear& head, const array& x) { return head(x); }
array logits_by(const nn::Embedding& table, const array& x) { return table.as_linear(x); }
array capped(const array& x, float cap) {
  return cap > 0 ? array(cap) * tanh(x * array(1 / cap)) : x;
}

template <class Head>
array run(const Head& head, const array& x, float softcap) {
  const auto& wanted = TrainingScope::current().loss;
  if (!wanted) return capped(logits_by(head, x), softcap);
  auto loss = [&](const Arrays& in) {
    Head own = head;
    size_t at = 0;
    tarn::detail::put_leaves(own, in, at);
    array y = squeeze(capped(logits_by(own, in[at]), softcap), 0);
    return Arrays{sum(fast::cross_entropy(y, in[at + 1]) * in[at + 2])};
  };
  Arrays in = tarn::detail::leaves_of(head);
  in.insert(in.end(), {x, wanted->targets, wanted->weights});
  return loss_in_pieces(loss, in);
}

}  // namespace

TrainingScope::TrainingScope(Training training)
    : before_(std::exchange(thread_training, std::move(training))) {}
TrainingScope::~TrainingScope() { thread_training = std::move(before_); }
const Training& TrainingScope::current() { return thread_training; }

array run_head(const std::optional<nn::Linear>& head, const nn::Embedding& table, const array& x,
               float softcap) {
  return head ? run(*head, x, softcap) : run(table, x, softcap);
}

}  // namespace tarn::lm
