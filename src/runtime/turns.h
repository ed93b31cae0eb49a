// A loop on a device whose turns differ in nothing but numbers.
#pragma once

#include <memory>
#include <vector>

#include "tarn/array.h"

namespace tarn {

// Each turn takes arrays over from the one before and leaves as many in their place, as the step of
// a token does with caches and the token. Three turns behind each other may show that they run the
// same plan over the same other arrays, and that what their run-time parameters come to
// (Kernel::number) grows by the same each time. From then on follow() gives the device the next
// turn without a graph: the same launches in the same memory, with numbers that have grown on.
class Turns {
 public:
  Turns();
  ~Turns();
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  // A turn that was recorded, ahead (eval_ahead): its results stand where the next one will find
  // what it takes over.
  void evaluate(const std::vector<array>& results);
  // The next turn, ahead: afterwards the arrays of `state` hold its results. False: nothing was
  // done, and it has to be recorded, as long as turns have not shown what they have in common, and
  // when `state` is not what the last one left, or something but its owner holds an array of it.
  // The caller vouches for what arrays do not show: that recording it would give the same graph,
  // with numbers that go on as between the last two.
  bool follow(const std::vector<array>& state);
  // What turns had in common.
  void forget();

 private:
  struct Seen;
  class Watch;
  class Kept;
  std::vector<array> state_{};  // what the last turn left
  std::unique_ptr<Seen> last_{};
  std::unique_ptr<Kept> kept_{};
};

}  // namespace tarn
