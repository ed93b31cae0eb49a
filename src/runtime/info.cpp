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

const char* derivative_of(const Op& op) {
  if (op.vjp) return "own rule";
  return op.expand ? "by expansion" : "none";
}

const char* place_name(Place::Kind k) {
  constexpr const char* names[] = {"input", "constant", "slab", "slab", "output"};
  return names[static_cast<int>(k)];
}
// By whom; in a plan with a device, on which side.
const char* where_done(const Plan& plan, const PlanStep& s) {
  constexpr const char* names[] = {"", ", one worker", ", each worker"};
  if (plan.device) return s.on_device ? ", on the device" : ", on the CPU";
  return names[static_cast<int>(s.who)];
}

// Why the step does not go on in the step that reads its result.
std::string not_fused(const PlanStep& s) {
  switch (s.stored) {
    case Stored::unread:
      return "";
    case Stored::output:
      return ", stored: an array names it";
    case Stored::reader:
      return s.reader ? fmt::format(", stored for {}", s.reader->name) : ", stored for a view";
    case Stored::repeats:
      return fmt::format(", stored: {} repeats it along other axes", s.reader->name);
    case Stored::shared:
      return ", stored: several steps read it, and computing it again costs more";
    case Stored::full:
      return ", stored: the next step has as many operations or inputs as one may have";
    case Stored::alone:
      return ", stored: fusing is off";
  }
  return "";
}

}  // namespace

std::vector<OpInfo> list_ops() {
  std::vector<OpInfo> list;
  for (const Op* op : ops::all())
    list.push_back({std::string(op->name), name_of(op->kind), std::string(op->doc),
                    ops::types_of(*op), derivative_of(*op), kernels_of(*op)});
  return list;
}

std::string explain(const array& a) {
  if (a.is_available()) return "The array is there: nothing is left to compute.\n";
  auto plan = plan_of(a);
  if (!plan) return "Another thread is computing the array.\n";
  std::string text = fmt::format(
      "{} steps in {} stages, {} bytes of slab, about {:.1f} us of one core\n", plan->steps.size(),
      plan->stages(), plan->slab_bytes + plan->own_bytes, plan->cost / 1000);
  for (size_t stage = 0; stage < plan->stages(); ++stage)
    for (size_t i = plan->stage_begins[stage]; i < plan->stage_begins[stage + 1]; ++i) {
      const PlanStep& s = plan->steps[i];
      bool waits = stage > 0 && i == plan->stage_begins[stage];
      text += fmt::format("{:>2} {:<40} {:<18} {} ({}) -> {}{}{}\n", waits ? "|" : "", s.what,
                          s.kernel.name, name_of(s.out().dtype), joined(s.out().shape),
                          place_name(s.at.back().place.kind), where_done(*plan, s), not_fused(s));
    }
  return text;
}

}  // namespace tarn
