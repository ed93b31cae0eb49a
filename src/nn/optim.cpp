// What all optimizers share: the state, the step over all parameters, many optimizers as one.
#include "tarn/optim.h"

#include "base/require.h"
#include "nn/weak.h"

namespace tarn::optim {

using nn::operator""_w;
using nn::Weak;

void Slots::fill(const char* name, const Shape& shape, Dtype dtype) {
  auto [it, added] = state_.try_emplace(key(name));
  if (added) it->second = zeros(shape, dtype);
  require<ShapeError>(it->second.shape() == shape,
                      "[optimizer] the state has {} of shape {}; the parameter needs {}.",
                      it->first, text_of(it->second.shape()), text_of(shape));
}

namespace detail {
namespace {

const array& step_of(State& state) {
  return state.try_emplace("step", array(0, uint64)).first->second;
}

void set_rate(const Rule& rule, State& state) {
  rule.check();
  require(!rule.needs_rate || rule.learning_rate.is_set() || state.count("learning_rate") > 0,
          "[{}] learning_rate is not set.", rule.name);
  array step = step_of(state);
  if (rule.learning_rate.is_schedule() ||
      (rule.learning_rate.is_set() && state.count("learning_rate") == 0))
    state["learning_rate"] = rule.learning_rate.at(step);
}

}  // namespace

State start(const Rule& rule, const Leaves& parameters) {
  State state;
  set_rate(rule, state);
  for (const auto& [path, parameter] : parameters) {
    Slots slots(state, path);
    rule.start(parameter, slots);
  }
  return state;
}

Leaves stepped(const Rule& rule, const Leaves& parameters, const Leaves& gradients, State& state) {
  State next = state;
  set_rate(rule, next);
  array count = step_of(next) + array(1, uint64);
  next["step"] = count;
  auto rate = next.find("learning_rate");
  Step step{count, rate == next.end() ? array() : rate->second};
  std::map<std::string, array> by_path(parameters.begin(), parameters.end());
  Leaves updated;
  for (const auto& [path, gradient] : gradients) {
    auto it = by_path.find(path);
    require(it != by_path.end(), "[{}] there is a gradient but no parameter at {}.", rule.name,
            path);
    const array& parameter = it->second;
    require<ShapeError>(gradient.shape() == parameter.shape(),
                        "[{}] the gradient at {} has shape {}, the parameter {}.", rule.name, path,
                        text_of(gradient.shape()), text_of(parameter.shape()));
    Slots slots(next, path);
    rule.start(parameter, slots);
    updated.emplace_back(path, rule.apply(gradient, parameter, slots, step));
  }
  state = std::move(next);
  return updated;
}

std::pair<Leaves, array> clipped(const Leaves& gradients, double max_norm) {
  require(max_norm >= 0, "[clip_grad_norm] max_norm is {}; it must not be negative.", max_norm);
  array squares(0.0f);
  for (const auto& [path, g] : gradients)
    squares = squares + sum(square(abs(g.dtype() == float16 ? astype(g, float32) : g)));
  array norm = sqrt(squares);
  array factor = minimum(Weak(max_norm) / (norm + 1e-6_w), 1.0_w);
  Leaves scaled;
  for (const auto& [path, g] : gradients)
    scaled.emplace_back(
        path, issubdtype(g.dtype(), floating) ? astype(g * factor, g.dtype()) : g * factor);
  return {scaled, norm};
}

}  // namespace detail

// --- many optimizers as one

namespace {

std::string prefix_of(size_t i) { return "states." + std::to_string(i) + "."; }

State part_of(const State& state, const std::string& prefix) {
  State part;
  for (auto it = state.lower_bound(prefix); it != state.end() && it->first.starts_with(prefix);
       ++it)
    part[it->first.substr(prefix.size())] = it->second;
  return part;
}

void put_part(State& state, const std::string& prefix, const State& part) {
  for (const auto& [name, a] : part) state[prefix + name] = a;
}

}  // namespace

std::vector<detail::Leaves> MultiOptimizer::divided(const detail::Leaves& leaves) const {
  require(!optimizers.empty() && filters.size() + 1 == optimizers.size(),
          "[MultiOptimizer] {} optimizers and {} filters: one filter less than optimizers is "
          "needed.",
          optimizers.size(), filters.size());
  std::vector<detail::Leaves> parts(optimizers.size());
  for (const auto& [path, a] : leaves) {
    size_t i = 0;
    while (i < filters.size() && !filters[i](path, a)) ++i;
    parts[i].emplace_back(path, a);
  }
  return parts;
}

State MultiOptimizer::start(const detail::Leaves& parameters) const {
  auto parts = divided(parameters);
  State state;
  for (size_t i = 0; i < parts.size(); ++i)
    put_part(state, prefix_of(i), optimizers[i].start_(parts[i]));
  return state;
}

detail::Leaves MultiOptimizer::stepped(const detail::Leaves& parameters,
                                       const detail::Leaves& gradients, State& state) const {
  auto parts = divided(gradients);
  State next = state;
  detail::Leaves all;
  for (size_t i = 0; i < parts.size(); ++i) {
    State part = part_of(state, prefix_of(i));
    auto updated = optimizers[i].stepped_(parameters, parts[i], part);
    all.insert(all.end(), updated.begin(), updated.end());
    put_part(next, prefix_of(i), part);
  }
  state = std::move(next);
  return all;
}

}  // namespace tarn::optim
