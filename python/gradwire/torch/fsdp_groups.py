"""The parameter groups of a model under FSDP2. Each group reduces its gradients in one piece.

FSDP2 has public functions that replace its communication, but none that tell whose gradients come.
All use of its private attributes is in this file. They are those of PyTorch 2.13.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import nn

from gradwire.exchange.layouts import Layout
from gradwire.torch.names import ParameterNames


class Reducer(Protocol):
    """Averages the gradients of parameter groups."""

    @property
    def is_closed(self) -> bool:
        """Whether it can no longer be used."""

    def reduce(
        self, group: ReduceGroup, gradient: torch.Tensor, out: torch.Tensor, factor: float
    ) -> None:
        """Averages ``gradient`` over ranks, and writes ``factor`` times the average to ``out``."""


class ReduceGroup:
    """One parameter group.

    Args:
        index: of the group.
        module: of the group; has FSDP's setters.
        group: FSDP's object.
        names: of modules, by id.
    """

    def __init__(self, index: int, module: Any, group: Any, names: dict[int, str]) -> None:
        self.index = index
        self._module = module
        self._group = group
        hook = group._all_reduce_hook
        info = hook.mesh_info if isinstance(hook, _AllReduceHook) else group.mesh_info
        self._mesh_info = info
        self._names = [_name_of(one, names) for one in group.fsdp_params]
        self.shard_group: dist.ProcessGroup = info.shard_process_group
        self.replicate_group: dist.ProcessGroup | None = getattr(
            info, "replicate_process_group", None
        )
        self.name = " and ".join(names[id(one)] or "the root module" for one in group.modules)

    @property
    def rows(self) -> int:
        """How many shards of each parameter an averaged tensor has."""
        return self.shard_group.size() if self.replicate_group is None else 1

    @property
    def device(self) -> torch.device:
        """That of the gradients."""
        device: torch.device = self._group.device
        return device

    @property
    def reducer(self) -> Reducer | None:
        """What :meth:`connect` was called with last."""
        comm, hook = self._group._reduce_scatter_comm, self._group._all_reduce_hook
        return next((one.reducer for one in (comm, hook) if isinstance(one, _OURS)), None)

    @property
    def all_reduces(self) -> bool:
        """False while ``set_requires_all_reduce(False)``."""
        return bool(self._group.all_reduce_grads)

    def shards(self) -> Iterator[tuple[str, int, torch.Tensor]]:
        """Name, elements in the averaged tensor, and sharded parameter, of all parameters."""
        for name, one in zip(self._names, self._group.fsdp_params):
            yield name, self.rows * one.padded_sharded_param_size.numel(), one.sharded_param

    def layout(self) -> Layout:
        """Name and elements in the averaged tensor of each parameter that is trained."""
        return [(name, count) for name, count, one in self.shards() if one.requires_grad]

    def connect(self, reducer: Reducer) -> None:
        """Has ``reducer`` average the gradients of this group.

        Raises:
            ValueError: the program has set another all-reduce hook.
        """
        if self.replicate_group is None:
            self._module.set_custom_reduce_scatter(_ReduceScatter(self, reducer))
            return
        hook = self._group._all_reduce_hook
        if hook is not None and not isinstance(hook, _AllReduceHook):
            raise ValueError(
                f"the parameter group of {self.name} has an all-reduce hook already, {hook!r}; "
                "compress_fsdp needs to set one"
            )
        self._module.set_all_reduce_hook(_AllReduceHook(self, reducer, self._mesh_info))
        # FSDP would all-reduce before it calls the hook, and reshard to another mesh after forward.
        group, within = self._group, _shards_only(self._mesh_info)
        if group.post_forward_mesh_info is group.mesh_info:
            group.post_forward_mesh_info = within
        group.mesh_info = within

    def is_urgent(self, out: torch.Tensor) -> bool:
        """Whether FSDP needs the reduced gradient at once, to add it to others, to divide it, or to
        convert it. Otherwise ``out`` becomes ``.grad`` as it is, and may be filled until the end of
        the backward pass."""
        group, hook = self._group, self._group._all_reduce_hook
        return (
            out.dtype not in (torch.float32, torch.bfloat16)  # FSDP divides others
            or out.dtype != group._orig_dtype
            or group.force_sum_reduction_for_comms
            or (hook is not None and not isinstance(hook, _AllReduceHook))
            or any(
                one.offload_to_cpu
                or one.sharded_param.grad is not None
                or getattr(one.sharded_param, "_post_accumulate_grad_hooks", None)
                for one in group.fsdp_params
            )
        )

    def factor_of_sum(self) -> float:
        """By which the all-reduce hook must multiply averages: FSDP has divided by the factor that
        the program has set, and expects a sum."""
        assert self.replicate_group is not None
        whole = self._group.gradient_divide_factor is not None
        return float(self.replicate_group.size()) if whole else 1.0

    def factor_of(self, op: Any) -> float:
        """By which the average over the shard group must be multiplied for this reduction."""
        if op == dist.ReduceOp.AVG:
            return 1.0
        if op == dist.ReduceOp.SUM:
            return float(self.shard_group.size())
        return float(self.shard_group.size() / self._group.gradient_divide_factor)


class _ReduceScatter:
    """FSDP's ``ReduceScatter``: replaces the reduce-scatter."""

    def __init__(self, group: ReduceGroup, reducer: Reducer) -> None:
        self.group = group
        self.reducer = reducer

    def allocate(
        self, size: Sequence[int], *, dtype: torch.dtype, device: torch.device
    ) -> torch.Tensor:
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(
        self,
        output_tensor: torch.Tensor,
        input_tensor: torch.Tensor,
        group: dist.ProcessGroup,
        op: Any,
        async_op: bool = False,
    ) -> None:
        self.reducer.reduce(self.group, input_tensor, output_tensor, self.group.factor_of(op))


class _AllReduceHook:
    """FSDP's all-reduce hook: averages over replicas after a reduce-scatter."""

    def __init__(self, group: ReduceGroup, reducer: Reducer, mesh_info: Any) -> None:
        self.group = group
        self.reducer = reducer
        self.mesh_info = mesh_info
        self._unreduced: torch.Tensor | None = None

    def __call__(self, output: torch.Tensor) -> None:
        if self._unreduced is not None:
            output += self._unreduced
        self._unreduced = None
        if self.group.all_reduces:
            self.reducer.reduce(self.group, output, output, self.group.factor_of_sum())
        else:
            self._unreduced = output.clone()
            output.zero_()


_OURS = (_ReduceScatter, _AllReduceHook)


class ShardNames(ParameterNames):
    """The names of the parameters of some groups. A shape is the number of elements in the averaged
    tensor, with padding."""

    def __init__(self, groups: Sequence[ReduceGroup]) -> None:
        super().__init__()
        self._counts: dict[str, int] = {}
        self.is_complete = True
        self.refresh(groups)

    def refresh(self, groups: Sequence[ReduceGroup]) -> None:
        """Call it before a backward pass: the program may have replaced parameters."""
        self._names, self._parameters, self._counts = {}, {}, {}
        for group in groups:
            for name, count, parameter in group.shards():
                self._names[id(parameter)] = name
                self._parameters[name] = weakref.ref(parameter)
                self._counts[name] = count

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See :meth:`ParameterNames.shapes`."""
        return {name: (count,) for name, count in self._counts.items()}


def groups_of(model: Any) -> list[ReduceGroup]:
    """The parameter groups of a model.

    Raises:
        TypeError: the model is not under FSDP2.
        ValueError: its groups differ in their process groups, or are only replicated.
        RuntimeError: this version of PyTorch lacks what is needed.
    """
    module_type = _fsdp_module_type()
    if not isinstance(model, nn.Module):
        raise TypeError(f"compress_fsdp needs a model, got {model!r}")
    names = {id(module): _clean(name) for name, module in model.named_modules()}
    groups: dict[int, ReduceGroup] = {}
    for module in model.modules():
        if not isinstance(module, module_type):
            continue
        own = module._get_fsdp_state()._fsdp_param_groups
        if len(own) > 1:
            raise ValueError(
                f"{names[id(module)] or 'the root module'} has parameters on several meshes (by "
                "shard_placement_fn); compress_fsdp needs one mesh for each module"
            )
        for group in own:
            if not hasattr(group.mesh_info, "shard_process_group"):
                raise ValueError(
                    "the parameters are replicated but not sharded; use DistributedDataParallel "
                    "with the hook compressed_allreduce"
                )
            groups.setdefault(id(group), ReduceGroup(len(groups), module, group, names))
    if not groups:
        raise TypeError(_no_groups(model))
    found = list(groups.values())
    if len({(one.shard_group, one.replicate_group) for one in found}) > 1:
        raise ValueError(
            "the modules of this model are sharded on different meshes; compress_fsdp needs one "
            "mesh; call it with each part of the model and a state for each"
        )
    return found


def _no_groups(model: nn.Module) -> str:
    if any(type(one).__name__ == "FullyShardedDataParallel" for one in model.modules()):
        return (
            "compress_fsdp is for FSDP2, this model is under FullyShardedDataParallel (FSDP1); "
            "replace that by torch.distributed.fsdp.fully_shard"
        )
    return (
        "compress_fsdp found no module under FSDP2 in this model; call "
        "torch.distributed.fsdp.fully_shard on its modules first"
    )


def _fsdp_module_type() -> Any:
    module_type = getattr(importlib.import_module("torch.distributed.fsdp"), "FSDPModule", None)
    if not hasattr(module_type, "set_custom_reduce_scatter"):
        raise RuntimeError(
            f"compress_fsdp needs FSDP2 as in PyTorch 2.13, this is PyTorch {torch.__version__}"
        )
    return module_type


def _shards_only(info: Any) -> Any:
    """The mesh of one replica, as of FSDP without replicas."""
    from torch.distributed.fsdp._fully_shard._fsdp_common import FSDPMeshInfo

    within = FSDPMeshInfo(
        mesh=info.mesh,
        shard_mesh_dim=info.shard_mesh_dim,
        dp_mesh_dims=info.dp_mesh_dims,
        spmd_mesh=info.spmd_mesh,
    )
    within.reduce_scatter_process_group = info.reduce_scatter_process_group
    return within


def _name_of(one: Any, names: dict[int, str]) -> str:
    info = one._module_info
    module = names[id(info.module)]
    return f"{module}.{info.param_name}" if module else str(info.param_name)


def _clean(name: str) -> str:
    """Without what wrappers of torch.compile and of checkpointing put into names."""
    parts = ("_orig_mod", "_checkpoint_wrapped_module")
    return ".".join(part for part in name.split(".") if part not in parts)
