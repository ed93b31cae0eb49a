// Writes a chain as one expression after the other over values in registers. A thread moves 16
// bytes at a time and has several such loads in flight. Shapes and strides are parameters, so that
// steps differing only in them share a kernel; how each input is reached is part of the source.
#include "cuda/chain_source.h"

#include <algorithm>

#include "base/text.h"
#include "cuda/layout.h"
#include "ops/formula_rows.h"

namespace tarn::cuda {
namespace {

// In the order of Dtype::Val: in memory, and in a register.
constexpr const char* stored_names[] = {
    "u8",  "u8",   "u16",  "unsigned", "unsigned long", "signed char", "short",
    "int", "long", "Half", "float",    "double",        "Bfloat",      "c64"};
const char* stored_name(Dtype t) { return stored_names[column(t)]; }
bool is_half(Dtype t) { return t == float16 || t == bfloat16; }
const char* held_name(Dtype t) {
  return t == bool_ ? "bool" : is_half(t) ? "float" : stored_names[column(t)];
}

constexpr int64_t spread_below = 1 << 20;  // elements; so few are spread over more threads

// How a vector of an input's elements is found.
enum class Way : uint8_t {
  one,         // one number for all
  contiguous,  // as the result's
  row,         // side by side in memory, at a place of their own
  same,        // all are one number
  scattered    // each at a place of its own
};

class Writer {
 public:
  Writer(std::span<const FusedOp> chain, std::span<const Operand> in, const ChainProgram& p)
      : chain_(chain), in_(in), p_(p) {}

  ChainSource write() {
    choose_width();
    for (size_t i = 0; i < in_.size(); ++i) choose_way(i);
    s_.alignment.push_back(width_ * p_.out_size);
    s_.elements_a_block = int64_t{compiled_threads} * width_ * vectors_;
    s_.text =
        "#include \"cuda/chain_builtins.h\"\n#include \"cuda/chain_kernel.h\"\n"
        "using namespace tarn::cuda;\nusing namespace tarn::ops;\n";
    write_formula();
    write_piece();
    write_kernel();
    return std::move(s_);
  }

 private:
  // --- shape of the work

  // As many elements as fill 16 bytes of the widest array, and so many vectors in flight that loads
  // take at most 64 registers.
  void choose_width() {
    int widest = p_.out_size, bytes = 0;
    for (const auto& o : in_) {
      if (o.one_number()) continue;
      widest = std::max<int>(widest, o.dtype.size);
      bytes += o.dtype.size;
    }
    width_ = 16 / std::max(widest, 1);
    int64_t size = in_[0].size();
    vectors_ = size < spread_below ? 1 : 4;
    while (vectors_ > 1 && bytes * width_ * vectors_ > 256) vectors_ /= 2;
    index_ = size < (int64_t{1} << 31) ? "unsigned" : "long";
  }
  bool starts_whole(const ChainInput& in) const {
    for (int axis = 0; axis + 1 < p_.axes; ++axis)
      if (in.strides[axis] % width_ != 0) return false;
    return true;
  }
  void choose_way(size_t i) {
    const ChainInput& in = p_.inputs[i];
    int last = std::max<int>(p_.axes, 1) - 1;
    bool whole = p_.shape[last] % width_ == 0;
    Way way = Way::scattered;
    if (in.reach == Reach::one)
      way = Way::one;
    else if (in.reach == Reach::contiguous)
      way = Way::contiguous;
    else if (whole && in.strides[last] == 1 && starts_whole(in))
      way = Way::row;
    else if (whole && in.strides[last] == 0)
      way = Way::same;
    if (way > Way::contiguous) s_.strided.push_back(static_cast<int>(i));
    bool together = way == Way::contiguous || way == Way::row;
    s_.alignment.push_back(together ? width_ * in.size : in.size);
    ways_.push_back(way);
  }

  // --- text

  void line(std::string text) { s_.text += text + "\n"; }
  static std::string name(int operand) {
    return operand >= 0 ? fmt::format("v{}", operand) : fmt::format("x{}", ~operand);
  }

  // result formula(x0, x1, ...): one element.
  void write_formula() {
    Dtype out = chain_.back().to;
    std::string parameters;
    for (size_t i = 0; i < in_.size(); ++i)
      parameters += fmt::format("{}{} m{}", i ? ", " : "", stored_name(in_[i].dtype), i);
    line(fmt::format("__device__ __forceinline__ {} formula({}) {{", stored_name(out), parameters));
    for (size_t i = 0; i < in_.size(); ++i) {
      Dtype t = in_[i].dtype;
      const char *before = is_half(t) ? "widened(" : "", *after = is_half(t) ? ")" : "";
      if (t == bool_) after = " != 0";
      line(fmt::format("  const {} x{} = {}m{}{};", held_name(t), i, before, i, after));
    }
    for (size_t i = 0; i < chain_.size(); ++i) write_op(i);
    std::string last = name(static_cast<int>(chain_.size()) - 1);
    line(
        fmt::format("  return converted<{}, {}>({});\n}}", held_name(out), stored_name(out), last));
  }
  void write_op(size_t i) {
    const FusedOp& f = chain_[i];
    std::string value;
    if (f.op == &ops::as_type_op || f.op == &ops::copy_op) {
      value =
          fmt::format("converted<{}, {}>({})", held_name(f.from), held_name(f.to), name(f.in[0]));
      // A half that something else in the step reads is rounded there and then.
      if (f.op == &ops::as_type_op && is_half(f.to) && i + 1 < chain_.size())
        value = fmt::format("widened(converted<float, {}>({}))", stored_name(f.to), value);
    } else {
      ops::FormulaRow at = ops::formula_row(f.op);
      std::string operands;
      for (int k = 0; k < f.arity; ++k) operands += (k ? ", " : "") + name(f.in[k]);
      constexpr const char* tables[] = {"UnaryAt", "BinaryAt", "TernaryAt"};
      value = fmt::format("{}<{}>::value({})", tables[at.arity - 1], at.row, operands);
    }
    line(fmt::format("  const {} v{} = {};", held_name(f.to), i, value));
  }

  // Where parameters begin: out, size, the inputs, the shape, then strides.
  int shape_word() const { return 2 + static_cast<int>(in_.size()); }
  int strides_word(int k) const { return shape_word() + p_.axes * (1 + k); }
  std::string loaded(size_t i) const {
    const char* type = stored_name(in_[i].dtype);
    std::string data = fmt::format("p.of[{}]", 2 + i);
    if (ways_[i] == Way::contiguous) return fmt::format("load<{}, n>({}, at)", type, data);
    auto k = std::find(s_.strided.begin(), s_.strided.end(), static_cast<int>(i));
    std::string where = fmt::format("p.of + {}, p.of + {}, at", shape_word(),
                                    strides_word(static_cast<int>(k - s_.strided.begin())));
    if (ways_[i] == Way::scattered)
      return fmt::format("gather<{}, n, {}, {}>({}, {})", type, index_, p_.axes, data, where);
    const char* how = ways_[i] == Way::row ? "load" : "repeat";
    return fmt::format("{}<{}, n>({}, place<{}, {}>({}))", how, type, data, index_, p_.axes, where);
  }
  // piece<n, many>: `many` vectors of n elements, `step` apart; all are loaded first.
  void write_piece() {
    int words = strides_word(static_cast<int>(s_.strided.size()));
    line(fmt::format("using Parameters = Words<{}>;", words));
    line(
        "template <int n, int many>\n__device__ __forceinline__ void piece(const Parameters& p, "
        "long first, long step) {");
    std::string operands;
    for (size_t i = 0; i < in_.size(); ++i) {
      const char* type = stored_name(in_[i].dtype);
      bool one = ways_[i] == Way::one;
      line(one ? fmt::format("  const {0} a{1} = *reinterpret_cast<const {0}*>(p.of[{2}]);", type,
                             i, 2 + i)
               : fmt::format("  Some<{}, n> a{}[many];", type, i));
      operands += fmt::format("{}a{}{}", i ? ", " : "", i, one ? "" : "[j].of[k]");
    }
    line("#pragma unroll\n  for (int j = 0; j < many; ++j) {\n    long at = first + j * step;");
    for (size_t i = 0; i < in_.size(); ++i)
      if (ways_[i] != Way::one) line(fmt::format("    a{}[j] = {};", i, loaded(i)));
    const char* out = stored_name(chain_.back().to);
    line(
        fmt::format("  }}\n#pragma unroll\n  for (int j = 0; j < many; ++j) {{\n"
                    "    Some<{}, n> y;\n    for (int k = 0; k < n; ++k) y.of[k] = formula({});",
                    out, operands));
    line(fmt::format("    store<{}, n>(p.of[0], first + j * step, y);\n  }}\n}}", out));
  }
  void write_kernel() {
    line(fmt::format(
        "extern \"C\" __global__ void __launch_bounds__({0})\n"
        "    chain(const __grid_constant__ Parameters p) {{\n"
        "  constexpr int n = {1}, many = {2};\n"
        "  const long step = {0} * n, size = p.of[1];\n"
        "  long at = blockIdx.x * (step * many) + threadIdx.x * n;\n"
        "  if ((blockIdx.x + 1L) * (step * many) <= size) return piece<n, many>(p, at, step);\n"
        "#pragma unroll 1\n"
        "  for (; at < size; at += step) {{\n"
        "    if (at + n <= size) {{\n"
        "      piece<n, 1>(p, at, 0);\n"
        "    }} else {{\n"
        "      for (int k = 0; at + k < size; ++k) piece<1, 1>(p, at + k, 0);\n"
        "    }}\n"
        "  }}\n"
        "}}",
        compiled_threads, width_, vectors_));
  }

  std::span<const FusedOp> chain_;
  std::span<const Operand> in_;
  const ChainProgram& p_;
  ChainSource s_{};
  std::vector<Way> ways_{};
  int width_ = 1, vectors_ = 1;
  const char* index_ = "long";
};

}  // namespace

ChainSource source_of(std::span<const FusedOp> chain, std::span<const Operand> in,
                      const ChainProgram& program) {
  return Writer(chain, in, program).write();
}

bool fill_words(const ChainSource& s, const ChainProgram& p, std::vector<int64_t>& words) {
  auto address = [](const void* at) {
    return static_cast<int64_t>(reinterpret_cast<uintptr_t>(at));
  };
  words = {address(p.out), p.size};
  for (int i = 0; i < p.input_count; ++i) words.push_back(address(p.inputs[i].data));
  for (size_t i = 0; i + 1 < s.alignment.size(); ++i)
    if (words[2 + i] % s.alignment[i] != 0) return false;
  if (words[0] % s.alignment.back() != 0) return false;
  words.insert(words.end(), p.shape, p.shape + p.axes);
  for (int i : s.strided)
    words.insert(words.end(), p.inputs[i].strides, p.inputs[i].strides + p.axes);
  return true;
}

}  // namespace tarn::cuda
