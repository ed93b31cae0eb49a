// Sums of products in Einstein's notation.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tarn/array.h"

namespace tarn {

// "ij,jk->ik": axes with one letter are multiplied along each other, letters that the result lacks
// are summed over. Without "->" the result has the letters that occur once, in alphabetical order,
// behind those of "...". A letter twice in one operand takes its diagonal; "..." stands for axes
// that broadcast. Pairs of operands are contracted in the order of einsum_path.
// Throws ValueError for subscripts that cannot be read and ShapeError when sizes differ.
array einsum(const std::string& subscripts, const std::vector<array>& operands,
             StreamOrDevice s = {});
// The order of contraction, each step as positions in the list of operands that are left, the
// result of a step at its end; and a report of what it costs. Greedy: the pair that shrinks the
// list's elements most, then the cheapest one.
std::pair<std::vector<std::vector<int>>, std::string> einsum_path(
    const std::string& subscripts, const std::vector<array>& operands);

}  // namespace tarn
