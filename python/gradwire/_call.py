"""Representations of objects as the calls that make them."""

from __future__ import annotations

import inspect


def as_call(one: object, leave_out: tuple[str, ...] = ()) -> str:
    """The call that makes an object like ``one``, with the arguments that are no defaults.

    Args:
        one: its attributes have the names of the parameters of its class.
        leave_out: parameters that are not shown.
    """
    arguments = [
        f"{name}={value!r}"
        for name, parameter in inspect.signature(type(one)).parameters.items()
        if name not in leave_out
        and (value := getattr(one, name, parameter.default)) != parameter.default
    ]
    return f"{type(one).__name__}({', '.join(arguments)})"
