// What every optimizer's step is made of: the state as a value, rates that may follow a schedule,
// and the way from a tree of parameters to its leaves and back.
#pragma once

#include <concepts>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tarn/array.h"
#include "tarn/nn/module.h"
#include "tarn/tree.h"

namespace tarn::optim {

// "step" (uint64), "learning_rate", and each parameter's own arrays: "layers.0.weight.m". The names
// are those of MLX's flattened optimizer state, and a file of these arrays restores a run.
using State = std::map<std::string, array>;

// A number's course over the steps: from the count of steps taken, a 0-d array, to its value.
using Schedule = std::function<array(const array& step)>;

// A number or a schedule. A number is put into the state before the first step, and counts from
// there: state["learning_rate"] = array(1e-4f) changes it. A schedule is asked at every step.
class LearningRate {
 public:
  LearningRate() = default;
  LearningRate(double value) : value_(value), is_set_(true) {}
  template <std::invocable<const array&> F>
  LearningRate(F schedule) : schedule_(std::move(schedule)), is_set_(true) {}

  bool is_set() const { return is_set_; }
  bool is_schedule() const { return schedule_ != nullptr; }
  array at(const array& step) const { return schedule_ ? schedule_(step) : array(value_); }

 private:
  double value_ = 0;
  Schedule schedule_{};
  bool is_set_ = false;
};

// One parameter's part of the state.
class Slots {
 public:
  Slots(State& state, std::string path) : state_(state), path_(std::move(path)) {}
  array& operator[](const char* name) { return state_[key(name)]; }
  // Puts zeros there unless something is. Throws ShapeError for something of another shape.
  void fill(const char* name, const Shape& shape, Dtype dtype);

 private:
  std::string key(const char* name) const { return tarn::detail::join(path_, name); }

  State& state_;
  std::string path_;
};

// The count of this step, from 1 on, and its rate.
struct Step {
  array count{};
  array learning_rate{};
};

namespace detail {

using Leaves = std::vector<std::pair<std::string, array>>;

// An optimizer that treats each parameter by itself.
struct Rule {
  const char* name = "";
  LearningRate learning_rate{};
  bool needs_rate = true;
  std::function<void()> check{};
  std::function<void(const array& parameter, Slots&)> start{};
  std::function<array(const array& gradient, const array& parameter, Slots&, const Step&)> apply{};
};
State start(const Rule& rule, const Leaves& parameters);
// The parameters that have a gradient, after a step; `state` becomes the next one.
Leaves stepped(const Rule& rule, const Leaves& parameters, const Leaves& gradients, State& state);

template <Tree M>
Leaves trainable(const M& m) {
  Leaves leaves;
  nn::each_trainable(m, [&](const std::string& path, const array& a) {
    if (!is_absent(a)) leaves.emplace_back(path, a);
  });
  return leaves;
}
template <Tree M>
Leaves present(const M& m) {
  Leaves leaves;
  each_leaf(m, [&](const std::string& path, const array& a) {
    if (!is_absent(a)) leaves.emplace_back(path, a);
  });
  return leaves;
}
template <Tree M>
void put(M& m, const Leaves& leaves) {
  std::map<std::string, array> by_path(leaves.begin(), leaves.end());
  each_leaf(m, [&](const std::string& path, array& a) {
    if (auto it = by_path.find(path); it != by_path.end()) a = it->second;
  });
}

std::pair<Leaves, array> clipped(const Leaves& gradients, double max_norm);

}  // namespace detail

// {gradients, norm}: scaled so that the norm of all of them together, which is `norm` before, is at
// most max_norm. Throws ValueError for a negative max_norm.
template <Tree G>
std::pair<G, array> clip_grad_norm(G gradients, double max_norm) {
  auto [leaves, norm] = detail::clipped(detail::present(gradients), max_norm);
  detail::put(gradients, leaves);
  return {std::move(gradients), norm};
}

}  // namespace tarn::optim
