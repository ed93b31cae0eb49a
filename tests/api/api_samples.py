"""What the calls of make_api_test.py are given: C++ expressions by parameter."""

# By the kind of a parameter.
BY_TYPE = {
    "array": "matrix(2, 3)",
    "vector<array>": "std::vector<array>{matrix(2, 3), matrix(2, 3)}",
    "optional<array>": "std::nullopt",
    "optional<Group>": "std::nullopt",
    "int": "1",
    "bool": "true",
    "double": "0.5",
    "float": "0.5f",
    "T": "0.5f",
    "U": "2.0f",
    "Dtype": "float32",
    "optional<Dtype>": "std::optional<Dtype>(float32)",
    "StreamOrDevice": "Device::cpu",
    "Shape": "Shape{2, 3}",
    "vector<int>": "std::vector<int>{0, 1}",
    "Dtype::Category": "floating",
    "function<array(array)>": "Unary([](const array& x) { return sum(x * x); })",
    "function<array(vector<array>)>": "Scalar([](auto& x) { return sum(x[0] * x[1]); })",
    "function<vector<array>(vector<array>)>": "Lists("
    "[](auto& x) { return std::vector<array>{sum(x[0] * x[1])}; })",
    "function<array(array, array)>": "Binary([](auto& a, auto& b) { return a + b; })",
    "function<vector<array>(Args)>": "ArgsFunction([](const Args& x) { return x; })",
    "function<vector<array>(Kwargs)>": "KwargsFunction("
    '[](const Kwargs& x) { return std::vector<array>{x.at("x")}; })',
    "function<vector<array>(Args, Kwargs)>": "ArgsKwargsFunction("
    "[](const Args& x, const Kwargs&) { return x; })",
    "shared_ptr<io::Writer>": "std::make_shared<io::MemoryWriter>()",
    "unordered_map<string, array>": 'std::unordered_map<std::string, array>{{"x", matrix(2, 3)}}',
    "unordered_map<string, string>": "std::unordered_map<std::string, std::string>{}",
    "unordered_map<string, GGUFMetaData>": "std::unordered_map<std::string, GGUFMetaData>{}",
    "Device": "Device(Device::cpu)",
    "Stream": "default_stream(Device::cpu)",
    "Dtype::Kind": "Dtype::Kind::f",
    "complex64_t": "complex64_t(1, 2)",
    "float16_t": "float16_t(1)",
    "bfloat16_t": "bfloat16_t(1)",
    "NodeNamer": "NodeNamer()",
    "string": "scratch_file",
}
# By its name, wherever it is.
BY_NAME = {
    "axis": "0",
    "axis1": "0",
    "axis2": "1",
    "axes": "std::vector<int>{0}",
    "key": "std::optional<array>(random::key(7))",
    "indices": "array({1, 0})",
    "low": "array(0.0f)",
    "high": "array(5.0f)",
    "dtype": "float32",
    "equal_nan": "true",
    "posinf": "std::optional<float>(1.0f)",
    "neginf": "std::optional<float>(-1.0f)",
    "a_min": "std::optional<array>(array(0.5f))",
    "a_max": "std::optional<array>(array(2.0f))",
    "indexing": 'std::string("ij")',
    "mode": 'std::string("edge")',
    "side": 'std::string("right")',
    "pad_value": "array(0.0f)",
}
WHOLE = "array({6, 3, 5})"
BITS = ("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "bitwise_invert")
SIGNS = ("operator&", "operator|", "operator^", "operator<<", "operator>>", "operator~")
CONVOLUTIONS = [("conv_general", 1)] + [
    (f"conv{t}{n}d", n) for t in ("", "_transpose") for n in (1, 2, 3)
]
CONV_LISTS = ("stride", "padding", "padding_lo", "padding_hi", "kernel_dilation", "input_dilation")
QUANTISED = ("quantize", "dequantize", "quantized_matmul", "gather_qmm", "qqmm", "gather_qqmm")
DECOMPOSITIONS = (
    "norm",
    "qr",
    "svd",
    "inv",
    "tri_inv",
    "cholesky",
    "pinv",
    "cholesky_inv",
    "lu",
    "lu_factor",
    "solve",
    "solve_triangular",
    "eig",
    "eigvals",
    "eigvalsh",
    "eigh",
    "det",
    "slogdet",
)
TRANSFORMS = [
    f"{i}{r}fft{n}".replace("irfft", "irfft")
    for r in ("", "r")
    for i in ("", "i")
    for n in ("", "2", "n")
] + ["fftshift", "ifftshift"]
DEVICES = (
    "default_stream",
    "set_default_device",
    "is_available",
    "device_info",
    "new_stream",
    "new_thread_unsafe_stream",
    "new_thread_local_stream",
    "operator<<",
)
# Of one function.
ARGUMENTS = {
    ("is_available", "bk"): 'std::string("mpi")',
    ("init", "bk"): 'std::string("any")',
    ("init", "strict"): "false",
    **{(name, p): WHOLE for name in BITS + SIGNS for p in "ab"},
    **{(f, "n"): "3" for f in ("eye", "identity", "tri")},
    **{(f, "m"): "4" for f in ("eye", "tri")},
    **{(f, "k"): "1" for f in ("eye", "tri", "tril", "triu", "diag")},
    **{(f, "M"): "8" for f in ("hanning", "hamming", "bartlett", "blackman")},
    ("arange", "start"): "2",
    ("arange", "stop"): "9",
    ("arange", "step"): "3",
    ("linspace", "start"): "0.0",
    ("linspace", "stop"): "1.0",
    ("linspace", "num"): "5",
    ("full", "vals"): "array(2.0f)",
    ("full_like", "vals"): "array(2.0f)",
    ("meshgrid", "arrays"): "std::vector<array>{array({1, 2}), array({3, 4, 5})}",
    ("view", "dtype"): "int32",
    ("as_strided", "shape"): "Shape{2, 2}",
    ("as_strided", "strides"): "Strides{1, 2}",
    ("as_strided", "offset"): "size_t{1}",
    ("reshape", "shape"): "Shape{3, 2}",
    ("unflatten", "axis"): "1",
    ("unflatten", "shape"): "Shape{3, 1}",
    ("flatten", "start_axis"): "0",
    ("flatten", "end_axis"): "1",
    ("squeeze", "a"): "matrix(1, 3)",
    ("expand_dims", "axes"): "std::vector<int>{0, 2}",
    ("tile", "reps"): "std::vector<int>{2, 1}",
    ("repeat", "repeats"): "2",
    ("transpose", "axes"): "std::vector<int>{1, 0}",
    ("moveaxis", "source"): "0",
    ("moveaxis", "destination"): "1",
    ("pad", "axes"): "std::vector<int>{0}",
    ("pad", "low_pad_size"): "Shape{1}",
    ("pad", "high_pad_size"): "Shape{2}",
    ("broadcast_to", "shape"): "Shape{4, 2, 3}",
    ("diagonal", "offset"): "0",
    ("trace", "offset"): "0",
    ("number_of_elements", "inverted"): "false",
    ("number_of_elements", "dtype"): "int32",
    ("roll", "shift"): "1",
    ("slice", "slice_size"): "Shape{1, 3}",
    ("slice", "strides"): "Shape{1, 1}",
    ("split", "num_splits"): "1",
    ("split", "indices"): "Shape{1}",
    ("take", "index"): "1",
    ("gather", "slice_sizes"): "Shape{1, 3}",
    ("take_along_axis", "indices"): "matrix_of_zeros",
    ("put_along_axis", "indices"): "matrix_of_zeros",
    ("put_along_axis", "values"): "array(1.0f)",
    ("scatter_add_axis", "indices"): "matrix_of_zeros",
    ("scatter_add_axis", "values"): "array(1.0f)",
    ("masked_scatter", "mask"): "array({true, false})",
    ("masked_scatter", "src"): "matrix(1, 3)",
    ("where", "condition"): "matrix(2, 3) > array(1.0f)",
    ("round", "decimals"): "2",
    ("erfinv", "a"): "matrix(2, 3) / array(9.0f)",
    ("diff", "n"): "1",
    ("var", "ddof"): "1",
    ("std", "ddof"): "1",
    ("partition", "kth"): "1",
    ("argpartition", "kth"): "1",
    ("topk", "k"): "2",
    ("searchsorted", "sorted_sequence"): "array({1, 4, 6})",
    ("unique", "size"): "4",
    ("unique", "fill_value"): "std::optional<array>(array(0.0f))",
    ("searchsorted", "values"): "matrix(2, 3)",
    ("matmul", "b"): "matrix(3, 2)",
    ("addmm", "a"): "matrix(2, 3)",
    ("addmm", "b"): "matrix(3, 3)",
    ("addmm", "alpha"): "2.0f",
    ("tensordot", "axis"): "2",
    ("tensordot", "axes_a"): "std::vector<int>{0}",
    ("tensordot", "axes_b"): "std::vector<int>{0}",
    ("einsum", "subscripts"): 'std::string("ij,ij->j")',
    ("einsum_path", "subscripts"): 'std::string("ij,ij->j")',
    ("depends", "dependencies"): "std::vector<array>{matrix(1, 1)}",
    ("key", "seed"): "uint64_t{7}",
    ("seed", "seed"): "uint64_t{7}",
    ("bits", "width"): "2",
    ("split", "key"): "random::key(7)",
    ("split", "num"): "3",
    ("randint", "low"): "array(0)",
    ("randint", "high"): "array(9)",
    ("randint", "dtype"): "int32",
    ("bernoulli", "p"): "array(0.5f)",
    ("truncated_normal", "lower"): "array(-1.0f)",
    ("truncated_normal", "upper"): "array(1.0f)",
    ("categorical", "logits"): "matrix(2, 3)",
    ("categorical", "logits_"): "matrix(2, 3)",
    ("categorical", "axis"): "-1",
    ("categorical", "shape"): "Shape{4, 2}",
    ("categorical", "num_samples"): "4",
    **{(f, "input"): f"signal({n})" for f, n in CONVOLUTIONS},
    **{(f, "weight"): f"kernel({n})" for f, n in CONVOLUTIONS},
    **{("conv_general", p): "std::vector<int>{1}" for p in CONV_LISTS},
    **{(f, "groups"): "1" for f, _ in CONVOLUTIONS},
    **{
        (f, p): "1"
        for f in ("conv1d", "conv_transpose1d")
        for p in ("stride", "padding", "dilation")
    },
    ("conv_transpose1d", "output_padding"): "0",
    ("conv_general", "flip"): "true",
    ("quantize", "w"): "weights",
    ("quantize", "bits"): "std::optional<int>(4)",
    **{(f, "group_size"): "std::optional<int>(64)" for f in QUANTISED},
    **{(f, "bits"): "std::optional<int>(4)" for f in QUANTISED},
    **{(f, "mode"): 'std::string("affine")' for f in QUANTISED},
    **{(f, "group_size"): "std::optional<int>(16)" for f in ("qqmm", "gather_qqmm")},
    **{(f, "mode"): 'std::string("nvfp4")' for f in ("qqmm", "gather_qqmm")},
    **{
        (f, p): "std::optional<array>()"
        for f in ("qqmm", "gather_qqmm")
        for p in ("global_scale_x", "global_scale_w", "lhs_indices", "rhs_indices")
    },
    ("quantize", "global_scale"): "std::optional<array>()",
    ("dequantize", "global_scale"): "std::optional<array>()",
    ("dequantize", "dtype"): "std::optional<Dtype>(float32)",
    **{(f, "w"): "packed[0]" for f in ("dequantize", "quantized_matmul", "gather_qmm")},
    **{(f, "scales"): "packed[1]" for f in ("dequantize", "quantized_matmul", "gather_qmm")},
    **{
        (f, "biases"): "std::optional<array>(packed[2])"
        for f in ("dequantize", "quantized_matmul", "gather_qmm")
    },
    **{
        (f, "x"): "matrix(2, 128)"
        for f in ("quantized_matmul", "gather_qmm", "qqmm", "gather_qqmm")
    },
    **{(f, "transpose"): "true" for f in ("quantized_matmul", "gather_qmm")},
    **{("gather_qmm", p): "std::optional<array>()" for p in ("lhs_indices", "rhs_indices")},
    **{(f, "sorted_indices"): "false" for f in ("gather_qmm", "gather_mm", "gather_qqmm")},
    **{(f, "w"): "floats[0]" for f in ("qqmm", "gather_qqmm")},
    ("qqmm", "w_scales"): "std::optional<array>(floats[1])",
    ("gather_qqmm", "scales_w"): "std::optional<array>(floats[1])",
    ("from_fp8", "x"): "array({0, 8, 56}, uint8)",
    ("to_fp8", "x"): "matrix(2, 3)",
    ("hadamard_transform", "a"): "matrix(2, 4)",
    ("hadamard_transform", "scale"): "std::optional<float>(0.5f)",
    ("block_masked_mm", "a"): "matrix(32, 32)",
    ("block_masked_mm", "b"): "matrix(32, 32)",
    ("block_masked_mm", "block_size"): "32",
    **{
        ("block_masked_mm", p): "std::optional<array>(ones(Shape{1, 1}, bool_))"
        for p in ("mask_out", "mask_lhs", "mask_rhs")
    },
    ("gather_mm", "a"): "reshape(matrix(4, 3), Shape{2, 2, 3})",
    ("gather_mm", "b"): "reshape(matrix(6, 2), Shape{2, 3, 2})",
    ("gather_mm", "lhs_indices"): "std::optional<array>(array({0u, 1u}))",
    ("gather_mm", "rhs_indices"): "std::optional<array>(array({1u, 1u}))",
    ("segmented_mm", "b"): "matrix(3, 2)",
    ("segmented_mm", "segments"): "array({0u, 2u, 2u, 3u}, Shape{2, 2})",
    # parts of a transformer
    **{
        (f, "weight"): "std::optional<array>(array({1.0f, 2.0f, 3.0f}))"
        for f in ("rms_norm", "layer_norm")
    },
    ("layer_norm", "bias"): "std::optional<array>(array({1.0f, 2.0f, 3.0f}))",
    ("cross_entropy", "targets"): "array({0, 2})",
    **{("gated_delta_update", p): "ones(Shape{1, 2, 1, 3})" for p in ("queries", "keys")},
    ("gated_delta_update", "values"): "ones(Shape{1, 2, 2, 4})",
    **{("gated_delta_update", p): "ones(Shape{1, 2, 2})" for p in ("gates", "beta_")},
    ("gated_delta_update", "initial_state"): "std::optional<array>(ones(Shape{1, 2, 4, 3}))",
    ("gated_delta_update", "mask"): "std::optional<array>(ones(Shape{1, 2}, bool_))",
    ("rope", "x"): "ones(Shape{1, 2, 3, 4})",
    ("rope", "dims"): "4",
    ("rope", "base"): "std::optional<float>(10000.0f)",
    ("rope", "freqs"): "std::optional<array>()",
    **{
        ("scaled_dot_product_attention", p): "ones(Shape{1, 2, 3, 4})"
        for p in ("queries", "keys", "values")
    },
    ("scaled_dot_product_attention", "mask_mode"): 'std::string("causal")',
    ("scaled_dot_product_attention", "mask_arr"): "std::optional<array>()",
    ("scaled_dot_product_attention", "sinks"): "std::optional<array>(ones(Shape{2}))",
    # linear algebra
    **{(f, "a"): "positive_definite" for f in DECOMPOSITIONS},
    **{(f, "UPLO"): 'std::string("U")' for f in ("eigh", "eigvalsh")},
    **{(f, "upper"): "true" for f in ("tri_inv", "cholesky", "cholesky_inv", "solve_triangular")},
    **{(f, "b"): "matrix(2, 3)" for f in ("solve", "solve_triangular")},
    # Fourier transforms
    **{(f, "axes"): "std::vector<int>{0, 1}" for f in TRANSFORMS},
    **{(f, "norm"): "fft::FFTNorm::Ortho" for f in TRANSFORMS},
    **{(f, "n"): "3" for f in ("fft", "ifft", "rfft", "irfft", "fftfreq", "rfftfreq")},
    **{(f, "d"): "0.5" for f in ("fftfreq", "rfftfreq")},
    ("stft", "x"): "matrix(2, 16)",
    ("stft", "n_fft"): "8",
    ("istft", "stft_matrix"): "matrix(5, 3)",
    **{(f, "norm"): "fft::FFTNorm::Ortho" for f in ("stft", "istft")},
    **{(f, "hop_length"): "std::optional<int>(2)" for f in ("stft", "istft")},
    **{(f, "win_length"): "std::optional<int>(4)" for f in ("stft", "istft")},
    **{(f, "onesided"): "std::optional<bool>(true)" for f in ("stft", "istft")},
    ("stft", "pad_mode"): 'std::string("reflect")',
    ("istft", "n_fft"): "std::optional<int>(8)",
    ("istft", "length"): "std::optional<int>(6)",
    **{(f, "window"): "std::optional<array>(ones(Shape{4}))" for f in ("stft", "istft")},
    ("stft", "center"): "true",
    # fast
    ("cuda_kernel", "name"): 'std::string("twice")',
    ("cuda_kernel", "input_names"): 'std::vector<std::string>{"x"}',
    ("cuda_kernel", "output_names"): 'std::vector<std::string>{"y"}',
    ("cuda_kernel", "source"): 'std::string("y[0] = 2 * x[0];")',
    ("cuda_kernel", "header"): "std::string()",
    ("cuda_kernel", "ensure_row_contiguous"): "true",
    ("cuda_kernel", "shared_memory"): "0",
    # transformations
    **{(f, p): "inputs" for f in ("vjp", "jvp") for p in ("primals", "tangents")},
    ("vjp", "cotangents"): "std::vector<array>{array(1.0f)}",
    **{(f, "primal"): "matrix(2, 3)" for f in ("vjp", "jvp")},
    ("vjp", "cotangent"): "array(1.0f)",
    ("jvp", "tangent"): "matrix(2, 3)",
    **{(f, "argnum"): "1" for f in ("grad", "value_and_grad")},
    **{(f, "argnums"): "std::vector<int>{0, 1}" for f in ("grad", "value_and_grad")},
    **{("vmap", p): "0" for p in ("in_axis", "out_axis", "in_axis_a", "in_axis_b")},
    **{("vmap", p): "std::vector<int>{0}" for p in ("in_axes", "out_axes")},
    **{
        (f, "fun_vjp"): "ThreeLists([](auto&, auto& g, auto&) { return g; })"
        for f in ("custom_function", "custom_vjp")
    },
    ("custom_function", "fun_jvp"): "std::nullopt",
    ("custom_function", "fun_vmap"): "std::nullopt",
    **{(f, "shapeless"): "false" for f in ("compile", "exporter", "export_function")},
    ("set_compile_mode", "mode"): "CompileMode::enabled",
    **{(f, "file"): "scratch_file" for f in ("exporter", "export_function", "import_function")},
    ("exporter", "path"): "scratch_file",
    **{(f, "callback"): "ExportCallback([](auto&) {})" for f in ("exporter", "export_function")},
    **{(f, "metadata"): 'std::string("mine")' for f in ("exporter", "export_function")},
    ("export_function", "args"): "inputs",
    ("export_function", "kwargs"): 'Kwargs{{"x", matrix(2, 3)}}',
    # types, devices, memory, files
    **{("promote_types", p): "float16" for p in ("t1", "t2")},
    **{(f, "t"): "float16" for f in ("size_of", "kindof")},
    **{(f, "d"): "Device(Device::cpu)" for f in DEVICES},
    ("operator==", "device"): "Device(Device::cpu)",
    **{(f, "type"): "Device::cpu" for f in ("operator==", "device_count")},
    ("set_default_stream", "s"): "default_stream(Device::cpu)",
    ("stream_from_thread_local_stream", "tls"): "new_thread_local_stream(Device::cpu)",
    **{("synchronize", ""): "default_stream(Device::cpu)"},
    ("set_memory_limit", "limit"): "get_memory_limit()",
    ("set_cache_limit", "limit"): "size_t{256} << 20",
    ("set_wired_limit", "limit"): "size_t{0}",
    ("malloc", "size"): "size_t{64}",
    **{(f, "buffer"): "allocator::malloc(64)" for f in ("free",)},
    ("release", "buffer"): "allocator::make_buffer(memory, 64)",
    **{(f, "ptr"): "memory" for f in ("make_buffer", "can_reuse_alien_buffer")},
    ("make_buffer", "size"): "size_t{64}",
    ("normalize_axis_index", "axis"): "-1",
    ("normalize_axis_index", "ndim"): "2",
    ("normalize_axis_index", "msg_prefix"): 'std::string("[mine] ")',
    ("safe_cast", "op"): 'std::string_view("mine")',
    **{("broadcast_shapes", p): "Shape{1, 3}" for p in ("s1", "s2")},
    ("to_stream", "default_"): "Device(Device::cpu)",
    ("set_printoptions", "options"): "PrintOptions{}",
    **{(f, "n"): "8" for f in ("is_power_of_2", "next_power_of_2")},
    ("multivariate_normal", "mean"): "array({0.0f, 1.0f})",
    ("multivariate_normal", "cov"): "array({2.0f, 0.5f, 0.5f, 1.0f}, Shape{2, 2})",
    ("multivariate_normal", "shape"): "Shape{3}",
}
# Of one function where a parameter has that kind.
TYPED = {
    ("roll", "axis", "int"): "1",
    ("roll", "shift", "Shape"): "Shape{1}",
    (
        "pad",
        "pad_width",
        "vector<pair<int, int>>",
    ): "std::vector<std::pair<int, int>>{{1, 0}, {0, 2}}",
    ("pad", "pad_width", "pair<int, int>"): "std::pair<int, int>{1, 2}",
    ("slice", "start", "Shape"): "Shape{0, 1}",
    ("slice", "start", "initializer_list<int>"): "std::initializer_list<int64_t>{0, 1}",
    ("slice", "start", "array"): "array({1})",
    ("slice", "stop", "Shape"): "Shape{2, 3}",
    **{
        (f"slice_update{kind}", name, "Shape"): value
        for kind in ("", "_add", "_prod", "_max", "_min")
        for name, value in (
            ("start", "Shape{0, 1}"),
            ("stop", "Shape{2, 3}"),
            ("strides", "Shape{1, 1}"),
        )
    },
    ("slice_update", "start", "array"): "array({1})",
    ("permutation", "x", "int"): "5",
    ("transpose", "axes", "initializer_list<int>"): "std::initializer_list<int>{1, 0}",
    ("uniform", "low", "T"): "0.0f",
    ("uniform", "high", "U"): "2.0f",
    ("randint", "low", "T"): "0.0f",
    ("randint", "high", "U"): "9.0f",
    ("bernoulli", "p", "T"): "0.5f",
    ("split", "a", "array"): "matrix(2, 3)",
}
TYPED.update(
    {
        ("norm", "ord", "double"): "2.0",
        ("norm", "ord", "string"): 'std::string("fro")',
        (
            "norm",
            "axis",
            "optional<vector<int>>",
        ): "std::optional<std::vector<int>>(std::vector<int>{0, 1})",
        ("norm", "axis", "int"): "0",
        ("cross", "axis", "int"): "-1",
        ("cross", "a", "array"): "array({1.0f, 2.0f, 3.0f})",
        ("cross", "b", "array"): "array({3.0f, 1.0f, 2.0f})",
        ("rope", "offset", "int"): "2",
        ("rope", "offset", "array"): "array({2})",
        ("from_fp8", "dtype", "Dtype"): "float32",
        ("fft", "axis", "int"): "0",
        ("irfft", "a", "array"): "matrix(3, 2)",
        ("synchronize", "", "ThreadLocalStream"): "new_thread_local_stream(Device::cpu)",
        ("synchronize", "", "Stream"): "default_stream(Device::cpu)",
        ("safe_cast", "dim", "T"): "7",
        ("save", "file", "string"): 'scratch_file + ".npy"',
        ("load", "file", "string"): 'scratch_file + ".npy"',
        ("load_gguf", "file", "string"): 'scratch_file + ".gguf"',
        ("save_gguf", "file", "string"): 'scratch_file + ".gguf"',
        ("load_safetensors", "file", "string"): 'scratch_file + ".safetensors"',
        ("save_safetensors", "file", "string"): 'scratch_file + ".safetensors"',
        (
            "compile",
            "fun",
            "vector<array> (*)(vector<array>)",
        ): "+[](std::vector<array> in) { return in; }",
    }
)
for n in ("conv2d", "conv_transpose2d"):
    for p in ("stride", "dilation"):
        TYPED[n, p, "pair<int, int>"] = "std::pair<int, int>{1, 1}"
    for p in ("padding", "output_padding"):
        TYPED[n, p, "pair<int, int>"] = "std::pair<int, int>{0, 0}"
for n in ("conv3d", "conv_transpose3d"):
    for p in ("stride", "dilation"):
        TYPED[n, p, "tuple<int, int, int>"] = "std::tuple<int, int, int>{1, 1, 1}"
    for p in ("padding", "output_padding"):
        TYPED[n, p, "tuple<int, int, int>"] = "std::tuple<int, int, int>{0, 0, 0}"
for name, behind in (
    ("scatter", ""),
    ("scatter_add", ""),
    ("scatter_prod", ""),
    ("scatter_max", ""),
    ("scatter_min", ""),
):
    TYPED[name, "indices", "vector<array>"] = "std::vector<array>{array({1, 0})}"
    ARGUMENTS[name, "updates"] = "reshape(matrix(2, 3), Shape{2, 1, 3})"
TYPED["gather", "indices", "vector<array>"] = "std::vector<array>{array({1, 0})}"
for kind in ("", "_add", "_prod", "_max", "_min"):
    ARGUMENTS[f"slice_update{kind}", "update"] = "array(5.0f)"
for name in (
    "sum",
    "mean",
    "prod",
    "max",
    "min",
    "all",
    "any",
    "var",
    "std",
    "median",
    "logsumexp",
    "count_nonzero",
    "softmax",
):
    ARGUMENTS[name, "axes"] = "std::vector<int>{0, 1}"
# With a default that is an error where nothing else is given.
# The two forms of conv_general differ in how many lists come before groups, in MLX as well.
NEEDED = {
    *{(f, "biases") for f in ("quantized_matmul", "dequantize", "gather_qmm")},
    ("qqmm", "w_scales"),
    ("gather_qqmm", "scales_w"),
    ("clip", "a_min"),
    ("conv_general", "groups"),
    *{("conv_general", p) for p in CONV_LISTS},
}
# Statements before the calls of a section.
SETUP = {
    "quantisation": """  array weights = matrix(4, 128);
  auto packed = quantize(weights), floats = quantize(weights, {}, {}, "nvfp4");
""",
    "linalg": "  array positive_definite = array({4.0f, 1.0f, 1.0f, 3.0f}, Shape{2, 2});\n",
    "transforms": "  std::vector<array> inputs{matrix(2, 3), matrix(2, 3)};\n",
    "export_import": "  std::vector<array> inputs{matrix(2, 3), matrix(2, 3)};\n",
    "io": """  save_safetensors(scratch_file + ".safetensors", {{"x", matrix(2, 3)}});
  save_gguf(scratch_file + ".gguf", {{"x", matrix(2, 3)}});
""",
    "allocator": "  alignas(64) static char memory[64];\n",
}
OUT = "std::ostringstream out; "
LISTS = "function<vector<array>(vector<array>)>"
TWICE = (
    "Lists g = compile(f, true), h = compile(f); eval(g({matrix(2, 3)})); eval(h({matrix(2, 3)}));"
)
SAME = "[](const std::vector<array>& x) { return x; };"
SAID = "EXPECT_FALSE(out.str().empty());"
PRINTED = (
    ("Device", "d", "Device(Device::cpu)"),
    ("Stream", "s", "default_stream(Device::cpu)"),
    ("Dtype", "d", "float32"),
    ("Dtype::Kind", "k", "Dtype::Kind::f"),
    ("array", "a", "matrix(2, 3)"),
    ("complex64_t", "v", "complex64_t(1, 2)"),
    ("float16_t", "v", "float16_t(1)"),
    ("bfloat16_t", "v", "bfloat16_t(1)"),
)
GRAPHS = [
    (f, namer, given)
    for f in ("print_graph", "export_to_dot")
    for namer, given in (("", ""), ("NodeNamer namer, ", "NodeNamer(), "))
]
READ_BACK = (
    ("", "array", "matrix(2, 3)"),
    (
        "_safetensors",
        "SafetensorsLoad",
        'std::unordered_map<std::string, array>{{"x", matrix(2, 3)}}',
    ),
)


def read_back(what, value):
    return (
        f"auto out = std::make_shared<io::MemoryWriter>(); save{what}(out, {value});"
        " auto in = std::make_shared<io::MemoryReader>(out->bytes());"
        f" auto x = load{what}(in, Device::cpu);"
    )


# Calls that no list of parameters describes: packs, references and operators of streams.
WRITTEN = {
    "<T> async_eval(Arrays&&... outputs) -> void": (
        "async_eval(matrix(1, 1), matrix(2, 2)); synchronize();"
    ),
    "<T> eval(Arrays&&... outputs) -> void": "eval(matrix(1, 1), matrix(2, 2));",
    f"compile(vector<array> (*fun)(vector<array>), bool shapeless=false) -> {LISTS}": (
        f"std::vector<array> (*f)(const std::vector<array>&) = {SAME} {TWICE}"
    ),
    f"<T> compile(F&& f, bool shapeless=false) -> {LISTS}": f"auto f = {SAME} {TWICE}",
    "malloc(size_t size) -> Buffer": (
        "allocator::Buffer b = allocator::malloc(64); allocator::free(b);"
    ),
    "make_buffer(void* ptr, size_t size) -> Buffer": (
        "alignas(64) static char memory[64];"
        " allocator::Buffer b = allocator::make_buffer(memory, 64); allocator::release(b);"
    ),
    # A norm by name is a matrix's, in MLX as well.
    "norm(array a, string ord, int axis, bool keepdims=false, s={}) -> array": (
        'EXPECT_THROW(linalg::norm(matrix(2, 2), "fro", 0, false, {}), std::invalid_argument);'
    ),
    "version() -> char*": "const char* v = version(); EXPECT_GT(std::string(v).size(), 0u);",
    "<T> operator<<(ostream& os, Vec v) -> ostream": (
        OUT + 'out << std::vector<int>{1, 2}; EXPECT_EQ(out.str(), "(1, 2)");'
    ),
}
# In a group of one, which is what a program alone has, there is nobody to talk with.
for line, call in (
    ("send(array x, int dst, ", "send(matrix(2, 3), 0"),
    ("recv(Shape shape, Dtype dtype, int src, ", "recv(Shape{2, 3}, float32, 0"),
    ("recv_like(array x, int src, ", "recv_like(matrix(2, 3), 0"),
):
    WRITTEN[f"{line}optional<Group> group=nullopt, s={{}}) -> array"] = (
        f"EXPECT_THROW(try {{ distributed::{call}); }} catch (const std::invalid_argument&) "
        f"{{ distributed::{call}, std::nullopt, Device::cpu); }}, std::invalid_argument);"
    )
WRITTEN["init(bool strict, string bk, AllGatherFactory factory) -> Group"] = (
    'EXPECT_EQ(distributed::init(false, "jaccl", distributed::AllGatherFactory()).size(), 1);'
)
for kind, name, value in PRINTED:
    line = f"operator<<(ostream& os, {kind} {name}) -> ostream"
    WRITTEN[line] = f"{OUT}out << {value}; {SAID}"
for f, namer, given in GRAPHS:
    one, two = "matrix(1, 1)", "matrix(2, 2)"
    pack = f"<T> {f}(ostream& os, {namer}Arrays&&... outputs) -> void"
    WRITTEN[pack] = f"{OUT}{f}(out, {given}{one}, {two}); {SAID}"
    listed = f"{f}(ostream& os, {namer}vector<array> outputs) -> void"
    WRITTEN[listed] = f"{OUT}{f}(out, {given}std::vector<array>{{{one}}}); {SAID}"
for what, result, value in READ_BACK:
    line = f"load{what}(shared_ptr<io::Reader> in_stream, s={{}}) -> {result}"
    WRITTEN[line] = read_back(what, value)
