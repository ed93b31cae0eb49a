// Every op of the catalogue: its parameters as text, its check, and it itself in a file.
#include <gtest/gtest.h>

#include "io/io_files.h"
#include "laws/samples.h"
#include "ops/valid.h"
#include "transforms/words.h"

namespace tarn::laws {
namespace {

TEST(Catalogue, ParametersAreReadBackFromTheirPrint) {
  for_each_sample([](const Op& op, Dtype t, const Sample& s) {
    if (!ops::has_check(op)) return;  // not written to files: groups are of this process only
    if (!op.params) {
      EXPECT_EQ(s.params.print(), "") << op.name;
      return;
    }
    auto back = op.params->parse(s.params.print());
    ASSERT_TRUE(back) << op.name << " " << name_of(t) << ": " << s.params.print();
    EXPECT_EQ(back->print(), s.params.print());
    if (!s.params.empty()) {
      EXPECT_TRUE(*back == s.params) << op.name << ": " << s.params.print();
    }
    EXPECT_FALSE(op.params->parse(s.params.print() + " "));
    EXPECT_FALSE(op.params->parse("x" + s.params.print()));
  });
}

struct All {
  int number = 0;
  int64_t large = 0;
  uint8_t small = 0;
  bool flag = false;
  float single = 0;
  double wide = 0;
  Dtype dtype{};
  ops::Update mode = ops::Update::set;
  std::string name{};
  Shape shape{};
  Axes axes{};
  int64_t length = 0;
  TARN_FIELDS(number, large, small, flag, single, wide, dtype, mode, name, shape, axes)
  TARN_RUNTIME_FIELDS(length)
};
TEST(Catalogue, EveryKindOfFieldIsReadBack) {
  All all{-7,
          int64_t{-1} << 62,
          200,
          true,
          0.1f,
          -1e-300,
          bfloat16,
          ops::Update::max,
          "a \"b\\, c=1",
          {1, -2, 3},
          {},
          9};
  std::string text = Params(all).print();
  EXPECT_EQ(text,
            "number=-7, large=-4611686018427387904, small=200, flag=true, single=0.1, "
            "wide=-1e-300, dtype=bfloat16, mode=3, name=\"a \\\"b\\\\, c=1\", shape=(1, -2, 3), "
            "axes=(), length=9");
  auto back = Params::type<All>.parse(text);
  ASSERT_TRUE(back);
  EXPECT_TRUE(*back == Params(all));
  all.single = INFINITY, all.wide = -INFINITY;
  EXPECT_TRUE(*Params::type<All>.parse(Params(all).print()) == Params(all));
  for (size_t n = 0; n < text.size(); ++n)
    EXPECT_FALSE(Params::type<All>.parse(text.substr(0, n))) << text.substr(0, n);
  for (const char* bad : {"small=300", "small=-1", "flag=yes", "dtype=float12", "mode=1000",
                          "large=9223372036854775808", "shape=(1, -2, 3", "shape=(1 2)"}) {
    std::string word(bad), field = word.substr(0, word.find('=') + 1);
    size_t at = text.find(field), end = text.find(field == "shape=" ? ", axes" : ", ", at);
    EXPECT_FALSE(Params::type<All>.parse(text.substr(0, at) + word + text.substr(end))) << bad;
  }
}

TEST(Catalogue, ChecksAcceptWhatIsRecorded) {
  for_each_sample([](const Op& op, Dtype t, const Sample& s) {
    if (!ops::has_check(op)) return;
    EXPECT_EQ(what_is_thrown([&] { ops::check_call(op, s.params, s.in); }), "nothing is thrown")
        << op.name << " " << name_of(t) << " " << s.label;
  });
}

// Every number of the parameters is replaced by others, and inputs are left out: the check refuses
// the call, or it can be computed (the sanitizers watch).
TEST(Catalogue, ChecksKeepWhatWouldCrash) {
  for_each_sample([](const Op& op, Dtype t, const Sample& s) {
    if (!ops::has_check(op) || (t != float32 && t != int32 && t != uint32 && t != bool_)) return;
    auto try_call = [&](const Params& params, const Arrays& in) {
      try {
        ops::check_call(op, params, in);
        ArraySpec spec = op.infer(params, in);
        double n = 1;
        for (auto d : spec.shape) n *= static_cast<double>(d);
        if (n < 100000) record(op, params, in, {}).eval();
      } catch (const Error&) {
      }
    };
    std::string print = s.params.print();
    for (size_t i = 0; i < print.size() && op.params; ++i) {
      if (print[i] < '0' || print[i] > '9') continue;
      size_t end = print.find_first_not_of("0123456789", i);
      for (const char* number : {"0", "1", "2", "3", "5", "-1", "-7", "64", "1000", "4294967296",
                                 "9223372036854775807", "-9223372036854775808"})
        if (auto p = op.params->parse(print.substr(0, i) + number +
                                      (end == print.npos ? "" : print.substr(end))))
          try_call(*p, s.in);
      if (end == print.npos) break;
      i = end;
    }
    for (size_t drop = 0; drop < s.in.size(); ++drop) {
      Arrays fewer = s.in;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(drop));
      try_call(s.params, fewer);
      Arrays other = s.in;
      for (const array& x : {zeros({2, 2}), zeros({}), zeros({0, 3}), zeros({1, 2, 3, 4}, int8)}) {
        other[drop] = x;
        try_call(s.params, other);
      }
    }
    Arrays more = s.in;
    more.push_back(zeros({3}, int32));
    try_call(s.params, more);
  });
}

// All samples of an op as one function.
TEST(Catalogue, EveryOpWithACheckGoesThroughAFile) {
  tarn_test::Folder folder;
  std::string without;
  for (const Op* op : ops::all()) {
    auto it = table().find(op->name);
    if (it == table().end()) continue;
    std::vector<Sample> samples;
    for (Dtype t : it->second.dtypes)
      for (Sample& s : it->second.make(t)) samples.push_back(std::move(s));
    Args in;
    for (const auto& s : samples) in.insert(in.end(), s.in.begin(), s.in.end());
    auto all = [&](const Args& args) {
      std::vector<array> out;
      size_t at = 0;
      for (const auto& s : samples) {
        auto first = args.begin() + static_cast<std::ptrdiff_t>(at);
        at += s.in.size();
        out.push_back(
            call(*op, s.params, {first, first + static_cast<std::ptrdiff_t>(s.in.size())}));
      }
      return out;
    };
    if (!ops::has_check(*op)) {
      if (in.empty()) continue;  // what no argument decides is a constant of the file
      EXPECT_EQ(what_is_thrown([&] { export_function(folder.at("f"), all, in); }),
                fmt::format("[export_function] the operation {} cannot be written to a file: no "
                            "check of its parameters is known.",
                            op->name));
      without += fmt::format(" {}", op->name);
      continue;
    }
    export_function(folder.at("f"), all, in);
    auto is = import_function(folder.at("f"))(in), wanted = all(in);
    ASSERT_EQ(is.size(), wanted.size());
    for (size_t i = 0; i < is.size(); ++i)
      EXPECT_TRUE(array_equal(is[i], wanted[i], true).item<bool>())
          << op->name << " " << samples[i].label;
  }
  if (!without.empty()) std::cout << "Without a check, so not written to files:" << without << "\n";
}

}  // namespace
}  // namespace tarn::laws
