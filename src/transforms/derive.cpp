#include "transforms/derive.h"

#include "base/require.h"
#include "ops/kinds.h"

namespace tarn {
namespace {

using Found = std::unordered_map<Node*, array>;

Maybe find(const Found& found, const array& a) {
  auto it = found.find(a.node());
  return it == found.end() ? Maybe{} : Maybe{it->second};
}
void accumulate(Found& found, const array& a, const array& term) {
  auto [it, added] = found.try_emplace(a.node(), term);
  if (!added) it->second = it->second + term;
}

// The results of a call, as its rules see them.
Arrays outputs_of(const std::vector<TraceEntry>& entries, const std::vector<size_t>& results,
                  const TraceEntry& e) {
  Arrays out;
  for (size_t k = 0; k < results.size(); ++k)
    out.push_back(results[k] < entries.size() ? entries[results[k]].out : e.in[k + 1]);
  return out;
}

// The cotangents of one call: by its rule, or through its expansion where the rule says nothing.
std::vector<Maybe> vjp_of(const TraceEntry& e, const Arrays& out,
                          const std::vector<Maybe>& cotangents) {
  if (e.op->vjp) {
    auto terms = e.op->vjp({e.params, e.in, out}, cotangents);
    if (!terms.empty() || !e.op->expand) return terms;
  }
  if (!e.op->expand) return std::vector<Maybe>(e.in.size());
  Arrays in = fresh_arguments(e.in);
  return pull_back(e.op->expand(e.params, in), in, cotangents);
}
std::vector<Maybe> jvp_of(const TraceEntry& e, const Arrays& out,
                          const std::vector<Maybe>& tangents) {
  if (e.op->jvp) return e.op->jvp({e.params, e.in, out}, tangents);
  if (!e.op->expand) return {Maybe{}};
  Arrays in = fresh_arguments(e.in);
  return push_forward(e.op->expand(e.params, in), in, tangents);
}

}  // namespace

Arrays fresh_arguments(const Arrays& arguments) {
  Arrays fresh;
  for (const auto& a : arguments) fresh.push_back(ops::alias(a));
  return fresh;
}

std::vector<Maybe> pull_back(const Arrays& outputs, const Arrays& arguments,
                             const std::vector<Maybe>& cotangents) {
  auto entries = trace_between(outputs, arguments);
  Found found;
  for (size_t i = 0; i < outputs.size(); ++i)
    if (cotangents[i]) accumulate(found, outputs[i], *cotangents[i]);
  NodeSet ends = index_of(arguments);
  NodeSet inside;
  for (const auto& e : entries) inside.emplace(e.out.node(), 0);
  auto firsts = first_of_call(entries);
  for (size_t i = entries.size(); i-- > 0;) {
    if (firsts[i] != i) continue;
    const auto& e = entries[i];
    auto results = results_of_call(entries, firsts, i);
    std::vector<Maybe> given(results.size());
    bool any = false;
    for (size_t k = 0; k < results.size(); ++k) {
      if (results[k] >= entries.size()) continue;
      given[k] = find(found, entries[results[k]].out);
      any |= given[k].has_value();
      found.erase(entries[results[k]].out.node());
    }
    if (!any) continue;
    auto terms = vjp_of(e, outputs_of(entries, results, e), given);
    for (size_t k = 0; k < e.in.size(); ++k)
      if (terms[k] && (inside.count(e.in[k].node()) || ends.count(e.in[k].node())))
        accumulate(found, e.in[k], *terms[k]);
  }
  std::vector<Maybe> result;
  for (const auto& a : arguments) result.push_back(find(found, a));
  return result;
}

std::vector<Maybe> push_forward(const Arrays& outputs, const Arrays& arguments,
                                const std::vector<Maybe>& tangents) {
  auto entries = trace_between(outputs, arguments);
  Found found;
  for (size_t i = 0; i < arguments.size(); ++i)
    if (tangents[i]) found.try_emplace(arguments[i].node(), *tangents[i]);
  auto firsts = first_of_call(entries);
  for (size_t i = 0; i < entries.size(); ++i) {
    if (firsts[i] != i) continue;
    const auto& e = entries[i];
    std::vector<Maybe> in;
    bool any = false;
    for (const auto& x : e.in) {
      in.push_back(find(found, x));
      any |= in.back().has_value();
    }
    if (!any) continue;
    auto results = results_of_call(entries, firsts, i);
    auto made = jvp_of(e, outputs_of(entries, results, e), in);
    for (size_t k = 0; k < results.size(); ++k)
      if (made[k] && results[k] < entries.size())
        found.try_emplace(entries[results[k]].out.node(), *made[k]);
  }
  std::vector<Maybe> result;
  for (const auto& out : outputs) result.push_back(find(found, out));
  return result;
}

}  // namespace tarn
