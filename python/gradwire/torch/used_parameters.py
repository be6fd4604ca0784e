"""Records which parameters have been used since the last averaged backward pass.

With ``find_unused_parameters=True``, DDP puts into a bucket whatever it finds in ``.grad``, also of
a parameter that this pass does not use: a gradient that nobody has cleared. If no rank has used the
parameter, DDP does not assign the average (with bucket views, ``.grad`` holds it all the same).
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any

import torch
from torch.autograd.graph import get_gradient_edge

from gradwire.exchange.layouts import Layout
from gradwire.torch.names import ParameterNames


class UsedParameters:
    """The parameters of one model that have been used. Passes under ``no_sync()`` count as well."""

    def __init__(self, names: ParameterNames) -> None:
        self._names = names
        self._used: set[str] = set()
        self._hooks: dict[str, tuple[Any, Any]] = {}

    def among(self, layout: Layout) -> list[bool]:
        """Whether each parameter of a bucket has been used; True if that is not known."""
        return [
            name in self._used or (name not in self._hooks and not self._names.is_frozen(name))
            for name, _ in layout
        ]

    def end_pass(self) -> None:
        """Call it when the last bucket of an averaged pass has been handed over."""
        self._used.clear()
        self.watch()

    def watch(self) -> None:
        """Watches the known parameters from now on."""
        for name, parameter in self._names.possibly_unused().items():
            if name not in self._hooks and parameter.requires_grad:
                node: Any = get_gradient_edge(parameter).node
                hook = partial(_add, self._used, name, weakref.ref(parameter))
                # The node is kept: otherwise the parameter gets another one, without the hook,
                # when the model is wrapped anew.
                self._hooks[name] = node, node.register_prehook(hook)

    def end(self) -> None:
        """Removes the hooks from the parameters."""
        for _, hook in self._hooks.values():
            hook.remove()
        self._hooks.clear()


def _add(names: set[str], name: str, parameter: weakref.ref[torch.Tensor], gradients: Any) -> None:
    """A hook that runs when a gradient arrives, or None in its place. Like DDP, it counts the
    parameter as used if it has a gradient then, perhaps an old one. It must not refer to the state,
    which the parameter would keep alive.
    """
    living = parameter()
    if gradients[0] is not None or (living is not None and living.grad is not None):
        names.add(name)
