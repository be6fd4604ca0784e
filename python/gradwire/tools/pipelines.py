"""Makes quantizers and sparsifiers from text such as ``TopK(0.01, values=QSGD(4))``."""

from __future__ import annotations

import ast
import inspect
import math
from typing import Any

import gradwire
from gradwire._checks import suggestion
from gradwire._quantizer import Quantizer
from gradwire._sparsifier import Sparsifier

_KINDS: dict[str, type[Any]] = {
    name: kind
    for name, kind in vars(gradwire).items()
    if isinstance(kind, type)
    and issubclass(kind, (Quantizer, Sparsifier))
    and not inspect.isabstract(kind)
}
_EXAMPLES = 'write one call such as "QSGD(4)" or "TopK(0.01, values=QSGD(4))"'


def parse_pipeline(text: str) -> Quantizer | Sparsifier:
    """A quantizer or sparsifier of gradwire, from a call with literal arguments.

    Nothing is evaluated: the text can name no other functions.

    Raises:
        ValueError: the text is something else, or the arguments are wrong.

    >>> parse_pipeline("TopK(0.01, values=QSGD(4))").values
    QSGD(levels=4, bucket_size=512, norm='l2', scale_dtype='log8')
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{text!r} is not a call; {_EXAMPLES}") from None
    if not isinstance(node, ast.Call):
        hint = f'write "{text}()"' if text in _KINDS else _EXAMPLES
        raise ValueError(f"{text!r} is not a call; {hint}")
    made: Quantizer | Sparsifier = _call(node)
    return made


def _call(node: ast.Call) -> Any:
    name = ast.unparse(node.func)
    for prefix in ("gw.", "gradwire."):
        name = name[len(prefix) :] if name.startswith(prefix) else name
    if name not in _KINDS:
        known = ", ".join(sorted(_KINDS))
        raise ValueError(
            f"unknown pipeline {name!r}{suggestion(name, _KINDS)}; take one of: {known}"
        )
    kind = _KINDS[name]
    places = [_argument(argument) for argument in node.args]
    words = {word.arg or "**": _argument(word.value) for word in node.keywords}
    try:
        inspect.signature(kind).bind(*places, **words)
    except TypeError as error:
        raise ValueError(f"{name}: {error}; write {_usage(name)}") from None
    try:
        return kind(*places, **words)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


def _argument(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        return _call(node)
    if isinstance(node, ast.Name) and node.id == "inf":  # as in the representation of a TernGrad
        return math.inf
    try:
        return ast.literal_eval(node)
    except ValueError:
        wrong = ast.unparse(node)
        raise ValueError(
            f"arguments must be numbers, strings, True, False, None or calls, got {wrong}"
        ) from None


def _usage(name: str) -> str:
    """The call with all parameters and their defaults."""
    parameters = inspect.signature(_KINDS[name]).parameters.values()
    shown = (str(p.replace(annotation=inspect.Parameter.empty)) for p in parameters)
    return f"{name}({', '.join(shown)})"
