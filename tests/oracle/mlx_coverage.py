"""What mlx_test.py calls of MLX's Python package, and why not the rest."""

import mlx.core as mx

from function_coverage import Coverage

# Of every class; those of object are none of MLX's.
PYTHON_ONLY = {
    "__class__",
    "__doc__",
    "__init__",
    "__init_subclass__",
    "__module__",
    "__new__",
    "__or__",
    "__subclasshook__",
    "__abstractmethods__",
    "__getstate__",
    "__format__",
}

# A name that is called all the same fails the test, and so does one that MLX does not have.
NOT_CALLED = [
    (
        "Metal is Apple's",
        "fast.metal_kernel metal.clear_cache metal.device_info metal.get_active_memory"
        " metal.get_cache_memory metal.get_peak_memory metal.is_available metal.reset_peak_memory"
        " metal.set_cache_limit metal.set_memory_limit metal.set_wired_limit metal.start_capture"
        " metal.stop_capture set_wired_limit",
    ),
    (
        "kernels in CUDA C++ need a card: tests/runtime/kernels/cuda_kernel_test.cpp",
        "cuda.is_available fast.cuda_kernel fast.precompiled_cuda_kernel",
    ),
    (
        "needs several processes, see tests/distributed",
        "distributed.all_gather distributed.all_max distributed.all_min distributed.all_sum"
        " distributed.init distributed.is_available distributed.recv distributed.recv_like"
        " distributed.send distributed.sum_scatter",
    ),
    (
        "files are compared by io_test.py",
        "load save save_gguf save_safetensors savez savez_compressed",
    ),
    (
        "function files have a format of their own, see docs/function-files.md",
        "export_function exporter import_function",
    ),
    ("MLX computes it on cards only; compared with gather_qmm of rounded inputs", "gather_qqmm"),
    ("drawings name nodes as each library likes", "export_to_dot"),
    ("tells of the machine; compared with nothing, but called by api_test", "device_info"),
    ("MLX's streams are threads, which this would end for the rest of the test", "clear_streams"),
    ("streams of threads that do not run here", "new_thread_local_stream new_thread_unsafe_stream"),
    (
        "Python's: lists, buffers and other packages' arrays become arrays and back",
        "asarray from_dlpack array.tolist array.__array__ array.__array_namespace__"
        " array.__bytes__ array.__dlpack__ array.__dlpack_device__",
    ),
    (
        "Python's: copies, pickles, truth and text",
        "array.__bool__ array.__complex__ array.__copy__ array.__deepcopy__ array.__float__"
        " array.__index__ array.__int__ array.__setstate__",
    ),
    ("Python's: a dtype by words or by array; promote_types and issubdtype are there", "isdtype"),
    ("Python's: set_printoptions is there", "get_printoptions printoptions"),
]


def covered():
    """Every function of mlx.core notes that it was called. Before anything keeps one."""
    coverage = Coverage()
    coverage.functions(mx)
    for name in ("fast", "fft", "linalg", "random", "metal", "cuda", "distributed"):
        coverage.functions(getattr(mx, name), name + ".")
    for name in ("custom_function", "finfo", "iinfo"):
        coverage.expose(mx, name, name)
    coverage.members(mx.array, "array.", PYTHON_ONLY | {"__repr__", "__getstate__"})
    coverage.members(mx.ArrayAt, "ArrayAt.", PYTHON_ONLY)
    return coverage
