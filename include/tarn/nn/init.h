// Initialisers: arrays of a shape, drawn with a key. The fans of a shape are its last size (in) and
// its first (out), each times the sizes between, as in a convolution's weight.
#pragma once

#include <cstdint>
#include <vector>

#include "tarn/array.h"

namespace tarn::nn::init {

enum class Fan : uint8_t { in, out };

// Every element `value`.
array constant(const Shape& shape, double value, Dtype dtype = float32);
// From a normal distribution.
array normal(const Shape& shape, const array& key, double mean = 0.0, double std = 1.0,
             Dtype dtype = float32);
// From [low, high).
array uniform(const Shape& shape, const array& key, double low = 0.0, double high = 1.0,
              Dtype dtype = float32);
// The identity matrix. Throws ShapeError unless the shape is square.
array identity(const Shape& shape, Dtype dtype = float32);
// Normal with deviation gain sqrt(2 / (fan in + fan out)). Glorot, Bengio 2010. This and the next
// three throw ShapeError for shapes of less than 2 sizes.
array glorot_normal(const Shape& shape, const array& key, double gain = 1.0, Dtype dtype = float32);
// Uniform within gain sqrt(6 / (fan in + fan out)).
array glorot_uniform(const Shape& shape, const array& key, double gain = 1.0,
                     Dtype dtype = float32);
// Normal with deviation gain / sqrt(fan). He et al. 2015, "Delving Deep into Rectifiers".
array he_normal(const Shape& shape, const array& key, Fan fan = Fan::in, double gain = 1.0,
                Dtype dtype = float32);
// Uniform within gain sqrt(3 / fan).
array he_uniform(const Shape& shape, const array& key, Fan fan = Fan::in, double gain = 1.0,
                 Dtype dtype = float32);
// Normal, with ceil(sparsity * columns) random zeros in each row. Martens 2010, "Deep learning via
// Hessian-free optimization". Throws ShapeError unless the shape has 2 sizes.
array sparse(const Shape& shape, const array& key, double sparsity, double mean = 0.0,
             double std = 1.0, Dtype dtype = float32);
// A part of a random orthogonal matrix times gain: its rows, or its columns if there are fewer, are
// orthogonal and of length gain. From the QR decomposition of normal numbers, with the signs that
// make the distribution uniform. Throws ShapeError unless the shape has 2 sizes.
array orthogonal(const Shape& shape, const array& key, double gain = 1.0, Dtype dtype = float32);

// n independent keys of one.
std::vector<array> keys(const array& key, int n);

}  // namespace tarn::nn::init
