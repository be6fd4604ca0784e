"""Memories: what a compressor leaves out of one gradient is added to the next one.

State is kept per tensor name, as flat float32 arrays. A memory belongs to one compressor.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gradwire import _core
from gradwire._floats import Float32Array

Indices = npt.NDArray[np.uint32]


def _check_weight(name: str, weight: float) -> None:
    if not math.isfinite(weight):
        raise ValueError(f"{name} must be finite, got {weight}")


class Memory:
    """What all memories share."""

    kinds: ClassVar[tuple[str, ...]] = ()
    """Endings of the names of a tensor's state arrays."""
    unsent: ClassVar[str] = ""
    """The kind of those that hold what is still to be sent."""

    def __init__(self) -> None:
        self._state: dict[str, Float32Array] = {}

    def compensate(self, x: Float32Array, name: str) -> Float32Array:
        """The flat float32 array to compress in place of the gradient ``x``, which is finite."""
        return x

    def update(self, name: str, indices: Indices, sent: Float32Array) -> None:
        """Takes note of the elements that a sparsifier has chosen, and of their values as sent."""

    def feedback(self, name: str, count: int) -> tuple[Float32Array, float, float] | None:
        """(residual, beta, gamma) where the core keeps the residual up to date by itself."""
        return None

    def names(self) -> set[str]:
        """Of all state arrays."""
        return set(self._state)

    def forget(self, name: str) -> None:
        """Drops a state array."""
        del self._state[name]

    def take(self, name: str) -> dict[str, Float32Array]:
        """Removes and returns the state arrays of a tensor, by kind; empty if there are none."""
        return {k: self._state.pop(name + k) for k in self.kinds if name + k in self._state}

    def put(self, name: str, arrays: dict[str, Float32Array]) -> None:
        """Sets state arrays of a tensor, by kind."""
        self._state.update({name + kind: array for kind, array in arrays.items()})

    @property
    def keeps_scale(self) -> bool:
        """Whether what is sent stands for the gradient itself, and not for another update."""
        return True

    def _array(self, key: str, count: int) -> Float32Array:
        """A state array, zeros at first."""
        kept = self._state.get(key)
        if kept is None:
            kept = self._state[key] = np.zeros(count, np.float32)
        if kept.size != count:
            raise ValueError(
                f"tensor {key!r} had {kept.size} elements and has {count} now; "
                "give each tensor a name of its own"
            )
        return kept

    def state_dict(self) -> dict[str, Any]:
        """Copies of all state, for a checkpoint."""
        return {name: array.copy() for name, array in self._state.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replaces all state by that of :meth:`state_dict`."""
        self._state = {name: np.array(array, np.float32) for name, array in state.items()}


class NoMemory(Memory):
    """What is left out is lost."""


class Residual(Memory):
    """Error feedback (Seide et al., 2014; Karimireddy et al., 2019).

    gamma * gradient + beta * residual is compressed; what that loses is the next residual.

    That is stable only if what is lost is smaller than what was given (Karimireddy et al., 2019,
    assumption A). Unbiased stochastic levels may lose more: QSGD(4) with buckets of 512 loses up to
    4.7 times the energy of a bucket, and the residual would grow without bounds. So levels are
    rounded to the nearest where there is a memory, and a bucket's scale is at most levels times its
    largest magnitude, so that something of each bucket is sent.

    Args:
        beta: weight of the residual.
        gamma: weight of the gradient.
    """

    kinds = ("",)

    def __init__(self, beta: float = 1.0, gamma: float = 1.0) -> None:
        super().__init__()
        _check_weight("beta", beta)
        _check_weight("gamma", gamma)
        self.beta = beta
        self.gamma = gamma

    @property
    def keeps_scale(self) -> bool:
        """See :attr:`Memory.keeps_scale`."""
        return self.gamma == 1

    def compensate(self, x: Float32Array, name: str) -> Float32Array:
        """The gradient with the residual, which becomes the same array."""
        residual = self._array(name, x.size)
        _core.combine(x, residual, self.gamma, self.beta)
        return residual

    def update(self, name: str, indices: Indices, sent: Float32Array) -> None:
        """Takes what was sent off the residual."""
        self._state[name][indices] -= sent

    def feedback(self, name: str, count: int) -> tuple[Float32Array, float, float]:
        """The residual and its weights."""
        return self._array(name, count), self.beta, self.gamma


class EFSign(Residual):
    """Error feedback of learning rate * gradient (Karimireddy et al., ICML 2019, algorithm 1).

    What arrives is an update that includes the learning rate already.

    Args:
        learning_rate: of the optimiser.
    """

    def __init__(self, learning_rate: float = 0.1) -> None:
        super().__init__(beta=1.0, gamma=learning_rate)


class DGCMomentum(Memory):
    """Momentum correction and factor masking, for sparsifiers (Lin et al., "DGC", ICLR 2018).

    u = momentum * u + gradient, v = v + u; elements of v are sent, and cleared in both.

    Args:
        momentum: of the optimiser, which then must have none of its own.
    """

    kinds = ("/u", "/v")
    unsent = "/v"

    def __init__(self, momentum: float = 0.9) -> None:
        super().__init__()
        _check_weight("momentum", momentum)
        self.momentum = momentum

    @property
    def keeps_scale(self) -> bool:
        """See :attr:`Memory.keeps_scale`: a velocity is sent."""
        return False

    def compensate(self, x: Float32Array, name: str) -> Float32Array:
        """The accumulated velocity v."""
        velocity = self._array(name + "/u", x.size)
        total = self._array(name + "/v", x.size)
        _core.combine(x, velocity, 1.0, self.momentum)
        _core.combine(velocity, total, 1.0, 1.0)
        return total

    def update(self, name: str, indices: Indices, sent: Float32Array) -> None:
        """Clears the chosen elements; what their values have lost by rounding is kept."""
        self._state[name + "/u"][indices] = 0
        self._state[name + "/v"][indices] -= sent


class SignMomentum(Memory):
    """The momentum of :class:`gradwire.quantizers.Signum`: a running mean of gradients.

    Args:
        momentum: weight of the mean so far.
    """

    kinds = ("",)

    def __init__(self, momentum: float = 0.9) -> None:
        super().__init__()
        _check_weight("momentum", momentum)
        self.momentum = momentum

    def compensate(self, x: Float32Array, name: str) -> Float32Array:
        """The momentum."""
        mean = self._array(name, x.size)
        _core.combine(x, mean, 1.0 - self.momentum, self.momentum)
        return mean
