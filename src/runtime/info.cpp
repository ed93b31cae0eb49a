// The catalogue and plans as text.
#include "tarn/info.h"

#include "base/require.h"
#include "graph/node.h"
#include "ops/all.h"
#include "runtime/eval.h"
#include "runtime/plan.h"

namespace tarn {
namespace {

std::string kernels_of(const Op& op) {
  if (op.kind == Kind::elementwise) return std::string(cpu_backend().fused.name);
  if (op.view) return "view";
  std::string names;
  for (const auto& k : cpu_backend().table.rows(op))
    names += (names.empty() ? "" : ", ") + std::string(k.name);
  return names.empty() ? "by expansion" : names;
}

const char* place_name(Place::Kind k) {
  constexpr const char* names[] = {"input", "constant", "slab", "output"};
  return names[static_cast<int>(k)];
}

}  // namespace

std::vector<OpInfo> list_ops() {
  std::vector<OpInfo> list;
  for (const Op* op : ops::all())
    list.push_back(
        {std::string(op->name), name_of(op->kind), std::string(op->doc), kernels_of(*op)});
  return list;
}

std::string explain(const array& a) {
  if (a.is_available()) return "The array is there: nothing is left to compute.\n";
  auto plan = plan_of(a);
  if (!plan) return "Another thread is computing the array.\n";
  std::string text =
      fmt::format("{} steps, {} barriers, {} bytes of slab, about {:.1f} us of one core\n",
                  plan->steps.size(), plan->barriers, plan->slab_bytes, plan->cost / 1000);
  for (const auto& s : plan->steps) {
    text +=
        fmt::format("{:>2} {:<40} {:<18} {} ({})", s.barrier_before ? "|" : "", s.what,
                    s.kernel.name, name_of(s.step.out.dtype), fmt::join(s.step.out.shape, ", "));
    text += fmt::format(" -> {}{}\n", place_name(s.out.place.kind), s.serial ? ", one worker" : "");
  }
  return text;
}

}  // namespace tarn
