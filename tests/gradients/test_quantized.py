"""Frames of levels, scales and selected elements that the caller has computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference_gradients
from cases import KEYS
from gradient_cases import assert_same_bits, bfloat16
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gradwire as gw

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float32", "float16", "bfloat16", "float64"]


def product(levels: np.ndarray, scales: Any, bucket_size: int | None) -> np.ndarray:
    """levels[i] * scales[i // bucket_size] in float32, and no negative zero."""
    flat = levels.reshape(-1)
    scales = np.asarray(scales, np.float32).reshape(-1)
    bucket = np.arange(flat.size) // (bucket_size or max(flat.size, 1))
    with np.errstate(over="ignore"):
        values = flat.astype(np.float32) * scales[bucket]
    return np.where(values == 0, np.float32(0), values).reshape(levels.shape)


@st.composite
def arguments(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int | None]:
    dtype = draw(st.sampled_from(INTEGERS))
    info = np.iinfo(dtype)
    limits = np.iinfo(draw(st.sampled_from(["int8", "int16"])))
    elements = st.integers(max(info.min, limits.min), min(info.max, limits.max))
    levels = draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0), elements=elements))
    size = draw(st.none() | st.integers(1, 2 * levels.size + 1) | st.just(2**62))
    buckets = 1 if size is None else -(-levels.size // size)
    scale = st.floats(0, float(np.finfo("f4").max), width=32)
    return levels, draw(hnp.arrays("f4", buckets, elements=scale)), size


@given(arguments(), st.sampled_from(FLOATS), st.sampled_from(KEYS), st.integers(1, 3))
@settings(deadline=None)
def test_levels_times_scales(
    given: tuple[np.ndarray, np.ndarray, int | None], dtype: str, codec: str, threads: int
) -> None:
    levels, scales, size = given
    frame = gw.compress_levels(levels, scales, size, dtype=dtype, codec=codec, threads=threads)
    assert_same_bits(gw.decompress_gradient(frame), product(levels, scales, size))
    info = gw.inspect_gradient(frame)
    is_narrow = levels.min(initial=0) >= -128 and levels.max(initial=0) <= 127
    method = "levels" if is_narrow else "wide levels"
    assert (info.method, info.dtype, info.shape) == (method, dtype, levels.shape)


def large_levels(dtype: str) -> np.ndarray:
    """More than one chunk, with the lowest and highest levels."""
    rng = np.random.default_rng(4)
    info = np.iinfo(dtype)
    levels = rng.laplace(size=600_001) * info.max / 6
    levels[:256] = np.arange(-128, 128)
    levels[256:258] = info.min, info.max
    return np.clip(levels, info.min, info.max).astype(dtype)


@pytest.mark.parametrize("bucket_size", [None, 1, 7, 512, 300_000])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_threads_do_not_matter(bucket_size: int | None, dtype: str) -> None:
    levels = large_levels(dtype)
    buckets = 1 if bucket_size is None else -(-levels.size // bucket_size)
    scales = np.random.default_rng(5).exponential(size=buckets).astype(np.float32)
    frames = [gw.compress_levels(levels, scales, bucket_size, threads=n) for n in (1, 2, 4)]
    assert len({frame.tobytes() for frame in frames}) == 1
    wanted = product(levels, scales, bucket_size)
    for threads in (1, 4):
        assert_same_bits(gw.decompress_gradient(frames[0], threads=threads), wanted)
    total = gw.decompress_sum([frames[0], frames[0]], scale=0.5)
    assert_same_bits(total, wanted)


SCRIPT = """
import hashlib
import numpy as np
import gradwire as gw
narrow = np.tile(np.arange(-128, 128), 300)
cases = [(levels, size) for levels in (narrow, 256 * narrow) for size in (None, 5, 64, 1000)]
for levels, size in cases:
    buckets = 1 if size is None else -(-levels.size // size)
    scales = np.random.default_rng(0).exponential(size=buckets).astype(np.float32)
    frame = gw.compress_levels(levels, scales, size)
    decoded = gw.decompress_gradient(frame)
    wanted = levels.astype("f4") * np.repeat(scales, size or levels.size)[: levels.size]
    assert np.array_equal(decoded, wanted)
    print(hashlib.sha256(frame).hexdigest(), hashlib.sha256(decoded).hexdigest())
"""


def test_same_bytes_on_every_instruction_set(run_python) -> None:
    isas = gw.build_info()["available_isas"]
    assert len({run_python(SCRIPT, GRADWIRE_ISA=isa) for isa in isas}) == 1


@pytest.mark.parametrize("codec", KEYS)
@pytest.mark.parametrize("bucket_size", [None, 3, 100])
@pytest.mark.parametrize("most", [127, 1000, 32767])
def test_the_reference_decoder_reads_them(codec: str, bucket_size: int | None, most: int) -> None:
    levels = np.random.default_rng(6).integers(-most - 1, most + 1, (3, 50))
    buckets = 1 if bucket_size is None else -(-levels.size // bucket_size)
    scales = np.random.default_rng(7).exponential(size=buckets).astype(np.float32)
    scales[0] = 0
    frame = gw.compress_levels(levels, scales, bucket_size, dtype="float16", codec=codec)
    decoded = reference_gradients.decode(frame.tobytes())
    assert_same_bits(decoded, product(levels, scales, bucket_size))


@pytest.mark.parametrize("bucket_size", [None, 1, 100, 512])
@pytest.mark.parametrize(
    ("make", "highest"),
    [
        (lambda size: gw.QSGD(4, size), 4),
        (lambda size: gw.QSGD(127, size, norm="max", scale_dtype="float32"), 127),
        (lambda size: gw.QSGD(7, size, scale_dtype="bfloat16"), 7),
        (lambda size: gw.QSGD(1000, size), 1000),
        (lambda size: gw.TernGrad(bucket_size=size), 1),
        (lambda size: gw.Uniform(4, size), 7),
        (lambda size: gw.Uniform(16, size), 32767),
        (lambda size: gw.EFSignSGD(bucket_size=size), 1),
    ],
)
def test_levels_of_quantizers_decode_as_their_frames(
    make: Any, highest: int, bucket_size: int | None
) -> None:
    x = np.random.default_rng(8).laplace(size=(7, 300)).astype(np.float32)
    x[0] = 0
    quantizer = make(bucket_size)
    levels, scales = quantizer.quantize(x)  # the stream of an unnamed tensor in its first step
    frame = gw.compress_levels(levels, scales / np.float32(highest), bucket_size)
    wanted = gw.decompress_gradient(gw.Compressor(quantizer).compress(x))
    assert_same_bits(gw.decompress_gradient(frame), wanted)


def test_frames_are_about_as_small_as_those_of_a_compressor() -> None:
    x = np.random.default_rng(9).laplace(size=1_000_000).astype(np.float32)
    quantizer = gw.QSGD(4)
    levels, scales = quantizer.quantize(x)
    frame = gw.compress_levels(levels, scales / 4, 512)
    assert frame.nbytes < 1.05 * gw.Compressor(quantizer).compress(x).nbytes


def test_scales_of_any_type_and_shape() -> None:
    levels = np.arange(-6, 6).reshape(3, 4)
    per_row = np.array([[0.5], [0.25], [2.0]])  # as of a mean with keepdims
    wanted = (levels * per_row).astype(np.float32)
    given = [per_row, per_row.tolist(), bfloat16(per_row)]
    given += [per_row.astype(dtype) for dtype in ("float16", "float32", ">f4")]
    for scales in given:
        frame = gw.compress_levels(levels, scales, 4)
        assert np.array_equal(gw.decompress_gradient(frame), wanted)
    whole = gw.decompress_gradient(gw.compress_levels(levels[:, ::2], 0.1))
    assert_same_bits(whole, product(levels[:, ::2], 0.1, None))
    negative_zero = gw.decompress_gradient(gw.compress_levels([1, -1], -0.0))
    assert not np.signbit(negative_zero).any()
    assert gw.decompress_gradient(gw.compress_levels(np.zeros((0, 3), int), 0.5)).shape == (0, 3)


def test_torch_tensors() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    levels = torch.arange(-60, 60).reshape(4, 5, 6).transpose(0, 2)
    scales = torch.rand(12, requires_grad=True)
    frame = gw.compress_levels(levels, scales, 10)
    wanted = product(levels.numpy(), scales.detach().numpy(), 10)
    assert_same_bits(gw.decompress_gradient(frame), wanted)
    x = torch.randn(5, 40)
    values, indices = x.flatten().topk(20)
    order = indices.argsort()
    frame = gw.compress_selected(indices[order], values[order], x.shape)
    assert_same_bits(gw.decompress_gradient(frame), (x * (x >= values[-1])).numpy() + 0)
    for wrong in (levels.to("meta"), levels.to_sparse()):
        with pytest.raises(TypeError, match="is not supported; pass"):
            gw.compress_levels(wrong, 1.0)


class Foreign:
    """An array of a library that gradwire does not know, which speaks DLPack."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


def test_arrays_through_dlpack() -> None:
    levels, scales = np.arange(-3, 3), np.array([0.5, 2], np.float32)
    frame = gw.compress_levels(Foreign(levels), Foreign(scales), 3)
    assert_same_bits(gw.decompress_gradient(frame), product(levels, scales, 3))
    frame = gw.compress_selected(Foreign(np.array([1, 4])), Foreign(scales), 6)
    assert gw.decompress_gradient(frame).tolist() == [0, 0.5, 0, 0, 2, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": [1, 300, -40_000]}, "must be -32768 to 32767, got -40000 at flat index 2"),
        ({"levels": np.array([40_000, 1, 2], "u2")}, "got 40000 at flat index 0"),
        ({"scales": [1.0, 2.0]}, "scales has 2 elements, but a single bucket takes 1; pass bucket"),
        ({"bucket_size": 2}, "1 elements, but 3 levels in buckets of 2 take 2, one per bucket"),
        ({"bucket_size": 0}, "bucket_size must be at least 1"),
        ({"scales": -0.5}, "scales must be finite and not negative, got -0.5"),
        ({"scales": [1.0, 2.0, np.nan], "bucket_size": 1}, "not negative, got nan.* at index 2"),
        ({"scales": 1e39}, "not negative, got inf"),
        ({"dtype": "float8"}, "unknown dtype 'float8'"),
        ({"codec": "zip"}, "unknown codec 'zip'"),
    ],
)
def test_wrong_levels_and_scales(change: dict[str, Any], message: str) -> None:
    given = {"levels": [1, -2, 3], "scales": 0.5, **change}
    with pytest.raises(ValueError, match=message):
        gw.compress_levels(given.pop("levels"), given.pop("scales"), **given)


def test_wrong_types() -> None:
    for levels, scales, message in [
        ([0.5], 1.0, "take integers, got float64"),
        ([1], [1], "scales must hold float32, float16, bfloat16, float64, got int64"),
        ([1], "one", "scales must hold"),
    ]:
        with pytest.raises(TypeError, match=message):
            gw.compress_levels(levels, scales)
    with pytest.raises(TypeError, match="bucket_size"):
        gw.compress_levels([1], 1.0, 2.5)


@given(
    st.integers(0, 300).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.integers(0, max(n - 1, 0)), max_size=n))
    ),
    st.sampled_from(["f4", "f2", "f8"]),
    st.sampled_from(KEYS),
)
@settings(deadline=None)
def test_selected_elements(case: tuple[int, set[int]], dtype: str, codec: str) -> None:
    count, chosen = case
    indices = np.array(sorted(chosen), np.int64)
    values = np.random.default_rng(count).normal(size=indices.size).astype(dtype)
    frame = gw.compress_selected(indices, values, (count,), codec=codec, threads=1)
    wanted = np.zeros(count, np.float32)
    wanted[indices] = values
    assert_same_bits(gw.decompress_gradient(frame), wanted)
    info = gw.inspect_gradient(frame)
    assert (info.method, info.dtype, info.sent) == ("sparse", values.dtype.name, indices.size)
    assert_same_bits(reference_gradients.decode(frame.tobytes()), wanted)


def test_selected_elements_are_sent_as_a_sparsifier_sends_them() -> None:
    x = np.random.default_rng(10).laplace(size=(30, 40)).astype(np.float32)
    for values in ("float32", "bfloat16"):
        sparsifier = gw.TopK(0.1, values=values)
        indices, chosen = sparsifier.sparsify(x)
        sent = chosen if values == "float32" else bfloat16(chosen)
        frame = gw.compress_selected(indices, sent, x.shape)
        kept = product(np.ones(chosen.size, "i1"), chosen, 1)
        if values == "bfloat16":
            kept = (kept.view("u4") >> 16 << 16).view("f4")
        assert np.array_equal(gw.decompress_gradient(frame).reshape(-1)[indices], kept)
        theirs = gw.Compressor(sparsifier).compress(x)
        assert abs(frame.nbytes - theirs.nbytes) <= (0 if values == "float32" else 20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indices": [4, 1]}, "indices must strictly ascend, got 4 before 1; sort"),
        ({"indices": [1, 1]}, "indices must strictly ascend, got 1 before 1"),
        ({"indices": [1, 6]}, "at least 0 and below 6, the number .* got 6 at index 1"),
        ({"indices": [-1, 2]}, "at least 0 and below 6, the number .* got -1 at index 0"),
        ({"indices": [1]}, "got 1 indices and 2 values"),
        ({"indices": [[1, 2]]}, r"indices must have one dimension, got shape \(1, 2\)"),
        ({"values": [[1.0, 2.0]]}, "values must have one dimension"),
        ({"values": [1.0, np.nan]}, "values must be finite as float32, got nan at index 1"),
        ({"values": [1e39, 1.0]}, "values must be finite as float32, got inf at index 0"),
        ({"shape": (2**20, 2**20)}, r"at most 2\^32 elements"),
        ({"shape": (-2, -3)}, "each length in shape must be"),
    ],
)
def test_wrong_selections(change: dict[str, Any], message: str) -> None:
    given = {"indices": [1, 4], "values": [0.5, 2.0], "shape": (2, 3), **change}
    with pytest.raises(ValueError, match=message):
        gw.compress_selected(**given)


def test_wrong_types_of_selections() -> None:
    with pytest.raises(TypeError, match="take integers, got float64"):
        gw.compress_selected([0.5], [1.0], 3)
    with pytest.raises(TypeError, match="values must hold float32"):
        gw.compress_selected([0], [1], 3)
    with pytest.raises(TypeError, match="each length in shape must be an integer"):
        gw.compress_selected([0], [1.0], (2.5,))
