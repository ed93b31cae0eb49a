// Joining, splitting and padding.
#include <algorithm>

#include "ops/movement.h"

namespace tarn {

using namespace ops;

array concatenate(std::vector<array> arrays, int axis, StreamOrDevice s) {
  require(!arrays.empty(), "[concatenate] no arrays are given.");
  if (arrays.size() == 1) return arrays[0];
  auto at = static_cast<size_t>(normalize_axis("concatenate", axis, arrays[0].ndim()));
  Dtype t = result_type(arrays);
  for (auto& a : arrays) {
    bool fits = a.ndim() == arrays[0].ndim();
    for (size_t i = 0; fits && i < a.ndim(); ++i)
      fits = i == at || a.shape()[i] == arrays[0].shape()[i];
    require<ShapeError>(fits, "[concatenate] shapes {} and {} differ outside axis {}.",
                        text_of(arrays[0].shape()), text_of(a.shape()), at);
    a = astype(a, t, s);
  }
  return record(op_of<Concatenate>, Concatenate::P{static_cast<int>(at)}, std::move(arrays), s);
}
array concatenate(std::vector<array> arrays, StreamOrDevice s) {
  for (auto& a : arrays) a = flatten(a, s);
  return concatenate(std::move(arrays), 0, s);
}
array stack(const std::vector<array>& arrays, int axis, StreamOrDevice s) {
  require(!arrays.empty(), "[stack] no arrays are given.");
  std::vector<array> wide;
  for (const auto& a : arrays) {
    require<ShapeError>(a.shape() == arrays[0].shape(), "[stack] shapes {} and {} differ.",
                        text_of(arrays[0].shape()), text_of(a.shape()));
    wide.push_back(expand_dims(a, axis, s));
  }
  return concatenate(std::move(wide), normalize_axis("stack", axis, arrays[0].ndim() + 1), s);
}
array stack(const std::vector<array>& arrays, StreamOrDevice s) { return stack(arrays, 0, s); }

std::vector<array> split(const array& a, const Shape& indices, int axis, StreamOrDevice s) {
  auto at = static_cast<size_t>(normalize_axis("split", axis, a.ndim()));
  Shape start(a.ndim(), 0), stop = a.shape();
  std::vector<array> parts;
  for (size_t i = 0; i <= indices.size(); ++i) {
    stop[at] = i < indices.size() ? indices[i] : a.shape()[at];
    parts.push_back(slice(a, start, stop, s));
    start[at] = stop[at];
  }
  return parts;
}
std::vector<array> split(const array& a, const Shape& indices, StreamOrDevice s) {
  return split(a, indices, 0, s);
}
std::vector<array> split(const array& a, int num_splits, int axis, StreamOrDevice s) {
  int64_t n = a.shape(normalize_axis("split", axis, a.ndim()));
  require<ShapeError>(num_splits > 0 && n % num_splits == 0,
                      "[split] axis of size {} does not divide into {} parts.", n, num_splits);
  Shape indices;
  for (int64_t i = 1; i < num_splits; ++i) indices.push_back(i * (n / num_splits));
  return split(a, indices, axis, s);
}
std::vector<array> split(const array& a, int num_splits, StreamOrDevice s) {
  return split(a, num_splits, 0, s);
}
std::vector<array> unstack(const array& a, StreamOrDevice s) { return unstack(a, 0, s); }
std::vector<array> unstack(const array& a, int axis, StreamOrDevice s) {
  int at = normalize_axis("unstack", axis, a.ndim());
  std::vector<array> parts;
  for (int64_t i = 0; i < a.shape(at); ++i) {
    Shape start(a.ndim(), 0), stop = a.shape();
    start[static_cast<size_t>(at)] = i;
    stop[static_cast<size_t>(at)] = i + 1;
    parts.push_back(squeeze(slice(a, start, stop, s), at, s));
  }
  return parts;
}

namespace {

array pad_with_edge(const array& a, const Shape& low, const Shape& high, StreamOrDevice s) {
  array out = a;
  for (size_t i = 0; i < a.ndim(); ++i) {
    int axis = static_cast<int>(i);
    require<ShapeError>(a.shape()[i] > 0 || low[i] + high[i] == 0,
                        "[pad] axis {} of shape {} is empty: mode \"edge\" has no value to repeat.",
                        i, text_of(a.shape()));
    auto edge_of = [&](int64_t at, int64_t n) {
      Shape start(out.ndim(), 0), stop = out.shape(), wide = out.shape();
      start[i] = at;
      stop[i] = at + 1;
      wide[i] = n;
      return broadcast_to(slice(out, start, stop, s), wide, s);
    };
    std::vector<array> parts;
    if (low[i] > 0) parts.push_back(edge_of(0, low[i]));
    parts.push_back(out);
    if (high[i] > 0) parts.push_back(edge_of(out.shape()[i] - 1, high[i]));
    out = concatenate(parts, axis, s);
  }
  return out;
}

// Where element `at` of the padded axis comes from: the axis is mirrored again and again at its
// ends, with the outermost element said twice ("symmetric") or once ("reflect").
int64_t mirrored(int64_t at, int64_t n, bool twice) {
  int64_t period = twice ? 2 * n : std::max<int64_t>(2 * n - 2, 1);
  int64_t k = ((at % period) + period) % period;
  return k < n ? k : (twice ? 2 * n - 1 : 2 * n - 2) - k;
}
array pad_with_mirror(const array& a, const Shape& low, const Shape& high, const std::string& mode,
                      StreamOrDevice s) {
  array out = a;
  for (size_t i = 0; i < a.ndim(); ++i) {
    if (low[i] + high[i] == 0) continue;
    int64_t n = a.shape()[i];
    require<ShapeError>(n > 0, "[pad] axis {} of shape {} is empty: mode \"{}\" has no value.", i,
                        text_of(a.shape()), mode);
    std::vector<int64_t> from;
    for (int64_t at = -low[i]; at < n + high[i]; ++at)
      from.push_back(mirrored(at, n, mode == "symmetric"));
    array index(from.begin(), Shape{static_cast<int64_t>(from.size())}, int64);
    out = take(out, index, static_cast<int>(i), s);
  }
  return out;
}

}  // namespace

array pad(const array& a, const std::vector<int>& axes, const Shape& low_pad_size,
          const Shape& high_pad_size, const array& pad_value, const std::string& mode,
          StreamOrDevice s) {
  require<ShapeError>(axes.size() == low_pad_size.size() && axes.size() == high_pad_size.size(),
                      "[pad] {} axes, {} low and {} high sizes.", axes.size(), low_pad_size.size(),
                      high_pad_size.size());
  require(mode == "constant" || mode == "edge" || mode == "reflect" || mode == "symmetric",
          "[pad] mode is \"{}\"; it must be \"constant\", \"edge\", \"reflect\" or \"symmetric\".",
          mode);
  Shape low(a.ndim(), 0), high(a.ndim(), 0), whole = a.shape();
  for (size_t i = 0; i < axes.size(); ++i) {
    auto at = static_cast<size_t>(normalize_axis("pad", axes[i], a.ndim()));
    require<ShapeError>(low_pad_size[i] >= 0 && high_pad_size[i] >= 0,
                        "[pad] axis {} is padded by {} and {}: negative.", at, low_pad_size[i],
                        high_pad_size[i]);
    low[at] = low_pad_size[i];
    high[at] = high_pad_size[i];
    whole[at] += low[at] + high[at];
  }
  if (whole == a.shape()) return a;
  if (mode == "edge") return pad_with_edge(a, low, high, s);
  if (mode != "constant") return pad_with_mirror(a, low, high, mode, s);
  return update_slice(full(whole, astype(pad_value, a.dtype(), s), s), a, Update::set, low,
                      Shape(a.ndim(), 1), s);
}
array pad(const array& a, const std::vector<std::pair<int, int>>& pad_width, const array& pad_value,
          const std::string& mode, StreamOrDevice s) {
  require<ShapeError>(pad_width.size() == a.ndim(), "[pad] {} widths for an array with {} axes.",
                      pad_width.size(), a.ndim());
  std::vector<int> axes;
  Shape low, high;
  for (size_t i = 0; i < pad_width.size(); ++i) {
    axes.push_back(static_cast<int>(i));
    low.push_back(pad_width[i].first);
    high.push_back(pad_width[i].second);
  }
  return pad(a, axes, low, high, pad_value, mode, s);
}
array pad(const array& a, const std::pair<int, int>& pad_width, const array& pad_value,
          const std::string& mode, StreamOrDevice s) {
  return pad(a, std::vector<std::pair<int, int>>(a.ndim(), pad_width), pad_value, mode, s);
}
array pad(const array& a, int pad_width, const array& pad_value, const std::string& mode,
          StreamOrDevice s) {
  return pad(a, std::vector<std::pair<int, int>>(a.ndim(), {pad_width, pad_width}), pad_value, mode,
             s);
}

}  // namespace tarn
