// Places intervals of time and size in one piece of memory so that no two that live at once meet.
#pragma once

#include <cstddef>
#include <vector>

namespace tarn {

struct Lifetime {
  size_t bytes = 0;
  int first = 0, last = 0;  // steps, both included
  size_t at = 0;            // the answer
};

// In the order of first use, each at the lowest gap among those that live; linear in the number of
// lives but for how many live at once.
// Returns the slab's size. Addresses are multiples of 64.
size_t place_in_slab(std::vector<Lifetime>& lives);

}  // namespace tarn
