"""Trains a small network on handwritten digits with Hugging Face Accelerate, on two ranks."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import gradwire as gw

PAGE = Path(__file__).parents[2] / "docs" / "accelerate.md"
exec(re.findall(r"```python\n(.+?)```", PAGE.read_text(), re.DOTALL)[0], globals())
compress_gradients: Any = globals()["compress_gradients"]  # the function on that page

IMAGES, LABELS = load_digits(return_X_y=True)
IMAGES, LABELS = torch.tensor(IMAGES[:1536] / 16).float(), torch.tensor(LABELS[:1536])
EPOCHS = range(4)
RESULTS: dict[str, Any] = {}


class Network(nn.Module):
    """Every second batch leaves out a layer if ``has_spare``."""

    def __init__(self, has_spare: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10))
        self.spare = nn.Linear(64, 128) if has_spare else None

    def forward(self, images: Any, index: int) -> Any:
        logits = self.layers(images)
        if self.spare is not None and index % 2:
            logits = logits + self.spare(images)[:, :10]
        return logits


class Run(NamedTuple):
    weights: bytes
    loss: float
    report: dict[str, Any]
    skipped: int


def accelerator_with(has_float16: bool, has_spare: bool, settings: dict[str, Any]) -> Any:
    AcceleratorState._reset_state()  # all Accelerators of a process share these two
    GradientState._reset_state()
    accelerator = Accelerator(
        cpu=True,
        kwargs_handlers=[
            DistributedDataParallelKwargs(bucket_cap_mb=0.05, find_unused_parameters=has_spare)
        ],
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True, data_seed=0),
        **settings,
    )
    if has_float16:  # Accelerate has fp16 on GPUs alone; its scale is too large at first
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=30)
    return accelerator


def train(
    compressor: Any = None,
    *,
    save_to: str | None = None,
    resume_from: str | None = None,
    epochs: range = EPOCHS,
    has_float16: bool = False,
    has_spare: bool = False,
    **settings: Any,
) -> Run:
    accelerator = accelerator_with(has_float16, has_spare, settings)
    scaler, network, skipped = accelerator.scaler, Network(has_spare), 0
    optimizer = torch.optim.SGD(network.parameters(), lr=0.2)
    loader = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=32, shuffle=True)
    model, optimizer, loader = accelerator.prepare(network, optimizer, loader)
    if compressor is not None:
        loss_scale = None if scaler is None else scaler.get_scale
        state = gw.torch.CompressionState(
            compressor=compressor, fallback=False, loss_scale=loss_scale
        )
        compress_gradients(accelerator, model, state)
    if resume_from is not None:
        accelerator.load_state(resume_from)
    for epoch in epochs:
        loader.set_epoch(epoch)
        for index, (images, labels) in enumerate(loader):
            with accelerator.accumulate(model):
                with torch.autocast("cpu", torch.float16, enabled=has_float16):
                    loss = cross_entropy(model(images, index), labels)
                accelerator.backward(loss)
                optimizer.step()
                skipped += accelerator.optimizer_step_was_skipped
                optimizer.zero_grad()
    if save_to is not None:
        accelerator.save_state(save_to)
    with torch.no_grad():
        loss = cross_entropy(network.layers(IMAGES), LABELS)
    report = {} if compressor is None else state.report()
    return Run(same_on_all_ranks(network), float(loss), report, skipped)


def same_on_all_ranks(network: nn.Module) -> bytes:
    weights = b"".join(p.detach().numpy().tobytes() for p in network.parameters())
    everyone: list[Any] = [None, None]
    dist.all_gather_object(everyone, weights)
    assert everyone[0] == everyone[1]
    return weights


def lossless() -> Any:
    return gw.Compressor(gw.Lossless())


def lossy() -> Any:
    return gw.Compressor(gw.QSGD(4), memory=gw.Residual())


def check_training(name: str, steps: int, **settings: Any) -> None:
    """A lossless hook gives the bits of training without a hook, a lossy one nearly its loss."""
    plain, same, near = (train(one, **settings) for one in (None, lossless(), lossy()))
    assert same.weights == plain.weights
    assert same.report["steps"] == near.report["steps"] == steps
    ratio = near.report["compressed_ratio"]  # without buckets that are too small to compress
    RESULTS[name] = {"loss": near.loss, "plain": plain.loss, "ratio": ratio}
    assert near.loss < 2.3 and abs(near.loss / plain.loss - 1) < 0.05, RESULTS[name]
    assert ratio > 40, RESULTS[name]
    assert plain.skipped == same.skipped
    if settings.get("has_float16"):
        assert near.skipped > 0
        RESULTS[name]["skipped steps"] = near.skipped


def shared_folder() -> str:
    folder = [tempfile.mkdtemp()]
    dist.broadcast_object_list(folder)
    return folder[0]


def check_checkpoints(name: str, **settings: Any) -> None:
    """A run that was resumed after two of four epochs ends with the bits of one that was not."""
    folder = shared_folder()
    whole = train(lossy(), **settings)
    train(lossy(), epochs=EPOCHS[:2], save_to=folder, **settings)
    resumed = train(lossy(), epochs=EPOCHS[2:], resume_from=folder, **settings)
    assert resumed.weights == whole.weights
    assert resumed.report["steps"] == whole.report["steps"]
    RESULTS[f"resumed, {name}"] = "same bits"


def check_registered_state() -> None:
    """Accelerate saves registered objects on rank 0 alone, as docs/accelerate.md says."""
    accelerator = accelerator_with(False, False, {})
    model = accelerator.prepare(Network(False))
    state = gw.torch.CompressionState(compressor=lossy(), fallback=False)
    model.register_comm_hook(state, gw.torch.compressed_allreduce)
    accelerator.register_for_checkpointing(state)
    model(IMAGES, 0).sum().backward()
    folder = shared_folder()
    accelerator.save_state(folder)
    accelerator.wait_for_everyone()
    try:
        accelerator.load_state(folder)
    except ValueError as error:
        assert dist.get_rank() == 1
        assert "the checkpoint has rank 0, this process has 1" in str(error)
    else:
        assert dist.get_rank() == 0


if __name__ == "__main__":
    check_training("float32", 96)
    check_training("accumulation", 32, gradient_accumulation_steps=3)
    check_training("bf16", 96, mixed_precision="bf16")
    check_training("find_unused_parameters", 96, has_spare=True)
    check_training("float16", 96, has_float16=True)
    check_checkpoints("float32")
    check_checkpoints("float16", has_float16=True)
    check_registered_state()
    if dist.get_rank() == 0:
        print(json.dumps(RESULTS), flush=True)
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # gloo's threads may abort when the interpreter ends
