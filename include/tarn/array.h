// The lazy array: a handle to a value that is computed when somebody looks at it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iosfwd>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tarn/allocator.h"
#include "tarn/device.h"
#include "tarn/dtype.h"
#include "tarn/error.h"
#include "tarn/shape.h"

namespace tarn {

struct Node;  // what a lazy value is; private to the library

// What is known of an array before it is computed.
struct ArraySpec {
  Shape shape{};
  Dtype dtype{};
  friend bool operator==(const ArraySpec&, const ArraySpec&) = default;
};

// A reference-counted handle to an N-dimensional array. Copying shares the value; a value never
// changes once it has been computed. Handles may be used from any thread, one handle object by one
// thread at a time.
class array {
 public:
  // An empty float32 array of shape (0,).
  array();
  // A 0-d array.
  template <Number T>
  explicit array(T value, Dtype dtype = TypeToDtype<T>()) : array(from_number(value, dtype)) {}
  // A 1-d array, or one of `shape`. Throws ShapeError when the count does not fit the shape.
  template <Number T>
  array(std::initializer_list<T> values, Dtype dtype = TypeToDtype<T>())
      : array(values.begin(), Shape{static_cast<int64_t>(values.size())}, dtype) {}
  array(std::initializer_list<float> values);
  array(std::initializer_list<int> values, Dtype dtype);
  template <Number T>
  array(std::initializer_list<T> values, Shape shape, Dtype dtype = TypeToDtype<T>())
      : array(checked_begin(values, shape), shape, dtype) {}
  // Copies product(shape) numbers from `first` on.
  template <class It, class = typename std::iterator_traits<It>::iterator_category>
  array(It first, Shape shape,
        Dtype dtype = TypeToDtype<typename std::iterator_traits<It>::value_type>())
      : array(uninitialised(std::move(shape), native_dtype<It>())) {
    using T = typename std::iterator_traits<It>::value_type;
    auto* to = static_cast<T*>(raw());
    for (size_t i = 0, n = size(); i < n; ++i, ++first) to[i] = *first;
    if (this->dtype() != dtype) *this = cast_now(dtype);
  }
  // Takes over memory that the caller filled, row-contiguous; `release(data)` is called when the
  // last user is gone. The memory must not change meanwhile.
  array(void* data, Shape shape, Dtype dtype, std::function<void(void*)> release);
  // The same for a buffer. Throws ShapeError when the shape needs more bytes than it has.
  array(allocator::Buffer data, Shape shape, Dtype dtype,
        std::function<void(allocator::Buffer)> deleter = allocator::free);

  array(const array& o) noexcept;
  array(array&& o) noexcept : node_(std::exchange(o.node_, nullptr)) {}
  array& operator=(const array& o) & noexcept;
  array& operator=(array&& o) & noexcept;
  // Assigning to a temporary changes nothing.
  array& operator=(const array& o) && = delete;
  array& operator=(array&& o) && = delete;
  ~array();

  const Shape& shape() const;
  // The size of axis i, which may be negative. Throws ShapeError when there is no such axis.
  int64_t shape(int i) const;
  size_t ndim() const { return shape().size(); }
  size_t size() const;
  Dtype dtype() const;
  size_t itemsize() const { return dtype().size; }
  size_t nbytes() const { return size() * itemsize(); }
  Stream stream() const;
  // Equal for two handles exactly when they name the same value.
  std::uintptr_t id() const { return reinterpret_cast<std::uintptr_t>(node_); }

  // Computes the value unless that was done before. Throws what the computation throws; the array
  // can then be evaluated again.
  void eval() const;
  // Waits for an evaluation that async_eval started.
  void wait() const { eval(); }
  bool is_available() const;
  enum Status { unscheduled, evaluated, available };  // evaluated: somebody computes it
  Status status() const;

  // Whether an operation stands behind the array that has not been computed yet, and its inputs.
  bool has_primitive() const;
  std::vector<array> inputs() const;
  // An operation has one result: itself and nobody beside it.
  std::vector<array> outputs() const { return {*this}; }
  std::vector<array> siblings() const { return {}; }
  // Whether it stands for an argument of a function that is being transformed.
  bool is_tracer() const;
  // Computes the value and forgets how, also while a derivative is recorded.
  void detach();

  // The value of an array with one element, which is evaluated first.
  template <class T>
  T item() const;
  // The first element; evaluates first. Elements lie at strides(): row-contiguous in what was
  // computed, in the memory of its source in a view (transpose, slice, broadcast_to, reshape …).
  // A value does not change: write only to memory that no other array shares.
  template <class T>
  const T* data() const {
    return static_cast<const T*>(evaluated_data());
  }
  template <class T>
  T* data() {
    return static_cast<T*>(writable_data());
  }

  // On which side copies of the values are; evaluates first. Any operation anywhere may read the
  // array: what is missing is copied then, once, and both copies hold until one is written to,
  // which the data() of an array that is not const is taken for.
  struct Copies {
    bool host = true, device = false;
  };
  Copies residency() const;

  // Where the elements lie; all of these evaluate first. Strides count elements, and are those of
  // MLX's views.
  const Strides& strides() const;
  // The stride of axis i, which may be negative. Throws ShapeError when there is no such axis.
  int64_t strides(int i) const;
  struct Flags {
    bool contiguous = true;  // every element of the memory in between belongs to the array
    bool row_contiguous = true;
    bool col_contiguous = true;
  };
  Flags flags() const;
  // The elements of memory from the first to the last of the array: less than size() where an
  // axis is broadcast, more where elements are skipped.
  size_t data_size() const;
  // The bytes of the memory block, and where in it the first element lies.
  size_t buffer_size() const;
  int64_t offset() const;

  // Iterates over the first axis.
  struct ArrayIterator;
  ArrayIterator begin() const;
  ArrayIterator end() const;

  explicit array(Node* adopted) noexcept : node_(adopted) {}
  Node* node() const { return node_; }

 private:
  template <class T>
  static array from_number(T value, Dtype dtype) {
    if constexpr (std::is_same_v<T, complex64_t>)
      return number(value, dtype);
    else if constexpr (std::is_integral_v<T>)
      return number(static_cast<int64_t>(value), dtype);
    else
      return number(static_cast<double>(value), dtype);
  }
  static array number(double value, Dtype dtype);
  static array number(int64_t value, Dtype dtype);
  static array number(complex64_t value, Dtype dtype);
  template <class It>
  static constexpr Dtype native_dtype() {
    using T = typename std::iterator_traits<It>::value_type;
    if constexpr (std::is_same_v<T, double>)
      return float64;
    else
      return dtype_of_literal<T>();
  }
  template <class T>
  static const T* checked_begin(std::initializer_list<T> values, const Shape& shape) {
    check_count(values.size(), shape);
    return values.begin();
  }
  static void check_count(size_t given, const Shape& shape);
  size_t checked_axis(const char* what, int i) const;
  static array uninitialised(Shape shape, Dtype dtype);
  void* raw();
  array cast_now(Dtype dtype) const;
  const void* evaluated_data() const;
  void* writable_data();
  void item_bytes(void* to, Dtype as) const;

  Node* node_ = nullptr;
};

struct array::ArrayIterator {
  using iterator_category = std::random_access_iterator_tag;
  using difference_type = int64_t;
  using value_type = array;
  using pointer = const array*;
  using reference = array;

  const array* of = nullptr;
  int64_t row = 0;

  array operator*() const;
  ArrayIterator& operator++() {
    ++row;
    return *this;
  }
  ArrayIterator operator+(difference_type n) const { return {of, row + n}; }
  friend bool operator==(const ArrayIterator& a, const ArrayIterator& b) { return a.row == b.row; }
};

template <class T>
T array::item() const {
  T value{};
  if constexpr (std::is_same_v<T, double>)
    item_bytes(&value, float64);
  else
    item_bytes(&value, dtype_of_literal<T>());
  return value;
}

// Prints as NumPy does; evaluates first.
std::ostream& operator<<(std::ostream& out, const array& a);

// Computes all of them together, so that shared work is done once.
void eval(std::vector<array> outputs);
template <class... Arrays>
requires(sizeof...(Arrays) > 0 &&
         (std::is_convertible_v<Arrays, array> && ...)) void eval(Arrays&&... outputs) {
  eval(std::vector<array>{std::forward<Arrays>(outputs)...});
}
// Starts computing and returns; eval, wait and item wait for it and throw what it threw.
void async_eval(std::vector<array> outputs);
template <class... Arrays>
requires(sizeof...(Arrays) > 0 &&
         (std::is_convertible_v<Arrays, array> && ...)) void async_eval(Arrays&&... outputs) {
  async_eval(std::vector<array>{std::forward<Arrays>(outputs)...});
}

Dtype result_type(const array& a, const array& b);
Dtype result_type(const array& a, const array& b, const array& c);
Dtype result_type(const std::vector<array>& arrays);

}  // namespace tarn
