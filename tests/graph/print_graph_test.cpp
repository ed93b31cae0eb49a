// Recorded graphs as text, and numbers as text.
#include <gtest/gtest.h>

#include "tarn/tarn.h"
#include "transforms/words.h"

namespace tarn {
namespace {

template <class F>
std::string printed(F f) {
  std::ostringstream out;
  f(out);
  return out.str();
}

TEST(PrintGraph, HasALineForEachOperation) {
  array x = ones({2, 3});
  x.eval();
  array y = exp(x), z = reshape(y + x, {6});
  EXPECT_EQ(printed([&](auto& out) { print_graph(out, z); }),
            "Inputs: A [(2, 3), float32]\n"
            "Outputs: D [(6,), float32]\n"
            "exp A [(2, 3), float32] -> B [(2, 3), float32]\n"
            "add B [(2, 3), float32], A [(2, 3), float32] -> C [(2, 3), float32]\n"
            "reshape(shape=(6)) C [(2, 3), float32] -> D [(6,), float32]\n");
  NodeNamer namer;
  namer.set_name(x, "x");
  std::string with_names = printed([&](auto& out) { print_graph(out, namer, y, z); });
  EXPECT_EQ(with_names.substr(0, 28), "Inputs: x [(2, 3), float32]\n");
  EXPECT_EQ(with_names, printed([&](auto& out) { print_graph(out, namer, {y, z}); }));
  EXPECT_EQ(printed([&](auto& out) { print_graph(out, std::vector<array>{x}); }),
            "Inputs: A [(2, 3), float32]\nOutputs: A [(2, 3), float32]\n");
}

TEST(PrintGraph, IsADrawing) {
  array x = ones({2});
  x.eval();
  array y = exp(x);
  NodeNamer namer;
  namer.set_name(x, "the \"x\"");
  std::string wanted =
      "digraph {\n"
      "  \"the \\\"x\\\"\" [rank=source];\n"
      "  op0 [label=\"exp\", shape=rectangle];\n"
      "  \"the \\\"x\\\"\" -> op0;\n"
      "  op0 -> \"A\";\n"
      "  \"A\" [rank=sink];\n"
      "}\n";
  EXPECT_EQ(printed([&](auto& out) { export_to_dot(out, namer, y); }), wanted);
  EXPECT_EQ(printed([&](auto& out) { export_to_dot(out, namer, {y}); }), wanted);
  EXPECT_EQ(printed([&](auto& out) { export_to_dot(out, y, x); }).substr(0, 10), "digraph {\n");
  EXPECT_EQ(printed([&](auto& out) { export_to_dot(out, std::vector<array>{y}); }).back(), '\n');
}

TEST(PrintGraph, NamesGoOnAfterZ) {
  NodeNamer namer;
  std::vector<array> many(703, array(0.0f));
  for (auto& a : many) a = array(0.0f);
  std::string last;
  for (const auto& a : many) last = namer.get_name(a);
  EXPECT_EQ(namer.get_name(many[25]), "Z");
  EXPECT_EQ(namer.get_name(many[26]), "AA");
  EXPECT_EQ(last, "AAA");
}

TEST(PrintGraph, ALongChainIsNoRecursion) {
  array x = ones({1});
  for (int i = 0; i < 100000; ++i) x = x + array(1.0f);
  EXPECT_GT(printed([&](auto& out) { print_graph(out, x); }).size(), 1000000u);
}

TEST(Print, TakesOptions) {
  array x({1.0f, 2.5f, -0.125f});
  set_printoptions({.precision = 2});
  EXPECT_EQ(text(x), "array([1.00, 2.50, -0.12], dtype=float32)");
  EXPECT_EQ(text(array(complex64_t(1, -2))), "array(1.00-2.00j, dtype=complex64)");
  set_printoptions({});
  EXPECT_EQ(text(x), "array([1, 2.5, -0.125], dtype=float32)");
  get_global_formatter().capitalize_bool = false;
  EXPECT_EQ(text(array(true)), "array(true, dtype=bool)");
  get_global_formatter().capitalize_bool = true;
  EXPECT_EQ(what_is_thrown([] { set_printoptions({.precision = 101}); }),
            "[set_printoptions] precision is 101; it must lie between -1 and 100.");
  EXPECT_EQ(printed([](auto& out) {
              PrintFormatter f;
              f.print(out, int8_t{65}), f.print(out, uint8_t{66}), f.print(out, int64_t{-1});
              f.print(out, float16_t(0.5f)), f.print(out, true);
            }),
            "6566-10.5True");
}

TEST(Print, WritesWordsOfTheApi) {
  EXPECT_EQ(printed([](auto& out) {
              out << Shape{2, 3} << std::vector<int>{1} << float32 << Dtype::Kind::f
                  << complex64_t(1, 2) << float16_t(1.5f) << bfloat16_t(2) << Device(Device::cpu)
                  << Stream{3, Device::cpu};
            }),
            "(2, 3)(1,)float32f1+2j1.52Device(cpu, 0)Stream(Device(cpu, 0), 3)");
}

}  // namespace
}  // namespace tarn
