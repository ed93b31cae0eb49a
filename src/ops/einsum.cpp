// Einstein's notation: its reading, the order of contraction, and one contraction by matmul.
#include "tarn/ops/einsum.h"
#include "base/text.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "ops/kinds.h"

namespace tarn {

using namespace ops;

namespace {

// Axes are letters; those that "..." stands for are digits and signs, which subscripts cannot have.
using Labels = std::string;
struct Subscripts {
  std::vector<Labels> in{};
  Labels out{};
  std::map<char, int64_t> size{};
};
bool has(const Labels& labels, char c) { return labels.find(c) != Labels::npos; }

// The letters of one term; the place of "..." is where the axes of `dots` go.
Labels read_term(const std::string& term, const std::string& all, const Labels& dots) {
  Labels out;
  bool seen = false;
  for (size_t i = 0; i < term.size(); ++i) {
    char c = term[i];
    if (c == '.') {
      require(!seen && term.compare(i, 3, "...") == 0,
              "[einsum] \"{}\" has a dot outside one \"...\" a term.", all);
      seen = true;
      i += 2;
      out += dots;
    } else {
      require((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'),
              "[einsum] \"{}\" has \"{}\"; a subscript is a letter or \"...\".", all, c);
      out += c;
    }
  }
  return out;
}
// The last n of the labels that "..." may stand for: broadcasting aligns axes at their end.
Labels dots_of(int64_t n) {
  Labels out;
  for (int64_t i = n; i > 0; --i) out += static_cast<char>(-i);
  return out;
}
bool is_dot(char c) { return static_cast<signed char>(c) < 0; }

std::string without_spaces(std::string text) {
  std::erase(text, ' ');
  return text;
}
std::vector<std::string> split_terms(const std::string& text) {
  std::vector<std::string> terms{""};
  for (char c : text) {
    if (c == ',')
      terms.emplace_back();
    else
      terms.back() += c;
  }
  return terms;
}
// What occurs once, in order, behind what "..." stands for.
Labels implicit_output(const std::vector<Labels>& in) {
  std::map<char, int> count;
  Labels dots, letters;
  for (const auto& term : in)
    for (char c : term) ++count[c];
  for (auto [c, n] : count) {
    if (is_dot(c))
      dots += c;
    else if (n == 1)
      letters += c;
  }
  std::sort(dots.begin(), dots.end(), [](signed char a, signed char b) { return a < b; });
  return dots + letters;
}
void note_sizes(Subscripts& s, const Labels& term, const Shape& shape, const std::string& all) {
  for (size_t k = 0; k < term.size(); ++k) {
    auto [at, is_new] = s.size.emplace(term[k], shape[k]);
    if (is_new || at->second == shape[k]) continue;
    if (is_dot(term[k]) && (at->second == 1 || shape[k] == 1)) {
      at->second = at->second == 1 ? shape[k] : at->second;
      continue;
    }
    std::string name = is_dot(term[k]) ? "..." : std::string(1, term[k]);
    fail<ShapeError>("[einsum] \"{}\" in \"{}\" has sizes {} and {}.", name, all, at->second,
                     shape[k]);
  }
}

Subscripts read(const std::string& given, const std::vector<array>& operands) {
  std::string text = without_spaces(given);
  size_t arrow = text.find("->");
  auto terms = split_terms(text.substr(0, arrow));
  require(terms.size() == operands.size(), "[einsum] \"{}\" has {} terms for {} operands.", given,
          terms.size(), operands.size());
  Subscripts s;
  int64_t most = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    bool dotted = terms[i].find('.') != std::string::npos;
    auto letters = static_cast<int64_t>(terms[i].size()) - (dotted ? 3 : 0);
    auto axes = static_cast<int64_t>(operands[i].ndim());
    read_term(terms[i], given, "");
    require<ShapeError>(dotted ? axes >= letters : axes == letters,
                        "[einsum] term \"{}\" of \"{}\" is for {} axes; operand {} has shape {}.",
                        terms[i], given, letters, i, text_of(operands[i].shape()));
    most = std::max(most, axes - letters);
    s.in.push_back(read_term(terms[i], given, dots_of(axes - letters)));
    note_sizes(s, s.in.back(), operands[i].shape(), given);
  }
  if (arrow == std::string::npos) {
    s.out = implicit_output(s.in);
    return s;
  }
  s.out = read_term(text.substr(arrow + 2), given, dots_of(most));
  for (size_t i = 0; i < s.out.size(); ++i) {
    require(s.size.count(s.out[i]) > 0,
            "[einsum] the result of \"{}\" has \"{}\", no operand does.", given, s.out[i]);
    require(s.out.find(s.out[i], i + 1) == Labels::npos,
            "[einsum] the result of \"{}\" has \"{}\" twice.", given, s.out[i]);
  }
  return s;
}

// --- the order of contraction

double volume(const Labels& labels, const std::map<char, int64_t>& size) {
  double n = 1;
  for (char c : labels) n *= double(size.at(c));
  return n;
}
Labels united(const Labels& a, const Labels& b) {
  Labels out;
  for (char c : a + b)
    if (!has(out, c)) out += c;
  return out;
}
// The labels that a step on `used` keeps: those that the rest or the result still needs.
Labels kept(const Labels& used, const std::vector<Labels>& rest, const Labels& out) {
  Labels result;
  for (char c : used) {
    bool needed = has(out, c);
    for (const auto& term : rest) needed |= has(term, c);
    if (needed) result += c;
  }
  return result;
}

struct Choice {
  size_t i = 0, j = 1;
  double grown = 0, cost = std::numeric_limits<double>::infinity();
};
std::vector<Labels> all_but(const std::vector<Labels>& terms, size_t i, size_t j) {
  std::vector<Labels> rest;
  for (size_t k = 0; k < terms.size(); ++k)
    if (k != i && k != j) rest.push_back(terms[k]);
  return rest;
}
Choice best_pair(const std::vector<Labels>& terms, const Subscripts& s) {
  std::optional<Choice> best;
  for (size_t i = 0; i < terms.size(); ++i) {
    for (size_t j = i + 1; j < terms.size(); ++j) {
      Labels used = united(terms[i], terms[j]);
      Labels result = kept(used, all_but(terms, i, j), s.out);
      double before = volume(united(terms[i], ""), s.size) + volume(united(terms[j], ""), s.size);
      double multiplied = volume(used, s.size) * (result.size() < used.size() ? 2 : 1);
      Choice c{i, j, volume(result, s.size) - before, multiplied};
      bool better =
          !best || c.grown < best->grown || (c.grown == best->grown && c.cost < best->cost);
      if (better) best = c;
    }
  }
  return *best;
}
std::vector<std::vector<int>> greedy(const Subscripts& s) {
  std::vector<std::vector<int>> path;
  std::vector<Labels> terms = s.in;
  while (terms.size() > 2) {
    Choice c = best_pair(terms, s);
    path.push_back({static_cast<int>(c.i), static_cast<int>(c.j)});
    auto rest = all_but(terms, c.i, c.j);
    rest.push_back(kept(united(terms[c.i], terms[c.j]), rest, s.out));
    terms = std::move(rest);
  }
  path.push_back(terms.size() == 1 ? std::vector<int>{0} : std::vector<int>{0, 1});
  return path;
}

// --- one step

struct Term {
  array value;
  Labels labels;
};
// A diagonal where a label comes twice: the later axis goes.
Term without_repeats(Term t, StreamOrDevice s) {
  for (size_t i = 0; i < t.labels.size(); ++i) {
    size_t j = t.labels.find(t.labels[i], i + 1);
    if (j == Labels::npos) continue;
    char c = t.labels[i];
    t.value = diagonal(t.value, 0, static_cast<int>(i), static_cast<int>(j), s);
    t.labels.erase(j, 1);
    t.labels.erase(i, 1);
    t.labels += c;
    i = static_cast<size_t>(-1);
  }
  return t;
}
// Summed over what nobody needs any more.
Term without_unneeded(Term t, const Labels& needed, StreamOrDevice s) {
  std::vector<int> axes;
  Labels rest;
  for (size_t i = 0; i < t.labels.size(); ++i) {
    if (has(needed, t.labels[i]))
      rest += t.labels[i];
    else
      axes.push_back(static_cast<int>(i));
  }
  if (!axes.empty()) t.value = sum(t.value, axes, false, s);
  return {t.value, rest};
}
array ordered(const Term& t, const Labels& order, StreamOrDevice s) {
  std::vector<int> axes;
  for (char c : order) axes.push_back(static_cast<int>(t.labels.find(c)));
  return transpose(t.value, axes, s);
}
Labels filtered(const Labels& from, auto keep) {
  Labels out;
  for (char c : from)
    if (keep(c)) out += c;
  return out;
}
Shape shape_of(const Labels& labels, const std::map<char, int64_t>& size) {
  Shape shape;
  for (char c : labels) shape.push_back(size.at(c));
  return shape;
}
int64_t product(const Shape& shape) {
  int64_t n = 1;
  for (auto d : shape) n *= d;
  return n;
}
// Axes of "..." may have size 1 in one operand; as a batch axis both need the whole size.
array widened(const array& x, const Labels& labels, const Labels& batch,
              const std::map<char, int64_t>& size, StreamOrDevice s) {
  Shape shape = x.shape();
  for (size_t i = 0; i < labels.size(); ++i)
    if (has(batch, labels[i])) shape[i] = size.at(labels[i]);
  return broadcast_to(x, shape, s);
}

// The product of two terms, keeping `result`: (batch, m, k) times (batch, k, n).
Term contract(const Term& a, const Term& b, const Labels& result,
              const std::map<char, int64_t>& size, StreamOrDevice s) {
  auto shared = [&](char c) { return has(a.labels, c) && has(b.labels, c); };
  Labels batch = filtered(result, shared);
  Labels inner = filtered(a.labels, [&](char c) { return has(b.labels, c) && !has(result, c); });
  Labels rows = filtered(a.labels, [&](char c) { return !has(b.labels, c); });
  Labels columns = filtered(b.labels, [&](char c) { return !has(a.labels, c); });
  // Sizes of 1 in "..." are widened where both have the axis.
  array x =
      widened(ordered(a, batch + rows + inner, s), batch + rows + inner, batch + inner, size, s);
  array y = widened(ordered(b, batch + inner + columns, s), batch + inner + columns, batch + inner,
                    size, s);
  Shape batches = shape_of(batch, size);
  Shape m(x.shape().begin() + batch.size(), x.shape().begin() + batch.size() + rows.size());
  Shape n(y.shape().begin() + batch.size() + inner.size(), y.shape().end());
  int64_t k = product(shape_of(inner, size));
  Shape left = batches, right = batches, out = batches;
  for (auto d : {product(m), k}) left.push_back(d);
  for (auto d : {k, product(n)}) right.push_back(d);
  out.insert(out.end(), m.begin(), m.end());
  out.insert(out.end(), n.begin(), n.end());
  x = reshape(x, left, s), y = reshape(y, right, s);
  bool integral = !issubdtype(result_type(x, y), inexact);
  array z = inner.empty() ? multiply(x, y, s)
            : integral
                ? sum(multiply(expand_dims(x, -1, s), expand_dims(y, -3, s), s), -2, false, s)
                : matmul(x, y, s);
  return {reshape(z, out, s), batch + rows + columns};
}

std::string shown(const Labels& labels) {
  std::string out;
  for (char c : labels) {
    if (!is_dot(c))
      out += c;
    else if (out.find("...") == std::string::npos)
      out += "...";
  }
  return out;
}
std::string joined(const std::vector<Labels>& terms, const Labels& out) {
  std::string text;
  for (const auto& t : terms) text += (text.empty() ? "" : ",") + shown(t);
  return text + "->" + shown(out);
}

}  // namespace

std::pair<std::vector<std::vector<int>>, std::string> einsum_path(
    const std::string& subscripts, const std::vector<array>& operands) {
  Subscripts s = read(subscripts, operands);
  auto path = greedy(s);
  Labels every;
  for (const auto& t : s.in) every = united(every, t);
  double naive = volume(every, s.size) * double(std::max<size_t>(operands.size(), 2));
  double cost = 0, largest = 0;
  std::string steps;
  std::vector<Labels> terms = s.in;
  for (const auto& step : path) {
    Labels used;
    std::vector<Labels> taken;
    for (int i : step) {
      taken.push_back(terms[static_cast<size_t>(i)]);
      used = united(used, taken.back());
    }
    auto rest = all_but(terms, static_cast<size_t>(step[0]), static_cast<size_t>(step.back()));
    Labels result = rest.empty() ? s.out : kept(used, rest, s.out);
    cost += volume(used, s.size) * (result.size() < used.size() ? 2 : 1);
    largest = std::max(largest, volume(result, s.size));
    rest.push_back(result);
    steps += fmt::format("{:<24}{}\n", joined(taken, result), joined(rest, s.out));
    terms = std::move(rest);
  }
  std::string report = fmt::format(
      "Complete contraction: {}\nNaive operations:     {:.4g}\nOptimised operations: {:.4g}\n"
      "Largest intermediate: {:.4g} elements\n\n{:<24}remaining\n{}",
      joined(s.in, s.out), naive, cost, largest, "step", steps);
  return {path, report};
}

array einsum(const std::string& subscripts, const std::vector<array>& operands, StreamOrDevice s) {
  Subscripts read_in = read(subscripts, operands);
  std::vector<Term> terms;
  for (size_t i = 0; i < operands.size(); ++i)
    terms.push_back(without_repeats({operands[i], read_in.in[i]}, s));
  for (const auto& step : greedy(read_in)) {
    Term a = terms[static_cast<size_t>(step[0])];
    Term b = terms[static_cast<size_t>(step.back())];
    for (size_t k = step.size(); k-- > 0;) terms.erase(terms.begin() + step[k]);
    Labels needed = read_in.out;
    for (const auto& t : terms) needed += t.labels;
    if (step.size() == 1) {
      terms.push_back(without_unneeded(a, needed, s));
      continue;
    }
    a = without_unneeded(a, needed + b.labels, s);
    b = without_unneeded(b, needed + a.labels, s);
    terms.push_back(
        contract(a, b, filtered(united(a.labels, b.labels), [&](char c) { return has(needed, c); }),
                 read_in.size, s));
  }
  return ordered(terms[0], read_in.out, s);
}

}  // namespace tarn
