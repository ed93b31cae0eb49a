// What a user who errs reads: the whole line, and the class to catch.
#include <gtest/gtest.h>

#include <cmath>

#include "tarn/tarn.h"

namespace tarn {
namespace {

void finish(const array& a) { a.eval(); }
void finish(const std::vector<array>& all) { eval(all); }
template <class T>
void finish(const T&) {}

template <class E, class F>
void expect(const char* mistake, F f, const char* message) {
  SCOPED_TRACE(mistake);
  try {
    f();
    ADD_FAILURE() << "no error";
  } catch (const E& e) {
    EXPECT_STREQ(e.what(), message);
  } catch (const std::exception& e) {
    ADD_FAILURE() << "another class: " << e.what();
  }
}

TEST(Mistakes, AreNamedWithWhatWasGivenAndWhatIsNeeded) {
  expect<ShapeError>(
      "add: shapes",
      [] {
        finish((zeros(Shape{2, 3}) + zeros(Shape{4, 3})));
      },
      "[add] shapes (2, 3) and (4, 3) do not broadcast: sizes 2 and 4 differ and neither is 1.");
  expect<ShapeError>(
      "matmul: inner sizes",
      [] {
        finish((matmul(zeros(Shape{2, 3}), zeros(Shape{4, 5}))));
      },
      "[matmul] a has shape (2, 3) and b (4, 5): inner sizes 3 and 4 differ.");
  expect<ShapeError>(
      "matmul: a number",
      [] {
        finish((matmul(array(1.0f), zeros(Shape{4, 5}))));
      },
      "[matmul] a has shape () and b (4, 5): a 0-d array has no matrix. Use multiply.");
  expect<ValueError>(
      "matmul: integers",
      [] {
        finish((matmul(array({1, 2}), array({3, 4}))));
      },
      "[matmul] a is int32 and b int32: only floats are multiplied.");
  expect<ShapeError>(
      "matmul: batches",
      [] {
        finish((matmul(zeros(Shape{2, 3, 4}), zeros(Shape{3, 4, 5}))));
      },
      "[matmul] shapes (2,) and (3,) do not broadcast: sizes 2 and 3 differ and neither is 1.");
  expect<ShapeError>(
      "reshape: count",
      [] {
        finish((reshape(zeros(Shape{2, 3}), {4, 2})));
      },
      "[reshape] shape (2, 3) has 6 elements, shape (4, 2) holds 8.");
  expect<ShapeError>(
      "reshape: two unknowns",
      [] {
        finish((reshape(zeros(Shape{2, 3}), {-1, -1})));
      },
      "[reshape] shape (-1, -1) has -1 twice.");
  expect<ShapeError>(
      "reshape: does not divide",
      [] {
        finish((reshape(zeros(Shape{2, 3}), {4, -1})));
      },
      "[reshape] 6 elements of shape (2, 3) do not divide into shape (4, -1).");
  expect<ShapeError>(
      "transpose: too few axes",
      [] {
        finish((transpose(zeros(Shape{2, 3}), {0})));
      },
      "[transpose] 1 axes for an array with 2.");
  expect<ShapeError>(
      "transpose: an axis twice",
      [] {
        finish((transpose(zeros(Shape{2, 3}), {0, 0})));
      },
      "[transpose] axes (0, 0) name an axis twice.");
  expect<ShapeError>(
      "transpose: axis out of range",
      [] {
        finish((transpose(zeros(Shape{2, 3}), {0, 2})));
      },
      "[transpose] axis 2 for an array with 2 axes.");
  expect<ShapeError>(
      "sum: axis",
      [] {
        finish((sum(zeros(Shape{2, 3}), 2)));
      },
      "[sum] axis 2 for an array with 2 axes.");
  expect<ShapeError>(
      "sum: axis twice",
      [] {
        finish((sum(zeros(Shape{2, 3}), std::vector<int>{1, -1})));
      },
      "[sum] axes (1, -1) name an axis twice.");
  expect<ValueError>(
      "max: empty",
      [] {
        finish((max(zeros(Shape{0, 3}), 0)));
      },
      "[max] axis 0 of shape (0, 3) is empty and has no largest element.");
  expect<ValueError>(
      "argmax: empty",
      [] {
        finish((argmax(zeros(Shape{3, 0}), 1)));
      },
      "[argmax] axis 1 of shape (3, 0) is empty.");
  expect<ValueError>(
      "median: empty", [] { finish((median(zeros(Shape{0})))); },
      "[median] there is nothing to take the median of in shape (0,).");
  expect<ShapeError>(
      "squeeze: size",
      [] {
        finish((squeeze(zeros(Shape{2, 3}), 0)));
      },
      "[squeeze] axis 0 of shape (2, 3) has size 2, not 1.");
  expect<ShapeError>(
      "expand_dims: axis", [] { finish((expand_dims(zeros(Shape{2}), 3))); },
      "[expand_dims] axis 3 for an array with 2 axes.");
  expect<ShapeError>(
      "broadcast_to",
      [] {
        finish((broadcast_to(zeros(Shape{2, 3}), {2, 4})));
      },
      "[broadcast_to] shape (2, 3) does not broadcast to (2, 4).");
  expect<ShapeError>(
      "concatenate: sizes",
      [] {
        finish((concatenate({zeros(Shape{2, 3}), zeros(Shape{3, 3})}, 1)));
      },
      "[concatenate] shapes (2, 3) and (3, 3) differ outside axis 1.");
  expect<ValueError>(
      "concatenate: nothing", [] { finish((concatenate({}, 0))); },
      "[concatenate] no arrays are given.");
  expect<ShapeError>(
      "stack: shapes",
      [] {
        finish((stack({zeros(Shape{2}), zeros(Shape{3})})));
      },
      "[stack] shapes (2,) and (3,) differ.");
  expect<ShapeError>(
      "split: parts", [] { finish((split(zeros(Shape{5}), 2))); },
      "[split] axis of size 5 does not divide into 2 parts.");
  expect<ShapeError>(
      "slice: too few starts",
      [] {
        finish((slice(zeros(Shape{2, 3}), Shape{0}, Shape{1})));
      },
      "[slice] 1 starts, 1 stops and 2 strides for shape (2, 3).");
  expect<ShapeError>(
      "slice: stride 0", [] { finish((slice(zeros(Shape{4}), Shape{0}, Shape{4}, Shape{0}))); },
      "[slice] the stride of axis 0 is 0.");
  expect<ShapeError>(
      "slice: dynamic start count",
      [] {
        finish((slice(zeros(Shape{4, 4}), array({1}), std::vector<int>{0, 1}, Shape{1, 1})));
      },
      "[slice] start has shape (1,); it needs one index for each of 2 axes.");
  expect<ValueError>(
      "slice: dynamic start dtype",
      [] {
        finish((slice(zeros(Shape{4, 4}), array({1.0f}), std::vector<int>{0}, Shape{1, 4})));
      },
      "[slice] start is float32; it must be integers.");
  expect<IndexError>(
      "slice: dynamic start outside",
      [] {
        finish((slice(zeros(Shape{4, 4}), array({3}), std::vector<int>{0}, Shape{2, 4})));
      },
      "[gather] index 3 is outside axis 0, which has size 4.");
  expect<IndexError>(
      "take: index outside",
      [] {
        finish((take(arange(5), array({1, 7}), 0)));
      },
      "[gather] index 7 is outside axis 0, which has size 5.");
  expect<ShapeError>(
      "take: axis", [] { finish((take(arange(5), array({1}), 1))); },
      "[take] axis 1 for an array with 1 axes.");
  expect<ValueError>(
      "take: float indices", [] { finish((take(arange(5), array({1.0f}), 0))); },
      "[gather] indices are float32; they must be integers.");
  expect<ShapeError>(
      "take_along_axis: ranks",
      [] {
        finish((take_along_axis(zeros(Shape{2, 3}), array({0}), 0)));
      },
      "[take_along_axis] a has 2 axes and the indices 1.");
  expect<ShapeError>(
      "gather: sizes",
      [] {
        finish((gather(zeros(Shape{2, 3}), array({0}), 0, Shape{3, 3})));
      },
      "[gather] slice sizes (3, 3) of an array of shape (2, 3).");
  expect<ShapeError>(
      "scatter: updates",
      [] {
        finish((scatter(zeros(Shape{3, 2}), array({0, 1}), zeros(Shape{2, 2}), 0)));
      },
      "[scatter] updates have shape (2, 2); they need 1 axes of the indices, then 2 of a.");
  expect<ValueError>(
      "masked_scatter: mask",
      [] {
        finish((masked_scatter(zeros(Shape{3}), array({1, 0, 1}), zeros(Shape{3}))));
      },
      "[masked_scatter] the mask is int32; it must be bool.");
  expect<IndexError>(
      "masked_scatter: too few",
      [] {
        finish((masked_scatter(zeros(Shape{3}), array({true, true, true}), zeros(Shape{2}))));
      },
      "[gather] index 2 is outside axis 0, which has size 2.");
  expect<ShapeError>(
      "view: width", [] { finish((view(zeros(Shape{3}, uint8), int32))); },
      "[view] the last axis of shape (3,) has 3 bytes, which int32 does not divide.");
  expect<ShapeError>(
      "as_strided: outside",
      [] {
        finish((as_strided(zeros(Shape{6}), {3, 3}, {3, 1}, 0)));
      },
      "[as_strided] elements 0 to 8 of an array with 6.");
  expect<ValueError>(
      "pad: mode", [] { finish((pad(zeros(Shape{3}), 1, array(0), "wrap"))); },
      "[pad] mode is \"wrap\"; it must be \"constant\", \"edge\", \"reflect\" or \"symmetric\".");
  expect<ShapeError>(
      "pad: negative",
      [] {
        finish((pad(zeros(Shape{3}), std::vector<std::pair<int, int>>{{-1, 0}})));
      },
      "[pad] axis 0 is padded by -1 and 0: negative.");
  expect<ShapeError>(
      "roll: shifts",
      [] {
        finish((roll(zeros(Shape{2, 3}), Shape{1, 2, 3}, std::vector<int>{0, 1})));
      },
      "[roll] 3 shifts for 2 axes; give one for all or one for each.");
  expect<ValueError>(
      "arange: step 0", [] { finish((arange(0.0, 1.0, 0.0))); },
      "[arange] the step is 0; it must not be 0.");
  expect<ValueError>(
      "arange: not finite", [] { finish((arange(0.0, NAN, 1.0))); },
      "[arange] from 0 to nan: not a finite range.");
  expect<ShapeError>(
      "full: negative",
      [] {
        finish((zeros(Shape{2, -1})));
      },
      "[full] shape (2, -1) has a negative size.");
  expect<ValueError>(
      "linspace: count", [] { finish((linspace(0, 1, -2))); },
      "[linspace] num is -2; it must not be negative.");
  expect<ShapeError>(
      "eye: negative", [] { finish((eye(-1))); }, "[eye] a matrix of -1 rows and -1 columns.");
  expect<ValueError>(
      "meshgrid: indexing",
      [] {
        finish((meshgrid({arange(2), arange(3)}, false, "yx")));
      },
      "[meshgrid] indexing is \"yx\"; it must be \"xy\" or \"ij\".");
  expect<ValueError>(
      "clip: no bound", [] { finish((clip(arange(3)))); },
      "[clip] neither a_min nor a_max is given.");
  expect<ValueError>(
      "bitwise_and: floats", [] { finish((bitwise_and(zeros(Shape{2}), zeros(Shape{2})))); },
      "[bitwise_and] takes integers or bool, not float32.");
  expect<ValueError>(
      "erf: complex", [] { finish((erf(zeros(Shape{2}, complex64)))); },
      "[erf] is not defined for complex64.");
  expect<ValueError>(
      "topk: k", [] { finish((topk(arange(3), 4))); }, "[topk] k is 4 on an axis of size 3.");
  expect<ValueError>(
      "partition: kth", [] { finish((partition(arange(3), 3))); },
      "[partition] kth is 3 on an axis of size 3.");
  expect<ShapeError>(
      "searchsorted: two axes",
      [] {
        finish((searchsorted(zeros(Shape{2, 2}), array(1.0f))));
      },
      "[searchsorted] the sequence has shape (2, 2); it must have one axis.");
  expect<ValueError>(
      "searchsorted: side", [] { finish((searchsorted(arange(3), array(1), "middle"))); },
      "[searchsorted] side is \"middle\"; it must be \"left\" or \"right\".");
  expect<ValueError>(
      "diff: negative", [] { finish((diff(arange(3), -1))); },
      "[diff] n is -1; a difference is taken 0 times or more.");
  expect<ShapeError>(
      "tensordot: axes",
      [] {
        finish((tensordot(zeros(Shape{2, 3}), zeros(Shape{2, 3}), 1)));
      },
      "[tensordot] axis 1 of a has size 3, axis 0 of b 2.");
  expect<ShapeError>(
      "vecdot: sizes", [] { finish((vecdot(zeros(Shape{3}), zeros(Shape{4})))); },
      "[vecdot] a has shape (3,) and b (4,): sizes 3 and 4 on axis -1 differ.");
  expect<ValueError>(
      "einsum: operands",
      [] {
        finish((einsum("ij,jk->ik", {zeros(Shape{2, 3})})));
      },
      "[einsum] \"ij,jk->ik\" has 2 terms for 1 operands.");
  expect<ShapeError>(
      "einsum: sizes",
      [] {
        finish((einsum("ij,jk->ik", {zeros(Shape{2, 3}), zeros(Shape{4, 5})})));
      },
      "[einsum] \"j\" in \"ij,jk->ik\" has sizes 3 and 4.");
  expect<ValueError>(
      "einsum: result",
      [] {
        finish((einsum("ij->ik", {zeros(Shape{2, 3})})));
      },
      "[einsum] the result of \"ij->ik\" has \"k\", no operand does.");
  expect<ValueError>(
      "einsum: sign",
      [] {
        finish((einsum("i+j->i", {zeros(Shape{2, 3})})));
      },
      "[einsum] \"i+j->i\" has \"+\"; a subscript is a letter or \"...\".");
  expect<ShapeError>(
      "random: key shape",
      [] {
        finish((random::uniform(Shape{2}, array({1u, 2u, 3u}))));
      },
      "[random] the key has shape (3,); it must be (2,).");
  expect<ValueError>(
      "random: key dtype",
      [] {
        finish((random::uniform(Shape{2}, array({1, 2}))));
      },
      "[random] the key is int32; it must be uint32.");
  expect<ValueError>(
      "uniform: dtype", [] { finish((random::uniform(Shape{2}, int32))); },
      "[uniform] dtype is int32; it must be a float.");
  expect<ShapeError>(
      "uniform: bounds", [] { finish((random::uniform(zeros(Shape{3}), array(1.0f), Shape{2}))); },
      "[uniform] shapes (2,) and (3,) do not broadcast: sizes 2 and 3 differ and neither is 1.");
  expect<ValueError>(
      "bits: width", [] { finish((random::bits(Shape{2}, 3))); },
      "[bits] width is 3; it must be 1, 2 or 4.");
  expect<ValueError>(
      "bernoulli: p", [] { finish((random::bernoulli(array(1)))); },
      "[bernoulli] p is int32; it must be a float.");
  expect<ShapeError>(
      "categorical: shape",
      [] {
        finish((random::categorical(zeros(Shape{4, 3}), -1, Shape{5})));
      },
      "[categorical] shapes (5,) and (4,) do not broadcast: sizes 5 and 4 differ and neither is "
      "1.");
  expect<ShapeError>(
      "rms_norm: weight",
      [] {
        finish((fast::rms_norm(zeros(Shape{2, 4}), zeros(Shape{3}), 1e-5f)));
      },
      "[rms_norm] x has shape (2, 4) and weight (3,): the last sizes must agree.");
  expect<ValueError>(
      "rope: dims",
      [] {
        finish((fast::rope(zeros(Shape{1, 2, 4}), 3, false, 10000.f, 1.f, 0)));
      },
      "[rope] dims is 3; it must be even and at most the last size, 4.");
  expect<ShapeError>(
      "attention: heads",
      [] {
        finish((fast::scaled_dot_product_attention(
            zeros(Shape{1, 3, 2, 4}), zeros(Shape{1, 2, 2, 4}), zeros(Shape{1, 2, 2, 4}), 1.f)));
      },
      "[scaled_dot_product_attention] queries have shape (1, 3, 2, 4), keys (1, 2, 2, 4) and "
      "values (1, 2, 2, 4): they need (B, Hq, L, D), (B, Hk, S, D) and (B, Hk, S, Dv), Hk dividing "
      "Hq.");
  expect<ValueError>(
      "quantize: bits",
      [] {
        finish((quantize(zeros(Shape{2, 64}), 64, 7)));
      },
      "[quantize] bits is 7; it must be 2, 3, 4, 5, 6 or 8.");
  expect<ShapeError>(
      "quantize: group",
      [] {
        finish((quantize(zeros(Shape{2, 60}), 64, 4)));
      },
      "[quantize] w has shape (2, 60); it needs 2 axes, the last a multiple of 64.");
  expect<ValueError>(
      "item: many", [] { finish((zeros(Shape{3}).item<float>())); },
      "[item] the array has shape (3,), which is not one element. Index or reduce it first.");
  expect<ShapeError>(
      "shape: axis", [] { finish((zeros(Shape{3}).shape(2))); },
      "[shape] axis 2 of an array of shape (3,).");
  expect<ShapeError>(
      "array: count",
      [] {
        finish((array({1, 2, 3}, Shape{2, 2})));
      },
      "[array] 3 numbers for shape (2, 2), which holds 4.");
  expect<ValueError>(
      "grad: not a number",
      [] { finish((grad([](const array& x) { return x * x; })(zeros(Shape{3})))); },
      "[grad] the function returned shape (3,); a derivative needs a 0-d value. Reduce it, for "
      "example with sum.");
  expect<ValueError>(
      "grad: argument",
      [] {
        finish((grad([](const std::vector<array>& x) { return sum(x[0]); }, 3)({zeros(Shape{3})})));
      },
      "[grad] argument 3 of a call with 1.");
  expect<ShapeError>(
      "vjp: cotangents",
      [] { finish((vjp([](const array& x) { return x; }, zeros(Shape{3}), zeros(Shape{4})))); },
      "[vjp] shape (4,) does not match (3,).");
  expect<ShapeError>(
      "vmap: sizes",
      [] {
        finish((vmap([](const array& a, const array& b) { return a + b; })(zeros(Shape{2, 3}),
                                                                           zeros(Shape{3, 3}))));
      },
      "[vmap] mapped axes have sizes 2 and 3: they must agree.");
  expect<FileError>(
      "load: no file", [] { finish((load("/nowhere/x.npy"))); },
      "[load] /nowhere/x.npy: cannot open: No such file or directory. Check the path.");
  expect<FileError>(
      "save: no folder", [] { save("/nowhere/x.npy", zeros(Shape{2})); },
      "[save] /nowhere/x.npy: cannot create a file beside it (byte 0): No such file or directory. "
      "The old file, if there was one, was kept.");
  expect<FileError>(
      "load: extension", [] { finish((load_safetensors("/nowhere/x.safetensors"))); },
      "[load] /nowhere/x.safetensors: cannot open: No such file or directory. Check the path.");
}

}  // namespace
}  // namespace tarn
