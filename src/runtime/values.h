// The lowered graph between recording and planning: values, each a step's result or a view of one.
#pragma once

#include <unordered_map>
#include <vector>

#include "runtime/graph_view.h"
#include "runtime/lower.h"
#include "runtime/plan.h"

namespace tarn {

struct Value {
  enum class Kind : uint8_t { leaf, constant, view, elementwise, kernel } kind = Kind::kernel;
  const Op* op = nullptr;
  Params params{};
  int item = -1;          // the graph item it came from, if its parameters live there
  std::vector<int> in{};  // values
  Dtype dtype{};
  Layout layout{};          // relative to `base`, in elements of `dtype`
  int64_t byte_offset = 0;  // views of another dtype start elsewhere in bytes
  int base = -1;            // the value that owns the memory; itself unless a view
  int index = 0;            // leaf: item; constant: plan constant
  bool donated = false;     // leaf
  const Kernel* kernel = nullptr;
  const Backend* backend = nullptr;  // of a kernel or an elementwise op
  bool output = false;               // its memory outlives the evaluation
  std::vector<ItemNumber> item_numbers{};
  // Fusing: the steps this elementwise value is computed in. Empty until decided.
  std::vector<int> roots{};
  std::vector<int> users{};  // values that read it, directly
  Stored stored = Stored::unread;
  const Op* reader = nullptr;  // because of which it is
};

// Turns items into values, expanding ops without a kernel.
class ValueBuilder {
 public:
  // `device` may be null: then the CPU computes what is recorded for it, too.
  ValueBuilder(const GraphView& graph, const Backend& cpu, const Backend* device, Plan& plan)
      : graph_(graph), cpu_(cpu), device_(device), plan_(plan) {}
  void build();

  std::vector<Value> values{};
  std::vector<int> value_of_item{};

 private:
  int leaf(int item);
  int constant(const array& a);
  int apply(const Op& op, const Params& params, int item, std::vector<int> in,
            const ArraySpec& spec, int depth);
  int computed(const Op& op, const Params& params, int item, std::vector<int> in,
               const ArraySpec& spec, int depth);
  int kernel_value(const Kernel& k, const Backend& of, const Op& op, const Params& params, int item,
                   std::vector<int> in, const ArraySpec& spec);
  int view_of(int of, Layout layout, Dtype dtype);
  int contiguous(int value);
  int expanded(ExpandRule expand, const Params& params, std::vector<int> in, int depth);
  int lower_array(const array& a, std::unordered_map<Node*, int>& known, int depth);
  int add(Value v);
  static Value kernel_of(const Kernel& k, const Backend& of, const Op& op, const Params& params,
                         int item, std::vector<int> in, const ArraySpec& spec);
  int packed(const Packing& packing, const Backend& of, const Op& op, const Params& params,
             const std::vector<int>& in, const ArraySpec& spec);
  // The step before it has memory; its inputs last until the next call.
  Step probe(const Op& op, const Params& params, const std::vector<int>& in, const ArraySpec& spec);
  bool is_contiguous(const Value& v) const;

  const GraphView& graph_;
  const Backend& cpu_;
  const Backend* device_;
  const Backend* current_ = nullptr;  // of the item whose op is being lowered
  Plan& plan_;
  std::unordered_map<Hash, int, HashOfHash> same_{};
  std::vector<Operand> probed_{};
};

Operand operand_of(const Value& v);

}  // namespace tarn
