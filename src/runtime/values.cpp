#include "runtime/values.h"

#include <algorithm>
#include <optional>

#include "base/require.h"
#include "ops/kinds.h"

namespace tarn {
namespace {

// An expansion may use ops that are expanded themselves; none of ours goes deeper than three.
constexpr int deepest_expansion = 16;

}  // namespace

Operand operand_of(const Value& v) {
  Operand o;
  o.dtype = v.dtype;
  o.shape = v.layout.shape;
  o.strides = v.layout.strides;
  o.contiguous = is_row_contiguous(v.layout.shape, v.layout.strides);
  return o;
}

bool ValueBuilder::is_contiguous(const Value& v) const {
  return is_row_contiguous(v.layout.shape, v.layout.strides);
}

int ValueBuilder::add(Value v) {
  int id = static_cast<int>(values.size());
  if (v.base < 0) v.base = id;
  values.push_back(std::move(v));
  return id;
}

int ValueBuilder::leaf(int item) {
  const auto& it = graph_.items[static_cast<size_t>(item)];
  Value v;
  v.kind = Value::Kind::leaf;
  v.dtype = it.node->dtype;
  v.layout = layout_of(*it.node);
  v.index = item;
  v.donated = it.donated;
  return add(std::move(v));
}

int ValueBuilder::constant(const array& a) {
  Value v;
  v.kind = Value::Kind::constant;
  v.dtype = a.dtype();
  v.layout = layout_of(*a.node());
  v.index = static_cast<int>(plan_.constants.size());
  plan_.constants.push_back(a);
  return add(std::move(v));
}

int ValueBuilder::view_of(int of, Layout layout, Dtype dtype) {
  const Value& source = values[static_cast<size_t>(of)];
  Value v;
  v.kind = Value::Kind::view;
  v.dtype = dtype;
  v.in = {of};
  v.base = source.base;
  v.byte_offset = source.byte_offset;
  v.layout = std::move(layout);
  return add(std::move(v));
}

int ValueBuilder::contiguous(int value) {
  const Value& v = values[static_cast<size_t>(value)];
  if (is_contiguous(v)) return value;
  return apply(ops::copy_op, {}, -1, {value}, {v.layout.shape, v.dtype}, 0);
}

Step ValueBuilder::probe(const Op& op, const Params& params, const std::vector<int>& in,
                         const ArraySpec& spec) {
  Step s;
  s.op = &op;
  s.params = &params;
  probed_.clear();
  for (int i : in) probed_.push_back(operand_of(values[static_cast<size_t>(i)]));
  s.in = probed_;
  s.out.dtype = spec.dtype;
  s.out.shape = spec.shape;
  s.out.strides = row_strides(spec.shape);
  return s;
}

int ValueBuilder::kernel_value(const Kernel& k, const Backend& of, const Op& op,
                               const Params& params, int item, std::vector<int> in,
                               const ArraySpec& spec) {
  for (auto& i : in) {
    const Value& v = values[static_cast<size_t>(i)];
    const auto& [shape, strides, offset] = v.layout;
    bool rows = shape.empty() || shape.back() <= 1 || strides.back() == 1;
    bool fine =
        k.accepts == Accepts::any || is_contiguous(v) || (k.accepts == Accepts::rows && rows);
    if (!fine) i = contiguous(i);
  }
  if (k.packing) in.push_back(packed(*k.packing, of, op, params, in, spec));
  return add(kernel_of(k, of, op, params, item, std::move(in), spec));
}

Value ValueBuilder::kernel_of(const Kernel& k, const Backend& of, const Op& op,
                              const Params& params, int item, std::vector<int> in,
                              const ArraySpec& spec) {
  Value v;
  v.kind = Value::Kind::kernel;
  v.op = &op;
  v.params = params;
  v.item = item;
  v.in = std::move(in);
  v.dtype = spec.dtype;
  v.layout = {spec.shape, row_strides(spec.shape), 0};
  v.kernel = &k;
  v.backend = &of;
  return v;
}

// What `packing` makes for a kernel with these inputs, made before if another wants the same.
int ValueBuilder::packed(const Packing& packing, const Backend& of, const Op& op,
                         const Params& params, const std::vector<int>& in, const ArraySpec& spec) {
  Step s = probe(op, params, in, spec);
  Hash h;
  h.add(reinterpret_cast<uintptr_t>(&packing));
  h.add(packing.key(s));
  h.add(static_cast<uint64_t>(in[0]));
  if (auto it = same_.find(h); it != same_.end()) return it->second;
  ArraySpec bytes{{static_cast<int64_t>(packing.bytes(s))}, uint8};
  int result = add(kernel_of(packing.kernel, of, op, params, -1, in, bytes));
  same_.emplace(h, result);
  return result;
}

int ValueBuilder::apply(const Op& op, const Params& params, int item, std::vector<int> in,
                        const ArraySpec& spec, int depth) {
  // Equal ops on equal values are one value. Run-time parameters may part at the next evaluation.
  Hash h;
  bool shared = !params.has_runtime();
  if (shared) {
    h.add(reinterpret_cast<uintptr_t>(&op));
    params.hash(h);
    h.add(static_cast<uint64_t>(spec.dtype.val) + (current_ == device_ ? 64 : 0));
    for (auto d : spec.shape) h.add(static_cast<uint64_t>(d));
    for (int i : in) h.add(static_cast<uint64_t>(i));
    if (auto it = same_.find(h); it != same_.end()) return it->second;
  }
  int result = -1;
  if (op.view && !in.empty()) {
    const Value& source = values[static_cast<size_t>(in[0])];
    auto layout = op.view(params, source.layout);
    // A view of everything is the value itself, unless it also waits for other inputs.
    bool same = layout && in.size() == 1 && layout->shape == source.layout.shape &&
                layout->strides == source.layout.strides && layout->offset == source.layout.offset;
    if (same)
      result = in[0];
    else if (layout)
      result = view_of(in[0], std::move(*layout), spec.dtype);
    else {
      int flat = contiguous(in[0]);
      layout = op.view(params, values[static_cast<size_t>(flat)].layout);
      if (layout) result = view_of(flat, std::move(*layout), spec.dtype);
    }
  } else if (op.kind == Kind::elementwise) {
    Value v;
    v.kind = Value::Kind::elementwise;
    v.op = &op;
    v.params = params;
    v.in = std::move(in);
    v.dtype = spec.dtype;
    v.layout = {spec.shape, row_strides(spec.shape), 0};
    v.backend = current_;
    result = add(std::move(v));
  } else {
    result = computed(op, params, item, std::move(in), spec, depth);
  }
  if (shared) same_.emplace(h, result);
  return result;
}

// By the first that there is: a kernel or expansion of the item's backend, the op's expansion, the
// CPU's kernel.
int ValueBuilder::computed(const Op& op, const Params& params, int item, std::vector<int> in,
                           const ArraySpec& spec, int depth) {
  Step s = probe(op, params, in, spec);
  const Kernel* own = current_->table.find(s);
  if (own && !own->expand)
    return kernel_value(*own, *current_, op, params, item, std::move(in), spec);
  ExpandRule expand = own ? own->expand : op.expand;
  if (expand && depth < deepest_expansion) {
    if (params.has_runtime()) plan_.baked = true;
    return expanded(expand, params, std::move(in), depth + 1);
  }
  const Kernel* k = current_ == &cpu_ ? nullptr : cpu_.table.find(s);
  require<DeviceError>(k != nullptr,
                       "[eval] the device has no kernel for {} of {} and the op no expansion.",
                       op.name, name_of(spec.dtype));
  return kernel_value(*k, cpu_, op, params, item, std::move(in), spec);
}

int ValueBuilder::expanded(ExpandRule expand, const Params& params, std::vector<int> in,
                           int depth) {
  std::unordered_map<Node*, int> known;
  std::vector<array> arguments;
  for (int i : in) {
    const Value& v = values[static_cast<size_t>(i)];
    arguments.push_back(new_placeholder({v.layout.shape, v.dtype}));
    known.emplace(arguments.back().node(), i);
  }
  std::optional<StreamContext> place;  // kernels of programs ask where they are called
  if (current_ == device_) place.emplace(Device::gpu);
  Arrays outs = expand(params, arguments);
  return lower_array(outs[0], known, depth);
}

int ValueBuilder::lower_array(const array& a, std::unordered_map<Node*, int>& known, int depth) {
  // Expansions are small, so recursion over their inputs is shallow.
  if (auto it = known.find(a.node()); it != known.end()) return it->second;
  Node* n = a.node();
  int result = -1;
  if (n->state == State::ready) {
    result = constant(a);
  } else {
    std::vector<int> in;
    for (const auto& x : n->inputs) in.push_back(lower_array(x, known, depth));
    result = apply(*n->op, n->params, -1, std::move(in), {n->shape, n->dtype}, depth);
  }
  known.emplace(n, result);
  return result;
}

void ValueBuilder::build() {
  value_of_item.resize(graph_.items.size(), -1);
  for (size_t i = 0; i < graph_.items.size(); ++i) {
    const auto& item = graph_.items[i];
    int id = static_cast<int>(i);
    if (item.leaf) {
      value_of_item[i] = leaf(id);
      continue;
    }
    std::vector<int> in;
    for (int x : graph_.in(item)) in.push_back(value_of_item[static_cast<size_t>(x)]);
    const Node& n = *item.node;
    current_ = device_ && n.stream.device == Device::gpu ? device_ : &cpu_;
    value_of_item[i] = apply(*n.op, n.params, n.params.has_runtime() ? id : -1, std::move(in),
                             {n.shape, n.dtype}, 0);
  }
}

}  // namespace tarn
