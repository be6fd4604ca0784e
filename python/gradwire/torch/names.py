"""The names of the parameters of one model, which identify their memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

_HOOKS = "_comm_hooks"  # attribute of DDP: a list of (hook, state)


class ParameterNames:
    """Names as in ``model.named_parameters()``.

    DDP passes parameters to its hook without their names. The model is therefore searched for once
    among all live objects. If it is not found, because the hook is used in another way, parameters
    are numbered in the order of their first use.
    """

    def __init__(self) -> None:
        self._names: dict[int, str] = {}  # by the parameter's id
        self._parameters: dict[str, weakref.ref[torch.Tensor]] = {}
        self.is_complete = False
        """Whether all parameters of the model are known."""
        self.reduced: set[int] = set()
        """The ids of all parameters whose gradients DDP averages; empty if that is not known."""
        self._may_be_unused = False

    def of(self, parameter: torch.Tensor) -> str:
        """The name of a parameter.

        Raises:
            ValueError: the parameter belongs to another model.
        """
        name = self.known(parameter)
        if name is not None:
            return name
        self._names.pop(id(parameter), None)  # a parameter that no longer exists
        if not self._names:
            self._learn(lambda model: any(p is parameter for p in model.parameters()))
        if id(parameter) not in self._names:
            if self.is_complete:
                raise ValueError(
                    f"a bucket has a parameter of shape {tuple(parameter.shape)} that does not "
                    "belong to the model that this state has served so far; create a separate "
                    "CompressionState for each model"
                )
            self._add(f"parameter {len(self._names)}", parameter)
        return self._names[id(parameter)]

    def parameters(self) -> dict[str, torch.Tensor]:
        """The known parameters, by name."""
        living = {name: reference() for name, reference in self._parameters.items()}
        return {name: p for name, p in living.items() if p is not None}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the known parameters, by name."""
        return {name: tuple(p.shape) for name, p in self.parameters().items()}

    def known(self, parameter: torch.Tensor) -> str | None:
        """The name of a parameter; None if it is not known as one of the model's."""
        name = self._names.get(id(parameter))
        return name if name is not None and self._parameters[name]() is parameter else None

    def is_frozen(self, name: str) -> bool:
        """Whether a parameter requires no gradient now."""
        parameter = self._parameters[name]()
        return parameter is not None and not parameter.requires_grad

    def possibly_unused(self) -> dict[str, torch.Tensor]:
        """The known parameters that a backward pass may leave out, by name."""
        return self.parameters() if self._may_be_unused else {}

    def versions(self) -> int:
        """A number that grows whenever a known parameter is modified in place."""
        return sum(p._version for r in self._parameters.values() if (p := r()) is not None)

    def look_for_model_of(self, state: object, parameter: torch.Tensor | None = None) -> None:
        """Learns the names in the model with which a state is registered, if there is one.

        Args:
            state: the state of the hook.
            parameter: a parameter that the model must have; None for any model.
        """

        def is_wanted(model: Any) -> bool:
            has_state = any(s is state for _, s in getattr(model, _HOOKS, ()))
            return has_state and (
                parameter is None or any(p is parameter for p in model.parameters())
            )

        if not self._names:
            self._learn(is_wanted)

    def _learn(self, is_wanted: Callable[[Any], bool]) -> None:
        model = _find_model(is_wanted)
        if model is None:
            return
        if getattr(model, "skip_all_reduce_unused_params", False):
            raise ValueError(
                "gradwire needs all buckets in each backward pass; create DistributedDataParallel "
                "without skip_all_reduce_unused_params"
            )
        for name, one in model.module.named_parameters():
            self._add(name.replace("_orig_mod.", ""), one)  # put there by torch.compile
        # With mixed precision, DDP changes the nodes of autograd that would be watched.
        watchable = getattr(model, "mixed_precision", None) is None
        self._may_be_unused = watchable and (model.find_unused_parameters or model.static_graph)
        self.reduced = {id(one) for one in getattr(model, "_module_parameters", ())}
        self.is_complete = True

    def _add(self, name: str, parameter: torch.Tensor) -> None:
        self._names[id(parameter)] = name
        self._parameters[name] = weakref.ref(parameter)


def _find_model(is_wanted: Callable[[Any], bool]) -> Any:
    for one in gc.get_objects():
        if issubclass(type(one), DistributedDataParallel) and is_wanted(one):
            return one
    return None
