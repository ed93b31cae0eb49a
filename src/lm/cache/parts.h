// What the kinds of cache share: how much room there is, and what a query may see.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tarn/fast.h"
#include "tarn/lm/cache.h"

namespace tarn::lm {

// Room doubles, from 256 positions on, up to `most` (0: any number): a plan of the decode step
// lasts as long as the room does.
int64_t capacity_for(int64_t length, int64_t most = 0);

// `old` (1, heads, positions, size) with room for `capacity` positions, its first `length` kept;
// heads and size are those of `like`. To be evaluated apart from the decode step, so that its plan
// does not change.
array grown(const array& old, const array& like, int64_t length, int64_t capacity, Dtype dtype);

// x, whose positions are axis 2, with `more` written from position `start` on.
array with_positions(const array& x, const array& more, int64_t start);

// Which of `capacity` slots each of the last n of `length` positions sees when position p lies in
// slot p: bool (n, capacity). A window of 0 is none.
array visible_slots(int64_t n, int64_t length, int64_t capacity, int64_t window);

// A layer's cache as files hold it: arrays by their place in the class's state, and the numbers
// that follow them there.
struct CacheParts {
  std::string kind{};  // mlx-lm's class name
  std::vector<std::pair<std::string, array>> arrays{};
  std::vector<int64_t> numbers{};
  static CacheParts of(const LayerCache& layer);
  // Throws FileError that begins with `place` for parts that do not fit together.
  LayerCache whole(const std::string& place) const;

 private:
  const array& at(const std::string& key, const std::string& place) const;
  LayerCache whole_plain(const std::string& place) const;
  LayerCache whole_rotating(const std::string& place) const;
  LayerCache whole_quantised(const std::string& place) const;
};

}  // namespace tarn::lm
