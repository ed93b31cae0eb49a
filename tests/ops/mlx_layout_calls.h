// Ops of layout, indexing, creation and random numbers by name. Included by mlx_calls.h.
#pragma once

namespace tarn::mlx_test {

inline Arrays stepped(const Case& c) {
  return {slice(c[0], c.shape("start"), c.shape("stop"), c.shape("steps"))};
}

inline void add_layout(Calls& calls) {
  calls["reshape"] = [](const Case& c) { return Arrays{reshape(c[0], c.shape("shape"))}; };
  calls["unflatten"] = [](const Case& c) {
    return Arrays{unflatten(c[0], c.number("axis"), c.shape("shape"))};
  };
  calls["flatten"] = [](const Case& c) {
    return Arrays{flatten(c[0], c.number("start"), c.number("end", -1))};
  };
  calls["squeeze"] = [](const Case& c) {
    return Arrays{c.has("axes") ? squeeze(c[0], c.list("axes")) : squeeze(c[0])};
  };
  calls["expand_dims"] = [](const Case& c) { return Arrays{expand_dims(c[0], c.list("axes"))}; };
  calls["flip"] = [](const Case& c) {
    return Arrays{c.has("axes") ? flip(c[0], c.list("axes")) : flip(c[0])};
  };
  calls["repeat"] = [](const Case& c) {
    int n = c.number("repeats");
    return Arrays{c.has("axis") ? repeat(c[0], n, c.number("axis")) : repeat(c[0], n)};
  };
  calls["tile"] = [](const Case& c) { return Arrays{tile(c[0], c.list("reps"))}; };
  calls["transpose"] = [](const Case& c) {
    return Arrays{c.has("axes") ? transpose(c[0], c.list("axes")) : transpose(c[0])};
  };
  calls["swapaxes"] = [](const Case& c) {
    return Arrays{swapaxes(c[0], c.number("a"), c.number("b"))};
  };
  calls["moveaxis"] = [](const Case& c) {
    return Arrays{moveaxis(c[0], c.number("a"), c.number("b"))};
  };
  calls["pad"] = [](const Case& c) {
    std::vector<std::pair<int, int>> width;
    for (const auto& w : c.args.at("width")) width.emplace_back(w[0].get<int>(), w[1].get<int>());
    return Arrays{pad(c[0], width, c[1], c.word("mode", "constant"))};
  };
  calls["broadcast_to"] = [](const Case& c) {
    return Arrays{broadcast_to(c[0], c.shape("shape"))};
  };
  calls["broadcast_arrays"] = [](const Case& c) { return broadcast_arrays(c.in); };
  calls["diagonal"] = [](const Case& c) {
    return Arrays{diagonal(c[0], c.number("offset"), c.number("axis1"), c.number("axis2", 1))};
  };
  calls["diag"] = [](const Case& c) { return Arrays{diag(c[0], c.number("k"))}; };
  calls["roll"] = [](const Case& c) {
    int shift = c.number("shift");
    return Arrays{c.has("axes") ? roll(c[0], shift, c.list("axes")) : roll(c[0], shift)};
  };
  calls["as_strided"] = [](const Case& c) {
    Shape strides = c.shape("strides");
    return Arrays{
        as_strided(c[0], c.shape("shape"), strides, static_cast<size_t>(c.number("offset")))};
  };
  calls["view"] = [](const Case& c) { return Arrays{view(c[0], c.dtype())}; };
  calls["slice"] = stepped;
  calls["slice_update"] = [](const Case& c) {
    return Arrays{slice_update(c[0], c[1], c.shape("start"), c.shape("stop"), c.shape("steps"))};
  };
  calls["split"] = [](const Case& c) {
    if (c.has("count")) return split(c[0], c.number("count"), c.number("axis"));
    return split(c[0], c.shape("indices"), c.number("axis"));
  };
  calls["unstack"] = [](const Case& c) { return unstack(c[0], c.number("axis")); };
  calls["concatenate"] = [](const Case& c) {
    return Arrays{c.has("axis") ? concatenate(c.in, c.number("axis")) : concatenate(c.in)};
  };
  calls["stack"] = [](const Case& c) { return Arrays{stack(c.in, c.number("axis"))}; };

  calls["take"] = [](const Case& c) {
    return Arrays{c.has("axis") ? take(c[0], c[1], c.number("axis")) : take(c[0], c[1])};
  };
  calls["take_along_axis"] = [](const Case& c) {
    return Arrays{take_along_axis(c[0], c[1], c.number("axis"))};
  };
  calls["put_along_axis"] = [](const Case& c) {
    return Arrays{put_along_axis(c[0], c[1], c[2], c.number("axis"))};
  };
  calls["gather"] = [](const Case& c) {
    return Arrays{
        gather(c[0], Arrays(c.in.begin() + 1, c.in.end()), c.list("axes"), c.shape("sizes"))};
  };
#define TARN_SCATTER(op)                                                                 \
  calls[#op] = [](const Case& c) {                                                       \
    return Arrays{op(c[0], Arrays(c.in.begin() + 2, c.in.end()), c[1], c.list("axes"))}; \
  };
  TARN_SCATTER(scatter)
  TARN_SCATTER(scatter_add)
  TARN_SCATTER(scatter_max) TARN_SCATTER(scatter_min) TARN_SCATTER(scatter_prod)
#undef TARN_SCATTER
}

inline void add_creation(Calls& calls) {
  calls["arange"] = [](const Case& c) {
    double start = c.real("start"), stop = c.real("stop"), step = c.real("step", 1);
    if (c.has("dtype")) return Arrays{arange(start, stop, step, c.dtype())};
    if (c.flag("whole"))
      return Arrays{
          arange(static_cast<int>(start), static_cast<int>(stop), static_cast<int>(step))};
    return Arrays{arange(start, stop, step)};
  };
  calls["linspace"] = [](const Case& c) {
    return Arrays{linspace(c.real("start"), c.real("stop"), c.number("num"), c.dtype())};
  };
  calls["full"] = [](const Case& c) { return Arrays{full(c.shape("shape"), c[0], c.dtype())}; };
  calls["zeros"] = [](const Case& c) { return Arrays{zeros(c.shape("shape"), c.dtype())}; };
  calls["ones"] = [](const Case& c) { return Arrays{ones(c.shape("shape"), c.dtype())}; };
  calls["eye"] = [](const Case& c) {
    return Arrays{eye(c.number("n"), c.number("m"), c.number("k"), c.dtype())};
  };
  calls["identity"] = [](const Case& c) { return Arrays{identity(c.number("n"), c.dtype())}; };
  calls["tri"] = [](const Case& c) {
    return Arrays{tri(c.number("n"), c.number("m"), c.number("k"), c.dtype())};
  };
  calls["tril"] = [](const Case& c) { return Arrays{tril(c[0], c.number("k"))}; };
  calls["triu"] = [](const Case& c) { return Arrays{triu(c[0], c.number("k"))}; };
  calls["meshgrid"] = [](const Case& c) {
    return meshgrid(c.in, c.flag("sparse"), c.word("indexing", "xy"));
  };
}

inline void add_random(Calls& calls) {
  calls["random_key"] = [](const Case& c) {
    return Arrays{random::key(c.args.at("seed").get<uint64_t>())};
  };
  calls["random_seed"] = [](const Case& c) {
    random::seed(c.args.at("seed").get<uint64_t>());
    return Arrays{random::uniform({5}), random::uniform({3}), random::normal({4})};
  };
  calls["random_bits"] = [](const Case& c) {
    return Arrays{random::bits(c.shape("shape"), c.number("width", 4), c[0])};
  };
  calls["random_split"] = [](const Case& c) {
    return Arrays{random::split(c[0], c.number("count", 2))};
  };
  calls["random_uniform"] = [](const Case& c) {
    return Arrays{random::uniform(c[1], c[2], c.shape("shape"), c.dtype(), c[0])};
  };
  calls["random_normal"] = [](const Case& c) {
    return Arrays{random::normal(c.shape("shape"), c.dtype(), static_cast<float>(c.real("loc")),
                                 static_cast<float>(c.real("scale", 1)), c[0])};
  };
  calls["random_randint"] = [](const Case& c) {
    return Arrays{random::randint(c[1], c[2], c.shape("shape"), c.dtype(), c[0])};
  };
  calls["random_bernoulli"] = [](const Case& c) {
    return Arrays{random::bernoulli(c[1], c.shape("shape"), c[0])};
  };
  calls["random_gumbel"] = [](const Case& c) {
    return Arrays{random::gumbel(c.shape("shape"), c.dtype(), c[0])};
  };
  calls["random_categorical"] = [](const Case& c) {
    return Arrays{random::categorical(c[1], c.number("axis", -1), c[0])};
  };
  calls["random_permutation"] = [](const Case& c) {
    if (c.has("count")) return Arrays{random::permutation(c.number("count"), c[0])};
    return Arrays{random::permutation(c[1], c.number("axis"), c[0])};
  };
}

}  // namespace tarn::mlx_test
