// The layers, activations, losses and initialisers by name, for nn_driver.
#pragma once

#include <string>
#include <unordered_map>
#include <utility>

#include "ops/mlx_driver.h"
#include "tarn/tarn.h"

namespace tarn::mlx_test {

// A layer with the parameters args["params"], which are the last inputs: its results, and with
// args["grad"] the gradients of sum(sin(y + 1/2)) with respect to parameters, by path, and inputs.
template <class M, class F>
Arrays layer(const Case& c, M m, F call) {
  auto paths = c.args.at("params").get<std::vector<std::string>>();
  size_t inputs = c.in.size() - paths.size();
  std::unordered_map<std::string, array> weights;
  for (size_t i = 0; i < paths.size(); ++i) weights.emplace(paths[i], c.in[inputs + i]);
  nn::load_parameters(m, weights);
  std::pair<M, Arrays> all(m, Arrays(c.in.begin(), c.in.begin() + static_cast<int64_t>(inputs)));
  if (!c.flag("grad")) return call(m, all.second);

  auto loss = [&](const std::pair<M, Arrays>& given) {
    Arrays out = call(given.first, given.second);
    array sum(0.0f);
    for (const array& y : out) sum = sum + tarn::sum(sin(y + array(0.5, y.dtype())));
    return std::pair(sum, out);
  };
  auto [value, gradient] = nn::value_and_grad(loss, all);
  Arrays out = value.second;
  std::map<std::string, array> by_path;
  nn::each_parameter(gradient.first, [&](auto& path, const array& g) { by_path[path] = g; });
  for (const auto& [path, g] : by_path)
    if (!is_absent(g)) out.push_back(g);
  for (const array& g : gradient.second)
    if (!is_absent(g)) out.push_back(g);
  return out;
}

#define TARN_LAYER(name, make, ...)                                       \
  calls[name] = [](const Case& c) {                                       \
    return layer(c, make, [&](const auto& m, const Arrays& x) -> Arrays { \
      (void)c;                                                            \
      return Arrays{__VA_ARGS__};                                         \
    });                                                                   \
  };

inline array some_key() { return random::key(11); }
inline std::optional<array> maybe(const Arrays& x, size_t i) {
  return i < x.size() ? std::optional<array>(x[i]) : std::nullopt;
}
inline Arrays both(const std::pair<array, array>& p) { return {p.first, p.second}; }

inline void add_layers(Calls& calls) {
  using namespace nn;
  TARN_LAYER("Linear", Linear::init(c.number("in"), c.number("out"), some_key(), c.flag("bias")),
             m(x[0]))
  TARN_LAYER("Bilinear", Bilinear::init(5, 4, 3, some_key(), c.flag("bias")), m(x[0], x[1]))
  TARN_LAYER("Identity", Identity(), m(x[0]))
  TARN_LAYER("Embedding", Embedding::init(10, 8, some_key()), m(x[0]), m.as_linear(x[1]))
  TARN_LAYER("LayerNorm", LayerNorm::init(8, 1e-5f, c.flag("affine"), c.flag("bias")), m(x[0]))
  TARN_LAYER("RMSNorm", RMSNorm::init(8), m(x[0]))
  TARN_LAYER("InstanceNorm", InstanceNorm::init(8, 1e-5f, c.flag("affine")), m(x[0]))
  TARN_LAYER("GroupNorm",
             GroupNorm::init(4, 8, 1e-5f, c.flag("affine"), c.flag("pytorch_compatible")), m(x[0]))
  TARN_LAYER("BatchNorm", BatchNorm::init(8, 1e-5f, 0.1f, c.flag("affine"), c.flag("track")),
             m(x[0]))
  calls["BatchNorm.train"] = [](const Case& c) {
    auto m = BatchNorm::init(8, 1e-5f, 0.1f, c.flag("affine"), c.flag("track"));
    Arrays running;
    Arrays out = layer(c, m, [&](const BatchNorm& norm, const Arrays& x) {
      return Arrays{norm.train(x[0]).first};
    });
    auto [y, next] = m.train(c.in[0]);
    if (next.running_mean) out.push_back(*next.running_mean);
    if (next.running_var) out.push_back(*next.running_var);
    return out;
  };
  TARN_LAYER("RoPE",
             (RoPE{8, c.flag("traditional"), 10000, static_cast<float>(c.real("scale", 1))}),
             m(x[0], c.number("offset")))
  TARN_LAYER("SinusoidalPositionalEncoding",
             (SinusoidalPositionalEncoding{.dims = c.number("dims"),
                                           .cos_first = c.flag("cos_first"),
                                           .full_turns = c.flag("full_turns")}),
             m(x[0]))
  TARN_LAYER("ALiBi", ALiBi(), m(x[0], c.number("offset"), maybe(x, 1)))
  TARN_LAYER("RNN", RNN::init(5, 6, some_key(), c.flag("bias")), m(x[0], maybe(x, 1)))
  TARN_LAYER("GRU", GRU::init(5, 6, some_key(), c.flag("bias")), m(x[0], maybe(x, 1)))
  calls["LSTM"] = [](const Case& c) {
    return layer(
        c, LSTM::init(5, 6, some_key(), c.flag("bias")),
        [](const LSTM& m, const Arrays& x) { return both(m(x[0], maybe(x, 1), maybe(x, 2))); });
  };
  TARN_LAYER(
      "Sequential",
      sequential(Linear::init(8, 6, some_key()), ReLU(), Dropout(), Linear::init(6, 3, some_key())),
      m(x[0]))
  calls["QuantizedLinear"] = [](const Case& c) {
    Quantization how{.group_size = c.number("group_size"), .bits = c.number("bits")};
    return layer(c, QuantizedLinear::init(64, 16, some_key(), c.flag("bias"), how),
                 [](const Linear& m, const Arrays& x) { return Arrays{m(x[0])}; });
  };
  TARN_LAYER("QQLinear", QQLinear::init(64, 16, some_key()), m(x[0]))
  TARN_LAYER("QuantizedEmbedding", QuantizedEmbedding::init(10, 64, some_key()), m(x[0]),
             m.as_linear(x[1]))
}

inline void add_attention(Calls& calls) {
  using namespace nn;
  TARN_LAYER("MultiHeadAttention",
             MultiHeadAttention::init(
                 8, 2, some_key(),
                 {.key_inputs = 6, .values = 12, .value_outputs = 10, .bias = c.flag("bias")}),
             m(x[0], x[1], x[1], maybe(x, 2)))
  auto options = [](const Case& c) {
    return TransformerOptions{
        .mlp_dims = 12, .norm_first = c.flag("norm_first"), .checkpoint = c.flag("checkpoint")};
  };
  calls["TransformerEncoder"] = [options](const Case& c) {
    return layer(c, TransformerEncoder::init(2, 8, 2, some_key(), options(c)),
                 [](const auto& m, const Arrays& x) { return Arrays{m(x[0], maybe(x, 1))}; });
  };
  calls["TransformerDecoder"] = [options](const Case& c) {
    return layer(c, TransformerDecoder::init(2, 8, 2, some_key(), options(c)),
                 [](const auto& m, const Arrays& x) { return Arrays{m(x[0], x[1], maybe(x, 2))}; });
  };
  calls["Transformer"] = [options](const Case& c) {
    return layer(c, Transformer::init(some_key(), 8, 2, 2, 2, options(c)),
                 [](const auto& m, const Arrays& x) {
                   return Arrays{m(x[0], x[1], std::nullopt, maybe(x, 2))};
                 });
  };
  calls["causal_mask"] = [](const Case& c) {
    return Arrays{MultiHeadAttention::create_additive_causal_mask(5, c.dtype())};
  };
}

template <class P>
P per_axis(const Case& c, const char* key, int otherwise) {
  P p{otherwise};
  if (!c.has(key)) return p;
  auto v = c.list(key);
  for (size_t i = 0; i < p.of.size(); ++i) p.of[i] = v[v.size() == 1 ? 0 : i];
  return p;
}

template <class Pool>
Pool pool_of(const Case& c) {
  using P = decltype(Pool{}.kernel_size);
  Pool p{.kernel_size = per_axis<P>(c, "kernel_size", 1), .padding = per_axis<P>(c, "padding", 0)};
  if (c.has("stride")) p.stride = per_axis<P>(c, "stride", 1);
  return p;
}

template <size_t N>
void add_conv(Calls& calls) {
  using P = nn::PerAxis<N>;
  std::string n = std::to_string(N) + "d";
  TARN_LAYER(
      "Conv" + n,
      (nn::Conv<N>::init(c.number("in"), c.number("out"), per_axis<P>(c, "kernel", 1), some_key(),
                         {.stride = per_axis<P>(c, "stride", 1),
                          .padding = per_axis<P>(c, "padding", 0),
                          .dilation = per_axis<P>(c, "dilation", 1),
                          .groups = c.number("groups", 1),
                          .bias = c.flag("bias")})),
      m(x[0]))
  TARN_LAYER("ConvTranspose" + n,
             (nn::ConvTranspose<N>::init(c.number("in"), c.number("out"),
                                         per_axis<P>(c, "kernel", 1), some_key(),
                                         {.stride = per_axis<P>(c, "stride", 1),
                                          .padding = per_axis<P>(c, "padding", 0),
                                          .dilation = per_axis<P>(c, "dilation", 1),
                                          .output_padding = per_axis<P>(c, "output_padding", 0),
                                          .bias = c.flag("bias")})),
             m(x[0]))
}

inline void add_positions(Calls& calls) {
  add_conv<1>(calls);
  add_conv<2>(calls);
  add_conv<3>(calls);
  using namespace nn;
#define TARN_POOL(Name) TARN_LAYER(#Name, pool_of<Name>(c), m(x[0]))
  TARN_POOL(MaxPool1d)
  TARN_POOL(MaxPool2d)
  TARN_POOL(MaxPool3d)
  TARN_POOL(AvgPool1d)
  TARN_POOL(AvgPool2d) TARN_POOL(AvgPool3d)
#undef TARN_POOL
      calls["Upsample"] = [](const Case& c) {
        auto mode = c.word("mode") == "nearest"  ? Upsample::Mode::nearest
                    : c.word("mode") == "linear" ? Upsample::Mode::linear
                                                 : Upsample::Mode::cubic;
        Upsample u{c.args.at("scale").get<std::vector<double>>(), mode, c.flag("align_corners"),
                   c.flag("antialias")};
        return layer(c, u, [](const Upsample& m, const Arrays& x) { return Arrays{m(x[0])}; });
      };
}

inline void add_activations(Calls& calls) {
#define TARN_ACT(name, ...)                                   \
  calls["act." #name] = [](const Case& c) {                   \
    return Arrays{nn::name(c[0] __VA_OPT__(, ) __VA_ARGS__)}; \
  };
  TARN_ACT(sigmoid)
  TARN_ACT(relu)
  TARN_ACT(relu2)
  TARN_ACT(relu6)
  TARN_ACT(leaky_relu, c.real("a", 0.01)) TARN_ACT(log_softmax, c.number("axis", -1)) TARN_ACT(
      elu, c.real("a", 1)) TARN_ACT(softmax, c.number("axis", -1))
      TARN_ACT(softmin, c.number("axis", -1)) TARN_ACT(softplus) TARN_ACT(softsign) TARN_ACT(
          softshrink, c.real("a", 0.5)) TARN_ACT(celu, c.real("a", 1)) TARN_ACT(silu)
          TARN_ACT(log_sigmoid) TARN_ACT(gelu) TARN_ACT(gelu_approx) TARN_ACT(gelu_fast_approx)
              TARN_ACT(glu, c.number("axis", -1)) TARN_ACT(step, c.real("a", 0)) TARN_ACT(selu)
                  TARN_ACT(prelu, c[1]) TARN_ACT(mish) TARN_ACT(hardswish)
                      TARN_ACT(hard_tanh, c.real("a", -1), c.real("b", 1)) TARN_ACT(
                          hard_shrink, c.real("a", 0.5)) TARN_ACT(tanh)
#undef TARN_ACT
#define TARN_ACT(Name) TARN_LAYER(#Name, nn::Name{}, m(x[0]))
                          TARN_ACT(Sigmoid) TARN_ACT(Mish) TARN_ACT(ReLU) TARN_ACT(ReLU2)
                              TARN_ACT(ReLU6) TARN_ACT(Softmax) TARN_ACT(Softplus)
                                  TARN_ACT(Softsign) TARN_ACT(SiLU) TARN_ACT(LogSoftmax)
                                      TARN_ACT(LogSigmoid) TARN_ACT(Tanh) TARN_ACT(Hardswish)
                                          TARN_ACT(SELU) TARN_ACT(HardTanh) TARN_ACT(Softmin)
                                              TARN_ACT(GLU) TARN_ACT(LeakyReLU) TARN_ACT(ELU)
                                                  TARN_ACT(CELU) TARN_ACT(Softshrink) TARN_ACT(
                                                      HardShrink) TARN_ACT(Step) TARN_ACT(PReLU)
#undef TARN_ACT
                                                      TARN_LAYER(
                                                          "GELU",
                                                          (nn::GELU{static_cast<nn::GELU::Approx>(
                                                              c.number("approx"))}),
                                                          m(x[0]))
}

}  // namespace tarn::mlx_test
