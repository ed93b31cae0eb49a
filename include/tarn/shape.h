// Shapes and strides: small vectors of int64 that hold four dimensions without a heap allocation.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iosfwd>
#include <iterator>
#include <type_traits>
#include <utility>

namespace tarn {

// A vector of trivially copyable T with room for N elements inside the object itself.
template <class T, unsigned N>
requires std::is_trivially_copyable_v<T>
class SmallVector {
 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  SmallVector() = default;
  explicit SmallVector(size_t n, T value = T{}) { resize(n, value); }
  SmallVector(std::initializer_list<T> values) { assign(values.begin(), values.end()); }
  template <class It, class = typename std::iterator_traits<It>::iterator_category>
  SmallVector(It first, It last) {
    assign(first, last);
  }
  SmallVector(const SmallVector& o) { assign(o.begin(), o.end()); }
  SmallVector(SmallVector&& o) noexcept { steal(o); }
  SmallVector& operator=(const SmallVector& o) {
    if (this != &o) assign(o.begin(), o.end());
    return *this;
  }
  SmallVector& operator=(SmallVector&& o) noexcept {
    if (this != &o) {
      release();
      steal(o);
    }
    return *this;
  }
  ~SmallVector() { release(); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T& front() { return data_[0]; }
  const T& front() const { return data_[0]; }
  T& back() { return data_[size_ - 1]; }
  const T& back() const { return data_[size_ - 1]; }

  void clear() { size_ = 0; }
  void reserve(size_t n) {
    if (n > capacity_) grow(n);
  }
  void push_back(T value) {
    if (size_ == capacity_) grow(size_ + 1);
    data_[size_++] = value;
  }
  void pop_back() { --size_; }
  void resize(size_t n, T value = T{}) {
    reserve(n);
    std::fill(data_ + std::min<size_t>(size_, n), data_ + n, value);
    size_ = static_cast<uint32_t>(n);
  }
  template <class It>
  void assign(It first, It last) {
    auto n = static_cast<size_t>(std::distance(first, last));
    reserve(n);
    std::copy(first, last, data_);
    size_ = static_cast<uint32_t>(n);
  }
  iterator insert(const_iterator at, T value) {
    auto i = at - data_;
    push_back(value);
    std::rotate(data_ + i, data_ + size_ - 1, data_ + size_);
    return data_ + i;
  }
  template <class It>
  iterator insert(const_iterator at, It first, It last) {
    auto i = at - data_;
    auto n = std::distance(first, last);
    SmallVector tail(data_ + i, end());
    resize(size_ + static_cast<size_t>(n));
    std::copy(first, last, data_ + i);
    std::copy(tail.begin(), tail.end(), data_ + i + n);
    return data_ + i;
  }
  iterator erase(const_iterator at) {
    auto i = at - data_;
    std::copy(data_ + i + 1, end(), data_ + i);
    --size_;
    return data_ + i;
  }

  friend bool operator==(const SmallVector& a, const SmallVector& b) {
    return a.size_ == b.size_ && std::equal(a.begin(), a.end(), b.begin());
  }

 private:
  void grow(size_t n) {
    auto capacity = static_cast<uint32_t>(std::max<size_t>(n, size_t{capacity_} * 2));
    T* bigger = new T[capacity];
    std::copy(begin(), end(), bigger);
    release();
    data_ = bigger;
    capacity_ = capacity;
  }
  void release() {
    if (data_ != inside_) delete[] data_;
  }
  void steal(SmallVector& o) {
    size_ = o.size_;
    capacity_ = o.capacity_;
    if (o.data_ == o.inside_) {
      data_ = inside_;
      std::copy(o.begin(), o.end(), inside_);
    } else {
      data_ = o.data_;
    }
    o.data_ = o.inside_;
    o.size_ = 0;
    o.capacity_ = N;
  }

  T* data_ = inside_;
  uint32_t size_ = 0;
  uint32_t capacity_ = N;
  T inside_[N];
};

using ShapeElem = int64_t;
using Shape = SmallVector<int64_t, 4>;
// Strides count elements, not bytes.
using Strides = SmallVector<int64_t, 4>;

// (2, 3), (4,) and () as NumPy prints them.
std::ostream& operator<<(std::ostream& out, const Shape& shape);

// The shape that `a` and `b` broadcast to by NumPy's rule.
// Throws ShapeError when two sizes differ and neither is 1.
Shape broadcast_shapes(const Shape& a, const Shape& b);

}  // namespace tarn
