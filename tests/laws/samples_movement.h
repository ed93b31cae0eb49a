// Samples of ops that move elements. Included by samples.h.
#pragma once

namespace tarn::laws {

using ops::Update;

inline std::vector<Sample> slices(Dtype t) {
  array x = numbers({4, 6}, t);
  return {{"box", ops::Slice::P{{1, 2}, {2, 3}, {1, 1}}, {x}, {0}},
          {"steps", ops::Slice::P{{0, 1}, {2, 3}, {2, 2}}, {x}, {0}},
          {"backwards", ops::Slice::P{{3, 5}, {4, 3}, {-1, -2}}, {x}, {0}},
          {"nothing", ops::Slice::P{{1, 2}, {0, 3}, {1, 1}}, {x}, {0}}};
}
inline std::vector<Sample> slice_updates(Dtype t) {
  std::vector<Sample> out;
  for (Update mode : {Update::set, Update::add, Update::prod, Update::max, Update::min}) {
    std::vector<int> smooth;
    if (mode == Update::set || mode == Update::add) smooth = {0, 1};
    array x = numbers({4, 6}, t), update = numbers({2, 3}, t, -3, 3, 1);
    auto name = fmt::format("mode {}", static_cast<int>(mode));
    out.push_back({name, ops::SliceUpdate::P{mode, {1, 1}, {1, 2}}, {x, update}, smooth});
    out.push_back(
        {name + " steps", ops::SliceUpdate::P{mode, {2, 2}, {0, 1}}, {x, update}, smooth});
    out.push_back(
        {name + " back", ops::SliceUpdate::P{mode, {-1, -2}, {3, 5}}, {x, update}, smooth});
    out.push_back({name + " nothing",
                   ops::SliceUpdate::P{mode, {1, 1}, {1, 1}},
                   {x, numbers({0, 3}, t)},
                   smooth});
  }
  return out;
}
inline std::vector<Sample> gathers(Dtype t) {
  array x = numbers({4, 3, 5}, t);
  return {
      {"rows", ops::Gather::P{{0}, {1, 3, 5}}, {x, indices({6}, 4)}, {0}},
      {"boxes", ops::Gather::P{{1}, {2, 1, 3}}, {x, indices({2, 2}, 3, uint8)}, {0}},
      {"two axes",
       ops::Gather::P{{2, 0}, {1, 2, 1}},
       {x, indices({3}, 5, int64), indices({3}, 4, int64, 1)},
       {0}},
      {"from the end", ops::Gather::P{{0}, {1, 3, 5}}, {x, indices({3}, 4) - array(4, int32)}, {0}},
      {"no index", ops::Gather::P{{}, {2, 3, 5}}, {x}, {0}},
      {"nothing", ops::Gather::P{{0}, {1, 3, 5}}, {x, indices({0}, 4)}, {0}}};
}
inline std::vector<Sample> scatters(Dtype t) {
  std::vector<Sample> out;
  for (Update mode : {Update::set, Update::add, Update::prod, Update::max, Update::min}) {
    // Where set meets an index twice, only the last update counts.
    std::vector<int> smooth;
    if (mode == Update::set || mode == Update::add) smooth = {0, 1};
    auto name = fmt::format("mode {}", static_cast<int>(mode));
    array x = numbers({4, 3}, t), rows = array({2, 0, 3}, int32), again = array({2, 0, 2}, int32);
    out.push_back(
        {name, ops::Scatter::P{mode, {0}}, {x, numbers({3, 1, 3}, t, -3, 3, 1), rows}, smooth});
    out.push_back({name + " boxes",
                   ops::Scatter::P{mode, {1, 0}},
                   {x, numbers({2, 2, 1}, t, -3, 3, 1), array({2, 0}, int32), array({1, 2}, int32)},
                   mode == Update::add ? smooth : std::vector<int>{}});
    out.push_back({name + " repeated",
                   ops::Scatter::P{mode, {0}},
                   {x, numbers({3, 1, 3}, t, -3, 3, 1), again},
                   mode == Update::set ? std::vector<int>{} : smooth});
    out.push_back({name + " nothing",
                   ops::Scatter::P{mode, {0}},
                   {x, numbers({0, 1, 3}, t), indices({0}, 4)},
                   smooth});
  }
  return out;
}
inline std::vector<Sample> gather_axes(Dtype t) {
  array x = numbers({4, 3}, t);
  return {{"first", ops::GatherAxis::P{0}, {x, indices({2, 3}, 4)}, {0}},
          {"last", ops::GatherAxis::P{1}, {x, indices({4, 5}, 3, uint32)}, {0}},
          {"nothing", ops::GatherAxis::P{1}, {x, indices({4, 0}, 3)}, {0}}};
}
inline std::vector<Sample> scatter_axes(Dtype t) {
  std::vector<Sample> out;
  for (Update mode : {Update::set, Update::add, Update::prod, Update::max, Update::min}) {
    std::vector<int> smooth{0, 1};
    auto name = fmt::format("mode {}", static_cast<int>(mode));
    array x = numbers({4, 3}, t), update = numbers({2, 3}, t, -3, 3, 1);
    array apart = array({0, 1, 2, 3, 3, 0}, Shape{2, 3}, int32);
    out.push_back({name, ops::ScatterAxis::P{mode, 0}, {x, update, apart}, smooth});
    out.push_back(
        {name + " last",
         ops::ScatterAxis::P{mode, 1},
         {x, numbers({4, 2}, t, -3, 3, 1), array({0, 1, 2, 0, 1, 2, 0, 2}, Shape{4, 2}, int32)},
         smooth});
  }
  return out;
}

inline void add_moves(Table& t) {
  auto add = [&](const char* name, std::function<std::vector<Sample>(Dtype)> make) {
    t[name] = {numbers_, std::move(make)};
  };
  add("alias", [](Dtype d) {
    return std::vector<Sample>{{"kept", ops::Alias::P{false}, {numbers({3, 4}, d)}, {0}}};
  });
  add("reshape", [](Dtype d) {
    return std::vector<Sample>{{"(3,4)", ops::Reshape::P{{2, 6}}, {numbers({3, 4}, d)}, {0}},
                               {"0-d", ops::Reshape::P{{}}, {numbers({1, 1}, d)}, {0}},
                               {"empty", ops::Reshape::P{{3, 0}}, {numbers({0, 2}, d)}, {0}}};
  });
  add("transpose", [](Dtype d) {
    return std::vector<Sample>{{"two", ops::Transpose::P{{1, 0}}, {numbers({3, 4}, d)}, {0}},
                               {"turn", ops::Transpose::P{{2, 0, 1}}, {numbers({2, 3, 4}, d)}, {0}},
                               {"0-d", ops::Transpose::P{{}}, {numbers({}, d)}, {0}}};
  });
  add("broadcast_to", [](Dtype d) {
    return std::vector<Sample>{{"rows", ops::BroadcastTo::P{{3, 4}}, {numbers({4}, d)}, {0}},
                               {"both", ops::BroadcastTo::P{{2, 3, 4}}, {numbers({3, 1}, d)}, {0}},
                               {"0-d", ops::BroadcastTo::P{{2, 2}}, {numbers({}, d)}, {0}},
                               {"nothing", ops::BroadcastTo::P{{0, 4}}, {numbers({1, 4}, d)}, {0}}};
  });
  add("slice", slices);
  add("slice_update", slice_updates);
  add("as_strided", [](Dtype d) {
    array x = numbers({4, 6}, d);
    return std::vector<Sample>{{"windows", ops::AsStrided::P{{5, 3}, {4, 1}, 2}, {x}, {0}},
                               {"overlap", ops::AsStrided::P{{6, 4}, {1, 2}, 0}, {x}, {0}},
                               {"same", ops::AsStrided::P{{3}, {0}, 7}, {x}, {0}}};
  });
  add("view", [](Dtype d) {
    Dtype to = d.size == 1 ? int8 : d.size == 2 ? uint16 : d.size == 4 ? uint32 : uint64;
    return std::vector<Sample>{{"same size", ops::ViewAs::P{to}, {numbers({3, 8}, d)}},
                               {"bytes", ops::ViewAs::P{uint8}, {numbers({3, 8}, d)}},
                               {"wide", ops::ViewAs::P{int64}, {numbers({3, 8}, d)}}};
  });
  add("concatenate", [](Dtype d) {
    return std::vector<Sample>{
        {"rows",
         ops::Concatenate::P{0},
         {numbers({2, 3}, d), numbers({1, 3}, d, -3, 3, 1)},
         {0, 1}},
        {"columns",
         ops::Concatenate::P{1},
         {numbers({2, 3}, d), numbers({2, 0}, d), numbers({2, 2}, d, -3, 3, 1)},
         {0, 2}}};
  });
  add("gather", gathers);
  add("scatter", scatters);
  add("take_along_axis", gather_axes);
  add("put_along_axis", scatter_axes);
  add("argsort", [](Dtype d) {
    return std::vector<Sample>{{"last", ops::ArgSort::P{1}, {numbers({3, 40}, d)}},
                               {"last, to the 11th", ops::ArgSort::P{1, 11}, {numbers({3, 40}, d)}},
                               {"first", ops::ArgSort::P{0}, {numbers({7, 3}, d)}},
                               {"empty", ops::ArgSort::P{1}, {numbers({3, 0}, d)}}};
  });
  add("searchsorted", [](Dtype d) {
    std::vector<Sample> out;
    for (bool right : {false, true}) {
      array lines = sort(numbers({2, 9}, d), 1);
      array ties = concatenate({slice(lines, {0, 2}, {2, 6}), numbers({2, 3}, d, -4, 4, 2)}, 1);
      out.push_back({right ? "right" : "left", ops::SearchSorted::P{right}, {lines, ties}});
      out.push_back({right ? "right of nothing" : "left of nothing",
                     ops::SearchSorted::P{right},
                     {numbers({1, 0}, d), numbers({1, 4}, d)}});
    }
    return out;
  });
  add("depends", [](Dtype d) {
    return std::vector<Sample>{
        {"one", ops::Depends::P{}, {numbers({3, 4}, d), numbers({2}, float32)}, {0}},
        {"two",
         ops::Depends::P{},
         {numbers({}, d), numbers({2}, d, -3, 3, 1), numbers({2, 2}, int32)},
         {0}}};
  });
}

}  // namespace tarn::laws
