// Kernels that move elements: concatenate, gather, scatter, slice_update, reinterpretation.
#include "cpu/move.h"

#include <cstring>
#include <vector>

#include "cpu/index.h"
#include "cpu/number.h"
#include "cpu/share.h"
#include "ops/movement.h"
#include "ops/ragged.h"

namespace tarn::cpu {
namespace {

using ops::Update;

// --- joining an update to a value

template <class T, Update mode>
void join(T& to, T x) {
  if constexpr (mode == Update::set)
    to = x;
  else if constexpr (mode == Update::add)
    to = narrow<T>(plus(widen(to), widen(x)));
  else if constexpr (mode == Update::prod)
    to = narrow<T>(times(widen(to), widen(x)));
  else if constexpr (mode == Update::max)
    to = before(to, x) ? x : to;
  else
    to = before(x, to) && !is_nan(to) ? x : to;
}
// Calls f(T{}, mode constant). A bool is a byte here: it is only moved, or joined by or / and.
template <class F>
void visit_update(Dtype t, Update mode, F&& f) {
  visit_dtype(t, [&](auto v) {
    using T = decltype(v);
    auto with = [&](auto m) { f(T{}, m); };
    switch (mode) {
      case Update::set:
        with(std::integral_constant<Update, Update::set>{});
        break;
      case Update::add:
        with(std::integral_constant<Update, Update::add>{});
        break;
      case Update::prod:
        with(std::integral_constant<Update, Update::prod>{});
        break;
      case Update::max:
        with(std::integral_constant<Update, Update::max>{});
        break;
      case Update::min:
        with(std::integral_constant<Update, Update::min>{});
        break;
    }
  });
}

// A box of elements inside `strides`, walked in row order.
void copy_box(const std::byte* from, const Shape& shape, const Strides& from_strides, std::byte* to,
              int64_t size) {
  Collapsed c = collapse(shape, from_strides);
  int64_t total = 1;
  for (auto d : shape) total *= d;
  Odometer o(c.shape, c.strides);
  o.seek(0);
  for (int64_t done = 0; done < total;) {
    int64_t n = o.run(), step = o.run_stride();
    const std::byte* at = from + o.offset() * size;
    if (step == 1)
      std::memcpy(to + done * size, at, static_cast<size_t>(n * size));
    else
      for (int64_t i = 0; i < n; ++i)
        std::memcpy(to + (done + i) * size, at + i * step * size, static_cast<size_t>(size));
    o.skip(n);
    done += n;
  }
}

// --- concatenate

void run_concatenate(const Step& s, int worker, int workers) {
  auto axis = static_cast<size_t>(s.params->as<ops::Concatenate::P>().axis);
  int64_t size = s.out.dtype.size, outer = 1, inner = 1;
  for (size_t i = 0; i < axis; ++i) outer *= s.out.shape[i];
  for (size_t i = axis + 1; i < s.out.shape.size(); ++i) inner *= s.out.shape[i];
  int64_t row = s.out.shape[axis] * inner * size, at = 0;
  Share part = share(outer, worker, workers);
  for (const auto& in : s.in) {
    int64_t bytes = in.shape[axis] * inner * size;
    if (outer == 1) {  // one long row: share its bytes instead
      Share cut = share(bytes, worker, workers, 4096);
      std::memcpy(s.out.as<std::byte>() + at + cut.from, in.as<std::byte>() + cut.from,
                  static_cast<size_t>(std::max<int64_t>(cut.to - cut.from, 0)));
    } else {
      for (int64_t i = part.from; i < part.to; ++i)
        std::memcpy(s.out.as<std::byte>() + i * row + at, in.as<std::byte>() + i * bytes,
                    static_cast<size_t>(bytes));
    }
    at += bytes;
  }
}

// --- gather and scatter

void run_gather(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::Gather::P>();
  const Operand& a = s.in[0];
  int64_t box = 1, size = a.dtype.size;
  for (auto d : p.slice_sizes) box *= d;
  int64_t n = box == 0 ? 0 : s.out.size() / box;
  Share part = share(n, worker, workers);
  for (int64_t i = part.from; i < part.to; ++i) {
    int64_t offset = 0;
    for (size_t k = 0; k < p.axes.size(); ++k) {
      auto axis = static_cast<size_t>(p.axes[k]);
      offset += a.strides[axis] * checked("gather", index_at(s.in[k + 1], i), a.shape[axis],
                                          p.axes[k], p.slice_sizes[axis]);
    }
    copy_box(a.as<std::byte>() + offset * size, p.slice_sizes, a.strides,
             s.out.as<std::byte>() + i * box * size, size);
  }
}

// One worker does all: updates may meet, and the last in row order has to win.
template <class T, Update mode>
void scatter_all(const Step& s) {
  const auto& p = s.params->as<ops::Scatter::P>();
  const Operand &updates = s.in[1], &out = s.out;
  size_t rank = out.shape.size();
  Shape box_shape(updates.shape.end() - static_cast<std::ptrdiff_t>(rank), updates.shape.end());
  int64_t box = 1;
  for (auto d : box_shape) box *= d;
  int64_t n = box == 0 ? 0 : updates.size() / box;
  Odometer o(box_shape, out.strides);
  for (int64_t i = 0; i < n; ++i) {
    int64_t offset = 0;
    for (size_t k = 0; k < p.axes.size(); ++k) {
      auto axis = static_cast<size_t>(p.axes[k]);
      offset += out.strides[axis] * checked("scatter", index_at(s.in[k + 2], i), out.shape[axis],
                                            p.axes[k], box_shape[axis]);
    }
    o.seek(0);
    const T* x = updates.as<T>() + i * box;
    T* y = out.as<T>() + offset;
    for (int64_t j = 0; j < box; ++j, o.next()) join<T, mode>(y[o.offset()], x[j]);
  }
}
void run_scatter(const Step& s, int worker, int) {
  if (worker != 0) return;
  visit_update(s.out.dtype, s.params->as<ops::Scatter::P>().mode,
               [&](auto t, auto mode) { scatter_all<decltype(t), decltype(mode)::value>(s); });
}

// Lines along `axis`: how many, and where line i starts.
struct Lines {
  Shape shape;
  int64_t count = 1;
  explicit Lines(const Operand& o, size_t axis) : shape(o.shape) {
    shape[axis] = 1;
    for (auto d : shape) count *= d;
  }
};

void run_gather_axis(const Step& s, int worker, int workers) {
  auto axis = static_cast<size_t>(s.params->as<ops::GatherAxis::P>().axis);
  const Operand &a = s.in[0], &index = s.in[1];
  Lines lines(s.out, axis);
  Odometer from(lines.shape, a.strides), at(lines.shape, index.strides),
      to(lines.shape, s.out.strides);
  Share part = share(lines.count, worker, workers);
  if (part.from >= part.to) return;
  from.seek(part.from), at.seek(part.from), to.seek(part.from);
  int64_t n = index.shape[axis], size = a.dtype.size;
  for (int64_t i = part.from; i < part.to; ++i, from.next(), at.next(), to.next())
    for (int64_t k = 0; k < n; ++k) {
      int64_t j = checked("take_along_axis", index_at(index, at.offset() + k * index.strides[axis]),
                          a.shape[axis], static_cast<int>(axis));
      std::memcpy(s.out.as<std::byte>() + (to.offset() + k * s.out.strides[axis]) * size,
                  a.as<std::byte>() + (from.offset() + j * a.strides[axis]) * size,
                  static_cast<size_t>(size));
    }
}

template <class T, Update mode>
void scatter_lines(const Step& s, size_t axis, int worker, int workers) {
  const Operand &x = s.in[1], &index = s.in[2];
  Lines lines(index, axis);
  Odometer to(lines.shape, s.out.strides), at(lines.shape, index.strides),
      from(lines.shape, x.strides);
  Share part = share(lines.count, worker, workers);
  if (part.from >= part.to) return;
  to.seek(part.from), at.seek(part.from), from.seek(part.from);
  for (int64_t i = part.from; i < part.to; ++i, to.next(), at.next(), from.next())
    for (int64_t k = 0; k < index.shape[axis]; ++k) {
      int64_t j = checked("put_along_axis", index_at(index, at.offset() + k * index.strides[axis]),
                          s.out.shape[axis], static_cast<int>(axis));
      join<T, mode>(s.out.as<T>()[to.offset() + j * s.out.strides[axis]],
                    x.as<T>()[from.offset() + k * x.strides[axis]]);
    }
}
void run_scatter_axis(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::ScatterAxis::P>();
  visit_update(s.out.dtype, p.mode, [&](auto t, auto mode) {
    scatter_lines<decltype(t), decltype(mode)::value>(s, static_cast<size_t>(p.axis), worker,
                                                      workers);
  });
}

// --- slice_update: the output is the source's memory, see Kernel::updates_first

template <class T, Update mode>
void update_box(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::SliceUpdate::P>();
  const Operand& x = s.in[1];
  Strides steps(p.step.size());
  int64_t offset = 0;
  for (size_t i = 0; i < p.step.size(); ++i) {
    steps[i] = s.out.strides[i] * p.step[i];
    offset += s.out.strides[i] * p.start[i];
  }
  Odometer to(x.shape, steps), from(x.shape, x.strides);
  Share part = share(x.size(), worker, workers, 64);
  if (part.from >= part.to) return;
  to.seek(part.from), from.seek(part.from);
  for (int64_t i = part.from; i < part.to;) {
    int64_t n = std::min(to.run(), part.to - i), a = to.run_stride(), b = from.run_stride();
    T* y = s.out.as<T>() + offset + to.offset();
    const T* v = x.as<T>() + from.offset();
    if (mode == Update::set && a == 1 && b == 1) {
      std::memcpy(static_cast<void*>(y), v, static_cast<size_t>(n) * sizeof(T));
    } else {
      for (int64_t k = 0; k < n; ++k) join<T, mode>(y[k * a], v[k * b]);
    }
    to.skip(n), from.skip(n);
    i += n;
  }
}
void run_slice_update(const Step& s, int worker, int workers) {
  visit_update(s.out.dtype, s.params->as<ops::SliceUpdate::P>().mode, [&](auto t, auto mode) {
    update_box<decltype(t), decltype(mode)::value>(s, worker, workers);
  });
}
// The row's positions of each head lie behind each other on both sides.
void run_append_row(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::AppendRow::P>();
  const Operand& x = s.in[1];
  int64_t bytes = s.out.dtype.size, width = x.shape[3] * bytes;
  Share heads = share(x.shape[1], worker, workers);
  for (int64_t h = heads.from; h < heads.to; ++h)
    for (int64_t t = 0; t < x.shape[2]; ++t) {
      const std::byte* from = x.as<const std::byte>() +
                              (p.row * x.strides[0] + h * x.strides[1] + t * x.strides[2]) * bytes;
      int64_t to = h * s.out.strides[1] + (p.start + t) * s.out.strides[2];
      std::memcpy(s.out.as<std::byte>() + to * bytes, from, static_cast<size_t>(width));
    }
}
double append_cost(const Step& s) {
  const Operand& x = s.in[1];
  return 0.15 * static_cast<double>(x.size() / x.shape[0] * x.dtype.size);
}
bool always(const Step&) { return true; }

bool sets(const Step& s) { return s.params->as<ops::SliceUpdate::P>().mode == Update::set; }

void run_view_as(const Step& s, int worker, int workers) {
  int64_t bytes = s.out.size() * s.out.dtype.size;
  Share part = share(bytes, worker, workers, 4096);
  if (part.from < part.to)
    std::memcpy(s.out.as<std::byte>() + part.from, s.in[0].as<std::byte>() + part.from,
                static_cast<size_t>(part.to - part.from));
}

double move_cost(const Step& s) {
  return 0.15 * static_cast<double>(s.out.size() * s.out.dtype.size);
}
double update_cost(const Step& s) {
  return 0.15 * static_cast<double>(s.in[1].size() * s.out.dtype.size);
}

}  // namespace

void add_movements(KernelTable& t) {
  using namespace ops;
  t.add(op_of<Concatenate>, {.run = run_concatenate, .cost = move_cost, .name = "copy"});
  t.add(op_of<Gather>, {.run = run_gather, .cost = move_cost, .name = "gather"});
  t.add(op_of<GatherAxis>, {.run = run_gather_axis, .accepts = Accepts::any, .name = "lines"});
  t.add(op_of<ViewAs>, {.run = run_view_as, .cost = move_cost, .name = "copy"});
  t.add(op_of<Depends>, {.run = run_view_as, .cost = move_cost, .name = "copy"});
  Kernel update{.run = run_slice_update, .accepts = Accepts::any, .name = "in place"};
  update.updates_first = true;
  update.repeatable = sets;
  update.cost = update_cost;
  t.add(op_of<SliceUpdate>, update);
  Kernel append{.run = run_append_row, .accepts = Accepts::rows, .name = "in place"};
  append.updates_first = true;
  append.repeatable = always;
  append.cost = append_cost;
  t.add(op_of<AppendRow>, append);
  Kernel scatter{.run = run_scatter, .name = "one worker, in place"};
  scatter.updates_first = true;
  t.add(op_of<Scatter>, scatter);
  Kernel lines{.run = run_scatter_axis, .accepts = Accepts::any, .name = "lines, in place"};
  lines.updates_first = true;
  t.add(op_of<ScatterAxis>, lines);
}

}  // namespace tarn::cpu
