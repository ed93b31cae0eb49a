// Fused elementwise steps: programs that chain.cu interprets, and kernels of their own once they
// are compiled.
#include "cuda/chain.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "cuda/chain_source.h"
#include "cuda/compiled.h"
#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/table.h"
#include "ops/formula_rows.h"

namespace tarn::cuda {
namespace {

constexpr int64_t enough_blocks = 1024;  // some for each multiprocessor at a time

uint8_t half_of(Dtype t) { return t == float16 ? 1 : t == bfloat16 ? 2 : 0; }
// What a value of the dtype is in a register.
Dtype held(Dtype t) { return half_of(t) ? float32 : t; }

class Compiler {
 public:
  Compiler(std::span<const FusedOp> chain, std::span<const Operand> in) : chain_(chain), in_(in) {}

  std::optional<ChainProgram> compile() {
    if (in_.size() > most_chain_inputs || !collapse_axes()) return std::nullopt;
    count_uses();
    for (size_t i = 0; i < in_.size(); ++i) add_input(i);
    for (size_t i = 0; i < chain_.size(); ++i)
      if (!emit(static_cast<int>(i))) return std::nullopt;
    Dtype out = chain_.back().to;
    p_.result = static_cast<uint8_t>(at_.back());
    p_.out_size = out.size, p_.out_half = half_of(out);
    p_.reg_bytes = wide_ ? 8 : 4;
    p_.registers = static_cast<uint8_t>(highest_);
    while (p_.items > 4 && (shared_bytes() > most_chain_shared || blocks() < enough_blocks))
      p_.items /= 2;
    if (shared_bytes() > most_chain_shared) return std::nullopt;
    return p_;
  }

 private:
  // Of a small chain, more threads share the work.
  int64_t blocks() const { return in_[0].size() / (chain_threads * p_.items); }
  int shared_bytes() const { return p_.registers * p_.items * chain_threads * p_.reg_bytes; }

  // Joins axes that lie next to each other in all inputs.
  bool collapse_axes() {
    if (in_.empty()) return false;
    const Shape& shape = in_[0].shape;
    int axes = 0;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] == 1) continue;
      bool joins = axes > 0;
      for (size_t k = 0; k < in_.size(); ++k)
        joins &= axes > 0 && p_.inputs[k].strides[axes - 1] == in_[k].strides[i] * shape[i];
      if (!joins && axes == most_chain_axes) return false;
      if (!joins) p_.shape[axes++] = 1;
      p_.shape[axes - 1] *= shape[i];
      for (size_t k = 0; k < in_.size(); ++k) p_.inputs[k].strides[axes - 1] = in_[k].strides[i];
    }
    p_.axes = static_cast<int16_t>(std::max(axes, 1));
    return true;
  }
  void count_uses() {
    last_use_.assign(chain_.size(), -1);
    last_use_of_input_.assign(in_.size(), -1);
    for (size_t i = 0; i < chain_.size(); ++i)
      for (int k = 0; k < chain_[i].arity; ++k) use_of(chain_[i].in[k]) = static_cast<int>(i);
  }
  int& use_of(int operand) {
    return operand >= 0 ? last_use_[static_cast<size_t>(operand)]
                        : last_use_of_input_[static_cast<size_t>(~operand)];
  }
  int register_of(int operand) const {
    return operand >= 0 ? at_[static_cast<size_t>(operand)]
                        : p_.inputs[static_cast<size_t>(~operand)].reg;
  }
  int take(Dtype t) {
    wide_ |= t.size > 4;
    if (free_.empty()) return highest_++;
    int r = free_.back();
    free_.pop_back();
    return r;
  }
  void add_input(size_t i) {
    const Operand& o = in_[i];
    ChainInput& input = p_.inputs[i];
    input.reg = static_cast<uint8_t>(take(held(o.dtype)));
    input.size = o.dtype.size;
    input.half = half_of(o.dtype);
    input.reach = o.one_number() ? Reach::one : o.contiguous ? Reach::contiguous : Reach::strided;
    p_.input_count = static_cast<int16_t>(i + 1);
  }
  bool push(int row, Dtype from, const int* in, int arity, int out) {
    if (p_.instructions == most_instructions) return false;
    ChainInstruction& it = p_.tape[p_.instructions++];
    it.block = static_cast<uint16_t>(row * block_columns + column(from));
    for (int k = 0; k < arity; ++k) it.in[k] = static_cast<uint8_t>(in[k]);
    it.out = static_cast<uint8_t>(out);
    return true;
  }
  bool push_cast(Dtype from, Dtype to, int in, int out) {
    return push(first_row_of(4) + column(from), to, &in, 1, out);
  }
  bool emit(int i) {
    const FusedOp& f = chain_[static_cast<size_t>(i)];
    int in[3] = {0, 0, 0};
    for (int k = 0; k < f.arity; ++k) in[k] = register_of(f.in[k]);
    // Before the operands' registers are free: sizes may differ, so no block may run in place.
    int out = take(held(f.to));
    bool fits = true;
    if (f.op == &ops::as_type_op || f.op == &ops::copy_op) {
      fits = push_cast(f.from, held(f.to), in[0], out);
      // A half that something else in the step reads is rounded there and then.
      if (f.op == &ops::as_type_op && half_of(f.to) && i + 1 < static_cast<int>(chain_.size())) {
        int narrow = take(f.to);
        fits =
            fits && push_cast(float32, f.to, out, narrow) && push_cast(f.to, float32, narrow, out);
        free_.push_back(narrow);
      }
    } else {
      ops::FormulaRow at = ops::formula_row(f.op);
      fits = at.arity > 0 && push(first_row_of(at.arity) + at.row, f.from, in, f.arity, out);
    }
    at_.push_back(out);
    for (int k = 0; k < f.arity; ++k)
      if (std::find(f.in, f.in + k, f.in[k]) == f.in + k && use_of(f.in[k]) == i)
        free_.push_back(in[k]);
    return fits;
  }

  std::span<const FusedOp> chain_;
  std::span<const Operand> in_;
  ChainProgram p_{};
  std::vector<int> at_{}, free_{}, last_use_{}, last_use_of_input_{};
  int highest_ = 0;
  bool wide_ = false;
};

struct CompiledChain {
  ChainProgram program{};
  ChainSource source{};
  std::shared_ptr<CompiledKernel> kernel{};
};

// False: there is no kernel yet, or it cannot take arrays that lie so.
bool run_compiled(const CompiledChain& chain, const ChainProgram& p) {
  const void* kernel = kernel_for(chain.kernel, p.size);
  thread_local std::vector<int64_t> words;
  if (!kernel || !fill_words(chain.source, p, words)) return false;
  int64_t each = chain.source.elements_a_block;
  auto blocks = static_cast<unsigned>((p.size + each - 1) / each);
  void* parameters[] = {words.data()};
  check(cudaLaunchKernel(kernel, blocks, compiled_threads, parameters, 0, queue()), "a launch");
  return true;
}
void run_chain(const Step& s, int, int) {
  if (s.out.size() == 0) return;
  const auto& chain = *static_cast<const CompiledChain*>(s.program);
  ChainProgram p = chain.program;
  for (size_t i = 0; i < s.in.size(); ++i) p.inputs[i].data = s.in[i].data;
  p.out = s.out.data;
  p.size = s.out.size();
  if (run_compiled(chain, p)) return;
  launch_chain(p, queue());
  check(cudaGetLastError(), "a launch");
}

std::shared_ptr<const void> compile_chain(std::span<const FusedOp> chain,
                                          std::span<const Operand> in) {
  std::optional<ChainProgram> program = program_of(chain, in);
  if (!program) return nullptr;
  auto made = std::make_shared<CompiledChain>();
  made->program = *program;
  made->source = source_of(chain, in, *program);
  made->kernel = compiled_kernel(made->source.text);
  return made;
}

}  // namespace

std::optional<ChainProgram> program_of(std::span<const FusedOp> chain,
                                       std::span<const Operand> in) {
  return Compiler(chain, in).compile();
}

void add_chains(Backend& b) {
  b.fused = {.run = run_chain, .accepts = Accepts::any, .name = "compiled, or blocks"};
  b.compile = compile_chain;
}

}  // namespace tarn::cuda
