#include "tarn/array.h"

#include <cstring>

#include "base/require.h"
#include "graph/node.h"

namespace tarn {
namespace {

template <class T>
array inline_number(T value, Dtype dtype) {
  array owner(new_node());
  Node* n = owner.node();
  n->dtype = dtype;
  n->data = n->number;
  n->state = State::ready;
  visit_dtype(dtype, [&](auto to) {
    using To = decltype(to);
    To v{};
    if constexpr (std::is_same_v<To, complex64_t>) {
      if constexpr (std::is_same_v<T, complex64_t>)
        v = value;
      else
        v = complex64_t(static_cast<float>(value), 0.f);
    } else if constexpr (std::is_same_v<T, complex64_t>) {
      v = static_cast<To>(value.real());
    } else if constexpr (std::is_same_v<To, float16_t> || std::is_same_v<To, bfloat16_t>) {
      v = To(static_cast<float>(value));
    } else {
      v = static_cast<To>(value);
    }
    std::memcpy(n->number, &v, sizeof v);
  });
  return owner;
}

template <class From>
void convert(const From* from, void* to, size_t n, Dtype dtype) {
  visit_dtype(dtype, [&](auto t) {
    using To = decltype(t);
    auto* out = static_cast<To*>(to);
    for (size_t i = 0; i < n; ++i) {
      if constexpr (std::is_same_v<From, To>)
        out[i] = from[i];
      else if constexpr (std::is_same_v<From, complex64_t>)
        out[i] = static_cast<To>(from[i].real());
      else if constexpr (std::is_same_v<To, complex64_t>)
        out[i] = complex64_t(static_cast<float>(from[i]), 0.f);
      else
        out[i] = static_cast<To>(from[i]);
    }
  });
}

}  // namespace

array::array() : array(uninitialised(Shape{0}, float32)) {}
array::array(std::initializer_list<float> values)
    : array(values.begin(), Shape{static_cast<int64_t>(values.size())}, float32) {}
array::array(std::initializer_list<int> values, Dtype dtype)
    : array(values.begin(), Shape{static_cast<int64_t>(values.size())}, dtype) {}

array::array(void* data, Shape shape, Dtype dtype, std::function<void(void*)> release) {
  node_ = new_node();
  node_->dtype = dtype;
  node_->shape = std::move(shape);
  auto bytes = static_cast<size_t>(node_->size()) * dtype.size;
  node_->buffer = BufferRef(adopt_buffer(data, bytes, std::move(release)));
  node_->data = data;
  node_->state = State::ready;
}

array::array(allocator::Buffer data, Shape shape, Dtype dtype,
             std::function<void(allocator::Buffer)> deleter)
    : array(data.raw_ptr(), std::move(shape), dtype, nullptr) {
  size_t has = allocator::allocator().size(data);
  require<ShapeError>(nbytes() <= has,
                      "[array] {} of shape ({}) needs {} bytes, the buffer has {}.", name_of(dtype),
                      fmt::join(node_->shape, ", "), nbytes(), has);
  node_->buffer->release = [data, deleter = std::move(deleter)](void*) {
    if (deleter) deleter(data);
  };
}

array::array(const array& o) noexcept : node_(o.node_) { retain(node_); }
array& array::operator=(const array& o) & noexcept {
  retain(o.node_);
  release(std::exchange(node_, o.node_));
  return *this;
}
array& array::operator=(array&& o) & noexcept {
  if (this != &o) release(std::exchange(node_, std::exchange(o.node_, nullptr)));
  return *this;
}
array::~array() { release(node_); }

const Shape& array::shape() const { return node_->shape; }
int64_t array::shape(int i) const {
  const auto& s = node_->shape;
  int axis = i < 0 ? i + static_cast<int>(s.size()) : i;
  require<ShapeError>(axis >= 0 && axis < static_cast<int>(s.size()),
                      "[shape] axis {} of an array of shape {}.", i, text_of(s));
  return s[static_cast<size_t>(axis)];
}
size_t array::size() const { return static_cast<size_t>(node_->size()); }
Dtype array::dtype() const { return node_->dtype; }
Stream array::stream() const { return node_->stream; }
bool array::is_available() const { return node_->state == State::ready; }
array::Status array::status() const {
  switch (node_->state.load(std::memory_order_acquire)) {
    case State::ready:
      return Status::available;
    case State::claimed:
      return Status::evaluated;
    default:
      return Status::unscheduled;
  }
}
bool array::has_primitive() const { return node_->op && node_->state != State::ready; }
std::vector<array> array::inputs() const {
  std::lock_guard lock(graph_mutex());
  return node_->inputs;
}
bool array::is_tracer() const { return node_->state == State::placeholder; }
void array::detach() {
  eval();
  std::vector<array> dropped;  // destroyed after the lock is gone
  std::lock_guard lock(graph_mutex());
  dropped.swap(node_->inputs);
}

array array::number(double value, Dtype dtype) { return inline_number(value, dtype); }
array array::number(int64_t value, Dtype dtype) { return inline_number(value, dtype); }
array array::number(complex64_t value, Dtype dtype) { return inline_number(value, dtype); }

void array::check_count(size_t given, const Shape& shape) {
  int64_t wanted = 1;
  for (auto d : shape) wanted *= d;
  require<ShapeError>(wanted == static_cast<int64_t>(given),
                      "[array] {} numbers for shape {}, which holds {}.", given, text_of(shape),
                      wanted);
}

array array::uninitialised(Shape shape, Dtype dtype) {
  for (auto d : shape)
    require<ShapeError>(d >= 0, "[array] shape {} has a negative size.", text_of(shape));
  return new_ready(std::move(shape), dtype);
}
void* array::raw() { return node_->data; }

array array::cast_now(Dtype to) const {
  array result = uninitialised(shape(), to);
  visit_dtype(dtype(), [&](auto from) {
    convert(static_cast<const decltype(from)*>(node_->data), result.raw(), size(), to);
  });
  return result;
}

const void* array::evaluated_data() const {
  eval();
  return node_->data;
}

const Strides& array::strides() const {
  eval();
  std::lock_guard lock(graph_mutex());
  if (node_->strides.size() != node_->shape.size()) node_->strides = row_strides(node_->shape);
  return node_->strides;
}

int64_t array::strides(int i) const {
  const auto& st = strides();
  int axis = i < 0 ? i + static_cast<int>(st.size()) : i;
  require<ShapeError>(axis >= 0 && axis < static_cast<int>(st.size()),
                      "[strides] axis {} of an array of shape ({}).", i,
                      fmt::join(node_->shape, ", "));
  return st[static_cast<size_t>(axis)];
}
size_t array::data_size() const {
  const auto& st = strides();
  int64_t span = 1;
  for (size_t i = 0; i < st.size(); ++i)
    if (node_->shape[i] == 0)
      return 0;
    else
      span += (node_->shape[i] - 1) * std::abs(st[i]);
  return static_cast<size_t>(span);
}
int64_t array::offset() const {
  eval();
  if (!node_->buffer) return 0;
  return static_cast<std::byte*>(node_->data) - static_cast<std::byte*>(node_->buffer->data);
}
size_t array::buffer_size() const {
  eval();
  return node_->buffer ? node_->buffer->bytes : itemsize();
}

array::Flags array::flags() const {
  const auto& st = strides();
  const auto& sh = node_->shape;
  Shape reversed(sh.size());
  Strides reversed_strides(sh.size());
  int64_t span = 1;
  for (size_t i = 0; i < sh.size(); ++i) {
    reversed[i] = sh[sh.size() - 1 - i];
    reversed_strides[i] = st[sh.size() - 1 - i];
    if (sh[i] > 0) span += (sh[i] - 1) * std::abs(st[i]);
  }
  return {span == node_->size() || node_->size() == 0, is_row_contiguous(sh, st),
          is_row_contiguous(reversed, reversed_strides)};
}

void array::item_bytes(void* to, Dtype as) const {
  require<ValueError>(size() == 1,
                      "[item] the array has shape {}, which is not one element. Index or reduce "
                      "it first.",
                      text_of(shape()));
  eval();
  visit_dtype(dtype(), [&](auto from) {
    convert(static_cast<const decltype(from)*>(node_->data), to, 1, as);
  });
}

array::ArrayIterator array::begin() const {
  require<ShapeError>(ndim() > 0, "[iterate] a 0-d array has no first axis. Use item().");
  return {this, 0};
}
array::ArrayIterator array::end() const {
  require<ShapeError>(ndim() > 0, "[iterate] a 0-d array has no first axis. Use item().");
  return {this, shape(0)};
}

Dtype result_type(const array& a, const array& b) { return promote_types(a.dtype(), b.dtype()); }
Dtype result_type(const array& a, const array& b, const array& c) {
  return promote_types(result_type(a, b), c.dtype());
}
Dtype result_type(const std::vector<array>& arrays) {
  Dtype t = bool_;
  for (const auto& a : arrays) t = promote_types(t, a.dtype());
  return t;
}

}  // namespace tarn
