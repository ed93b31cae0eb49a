// The inputs of one recorded operation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "tarn/array.h"

namespace tarn {

// A list that is made once. One or two arrays, as most operations have, lie in the object itself:
// a graph of a thousand of them asks for no memory here.
class Inputs {
 public:
  Inputs() noexcept {}
  template <std::forward_iterator It>
  Inputs(It first, It last) : size_(static_cast<uint32_t>(std::distance(first, last))) {
    if (is_long())
      long_ = new std::vector<array>(first, last);
    else
      std::uninitialized_copy(first, last, short_);
  }
  Inputs(std::initializer_list<array> list) : Inputs(list.begin(), list.end()) {}
  Inputs(std::vector<array> list) : size_(static_cast<uint32_t>(list.size())) {
    if (is_long())
      long_ = new std::vector<array>(std::move(list));
    else
      std::uninitialized_move(list.begin(), list.end(), short_);
  }
  // Handles that are moved: each copy of one counts, across processors.
  explicit Inputs(array a) noexcept : size_(1) { new (short_) array(std::move(a)); }
  Inputs(array a, array b) noexcept : size_(2) {
    new (short_) array(std::move(a));
    new (short_ + 1) array(std::move(b));
  }
  Inputs(Inputs&& o) noexcept { take(o); }
  Inputs& operator=(Inputs&& o) noexcept {
    if (this != &o) {
      clear();
      take(o);
    }
    return *this;
  }
  ~Inputs() { clear(); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const array* data() const { return is_long() ? long_->data() : short_; }
  const array* begin() const { return data(); }
  const array* end() const { return data() + size_; }
  const array& operator[](size_t i) const { return data()[i]; }
  operator std::vector<array>() const { return {begin(), end()}; }
  void clear() noexcept {
    if (is_long())
      delete long_;
    else
      std::destroy_n(short_, size_);
    size_ = 0;
  }

 private:
  static constexpr size_t most_inside = 2;
  bool is_long() const { return size_ > most_inside; }
  void take(Inputs& o) noexcept {
    size_ = o.size_;
    if (is_long()) {
      long_ = std::exchange(o.long_, nullptr);
      o.size_ = 0;
    } else {
      std::uninitialized_move_n(o.short_, size_, short_);
      o.clear();
    }
  }

  uint32_t size_ = 0;
  union {
    array short_[most_inside];
    std::vector<array>* long_;
  };
};

}  // namespace tarn
