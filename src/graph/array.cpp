#include "tarn/array.h"

#include <cstring>

#include "base/require.h"
#include "base/residency.h"
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

// The first element in the host's memory, copied there when a device alone has it.
void* on_host(const Node& n) {
  if (n.buffer && n.buffer->residency.load(std::memory_order_acquire)) host_bytes(*n.buffer.get());
  return n.data;
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
                      joined(node_->shape), nbytes(), has);
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
size_t array::checked_axis(const char* what, int i) const {
  const auto& s = node_->shape;
  int axis = i < 0 ? i + static_cast<int>(s.size()) : i;
  require<ShapeError>(axis >= 0 && axis < static_cast<int>(s.size()),
                      "[{}] axis {} of an array of shape {}.", what, i, text_of(s));
  return static_cast<size_t>(axis);
}
int64_t array::shape(int i) const { return node_->shape[checked_axis("shape", i)]; }
int64_t array::strides(int i) const {
  size_t axis = checked_axis("strides", i);
  return strides()[axis];
}
size_t array::size() const { return static_cast<size_t>(node_->size()); }
Dtype array::dtype() const { return node_->dtype; }
Stream array::stream() const { return node_->stream; }
bool array::is_available() const { return node_->state == State::ready; }
array::Status array::status() const {
  State state = node_->state.load(std::memory_order_acquire);
  return state == State::ready ? available : state == State::claimed ? evaluated : unscheduled;
}
bool array::has_primitive() const { return node_->op && status() != available; }
std::vector<array> array::inputs() const {
  std::lock_guard lock(graph_mutex());
  return node_->inputs;
}
bool array::is_tracer() const { return node_->state == State::placeholder; }
void array::detach() {
  eval();
  Inputs dropped;  // destroyed after the lock is gone
  std::lock_guard lock(graph_mutex());
  dropped = std::move(node_->inputs);
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
    convert(static_cast<const decltype(from)*>(on_host(*node_)), result.raw(), size(), to);
  });
  return result;
}

const void* array::evaluated_data() const {
  eval();
  return on_host(*node_);
}
void* array::writable_data() {
  eval();
  void* data = on_host(*node_);
  if (node_->buffer) written_on(*node_->buffer.get(), Side::host);
  return data;
}

array::Copies array::residency() const {
  eval();
  if (!node_->buffer) return {};
  return {is_on(*node_->buffer.get(), Side::host), is_on(*node_->buffer.get(), Side::device)};
}

const Strides& array::strides() const {
  eval();
  std::lock_guard lock(graph_mutex());
  if (node_->strides.size() != node_->shape.size()) {
    node_->strides = row_strides(node_->shape);
    // Nothing is reached through the strides of an empty array; MLX's are 0 before the empty axis.
    for (size_t i = node_->shape.size(), empty = 0; i-- > 0; empty |= node_->shape[i] == 0)
      if (empty) node_->strides[i] = 0;
  }
  return node_->strides;
}

array::Flags array::flags() const {
  if (size() == 0) return {};
  const auto& st = strides();
  const auto& sh = node_->shape;
  Shape reversed(std::make_reverse_iterator(sh.end()), std::make_reverse_iterator(sh.begin()));
  Strides reversed_strides(std::make_reverse_iterator(st.end()),
                           std::make_reverse_iterator(st.begin()));
  // An axis of stride 0 is one element of memory, however often it is seen. An axis that runs
  // backwards is not contiguous, as in MLX: no kernel could take the memory as it lies.
  size_t distinct = 1;
  for (size_t i = 0; i < sh.size(); ++i)
    if (st[i] > 0) distinct *= static_cast<size_t>(sh[i]);
  return {distinct == data_size(), is_row_contiguous(sh, st),
          is_row_contiguous(reversed, reversed_strides)};
}

size_t array::data_size() const {
  if (size() == 0) return 0;
  const auto& st = strides();
  int64_t last = 0;
  for (size_t i = 0; i < st.size(); ++i) last += (node_->shape[i] - 1) * std::abs(st[i]);
  return static_cast<size_t>(last) + 1;
}

size_t array::buffer_size() const {
  eval();
  return node_->buffer ? node_->buffer->bytes : sizeof node_->number;
}
int64_t array::offset() const {
  eval();
  const void* begin = node_->buffer ? node_->buffer->data : node_->number;
  return static_cast<const std::byte*>(node_->data) - static_cast<const std::byte*>(begin);
}

void array::item_bytes(void* to, Dtype as) const {
  require<ValueError>(size() == 1,
                      "[item] the array has shape {}, which is not one element. Index or reduce "
                      "it first.",
                      text_of(shape()));
  eval();
  visit_dtype(dtype(), [&](auto from) {
    convert(static_cast<const decltype(from)*>(on_host(*node_)), to, 1, as);
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
