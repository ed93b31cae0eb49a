// Movements: steps turned into copies and calls of move.cu.
#include "cuda/move.h"

#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/table.h"
#include "ops/movement.h"

namespace tarn::cuda {
namespace {

void join_pieces(const Step& s) {
  JoinCall c;
  int64_t at = 0;
  c.y = s.out.data;
  auto launch = [&] {
    if (c.count > 0) launch_join(c, queue());
    check(cudaGetLastError(), "a launch");
    c.count = 0;
  };
  for (const auto& in : s.in) {
    int64_t bytes = in.size() * in.dtype.size;
    c.x[c.count] = in.data, c.bytes[c.count] = bytes, c.at[c.count] = at;
    at += bytes;
    if (++c.count == most_pieces) launch();
  }
  launch();
}
void run_concatenate(const Step& s, int, int) {
  auto axis = static_cast<size_t>(s.params->as<ops::Concatenate::P>().axis);
  auto size = static_cast<size_t>(s.out.dtype.size);
  size_t outer = 1, inner = size;
  for (size_t i = 0; i < axis; ++i) outer *= static_cast<size_t>(s.out.shape[i]);
  for (size_t i = axis + 1; i < s.out.shape.size(); ++i)
    inner *= static_cast<size_t>(s.out.shape[i]);
  constexpr size_t many = 8;  // inputs, for which copies of their own would be launches
  if (outer == 1 && s.in.size() >= many) return join_pieces(s);
  size_t row = static_cast<size_t>(s.out.shape[axis]) * inner, at = 0;
  for (const auto& in : s.in) {
    size_t bytes = static_cast<size_t>(in.shape[axis]) * inner;
    if (bytes > 0 && outer > 0)
      check(cudaMemcpy2DAsync(s.out.as<std::byte>() + at, row, in.data, bytes, bytes, outer,
                              cudaMemcpyDeviceToDevice, queue()),
            "a copy");
    at += bytes;
  }
}
void run_copy(const Step& s, int, int) {
  auto bytes = static_cast<size_t>(s.out.size()) * s.out.dtype.size;
  if (bytes > 0)
    check(cudaMemcpyAsync(s.out.data, s.in[0].data, bytes, cudaMemcpyDeviceToDevice, queue()),
          "a copy");
}

bool takes_gather(const Step& s) {
  return s.params->as<ops::Gather::P>().axes.size() <= most_indexed &&
         s.in[0].shape.size() <= most_axes;
}
void run_gather(const Step& s, int, int) {
  const auto& p = s.params->as<ops::Gather::P>();
  const Operand& x = s.in[0];
  GatherCall c;
  for (auto d : p.slice_sizes) c.box_size *= d;
  if (s.out.size() == 0) return;
  c.x = x.data, c.y = s.out.data, c.bytes = x.dtype.size;
  c.fault = fault_of(*s.op);
  c.box = strided(p.slice_sizes, x.strides);
  c.n = s.out.size() / c.box_size;
  c.indexed = static_cast<int>(p.axes.size());
  for (size_t k = 0; k < p.axes.size(); ++k) {
    auto axis = static_cast<size_t>(p.axes[k]);
    c.index[k] = s.in[k + 1].data, c.index_type[k] = column(s.in[k + 1].dtype);
    c.axis[k] = p.axes[k];
    c.size[k] = x.shape[axis], c.stride[k] = x.strides[axis], c.taken[k] = p.slice_sizes[axis];
  }
  launch_gather(c, queue());
  check(cudaGetLastError(), "a launch");
}

bool takes_gather_axis(const Step& s) { return s.out.shape.size() <= most_axes; }
void run_gather_axis(const Step& s, int, int) {
  auto axis = static_cast<size_t>(s.params->as<ops::GatherAxis::P>().axis);
  const Operand &x = s.in[0], &index = s.in[1];
  if (s.out.size() == 0) return;
  Strides without = x.strides;
  without[axis] = 0;
  GatherAxisCall c;
  c.x = x.data, c.index = index.data, c.y = s.out.data;
  c.fault = fault_of(*s.op);
  c.from = strided(s.out.shape, without);
  c.at = strided(s.out.shape, index.strides);
  c.count = s.out.size(), c.size = x.shape[axis], c.stride = x.strides[axis];
  c.axis = static_cast<int>(axis), c.index_type = column(index.dtype), c.bytes = x.dtype.size;
  launch_gather_axis(c, queue());
  check(cudaGetLastError(), "a launch");
}

bool takes_update(const Step& s) {
  return s.params->as<ops::SliceUpdate::P>().mode == ops::Update::set &&
         s.out.shape.size() <= most_axes;
}
bool always(const Step&) { return true; }
int64_t first_element(const Step& s) {
  const auto& p = s.params->as<ops::SliceUpdate::P>();
  int64_t offset = 0;
  for (size_t i = 0; i < p.start.size(); ++i) offset += s.out.strides[i] * p.start[i];
  return offset;
}
void run_update(const Step& s, int, int) {
  const auto& p = s.params->as<ops::SliceUpdate::P>();
  const Operand& x = s.in[1];
  if (x.size() == 0) return;
  Strides steps(p.step.size());
  for (size_t i = 0; i < p.step.size(); ++i) steps[i] = s.out.strides[i] * p.step[i];
  UpdateCall c;
  c.bytes = s.out.dtype.size;
  c.x = x.data, c.y = s.out.data, c.number = s.number;
  c.from = strided(x.shape, x.strides);
  c.to = strided(x.shape, steps);
  c.count = x.size();
  c.from_type = column(x.dtype), c.to_type = column(s.out.dtype);
  launch_update(c, queue());
  check(cudaGetLastError(), "a launch");
}

// Whole lines of float32 added by one index array; each line of the result looks at all indices.
constexpr int64_t most_looks = int64_t{1} << 32;
bool takes_scatter(const Step& s) {
  const auto& p = s.params->as<ops::Scatter::P>();
  if (p.mode != ops::Update::add || p.axes.size() != 1 || s.out.dtype != float32) return false;
  const Shape &y = s.out.shape, &x = s.in[1].shape;
  auto axis = static_cast<size_t>(p.axes[0]), boxes = x.size() - y.size();
  int64_t lines = 1;
  for (size_t i = 0; i < y.size(); ++i) {
    if (x[boxes + i] != (i == axis ? 1 : y[i])) return false;
    if (i <= axis) lines *= y[i];
  }
  return lines <= INT32_MAX && lines * s.in[2].size() <= most_looks;
}
void run_scatter(const Step& s, int, int) {
  auto axis = static_cast<size_t>(s.params->as<ops::Scatter::P>().axes[0]);
  ScatterCall c;
  for (size_t i = 0; i < axis; ++i) c.outer *= s.out.shape[i];
  for (size_t i = axis + 1; i < s.out.shape.size(); ++i) c.inner *= s.out.shape[i];
  c.size = s.out.shape[axis], c.count = s.in[2].size();
  if (s.out.size() == 0 || c.count == 0) return;
  c.x = s.in[1].as<const float>(), c.y = s.out.as<float>(), c.index = s.in[2].data;
  c.fault = fault_of(*s.op);
  c.axis = static_cast<int>(axis), c.index_type = column(s.in[2].dtype);
  launch_scatter_add(c, queue());
  check(cudaGetLastError(), "a launch");
}

}  // namespace

void add_movements(KernelTable& t) {
  using namespace ops;
  t.add(op_of<Concatenate>, {.run = run_concatenate, .name = "copy"});
  t.add(op_of<ViewAs>, {.run = run_copy, .name = "copy"});
  t.add(op_of<Depends>, {.run = run_copy, .name = "copy"});
  Kernel gather{.run = run_gather, .fits = takes_gather, .name = "gather"};
  gather.checks = true;
  t.add(op_of<Gather>, gather);
  Kernel lines{.run = run_gather_axis, .fits = takes_gather_axis, .accepts = Accepts::any};
  lines.checks = true;
  lines.name = "lines";
  t.add(op_of<GatherAxis>, lines);
  Kernel update{.run = run_update, .fits = takes_update, .accepts = Accepts::any};
  update.updates_first = true;
  update.number = first_element;
  update.repeatable = always;
  update.name = "in place";
  t.add(op_of<SliceUpdate>, update);
  Kernel scatter{.run = run_scatter, .fits = takes_scatter, .name = "lines, in place"};
  scatter.updates_first = scatter.checks = true;
  t.add(op_of<Scatter>, scatter);
}

}  // namespace tarn::cuda
