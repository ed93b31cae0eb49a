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

// A layer that is called f(x, key) while training says `static constexpr bool takes_key = true`.
template <class T>
concept TakesKey = requires {
  requires std::remove_cvref_t<T>::takes_key;
};

template <class... M>
struct Sequential {
  std::tuple<M...> layers{};
  static constexpr bool takes_key = true;
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
  // While training: each layer that takes a key gets one of its own, the others evaluate.
  array operator()(const array& x, const array& key) const {
    array y = x, rest = key;
    auto run = [&](const auto& layer) {
      if constexpr (TakesKey<decltype(layer)>) {
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
