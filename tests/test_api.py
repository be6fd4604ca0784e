"""The Python API: what goes in, what comes out, what is refused and how."""

from __future__ import annotations

import array
import copy
import multiprocessing
import pickle
import threading

import numpy as np
import pytest
from cases import KEYS, ternary

import gradwire as gw

CASE = ternary(2000).reshape(40, 50)


@pytest.mark.parametrize(
    "given",
    [
        [0, 1, -1, 0],
        (),
        7,
        b"bytes",
        bytearray(b"bytes"),
        memoryview(b"bytes"),
        array.array("h", [1, 2, 3]),
        np.int16(4),
        np.float32([1, 2]).view(np.int32),
        np.array([True, False]),
    ],
    ids=repr,
)
def test_takes(given: object) -> None:
    expected = np.asarray(memoryview(given) if isinstance(given, (bytes, bytearray)) else given)
    decoded = gw.decompress(gw.compress(given))
    assert np.array_equal(decoded, expected)


def test_takes_torch_tensors() -> None:
    torch = pytest.importorskip(
        "torch", reason="PyTorch is not installed: pip install gradwire[torch]"
    )
    for dtype in (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool):
        tensor = torch.arange(60).reshape(3, 4, 5).to(dtype).transpose(0, 2)
        decoded = gw.decompress(gw.compress(tensor))
        assert np.array_equal(decoded, tensor.numpy())
    out = torch.empty(60, dtype=torch.uint8)
    frame = torch.from_numpy(gw.compress(torch.arange(60, dtype=torch.uint8)))
    gw.decompress_into(frame, out)
    assert torch.equal(out, torch.arange(60, dtype=torch.uint8))
    for dtype in (torch.float32, torch.bfloat16):
        with pytest.raises(TypeError, match="codecs take integers"):
            gw.compress(torch.zeros(3, dtype=dtype))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8"])
def test_floats_are_told_what_to_do(dtype: str) -> None:
    with pytest.raises(TypeError, match=f"got {np.dtype(dtype)}; quantize the gradient first"):
        gw.compress(np.zeros(3, dtype))


def test_masked_arrays_are_refused() -> None:
    masked = np.ma.masked_array([1, 2, 3], [False, True, False])
    with pytest.raises(TypeError, match=r"mask would be lost; pass array.filled\(0\)"):
        gw.compress(masked)
    with pytest.raises(TypeError, match="mask"):
        gw.Compressor(gw.QSGD(4)).compress(masked.astype(np.float32))
    assert np.array_equal(gw.decompress(gw.compress(masked.filled(0))), [1, 0, 3])


@pytest.mark.parametrize("given", [np.array(["a"]), np.array([object()]), np.zeros(2, "M8[s]")])
def test_other_types_are_refused(given: np.ndarray) -> None:
    with pytest.raises(TypeError, match=r"codes arrays of bool, int8.*uint64, got"):
        gw.compress(given)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="unknown codec 'zip'; take one of: rle, huffman"):
        gw.codec("zip")
    with pytest.raises(ValueError, match="unknown codec 'zip'"):
        gw.compress([1], codec="zip")
    with pytest.raises(ValueError, match="sample_size must be at least 1, got 0"):
        gw.SampleHuffman(sample_size=0)
    with pytest.raises(ValueError, match="threads must be at least 1, got -2"):
        gw.Huffman(threads=-2)
    with pytest.raises(TypeError, match="max_run must be an integer, got 'many'"):
        gw.SampleHuffmanSparsity(max_run="many")
    with pytest.raises(ValueError, match="max_run must be 1 to 4096, not 5000"):
        gw.SampleHuffmanSparsity(max_run=5000).compress([1, 0])
    with pytest.raises(TypeError, match="sample_size"):
        gw.Huffman(sample_size=3)


@pytest.mark.parametrize("key", KEYS)
def test_codec_objects(key: str) -> None:
    codec = gw.codec(key)
    assert type(codec) is gw.codecs()[key]
    with pytest.raises(ValueError, match="has compressed nothing in this thread yet"):
        codec.decompress()
    codec.compress(CASE)
    assert np.array_equal(codec.decompress(), CASE)
    assert codec == gw.codec(key) != gw.codec(key, threads=1)
    clone = pickle.loads(pickle.dumps(copy.deepcopy(codec)))
    assert clone == codec and hash(clone) == hash(codec)
    with pytest.raises(ValueError, match="nothing"):
        clone.decompress()
    with pytest.raises(AttributeError):
        codec.threads = 3


def test_any_codec_object_decodes_any_frame() -> None:
    frame = gw.Huffman().compress(CASE)
    assert np.array_equal(gw.EliasOmega().decompress(frame), CASE)
    assert gw.inspect(gw.compress(CASE, codec=gw.codec("shs", max_run=9), threads=2)).codec == "shs"


def test_seed_and_sample_size_choose_the_code() -> None:
    data = np.rint(np.random.default_rng(0).normal(0, 9, 200_000)).astype(np.int8)
    frames = {gw.SampleHuffman(sample_size=9, seed=s).compress(data).tobytes() for s in range(4)}
    assert len(frames) == 4
    assert (
        gw.SampleHuffman(seed=1).compress(data).tobytes()
        == gw.codec("sh", seed=1).compress(data).tobytes()
    )


def test_decompress_into_arrays_that_exist() -> None:
    frame = gw.compress(CASE)
    out = np.empty((50, 40), np.int8)
    assert gw.decompress(frame, out=out) is out
    assert np.array_equal(out.reshape(CASE.shape), CASE)
    buffer = bytearray(CASE.nbytes)
    gw.decompress_into(frame, buffer, threads=1)
    assert bytes(buffer) == CASE.tobytes()
    with pytest.raises(gw.BufferTooSmallError, match="out has 1999 elements, the frame has 2000"):
        gw.decompress(frame, out=np.empty(1999, np.int8))
    with pytest.raises(ValueError, match="out has 2001 elements"):
        gw.decompress(frame, out=np.empty(2001, np.int8))
    with pytest.raises(TypeError, match="out must be a NumPy array of int8, got uint8"):
        gw.decompress(frame, out=np.empty(2000, np.uint8))
    with pytest.raises(ValueError, match="writable and C-contiguous"):
        gw.decompress(frame, out=np.empty(4000, np.int8)[::2])
    with pytest.raises(gw.BufferTooSmallError, match="1999 bytes, but the frame decodes to 2000"):
        gw.decompress_into(frame, bytearray(1999))
    with pytest.raises(ValueError, match="2001 bytes, but the frame decodes to only 2000"):
        gw.decompress_into(frame, bytearray(2001))
    with pytest.raises(ValueError, match="writable"):
        gw.decompress_into(frame, bytes(2000))


def test_compress_into() -> None:
    frame = gw.compress(CASE, codec="huffman").tobytes()
    for size in (gw.max_compressed_size(CASE), len(frame)):
        buffer = bytearray(b"\xaa" * (size + 5))
        used = gw.compress_into(CASE, memoryview(buffer)[:size], codec="huffman", threads=1)
        assert buffer[:used] == frame
        assert buffer[size:] == b"\xaa" * 5
    with pytest.raises(gw.BufferTooSmallError, match=f"the frame needs {len(frame)}"):
        gw.compress_into(CASE, bytearray(len(frame) - 1), codec="huffman")


def test_large_results_never_share_memory() -> None:
    noise = np.random.default_rng(8).integers(0, 256, 36 << 20).astype(np.uint8)
    arrays = [noise, noise[::-1].copy(), noise[: 33 << 20] ^ 85]
    first = gw.compress(arrays[0])
    second = gw.compress(arrays[1])
    assert min(first.nbytes, second.nbytes) >= 32 << 20
    del first
    third = gw.compress(arrays[2])
    assert not np.shares_memory(second, third)
    for frame, sent in ((second, arrays[1]), (third, arrays[2])):
        assert np.array_equal(gw.decompress(frame), sent)


def test_inspect() -> None:
    frame = gw.compress(CASE, codec="rlh")
    info = gw.inspect(frame)
    assert (info.codec, info.layout, info.dtype, info.shape) == (
        "rlh",
        "classic",
        np.int8,
        (40, 50),
    )
    assert (info.count, info.decoded_nbytes, info.nbytes) == (2000, 2000, frame.nbytes)
    assert (info.version, info.chunks, info.raw_chunks, info.checksum) == (1, 1, 0, True)
    assert 0 < info.code_book_bytes < info.nbytes
    assert 0 < info.code_length < 8 * info.nbytes


def test_frames_of_the_wrong_type() -> None:
    with pytest.raises(TypeError, match="frame must be bytes or a uint8 array, got int64"):
        gw.decompress(np.zeros(9, np.int64))


def test_threads_share_a_codec_object() -> None:
    codec = gw.RunLengthHuffman()
    arrays = [ternary(20_000 + i, 0.8, seed=i) for i in range(6)]
    wrong = []

    def work(mine: np.ndarray) -> None:
        for _ in range(20):
            codec.compress(mine)
            if not np.array_equal(codec.decompress(), mine):
                wrong.append(mine.size)

    threads = [threading.Thread(target=work, args=(a,)) for a in arrays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_set_threads_and_build_info() -> None:
    try:
        gw.set_threads(2)
        info = gw.build_info()
        assert info["threads"] == (2 if info["openmp"] else 1)
        assert info["isa"] in info["available_isas"]
        assert set(info["kernels"].values()) <= set(info["available_isas"])
        assert info["version"] == gw.__version__
        with pytest.raises(ValueError, match="threads must be 0"):
            gw.set_threads(-1)
    finally:
        gw.set_threads(0)


def _in_child(queue: multiprocessing.SimpleQueue) -> None:
    data = ternary(700_000)
    queue.put(gw.compress(data, threads=4).tobytes())


def test_forked_children_work() -> None:
    data = ternary(700_000)
    frame = gw.compress(data, threads=4)  # OpenMP has threads before the fork
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get() == frame.tobytes()
    child.join(60)
    assert child.exitcode == 0


def test_import_needs_numpy_alone(run_python) -> None:
    script = (
        "import sys, gradwire; print(sorted({m.partition('.')[0] for m in sys.modules}"
        " & {'torch', 'rich', 'tensorflow', 'jax', 'mpi4py', 'matplotlib'}))"
    )
    assert run_python(script) == "[]\n"


@pytest.mark.parametrize("order", ["torch, gradwire", "gradwire, torch"])
def test_lives_beside_torch(order: str, run_python) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install gradwire[torch]")
    script = f"""
import {order}
import numpy
q = numpy.tile(numpy.array([0, 0, 1, 0, -1], numpy.int8), 200_000)
torch.ones(500, 500) @ torch.ones(500, 500)
print(numpy.array_equal(gradwire.decompress(gradwire.compress(q, threads=2), threads=2), q))
"""
    assert run_python(script) == "True\n"


@pytest.mark.parametrize("key", KEYS)
def test_accumulate(key: str) -> None:
    levels = np.random.default_rng(5).integers(-3, 4, 600_000).astype(np.int8)
    frame = gw.compress(levels, codec=key)
    for dtype in (np.int8, np.int16, np.int32, np.uint64):
        total = np.arange(levels.size).astype(dtype)
        expected = total + levels.astype(dtype)
        gw.decompress_into(frame, total, accumulate=True)
        assert np.array_equal(total, expected)


def test_accumulate_needs_integers_of_the_same_number() -> None:
    frame = gw.compress(CASE)
    with pytest.raises(TypeError, match="float32"):
        gw.decompress_into(frame, np.zeros(CASE.size, np.float32), accumulate=True)
    with pytest.raises(ValueError, match="elements"):
        gw.decompress_into(frame, np.zeros(CASE.size + 1, np.int32), accumulate=True)
    with pytest.raises(TypeError, match="bool"):
        gw.decompress_into(frame, np.zeros(CASE.size, np.bool_), accumulate=True)
    with pytest.raises(TypeError, match="native"):
        swapped = np.dtype(np.int32).newbyteorder()
        gw.decompress_into(frame, np.zeros(CASE.size, swapped), accumulate=True)
    with pytest.raises(TypeError, match="list"):
        gw.decompress_into(frame, [0] * CASE.size, accumulate=True)


def test_accumulate_adds_nothing_of_a_damaged_frame() -> None:
    frame = bytearray(gw.compress(CASE).tobytes())
    frame[len(frame) // 2] ^= 1
    total = np.zeros(CASE.shape, np.int32)
    with pytest.raises(gw.CorruptFrameError):
        gw.decompress_into(frame, total, accumulate=True)
    assert not total.any()
