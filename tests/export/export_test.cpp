// Functions written to files and read back.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "io/io_files.h"
#include "tarn/tarn.h"
#include "transforms/words.h"

namespace tarn {
namespace {

using tarn_test::Folder;
using Arrays = std::vector<array>;

Arrays dense(const Args& in) {
  static const array w = reshape(arange(0.0, 6.0, 1.0), {2, 3}) * array(0.5f);
  static const array b({1.0f, 2.0f, 3.0f});
  return {tanh(matmul(in[0], w) + b), sum(in[0])};
}

TEST(Export, AFunctionRunsFromItsFile) {
  Folder folder;
  array x({1.0f, -2.0f, 0.5f, 3.0f}, {2, 2});
  export_function(folder.at("f.tarnfn"), dense, {x}, false, "made by a test");
  auto f = import_function(folder.at("f.tarnfn"));
  EXPECT_EQ(f.metadata(), "made by a test");
  Arrays is = f({x}), wanted = dense({x});
  ASSERT_EQ(is.size(), 2u);
  EXPECT_EQ(text(is[0]), text(wanted[0]));
  EXPECT_EQ(text(is[1]), text(wanted[1]));
  // It is a function like others.
  array g = grad([&](const array& v) { return sum(f({v})[0]); })(x);
  EXPECT_EQ(text(g), text(grad([&](const array& v) { return sum(dense({v})[0]); })(x)));
  auto copy = f;
  EXPECT_EQ(text(compile([copy](const Arrays& in) { return copy(in); })({x})[0]), text(is[0]));
}

TEST(Export, TheFileOutlivesItsName) {
  Folder folder;
  array x({1.0f, 2.0f}, {1, 2});
  std::string path = folder.at("f.tarnfn");
  export_function(path, dense, {x});
  auto f = import_function(path);
  export_function(path, [](const Args& in) { return Arrays{in[0]}; }, {x});
  EXPECT_EQ(text(f({x})[0]), text(dense({x})[0]));
  EXPECT_EQ(text(import_function(path)({x})[0]), text(x));
}

TEST(Export, HoldsSeveralRecordingsAndSharesWhatTheyCapture) {
  Folder folder;
  array w = ones({100, 100}), x = ones({2, 100}), y = ones({3, 100});
  {
    auto to =
        exporter(folder.at("f.tarnfn"), [&](const Args& in) { return Arrays{matmul(in[0], w)}; });
    to({x});
    to({y});
    to(Args{astype(x, float64)});  // another dtype
    EXPECT_EQ(what_is_thrown([&] { to({x * array(2.0f)}); }),
              "[export_function] the function was exported for such arguments before.");
    to.close();
    EXPECT_EQ(what_is_thrown([&] { to({y}); }), "[export_function] the exporter is closed.");
  }
  EXPECT_LT(folder.read("f.tarnfn").size(), 3 * w.nbytes() + 1000);  // and once more as float64
  auto f = import_function(folder.at("f.tarnfn"));
  EXPECT_EQ(f({x})[0].shape(), (Shape{2, 100}));
  EXPECT_EQ(f({y})[0].shape(), (Shape{3, 100}));
  EXPECT_EQ(f({astype(x, float64)})[0].dtype(), float64);
  EXPECT_EQ(what_is_thrown([&] {
              f({ones({4, 100}), x});
            }),
            "[import_function] " + folder.at("f.tarnfn") +
                ": no recording takes [float32 (4, 100), float32 (2, 100)]; it holds "
                "[float32 (2, 100)], [float32 (3, 100)], [float64 (2, 100)].");
}

TEST(Export, TakesKeywords) {
  Folder folder;
  array x({3.0f}), y({4.0f});
  auto both = [](const Args& args, const Kwargs& named) {
    return Arrays{args[0] - named.at("less"), args[0] * named.at("by")};
  };
  export_function(folder.at("both"), both, {x}, {{"less", y}, {"by", x}});
  auto f = import_function(folder.at("both"));
  auto out = f({x}, {{"by", y}, {"less", x}});
  EXPECT_EQ(out[0].item<float>(), 0.0f);
  EXPECT_EQ(out[1].item<float>(), 12.0f);
  EXPECT_EQ(what_is_thrown([&] {
              f({x}, {{"by", y}});
            }),
            "[import_function] " + folder.at("both") +
                ": no recording takes [float32 (1,), by=float32 (1,)]; it holds "
                "[float32 (1,), by=float32 (1,), less=float32 (1,)].");

  auto named = [](const Kwargs& in) { return Arrays{in.at("a") / in.at("b")}; };
  export_function(folder.at("named"), named, Kwargs{{"a", x}, {"b", y}});
  EXPECT_EQ(import_function(folder.at("named"))(Kwargs{{"b", x}, {"a", y}})[0].item<float>(),
            4.0f / 3.0f);
  auto to = exporter(folder.at("never"), named);
  EXPECT_EQ(what_is_thrown([&] { to({x}); }),
            "[export_function] the function takes keyword arguments only.");
  EXPECT_EQ(what_is_thrown([&] { to.close(); }),
            "[export_function] nothing was recorded: call the exporter with arguments first.");
}

TEST(Export, ShapelessTakesTheSizesThatMayVary) {
  Folder folder;
  auto attention = [](const Args& in) {
    const array& x = in[0];
    array h = transpose(reshape(x, {x.shape(0), x.shape(1), 2, 3}), {0, 2, 1, 3});
    array s = softmax(matmul(h, swapaxes(h, -1, -2)), -1);
    return Arrays{reshape(transpose(matmul(s, h), {0, 2, 1, 3}), x.shape())};
  };
  array x = random::normal({2, 5, 6}, random::key(1));
  export_function(folder.at("f"), attention, {x}, true);
  auto f = import_function(folder.at("f"));
  for (const Shape& shape : {Shape{2, 5, 6}, Shape{4, 9, 6}, Shape{7, 2, 6}}) {
    array y = random::normal(shape, random::key(2));
    EXPECT_TRUE(array_equal(f({y})[0], attention({y})[0]).item<bool>());
  }
  EXPECT_EQ(what_is_thrown([&] {
              f({ones({2, 5, 7})});
            }),
            "[import_function] " + folder.at("f") +
                ": no recording takes [float32 (2, 5, 7)]; it holds [float32 (n0, n1, 6)].");
  EXPECT_EQ(what_is_thrown([&] {
              f({ones({2, 1, 6})});
            }),
            "[import_function] " + folder.at("f") +
                ": no recording takes [float32 (2, 1, 6)]; it holds [float32 (n0, n1, 6)].");
}

TEST(Export, ShapelessTiesSizesThatGoTogether) {
  Folder folder;
  auto product = [](const Args& in) { return Arrays{matmul(in[0], in[1])}; };
  export_function(folder.at("f"), product, {ones({2, 3}), ones({3, 4})}, true);
  auto f = import_function(folder.at("f"));
  EXPECT_EQ(f({ones({5, 7}), ones({7, 6})})[0].shape(), (Shape{5, 6}));
  EXPECT_EQ(what_is_thrown([&] {
              f({ones({5, 7}), ones({8, 6})});
            }),
            "[import_function] " + folder.at("f") +
                ": no recording takes [float32 (5, 7), float32 (8, 6)]; it holds "
                "[float32 (n0, n2), float32 (n2, n1)].");
}

TEST(Export, ShapelessKeepsSizesThatBecameNumbers) {
  Folder folder;
  auto part = [](const array& a) { return array(1 / static_cast<float>(a.shape(0))); };
  export_function(
      folder.at("f"), [&](const Args& in) { return Arrays{sum(in[0], 0) * part(in[0])}; },
      {ones({4, 3})}, true);
  auto f = import_function(folder.at("f"));
  EXPECT_EQ(text(f({full({4, 5}, 2.0f)})[0]), "array([2, 2, 2, 2, 2], dtype=float32)");
  EXPECT_EQ(what_is_thrown([&] {
              f({ones({5, 3})});
            }),
            "[import_function] " + folder.at("f") +
                ": no recording takes [float32 (5, 3)]; it holds [float32 (4, n0)].");
}

TEST(Export, ShapelessMeansAreOfWhatIsGiven) {
  Folder folder;
  export_function(
      folder.at("f"),
      [](const Args& in) {
        return Arrays{mean(in[0], 0), var(in[0], 1, false, 1)};
      },
      {ones({4, 3})}, true);
  auto f = import_function(folder.at("f"));
  Arrays out = f({array({1.0f, 2.0f, 3.0f, 5.0f}, {2, 2})});
  EXPECT_EQ(text(out[0]), "array([2, 3.5], dtype=float32)");
  EXPECT_EQ(text(out[1]), "array([0.5, 2], dtype=float32)");
}

TEST(Export, ACallbackIsToldTheGraph) {
  std::string told;
  array w({2.0f, 3.0f});
  auto list = [](const auto& arrays) {
    std::string text;
    for (const auto& a : arrays) {
      std::ostringstream shape;
      shape << a.shape;
      text += " " + a.name + shape.str() + name_of(a.dtype);
    }
    return text;
  };
  ExportCallback callback = [&](const ExportCallbackInput& in) {
    told += in.type + ":" + in.name + list(in.inputs);
    for (const auto& [keyword, name] : in.keywords) told += " " + keyword + "=" + name;
    for (const auto& [name, value] : in.constants) told += " " + name + "=" + text(value);
    told += " ->" + list(in.outputs) + " {" + in.arguments + "}\n";
  };
  export_function(callback,
                  [&](const Args& in, const Kwargs& named) {
                    return Arrays{reshape(in[0] * w, {2, 1}) + named.at("k")};
                  },
                  {ones({2})}, {{"k", array(1.0f)}});
  EXPECT_EQ(told,
            "inputs: A(2,)float32 B()float32 -> {}\n"
            "keyword_inputs: k=B -> {}\n"
            "outputs: -> C(2, 1)float32 {}\n"
            "constants: D=array([2, 3], dtype=float32) -> {}\n"
            "primitive:multiply A(2,)float32 D(2,)float32 -> E(2,)float32 {}\n"
            "primitive:reshape E(2,)float32 -> F(2, 1)float32 {shape=(2, 1)}\n"
            "primitive:add F(2, 1)float32 B()float32 -> C(2, 1)float32 {}\n");
  auto to = exporter(callback, [](const Args& in) { return Arrays{in[0]}; });
  told.clear();
  to({w});
  to.close();
  EXPECT_EQ(told.substr(0, 7), "inputs:");
  auto named = exporter(callback, [](const Kwargs& in) { return Arrays{in.at("x")}; });
  named(Kwargs{{"x", w}});
  export_function(callback, [](const Args& in) { return Arrays{in[0]}; }, {w});
  export_function(
      callback, [](const Kwargs& in) { return Arrays{in.at("x")}; }, Kwargs{{"x", w}});
}

TEST(Export, WhatOnlyTransformsSeeIsLeftOut) {
  Folder folder;
  auto f = custom_vjp(
      [](const Arrays& in) {
        return Arrays{exp(in[0]), in[0]};
      },
      [](const Arrays&, const Arrays& g, const Arrays&) { return Arrays{g[0]}; });
  array x({1.0f, 2.0f});
  export_function(folder.at("f"), [&](const Args& in) { return checkpoint(f)(in); }, {x});
  auto out = import_function(folder.at("f"))({x});
  EXPECT_EQ(text(out[0]), text(exp(x)));
  EXPECT_EQ(text(out[1]), text(x));
}

TEST(Export, RefusesWhatAFileCannotHold) {
  Folder folder;
  CustomOp op;
  op.name = "mine";
  op.infer = [](const Arrays& in) { return ArraySpec{in[0].shape(), in[0].dtype()}; };
  op.cpu = [](const KernelCall&) {};
  auto mine = custom_op(op);
  array x({1.0f});
  EXPECT_EQ(what_is_thrown([&] {
              export_function(folder.at("f"), [&](const Args& in) { return Arrays{mine(in[0])}; },
                              {x});
            }),
            "[export_function] the operation mine cannot be written to a file: it is the "
            "program's own.");
  EXPECT_EQ(what_is_thrown([&] {
              export_function(folder.at("f"),
                              [&](const Args& in) {
                                in[0].eval();
                                return in;
                              },
                              {x});
            }),
            "[eval] an array stands for an argument of a function that is being transformed, so "
            "it has no value yet. Compute with it instead of looking at it.");
}

TEST(Export, ADestructorWritesWhatWasRecorded) {
  Folder folder;
  array x({1.0f});
  {
    auto to = exporter(folder.at("f"), [](const Args& in) { return Arrays{exp(in[0])}; });
    to({x});
  }
  EXPECT_EQ(text(import_function(folder.at("f"))({x})[0]), text(exp(x)));
  try {
    auto to = exporter(folder.at("g"), [](const Args& in) { return Arrays{exp(in[0])}; });
    to({x});
    throw std::runtime_error("something else");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(what_is_thrown([&] { import_function(folder.at("g")); }).substr(0, 7), "[load] ");
}

TEST(Export, AnImportedFunctionIsCalledByManyThreads) {
  Folder folder;
  array x({1.0f, 2.0f, 3.0f, 4.0f}, {2, 2});
  export_function(folder.at("f"), dense, {x}, true);
  auto f = import_function(folder.at("f"));
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int64_t n = 2; n < 20; ++n) {
        array y = full({n, 2}, static_cast<float>(t));
        right += sum(f({y})[1]).item<float>() == static_cast<float>(2 * n * t);
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(right, 4 * 18);
}

// --- random graphs

class RandomGraph {
 public:
  explicit RandomGraph(uint64_t seed) : numbers_(seed) {}

  Arrays build(const Args& in) {
    pool_ = in;
    for (int i = 0; i < 12; ++i) pool_.push_back(step());
    return {pool_.end() - 3, pool_.end()};
  }

 private:
  array pick() { return pool_[numbers_.below(pool_.size())]; }
  // 2-d, of the same shape as another.
  array alike(const array& x) {
    array y = pick();
    return broadcast_to(max(y, -1, true) * array(0.1f), {y.shape(0), 1}).shape(0) == x.shape(0)
               ? max(y, -1, true)
               : array(0.5f);
  }
  array step() {
    array x = pick();
    int64_t rows = x.shape(0), columns = x.shape(1);
    switch (numbers_.below(14)) {
      case 0:
        return x + alike(x);
      case 1:
        return x * alike(x);
      case 2:
        return tanh(x);
      case 3:
        return softmax(x, -1);
      case 4:
        return transpose(x);
      case 5:
        return matmul(x, transpose(x));
      case 6:
        return reshape(x, {columns, rows});
      case 7:
        return concatenate({x, x * array(2.0f)}, static_cast<int>(numbers_.below(2)));
      case 8:
        return slice(x, {rows / 2, 0}, {rows, columns});
      case 9:
        return cumsum(x, 1);
      case 10:
        return where(x > array(0.1f), x, zeros_like(x));
      case 11:
        return take(x, array({0, -1}), 0);
      case 12:
        return astype(astype(x, float16), float32) + array(0.25f);
      default:
        return sort(x, 1) - sum(x, 0, true);
    }
  }

  tarn_test::Numbers numbers_;
  Arrays pool_{};
};

TEST(Export, RandomGraphsAreTheSameFromAFile) {
  Folder folder;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    auto fun = [seed](const Args& in) { return RandomGraph(seed).build(in); };
    Args in{random::normal({3, 4}, random::key(seed)), random::normal({2, 5}, random::key(~seed))};
    export_function(folder.at("f"), fun, in, seed % 2 == 0);
    auto f = import_function(folder.at("f"));
    Arrays is = f(in), wanted = fun(in);
    for (size_t i = 0; i < wanted.size(); ++i)
      EXPECT_TRUE(array_equal(is[i], wanted[i], true).item<bool>()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tarn
