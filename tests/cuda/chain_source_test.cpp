// The sources of compiled chains, without a card: CUDA's compiler takes all of them.
#include "cuda/chain_source.h"

#include <gtest/gtest.h>

#include "cuda/nvrtc.h"
#include "graph/node.h"
#include "graph/op.h"
#include "ops/catalogue.h"
#include "ops/columns.h"
#include "ops/kinds.h"
#include "tarn/ops.h"

namespace tarn::cuda {
namespace {

constexpr int capability = 90;

Operand operand(Dtype t, Shape shape, Strides strides) {
  Operand o;
  o.dtype = t, o.shape = shape, o.strides = strides;
  o.contiguous = strides == row_strides(shape);
  return o;
}
std::string source(const FusedOp& op, const std::vector<Operand>& in) {
  std::optional<ChainProgram> program = program_of({&op, 1}, in);
  return program ? source_of({&op, 1}, in, *program).text : std::string();
}
// Many sources as one: what each defines goes into a namespace of its own.
class Together {
 public:
  void add(const std::string& source) {
    size_t begin = source.find("__device__");
    begins_ = source.substr(0, begin);
    std::string rest = source.substr(begin), outside = "extern \"C\" ";
    if (size_t at = rest.find(outside); at != std::string::npos) rest.erase(at, outside.size());
    all_ += "namespace part" + std::to_string(count_++) + " {\n" + rest + "}\n";
  }
  int count() const { return count_; }
  void expect_it_compiles() const {
    Compilation made = compile_source(begins_ + all_, capability);
    EXPECT_FALSE(made.binary.empty()) << made.log;
  }

 private:
  std::string begins_{}, all_{};
  int count_ = 0;
};

class ChainSources : public testing::TestWithParam<Dtype> {
  void SetUp() override {
    if (!has_compiler()) GTEST_SKIP() << "libnvrtc is not here";
  }
};
INSTANTIATE_TEST_SUITE_P(All, ChainSources,
                         testing::Values(bool_, uint8, uint16, uint32, uint64, int8, int16, int32,
                                         int64, float32, float64, complex64),
                         [](const auto& t) { return std::string(name_of(t.param)); });

template <ops::Types types>
bool computes_in(Dtype t) {
  using namespace ops;
  constexpr bool of[] = {in_domain<bool, types>(),
                         in_domain<u8, types>(),
                         in_domain<u16, types>(),
                         in_domain<unsigned, types>(),
                         in_domain<unsigned long, types>(),
                         in_domain<signed char, types>(),
                         in_domain<short, types>(),
                         in_domain<int, types>(),
                         in_domain<long, types>(),
                         false,
                         in_domain<float, types>(),
                         in_domain<double, types>(),
                         false,
                         in_domain<c64, types>()};
  return of[static_cast<int>(t.val)];
}

TEST_P(ChainSources, EveryFormulaAndCastOfADtypeCompiles) {
  Dtype t = GetParam();
  Shape shape{4096};
  Together all;
  auto add = [&]<class T>(ops::type<T>) {
    if (!computes_in<T::spec.types>(t)) return;
    std::vector<Operand> in(T::arity, operand(t, shape, {1}));
    if (T::arity == 3) in[0].dtype = bool_;
    std::vector<array> samples(T::arity, zeros({1}, t));
    FusedOp f{
        &ops::op_of<T>, {~0, ~1, ~2}, T::arity, t, ops::op_of<T>.infer(Params(), samples).dtype};
    all.add(source(f, in));
  };
  ops::UnaryOps::each(add);
  ops::BinaryOps::each(add);
  ops::TernaryOps::each(add);
  for (Dtype to : {bool_, uint8, int64, float16, float32, float64, bfloat16, complex64})
    all.add(source({&ops::as_type_op, {~0}, 1, t, to}, {operand(t, shape, {1})}));
  EXPECT_GT(all.count(), 5);
  all.expect_it_compiles();
}

// Rows repeated, one number repeated along rows, a transposed matrix, halves, and one number.
TEST(ChainSource, EveryWayOfReachingAnInputCompiles) {
  if (!has_compiler()) GTEST_SKIP() << "libnvrtc is not here";
  Shape shape{64, 128};
  Together all;
  for (Dtype t : {bool_, float16, bfloat16, float32, float64})
    for (Strides strides :
         {Strides{128, 1}, Strides{0, 1}, Strides{1, 0}, Strides{1, 64}, Strides{0, 0}}) {
      Dtype from = t == float16 || t == bfloat16 ? float32 : t;
      FusedOp f{&ops::op_of<ops::Maximum>, {~0, ~1}, 2, from, t};
      all.add(source(f, {operand(t, shape, {128, 1}), operand(t, shape, strides)}));
    }
  EXPECT_EQ(all.count(), 25);
  all.expect_it_compiles();
}

// Steps that differ in sizes only share a kernel; what is read otherwise has one of its own.
TEST(ChainSource, DependsOnHowInputsLieAndNotOnSizes) {
  FusedOp f{&ops::op_of<ops::Add>, {~0, ~1}, 2, float32, float32};
  auto of = [&](Shape shape, Strides second) {
    Strides first = row_strides(shape);
    return source(f, {operand(float32, shape, first), operand(float32, shape, std::move(second))});
  };
  EXPECT_EQ(of({64, 128}, {0, 1}), of({32, 256}, {0, 1}));
  EXPECT_NE(of({64, 128}, {0, 1}), of({64, 128}, {1, 64}));
  EXPECT_NE(of({64, 128}, {0, 1}), of({64, 127}, {0, 1}));  // rows that begin anywhere
}

}  // namespace
}  // namespace tarn::cuda
