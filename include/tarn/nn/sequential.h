// Layers one after another: `sequential(Linear::init(...), relu, Linear::init(...))`. Anything that
// takes an array and gives one is a layer; those that are modules have parameters,
// "layers.0.weight".
#pragma once

#include <concepts>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tarn/array.h"
#include "tarn/fields.h"
#include "tarn/random.h"

namespace tarn::nn {

template <class... M>
struct Sequential {
  std::tuple<M...> layers{};
  TARN_FIELDS(layers)

  array operator()(const array& x) const {
    return std::apply(
        [&](const M&... layer) {
          array y = x;
          ((y = layer(y)), ...);
          return y;
        },
        layers);
  }
  // While training: each layer that takes a key gets one of its own.
  array operator()(const array& x, const array& key) const {
    array y = x, rest = key;
    auto run = [&](const auto& layer) {
      if constexpr (std::invocable<decltype(layer), const array&, const array&>) {
        auto [mine, others] = random::split(rest);
        rest = others;
        y = layer(y, mine);
      } else {
        y = layer(y);
      }
    };
    std::apply([&](const M&... layer) { (run(layer), ...); }, layers);
    return y;
  }
};

template <class... M>
Sequential<std::decay_t<M>...> sequential(M&&... layers) {
  return {std::tuple<std::decay_t<M>...>(std::forward<M>(layers)...)};
}

}  // namespace tarn::nn
