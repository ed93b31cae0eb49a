"""torch's side of compare_gpu.py: one command a line on standard input, one JSON answer a line on
standard output. It ends at once where there is no torch with CUDA."""

import json
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit(0)


def normal(shape, dtype=torch.float32):
    return torch.randn(shape, device="cuda", dtype=torch.float32).to(dtype)


def share_off(got, want):
    got = got.double().cpu()
    return float((got - want).norm() / want.norm())


def matmul():
    """Error: of the last 16 rows."""
    n = 8192
    a, b = normal((n, n), torch.bfloat16), normal((n, n), torch.bfloat16)
    want = a[-16:].double().cpu() @ b.double().cpu()
    return 2.0 * n**3, lambda: a @ b, share_off((a @ b)[-16:], want)


def attention(size):
    """Causal, 4096 queries of 32 heads. Error: of the last 16 queries."""
    length, heads = 4096, 32
    q, k, v = (normal((1, heads, length, size), torch.bfloat16) for _ in range(3))
    wide = [x.double().cpu() for x in (q[:, :, -16:], k, v)]
    seen = torch.ones(16, length, dtype=torch.bool).tril(length - 16)
    want = F.scaled_dot_product_attention(*wide, attn_mask=seen)
    run = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return 2.0 * heads * length**2 * size, run, share_off(run()[:, :, -16:], want)


def copy():
    """1 GiB is read, and written."""
    n = 1 << 28
    x, y = normal((n,)), torch.empty(n, device="cuda")
    return 8.0 * n, lambda: y.copy_(x), None


def thousand_ops():
    """Each waits for the one before."""
    x, weight = normal((1, 1, 64)), normal((64,))

    def run():
        y = x
        for _ in range(1000):
            y = F.rms_norm(y, (64,), weight, 1e-5)
        return y

    return 1000.0, run, None


ROWS = {
    "matmul": matmul,
    "attention 128": lambda: attention(128),
    "attention 256": lambda: attention(256),
    "copy": copy,
    "1000 ops": thousand_ops,
}


def rate(work, run, seconds):
    done = 0
    start = time.perf_counter()
    while done == 0 or time.perf_counter() - start < seconds:
        for _ in range(10):
            run()
        torch.cuda.synchronize()
        done += 10
    return work * done / (time.perf_counter() - start)


def main():
    if not torch.cuda.is_available():
        return
    print(json.dumps({"version": torch.__version__, "rows": list(ROWS)}), flush=True)
    work = run = None
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "prepare":
            run = None
            torch.cuda.empty_cache()
            work, run, error = ROWS[command["row"]]()
            answer = {"error_of_norm": error}
        else:
            answer = {"rate": rate(work, run, command["seconds"])}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
