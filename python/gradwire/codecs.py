"""The codecs, one small class each over the C++ table of codecs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from gradwire import _core
from gradwire._arrays import (
    ByteArray,
    IntegerArray,
    as_integers,
    as_writable_bytes,
    check_apart,
)
from gradwire.encodings import Symbol, encoding_of
from gradwire.frames import decompress as decompress_frame
from gradwire.frames import inspect

_C = TypeVar("_C", bound="Codec")


class _Last(threading.local):
    """The document that a codec object made last in this thread."""

    frame: ByteArray | None = None
    encoding: dict[Symbol, str] | None = None


@dataclass(frozen=True)
class Codec:
    """What all codecs share. An object may be used by several threads; each has its last document.

    Args:
        threads: at most this many; None for the default (:func:`gradwire.set_threads`). Frames
            have the same bytes for any number of threads.
        checksum: end frames with a CRC-32C, which costs 4 bytes and next to no time.
    """

    key: ClassVar[str]
    """Short name, also in :func:`gradwire.codecs`."""

    threads: int | None = None
    checksum: bool = True
    _last: _Last = field(default_factory=_Last, init=False, repr=False, compare=False)
    _core_options: _core.Options = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_core_options", self._make_options())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (
            type(self),
            {f.name: getattr(self, f.name) for f in fields(self) if f.init},
        )

    def _make_options(self) -> _core.Options:
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        for name, value in values.items():
            if name == "threads" and value is None:
                values[name] = 0
            elif name not in ("checksum", "code_book"):
                _check_number(name, value)
        if values.get("code_book") is not None:
            values["code_book"] = _core.SharedCodeBook.read(values["code_book"])
        return _core.Options(codec=_NUMBERS[self.key], **values)

    def compress(self, q: Any) -> ByteArray:
        """Compresses an integer array and remembers the result as the last document.

        Args:
            q: bool, int8 to int64 or uint8 to uint64, any shape; a NumPy array, a torch CPU
                tensor, an array-like, or anything with the buffer protocol or DLPack.

        Returns:
            The frame: a 1-D uint8 array, at most 64 bytes and 0.1 % larger than ``q``.

        Raises:
            TypeError: ``q`` does not hold integers.
        """
        array, number = as_integers(q)
        frame = _core.compress(array, number, self._core_options)
        self._last.frame = frame
        self._last.encoding = None
        return frame

    def decompress(
        self,
        frame: Any = None,
        out: IntegerArray | None = None,
        max_size: int | None = None,
    ) -> IntegerArray:
        """Decodes a frame of any codec, or the last document; see :func:`gradwire.decompress`."""
        if frame is None:
            frame = self._last_frame()
        return decompress_frame(frame, out=out, max_size=max_size, threads=self.threads)

    def _last_frame(self) -> ByteArray:
        if self._last.frame is None:
            raise ValueError(
                f"{type(self).__name__} has compressed nothing in this thread yet; "
                "call compress(q) first, or pass a frame"
            )
        return self._last.frame

    @property
    def code_length(self) -> int:
        """Bits of all code words of the last document, without code book: the paper's metric.

        A chunk that is stored raw, because its code words would be longer, counts with the bits
        that they would have had.
        """
        return inspect(self._last_frame()).code_length

    @property
    def encoding(self) -> dict[Symbol, str]:
        """Code words of the last document: symbol to a string of '0' and '1', made when asked for.

        A symbol is a value for ``huffman`` and ``sh``, a (value, run length) pair for ``rle``,
        ``elias`` and ``rlh``, and either for ``shs``. For ``entropy`` it is (class, value, run):
        in blocks of this class, run - 1 elements of the most frequent value, then one of this
        value. ``"escape"`` announces a symbol that the code book lacks.
        """
        if self._last.encoding is None:
            self._last.encoding = encoding_of(self._last_frame())
        return self._last.encoding

    @property
    def reverse_encoding(self) -> dict[str, Symbol]:
        """Symbols of the last document by code word."""
        return {word: symbol for symbol, word in self.encoding.items()}


@dataclass(frozen=True)
class RunLength(Codec):
    """(value, run length) pairs of fixed width, both widths fitted to the array."""

    key: ClassVar[str] = "rle"


@dataclass(frozen=True)
class Huffman(Codec):
    """Canonical Huffman code of the values, from the exact histogram (Huffman, 1952).

    Arrays of 65,536 elements and more, of values that lie less than 256 apart, get code words of
    at most 12 bits where these take at most 0.5 % more than the best ones: they are decoded
    faster. So it is with :class:`SampleHuffman`.
    """

    key: ClassVar[str] = "huffman"


@dataclass(frozen=True)
class EliasOmega(Codec):
    """Runs: the Elias-omega code of the value, then of the run length (Elias, 1975).

    A value s is coded as 2|s| if it is negative and as 2s + 1 otherwise.
    """

    key: ClassVar[str] = "elias"


@dataclass(frozen=True)
class SampleHuffman(Codec):
    """Huffman code from the histogram of a sample: "SH" of the paper.

    Args:
        sample_size: places that are sampled, each with the 64 elements around it, which come in
            one cache line for int8. An array that has no more elements is counted whole.
        seed: chooses the places.
    """

    key: ClassVar[str] = "sh"
    sample_size: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class SampleHuffmanSparsity(Codec):
    """As :class:`SampleHuffman`, with runs of zeros as symbols: "SHS" of the paper.

    Args:
        sample_size: as for :class:`SampleHuffman`.
        seed: as for :class:`SampleHuffman`.
        max_run: longest run of zeros that is one symbol, the paper's k; 1 to 4096. Of
            n < 2048 elements at most max(16, n / 24): most of 200 lengths never occur there.
    """

    key: ClassVar[str] = "shs"
    sample_size: int = 1000
    seed: int = 0
    max_run: int = 200


@dataclass(frozen=True)
class RunLengthHuffman(Codec):
    """Huffman code of (value, run length) pairs, rare ones behind an escape: "RLH" of the paper."""

    key: ClassVar[str] = "rlh"


@dataclass(frozen=True)
class Entropy(Codec):
    """The smallest frames, and the one to take without thinking.

    Blocks of 256 elements are sorted into at most 16 classes by how many of their elements lie
    below and above the most frequent value, because gradients change their scale and their sign
    from row to row and from layer to layer. Each class has a Huffman code of its own, whose
    symbols are values together with the run of the most frequent value before them
    (``cpp/FORMAT.md``, section 5.5). Classes and codes are fitted to a sample of the blocks.

    Args:
        code_book: what :attr:`code_book` of a fitted codec gave, perhaps in another process. Frames
            of arrays of its dtype then name it instead of carrying one of their own. This process
            decodes such frames as long as a codec with the code book exists.
    """

    key: ClassVar[str] = "entropy"
    code_book: bytes | None = field(default=None, repr=False)

    def fit(self, sample: Any) -> Entropy:
        """A codec with a code book for arrays like ``sample``.

        For many small arrays, and for the steps of a training run: it saves the bytes of the code
        book and the time to fit one. Fit anew when gradients have changed much. Values that the
        sample lacks are coded too, but cost more.

        Args:
            sample: as for :meth:`Codec.compress`; not empty, values at most 255 apart.

        Raises:
            ValueError: ``sample`` is empty, or its values lie farther apart.

        >>> import gradwire as gw
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> layers = [(rng.random(1000) < 0.05).astype(np.int8) for _ in range(10)]
        >>> codec = gw.Entropy().fit(np.concatenate(layers))
        >>> frames = [codec.compress(layer) for layer in layers]
        >>> sum(f.nbytes for f in frames) < sum(gw.compress(layer).nbytes for layer in layers)
        True
        >>> receiver = gw.Entropy(code_book=codec.code_book)  # in any process
        >>> bool((receiver.decompress(frames[0]) == layers[0]).all())
        True
        """
        book = _core.SharedCodeBook.fit(*as_integers(sample))
        return _restore(Entropy, {**self.__reduce__()[1][1], "code_book": book.to_bytes()})


_NUMBERS = {key: number for number, key, _ in _core.codecs()}
_CLASSES: dict[str, type[Codec]] = {
    key: globals()[class_name] for _, key, class_name in _core.codecs()
}


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if value < (1 if name != "seed" else 0):
        raise ValueError(f"{name} must be positive, got {value!r}")


def _restore(cls: type[_C], options: dict[str, Any]) -> _C:
    return cls(**options)


def codecs() -> dict[str, type[Codec]]:
    """All codec classes by key.

    >>> sorted(codecs())
    ['elias', 'entropy', 'huffman', 'rle', 'rlh', 'sh', 'shs']
    """
    return dict(_CLASSES)


def codec(key: str, **options: Any) -> Codec:
    """A codec by its key, for example ``codec("shs", max_run=100)``.

    Raises:
        ValueError: no codec has this key.
    """
    if key not in _CLASSES:
        raise ValueError(f"unknown codec {key!r}; take one of: {', '.join(_CLASSES)}")
    return _CLASSES[key](**options)


def as_codec(chosen: str | Codec, threads: int | None) -> Codec:
    """A codec by its key or itself, with so many threads if there is a number."""
    if isinstance(chosen, Codec):
        if threads is None:
            return chosen
        return _restore(type(chosen), {**chosen.__reduce__()[1][1], "threads": threads})
    return codec(chosen, threads=threads)


def compress(q: Any, codec: str | Codec = "entropy", threads: int | None = None) -> ByteArray:
    """Compresses an integer array to a frame; see :meth:`Codec.compress`.

    Args:
        q: the array.
        codec: a key or a codec object.
        threads: at most this many; None for the codec's or the default.
    """
    return as_codec(codec, threads).compress(q)


def compress_into(
    q: Any, buffer: Any, codec: str | Codec = "entropy", threads: int | None = None
) -> int:
    """Compresses into memory that the caller owns and returns the frame's size in bytes.

    Args:
        q: as for :meth:`Codec.compress`.
        buffer: writable C-contiguous buffer. One of :func:`gradwire.max_compressed_size` bytes
            always suffices and saves a copy.
        codec: a key or a codec object.
        threads: at most this many; None for the codec's or the default.

    Raises:
        BufferTooSmallError: the frame is larger than ``buffer``.
        ValueError: ``buffer`` overlaps ``q``.
    """
    array, number = as_integers(q)
    options = as_codec(codec, threads)._core_options
    target = as_writable_bytes(buffer, "buffer")
    check_apart(target, "buffer", array, "q")
    return _core.compress_into(array, number, options, target)
