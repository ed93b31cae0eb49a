// What is folded into products of one row and updates, without a card: a graph is lowered by hand.
#include "cuda/fold.h"

#include <gtest/gtest.h>

#include "cuda/table.h"
#include "ops/catalogue.h"
#include "ops/compound.h"
#include "ops/movement.h"
#include "runtime/values.h"

namespace tarn::cuda {
namespace {

class Fold : public testing::Test {
 protected:
  Fold() { add_products(table_); }

  int add(Value v, Shape shape, Dtype dtype) {
    v.dtype = dtype;
    v.layout = {shape, row_strides(shape), 0};
    v.backend = cuda_backend();  // there is no card: null, as everywhere else in a value
    v.base = static_cast<int>(values.size());
    values.push_back(std::move(v));
    return values.back().base;
  }
  int leaf(Shape shape, Dtype dtype = float32) {
    Value v;
    v.kind = Value::Kind::leaf;
    return add(std::move(v), std::move(shape), dtype);
  }
  int norm(int x, int weight) {
    Value v;
    v.op = &ops::op_of<ops::RmsNorm>;
    v.params = ops::RmsNorm::P{.eps = 0.25f};
    v.in = {x, weight};
    return add(std::move(v), values[static_cast<size_t>(x)].layout.shape, float32);
  }
  int product(int x, int64_t n) {
    const Shape in = values[static_cast<size_t>(x)].layout.shape;
    int64_t k = in.back();
    Value v;
    v.in = {x, leaf({n, k / 8}, uint32), leaf({n, k / 64}, bfloat16), leaf({n, k / 64}, bfloat16)};
    v.op = &ops::op_of<ops::QuantizedMatmul>;
    v.params = ops::QuantizedMatmul::P{};
    v.kernel = &table_.rows(*v.op)[0];
    Shape out = in;
    out.back() = n;
    return add(std::move(v), out, float32);
  }
  int elementwise(const Op& op, std::vector<int> in, Dtype dtype = float32) {
    Value v;
    v.kind = Value::Kind::elementwise;
    v.op = &op;
    v.in = std::move(in);
    Shape shape = values[static_cast<size_t>(v.in[0])].layout.shape;
    return add(std::move(v), shape, dtype);
  }
  const Value& value(int id) const { return values[static_cast<size_t>(id)]; }
  bool is_folded(int id) const { return value(id).kernel == &folded_kernel(); }

  std::vector<Value> values{};

 private:
  KernelTable table_{};
};

TEST_F(Fold, ANormGoesIntoTheProductsThatReadIt) {
  int x = leaf({1, 1, 128}), weight = leaf({128});
  int n = norm(x, weight), q = product(n, 64), k = product(n, 32);
  fold_values(values);
  for (int id : {q, k}) {
    ASSERT_TRUE(is_folded(id));
    const auto& p = value(id).params.as<FoldedProduct>();
    EXPECT_TRUE(p.normed && p.weighted && !p.added);
    EXPECT_EQ(p.eps, 0.25f);
    EXPECT_EQ(value(id).in.front(), x);
    EXPECT_EQ(value(id).in.back(), weight);
  }
}

TEST_F(Fold, ANormThatSomethingElseReadsStays) {
  int x = leaf({1, 1, 128}), weight = leaf({128});
  int n = norm(x, weight), q = product(n, 64);
  elementwise(ops::op_of<ops::Exp>, {n});
  fold_values(values);
  EXPECT_FALSE(is_folded(q));
  EXPECT_EQ(value(q).in.front(), n);
}

TEST_F(Fold, ANormOverManyRowsStays) {
  int x = leaf({1, 2, 128}), weight = leaf({128});
  int q = product(norm(x, weight), 64);
  fold_values(values);
  EXPECT_FALSE(is_folded(q));
}

TEST_F(Fold, ASumGoesIntoItsProduct) {
  int x = leaf({1, 1, 128}), h = leaf({1, 1, 64});
  int p = product(x, 64), sum = elementwise(ops::op_of<ops::Add>, {h, p});
  fold_values(values);
  ASSERT_TRUE(is_folded(sum));
  EXPECT_TRUE(value(sum).params.as<FoldedProduct>().added);
  EXPECT_EQ(value(sum).in.front(), x);
  EXPECT_EQ(value(sum).in.back(), h);
}

TEST_F(Fold, AProductThatIsReadTwiceOrKeptIsNotSummedInPlace) {
  int x = leaf({1, 1, 128}), h = leaf({1, 1, 64});
  int twice = product(x, 64), sum = elementwise(ops::op_of<ops::Add>, {h, twice});
  elementwise(ops::op_of<ops::Exp>, {twice});
  int kept = product(x, 64), other = elementwise(ops::op_of<ops::Add>, {h, kept});
  values[static_cast<size_t>(kept)].output = true;
  fold_values(values);
  EXPECT_FALSE(is_folded(sum));
  EXPECT_FALSE(is_folded(other));
}

TEST_F(Fold, ACastToHalvesGoesIntoTheUpdate) {
  int cache = leaf({1, 2, 16, 64}, float16), k = leaf({1, 2, 1, 64});
  Value v;
  v.op = &ops::op_of<ops::SliceUpdate>;
  v.in = {cache, elementwise(ops::as_type_op, {k}, float16)};
  int update = add(std::move(v), {1, 2, 16, 64}, float16);
  fold_values(values);
  EXPECT_EQ(value(update).in, (std::vector<int>{cache, k}));
}

}  // namespace
}  // namespace tarn::cuda
