"""The codecs: one small class for each row of the C++ table of codecs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, TypeVar

from gradwire import _core
from gradwire._arrays import (
    ByteArray,
    IntegerArray,
    as_integers,
    as_writable_bytes,
    check_apart,
)
from gradwire._checks import check_choice, check_integer
from gradwire.encodings import Symbol, encoding_of
from gradwire.frames import decompress as decompress_frame
from gradwire.frames import inspect

_C = TypeVar("_C", bound="Codec")


class _Last(threading.local):
    """The last document of a codec object in this thread, and its code words."""

    frame: ByteArray | None = None
    encoding: dict[Symbol, str] | None = None


@dataclass(frozen=True)
class Codec:
    """The base of all codecs.

    Several threads may use one object; each thread has a last document.

    Args:
        threads: at most this many; None for the default (:func:`gradwire.set_threads`). The bytes
            of a frame do not depend on it.
        checksum: whether frames end with a CRC-32C, which costs 4 bytes and next to no time.
    """

    key: ClassVar[str]
    """Short name of the codec, its key in :func:`gradwire.codecs`."""

    threads: int | None = None
    checksum: bool = True
    _last: _Last = field(default_factory=_Last, init=False, repr=False, compare=False)
    _core_options: _core.Options = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_core_options", self._make_options())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._arguments())

    def _arguments(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def _make_options(self) -> _core.Options:
        values = self._arguments()
        for name, value in values.items():
            if name == "threads" and value is None:
                values[name] = 0
            elif name not in ("checksum", "code_book"):
                check_integer(name, value, least=0 if name == "seed" else 1)
        if values.get("code_book") is not None:
            values["code_book"] = _core.SharedCodeBook.read(values["code_book"])
        return _core.Options(codec=_NUMBERS[self.key], **values)

    def compress(self, q: Any) -> ByteArray:
        """Compresses an integer array and remembers the frame as the last document.

        Args:
            q: bool, int8 to int64 or uint8 to uint64, any shape; a NumPy array, a torch CPU
                tensor, an array-like, or anything with the buffer protocol or DLPack.

        Returns:
            The frame: 1-D uint8, larger than ``q`` by at most 46 bytes, 1 per dimension and 0.01 %.

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
        max_size: float | None = None,
    ) -> IntegerArray:
        """Decodes a frame of any codec; None for the last document of this thread.

        The arguments, the result and the errors are those of :func:`gradwire.decompress`.

        Raises:
            ValueError: ``frame`` is None, and this thread has compressed nothing yet.
        """
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
        """Bits of all code words of the last document, without the code book: the paper's metric.

        A chunk that is stored raw counts as the bits that its code words would have taken.
        """
        return inspect(self._last_frame()).code_length

    @property
    def encoding(self) -> dict[Symbol, str]:
        """Code words of the last document, by symbol, as strings of '0' and '1'. Made on first use.

        A symbol is a value for ``huffman`` and ``sh``, a (value, run length) pair for ``rle``,
        ``elias`` and ``rlh``, and either of these for ``shs``. For ``entropy`` it is (class, value,
        run): in blocks of this class, run - 1 elements of the most frequent value, then this value;
        for its frames with forms, see :data:`gradwire.encodings.Symbol`.
        ``"escape"`` precedes a symbol that is not in the code book.
        """
        if self._last.encoding is None:
            self._last.encoding = encoding_of(self._last_frame())
        return self._last.encoding

    @property
    def reverse_encoding(self) -> dict[str, Symbol]:
        """Symbols of the last document, by code word."""
        return {word: symbol for symbol, word in self.encoding.items()}


@dataclass(frozen=True)
class RunLength(Codec):
    """(value, run length) pairs of fixed width; both widths are fitted to the array."""

    key: ClassVar[str] = "rle"


@dataclass(frozen=True)
class Huffman(Codec):
    """Canonical Huffman code of the values, from the exact histogram (Huffman, 1952).

    In arrays of 65,536 or more elements whose values lie less than 256 apart, code words are
    limited to 12 bits if that costs at most 0.5 % of the size: short ones are decoded faster. The
    same holds for :class:`SampleHuffman`.
    """

    key: ClassVar[str] = "huffman"


@dataclass(frozen=True)
class EliasOmega(Codec):
    """Runs: the Elias-omega code of the value, then that of the run length (Elias, 1975).

    A value s is coded as 2|s| if it is negative and as 2s + 1 otherwise.
    """

    key: ClassVar[str] = "elias"


@dataclass(frozen=True)
class SampleHuffman(Codec):
    """Huffman code from the histogram of a sample ("SH" in the paper).

    Args:
        sample_size: number of sampled places; each contributes 64 consecutive elements, which is a
            cache line of int8. Arrays that are no larger than the sample are counted whole.
        seed: selects the places.
    """

    key: ClassVar[str] = "sh"
    sample_size: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class SampleHuffmanSparsity(Codec):
    """Like :class:`SampleHuffman`, with runs of zeros as symbols ("SHS" in the paper).

    Args:
        sample_size: as for :class:`SampleHuffman`.
        seed: as for :class:`SampleHuffman`.
        max_run: longest run of zeros that is one symbol, the paper's k; 1 to 4096. For arrays of
            n < 2048 elements at most max(16, n / 24), because most longer runs never occur there.
    """

    key: ClassVar[str] = "shs"
    sample_size: int = 1000
    seed: int = 0
    max_run: int = 200


@dataclass(frozen=True)
class RunLengthHuffman(Codec):
    """Huffman code of (value, run length) pairs; rare ones follow an escape (the paper's "RLH")."""

    key: ClassVar[str] = "rlh"


@dataclass(frozen=True)
class Entropy(Codec):
    """The default codec: it makes the smallest frames of quantized gradients.

    Blocks of 256 elements are sorted into at most 16 classes by how many of their elements lie
    below and above the most frequent value, because gradients change their scale and their sign
    from row to row and from layer to layer. Each class has a separate Huffman code, whose symbols
    are values together with the run of the most frequent value before them (``docs/FORMAT.md``,
    section 5.5). Classes and codes are fitted to a sample of the blocks.

    Args:
        code_book: the :attr:`code_book` of a fitted codec, perhaps from another process. Frames of
            arrays of its dtype then refer to it instead of containing a code book. A process can
            decode these frames as long as a codec with the code book exists in it.
    """

    key: ClassVar[str] = "entropy"
    code_book: bytes | None = field(default=None, repr=False)

    def fit(self, sample: Any) -> Entropy:
        """A codec like this one, with a shared code book for arrays like ``sample``.

        Use it for many small arrays, or over the steps of a training run: it saves the bytes of a
        code book per frame and the time to fit one. Fit again when gradients have changed a lot.
        Values that do not occur in the sample are coded too, but take more bits.

        Args:
            sample: as for :meth:`Codec.compress`; not empty.

        Raises:
            TypeError: ``sample`` does not hold integers.
            ValueError: ``sample`` is empty.

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
        return replace(self, code_book=book.to_bytes())


_NUMBERS = {key: number for number, key, _ in _core.codecs()}
_CLASSES: dict[str, type[Codec]] = {
    key: globals()[class_name] for _, key, class_name in _core.codecs()
}


def _restore(cls: type[_C], options: dict[str, Any]) -> _C:
    return cls(**options)


def codecs() -> dict[str, type[Codec]]:
    """All codec classes, by key.

    >>> sorted(codecs())
    ['elias', 'entropy', 'huffman', 'rle', 'rlh', 'sh', 'shs']
    """
    return dict(_CLASSES)


def codec(key: str, **options: Any) -> Codec:
    """Creates a codec by its key, for example ``codec("shs", max_run=100)``.

    Args:
        key: a key of :func:`codecs`.
        options: the arguments of that codec's class.

    Raises:
        ValueError: no codec has this key, or an option has a value that is not allowed.
        TypeError: an option has the wrong type, or the codec has no such option.
    """
    check_choice("codec", key, _CLASSES)
    return _CLASSES[key](**options)


def as_codec(chosen: str | Codec, threads: int | None) -> Codec:
    """``chosen``, or the codec with this key; with ``threads`` threads unless that is None."""
    if isinstance(chosen, Codec):
        if threads is None:
            return chosen
        return replace(chosen, threads=threads)
    return codec(chosen, threads=threads)


def compress(q: Any, codec: str | Codec = "entropy", threads: int | None = None) -> ByteArray:
    """Compresses an integer array to a frame; see :meth:`Codec.compress`.

    Args:
        q: bool, int8 to int64 or uint8 to uint64, any shape.
        codec: a key of :func:`gradwire.codecs`, or a codec object.
        threads: at most this many; None for the setting of ``codec``, or the default.

    Returns:
        The frame: a 1-D uint8 array.

    Raises:
        TypeError: ``q`` does not hold integers.
        ValueError: ``codec`` is not a known key.
    """
    return as_codec(codec, threads).compress(q)


def compress_into(
    q: Any, buffer: Any, codec: str | Codec = "entropy", threads: int | None = None
) -> int:
    """Compresses into a buffer of the caller; returns the size of the frame in bytes.

    Args:
        q: as for :meth:`Codec.compress`.
        buffer: writable C-contiguous buffer. :func:`gradwire.max_compressed_size` bytes always
            suffice, and save a copy.
        codec: a key of :func:`gradwire.codecs`, or a codec object.
        threads: at most this many; None for the setting of ``codec``, or the default.

    Raises:
        BufferTooSmallError: the frame is larger than ``buffer``.
        ValueError: ``buffer`` overlaps ``q``.
    """
    array, number = as_integers(q)
    options = as_codec(codec, threads)._core_options
    target = as_writable_bytes(buffer, "buffer")
    check_apart(target, "buffer", array, "q")
    return _core.compress_into(array, number, options, target)
