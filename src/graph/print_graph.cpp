// Recorded graphs as text and as drawings.
#include <algorithm>
#include <ostream>
#include <unordered_set>

#include "base/require.h"
#include "graph/node.h"
#include "tarn/graph.h"

namespace tarn {
namespace {

struct Recorded {
  array out;
  const Op* op = nullptr;
  Params params{};
  std::vector<array> in{};
};
struct Graph {
  std::vector<array> inputs{};  // what is there, or stands for an argument
  std::vector<Recorded> calls{};
};

array handle(Node* n) {
  retain(n);
  return array(n);
}

Graph collect(const std::vector<array>& outputs) {
  struct Frame {
    Node* node;
    size_t next = 0;
  };
  Graph g;
  std::unordered_set<Node*> seen;
  std::vector<Frame> stack;
  std::lock_guard lock(graph_mutex());
  auto visit = [&](Node* n) {
    if (!seen.insert(n).second) return;
    if (n->op && n->state != State::ready)
      stack.push_back({n});
    else
      g.inputs.push_back(handle(n));
  };
  for (const auto& out : outputs) {
    visit(out.node());
    while (!stack.empty()) {
      Frame& top = stack.back();
      if (top.next < top.node->inputs.size()) {
        visit(top.node->inputs[top.next++].node());
        continue;
      }
      Node* n = top.node;
      stack.pop_back();
      g.calls.push_back({handle(n), n->op, n->params, n->inputs});
    }
  }
  return g;
}

std::string described(NodeNamer& namer, const std::vector<array>& arrays) {
  std::string text;
  for (const auto& a : arrays)
    text += fmt::format("{}{} [({}{}), {}]", text.empty() ? "" : ", ", namer.get_name(a),
                        joined(a.shape()), a.ndim() == 1 ? "," : "", name_of(a.dtype()));
  return text;
}

std::string call_text(const Recorded& c) {
  std::string params = c.params.print();
  return std::string(c.op->name) + (params.empty() ? "" : "(" + params + ")");
}

// Names come in the order of the graph, whatever is printed first.
void name_all(NodeNamer& namer, const Graph& g) {
  for (const auto& a : g.inputs) namer.get_name(a);
  for (const auto& c : g.calls) namer.get_name(c.out);
}

std::string in_quotes(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

const std::string& NodeNamer::get_name(const array& x) {
  auto it = names_.find(x.id());
  if (it == names_.end()) {
    std::string name;
    for (size_t n = given_++ + 1; n > 0; n = (n - 1) / 26)
      name += static_cast<char>('A' + (n - 1) % 26);
    std::reverse(name.begin(), name.end());
    it = names_.emplace(x.id(), std::pair(x, std::move(name))).first;
  }
  return it->second.second;
}
void NodeNamer::set_name(const array& x, std::string name) {
  names_.insert_or_assign(x.id(), std::pair(x, std::move(name)));
}

void print_graph(std::ostream& out, NodeNamer namer, const std::vector<array>& outputs) {
  Graph g = collect(outputs);
  name_all(namer, g);
  out << "Inputs: " << described(namer, g.inputs) << "\nOutputs: " << described(namer, outputs)
      << "\n";
  for (const auto& c : g.calls)
    out << call_text(c) << " " << described(namer, c.in) << " -> " << described(namer, {c.out})
        << "\n";
}
void print_graph(std::ostream& out, const std::vector<array>& outputs) {
  print_graph(out, NodeNamer(), outputs);
}

void export_to_dot(std::ostream& out, NodeNamer namer, const std::vector<array>& outputs) {
  Graph g = collect(outputs);
  name_all(namer, g);
  out << "digraph {\n";
  for (const auto& a : g.inputs) out << "  " << in_quotes(namer.get_name(a)) << " [rank=source];\n";
  for (size_t i = 0; i < g.calls.size(); ++i) {
    const auto& c = g.calls[i];
    out << "  op" << i << " [label=" << in_quotes(call_text(c)) << ", shape=rectangle];\n";
    for (const auto& x : c.in)
      out << "  " << in_quotes(namer.get_name(x)) << " -> op" << i << ";\n";
    out << "  op" << i << " -> " << in_quotes(namer.get_name(c.out)) << ";\n";
  }
  for (const auto& a : outputs) out << "  " << in_quotes(namer.get_name(a)) << " [rank=sink];\n";
  out << "}\n";
}
void export_to_dot(std::ostream& out, const std::vector<array>& outputs) {
  export_to_dot(out, NodeNamer(), outputs);
}

}  // namespace tarn
