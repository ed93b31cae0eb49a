// How kernels divide work: contiguous shares, the same numbers whatever the number of workers.
#pragma once

#include <algorithm>
#include <cstdint>

#include "graph/collapse.h"
#include "runtime/backend.h"

namespace tarn::cpu {

struct Share {
  int64_t from = 0, to = 0;
};

// Worker's part of n items, cut at multiples of `grain`.
inline Share share(int64_t n, int worker, int workers, int64_t grain = 1) {
  if (workers == 1) return {0, n};  // without divisions, which a small step would notice
  int64_t pieces = (n + grain - 1) / grain;
  int64_t a = pieces * worker / workers, b = pieces * (worker + 1) / workers;
  return {std::min(a * grain, n), std::min(b * grain, n)};
}

// Steps through the elements of a strided array in row order.
class Odometer {
 public:
  Odometer(const Shape& shape, const Strides& strides) : shape_(shape), strides_(strides) {
    at_.resize(shape.size(), 0);
  }
  void seek(int64_t element) {
    offset_ = 0;
    for (size_t i = shape_.size(); i-- > 0;) {
      int64_t n = std::max<int64_t>(shape_[i], 1);
      at_[i] = element % n;
      element /= n;
      offset_ += at_[i] * strides_[i];
    }
  }
  int64_t offset() const { return offset_; }
  void next() { advance(shape_.size()); }
  // Elements left on the last axis, and past them.
  int64_t run() const { return shape_.empty() ? 1 : shape_.back() - at_.back(); }
  int64_t run_stride() const { return strides_.empty() ? 0 : strides_.back(); }
  void skip(int64_t n) {  // n <= run()
    if (shape_.empty()) return;
    at_.back() += n;
    offset_ += n * strides_.back();
    if (at_.back() < shape_.back()) return;
    offset_ -= at_.back() * strides_.back();
    at_.back() = 0;
    advance(shape_.size() - 1);
  }

 private:
  void advance(size_t axes) {
    for (size_t i = axes; i-- > 0;) {
      offset_ += strides_[i];
      if (++at_[i] < shape_[i]) return;
      offset_ -= at_[i] * strides_[i];
      at_[i] = 0;
    }
  }

  const Shape& shape_;
  const Strides& strides_;
  Shape at_{};
  int64_t offset_ = 0;
};

}  // namespace tarn::cpu
