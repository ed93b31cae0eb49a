// What is recorded and not computed yet, as text and as a drawing.
#pragma once

#include <iosfwd>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tarn/array.h"

namespace tarn {

// Names for arrays: A, B, ..., Z, AA, ... in the order in which they are asked for, unless one was
// given. It holds on to the arrays it has named.
class NodeNamer {
 public:
  const std::string& get_name(const array& x);
  void set_name(const array& x, std::string name);

 private:
  std::unordered_map<std::uintptr_t, std::pair<array, std::string>> names_{};
  size_t given_ = 0;
};

// The inputs, the outputs, then a line for each operation:
//   Inputs: A [(2, 3), float32]
//   Outputs: C [(), float32]
//   exp A [(2, 3), float32] -> B [(2, 3), float32]
void print_graph(std::ostream& out, NodeNamer namer, const std::vector<array>& outputs);
void print_graph(std::ostream& out, const std::vector<array>& outputs);
// The same in the language of Graphviz.
void export_to_dot(std::ostream& out, NodeNamer namer, const std::vector<array>& outputs);
void export_to_dot(std::ostream& out, const std::vector<array>& outputs);

template <class... A>
requires(sizeof...(A) > 0 && (std::is_convertible_v<A, array> &&
                              ...)) void print_graph(std::ostream& out, NodeNamer namer,
                                                     A&&... outputs) {
  print_graph(out, std::move(namer), std::vector<array>{std::forward<A>(outputs)...});
}
template <class... A>
requires(sizeof...(A) > 0 && (std::is_convertible_v<A, array> &&
                              ...)) void print_graph(std::ostream& out, A&&... outputs) {
  print_graph(out, NodeNamer(), std::vector<array>{std::forward<A>(outputs)...});
}
template <class... A>
requires(sizeof...(A) > 0 && (std::is_convertible_v<A, array> &&
                              ...)) void export_to_dot(std::ostream& out, NodeNamer namer,
                                                       A&&... outputs) {
  export_to_dot(out, std::move(namer), std::vector<array>{std::forward<A>(outputs)...});
}
template <class... A>
requires(sizeof...(A) > 0 && (std::is_convertible_v<A, array> &&
                              ...)) void export_to_dot(std::ostream& out, A&&... outputs) {
  export_to_dot(out, NodeNamer(), std::vector<array>{std::forward<A>(outputs)...});
}

}  // namespace tarn
