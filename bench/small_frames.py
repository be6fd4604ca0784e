"""What frames cost besides bytes: microseconds for small arrays, memory for large ones.

    python bench/small_frames.py [--mib 64]

prints, for each codec, the median time of compress + decompress of 1,000 ternary int8 symbols
through Python and the bytes of that frame, also for entropy with a shared code book; and how much
memory compress takes at its peak beyond a large array, the frame included, as a multiple of the
array's size: for sparse symbols, and for noise that cannot be shrunk.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

import datasets
import numpy as np

import gradwire as gw
from gradwire.tools.tables import print_table

ROUNDS = 3000

MEMORY_SCRIPT = """
import resource, sys
import numpy as np
import gradwire as gw
def peak(): return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
key, kind, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
array = np.empty(size, np.int8)
array[:] = 0
piece = 1 << 20
rng = np.random.default_rng(0)
for i in range(0, size, piece):
    noise = rng.integers(-128, 128, piece).astype(np.int8)
    array[i : i + piece] = noise if kind == "noise" else np.sign(noise) * (np.abs(noise) > 121)
gw.compress(array[:100_000], codec=key)
base = peak()
frame = gw.compress(array, codec=key)
compressed = peak() - base
print(compressed / size)
"""


def microseconds(codec: gw.Codec, symbols: np.ndarray) -> float:
    """Median time of there and back."""
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        codec.decompress(codec.compress(symbols))
        times.append(time.perf_counter() - begin)
    return 1e6 * statistics.median(times)


def memory(key: str, kind: str, size: int) -> float:
    """Peak memory of compress beyond its input, as a multiple of it."""
    command = [sys.executable, "-c", MEMORY_SCRIPT, key, kind, str(size)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(printed)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=64, help="size of the large arrays")
    options = parser.parse_args()
    symbols = datasets.make("tern95", 1000)
    rows = []
    for key in gw.codecs():
        extra = [memory(key, kind, options.mib << 20) for kind in ("sparse", "noise")]
        us = microseconds(gw.codec(key), symbols)
        size = gw.compress(symbols, codec=key).nbytes
        rows.append((key, f"{us:.1f}", str(size), *(f"{e:.2f}" for e in extra)))
    fitted = gw.Entropy().fit(datasets.make("tern95", 100_000))
    us, size = microseconds(fitted, symbols), fitted.compress(symbols).nbytes
    rows.append(("entropy, fitted", f"{us:.1f}", str(size), "", ""))
    columns = ("codec", "us, 1,000 symbols", "bytes", "memory, sparse", "memory, noise")
    print_table("Small frames, and extra memory of large ones", columns, rows)


if __name__ == "__main__":
    main()
