"""Runs the Python of the documents on training as it stands there, on two ranks."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch_training import train, wrap

import gradwire as gw

DOCS = Path(__file__).parents[2] / "docs"


class Layered(nn.Module):
    """A model with layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList([nn.Linear(100, 100), nn.Linear(100, 10)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x).tanh()
        return x


def run(document: str, **names: Any) -> dict[str, Any]:
    """The names after the Python of a document, with these names before."""
    (program,) = re.findall(r"```python\n(.+?)```", (DOCS / document).read_text(), re.DOTALL)
    names = {"gw": gw, "torch": torch, **names}
    exec(program, names)
    return names


def case_training() -> None:
    names = run("training.md", model=wrap(Layered()))
    train(names["model"], 3)
    assert names["state"].steps == 3


def case_fsdp() -> None:
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    names = run("fsdp.md", model=Layered(), mesh=mesh, fully_shard=fully_shard)
    train(names["model"], 3)
    assert names["state"].report()["compressed_ratio"] > 2


def case_local_steps() -> None:
    data = [torch.randn(8, 100) for _ in range(60)]
    model = Layered()
    names = run(
        "local_steps.md", model=model, data=data, loss=lambda model, x: model(x).square().mean()
    )
    assert names["diloco"].rounds == 2


def main() -> None:
    """Runs all cases."""
    dist.init_process_group("gloo")
    cases = {name: case for name, case in globals().items() if name.startswith("case_")}
    for case in cases.values():
        case()
    print(json.dumps({"ran": sorted(cases)}), flush=True)
    dist.barrier()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
