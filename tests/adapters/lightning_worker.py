"""Trains a small network on handwritten digits with PyTorch Lightning, on two ranks.

    lightning_worker.py {ddp,ddp_spawn,ddp_fork} FILE

"ddp" does all checks and writes the weights of one run to FILE, the others compare with them.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import DDPStrategy
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import gradwire as gw

PAGE = Path(__file__).parents[2] / "docs" / "lightning.md"
exec(re.findall(r"```python\n(.+?)```", PAGE.read_text(), re.DOTALL)[0], globals())
Compression: Any = globals()["Compression"]  # the class on that page

IMAGES, LABELS = load_digits(return_X_y=True)
IMAGES, LABELS = torch.tensor(IMAGES[:1536] / 16).float(), torch.tensor(LABELS[:1536])
RESULTS: dict[str, Any] = {}


class Classifier(L.LightningModule):
    """Every second batch leaves out a layer if ``has_spare``."""

    def __init__(self, has_spare: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10))
        self.spare = nn.Linear(64, 128) if has_spare else None

    def training_step(self, batch: Any, index: int) -> Any:
        images, labels = batch
        logits = self.layers(images)
        if self.spare is not None and index % 2:
            logits = logits + self.spare(images)[:, :10]
        return cross_entropy(logits, labels)

    def validation_step(self, batch: Any, index: int) -> None:
        pass

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.2)

    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(IMAGES, LABELS), batch_size=32, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(TensorDataset(IMAGES, LABELS), batch_size=512)

    def weights(self) -> bytes:
        return b"".join(p.detach().numpy().tobytes() for p in self.parameters())

    def loss(self) -> float:
        with torch.no_grad():
            return float(cross_entropy(self.layers(IMAGES), LABELS))


class Run(NamedTuple):
    weights: bytes
    loss: float
    report: dict[str, Any]


class SameOnAllRanks(L.Callback):
    """Asserts that all ranks end with the same weights, after training with compression."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def on_train_end(self, trainer: Any, module: Any) -> None:
        everyone: list[Any] = [None] * trainer.world_size
        dist.all_gather_object(everyone, module.weights())
        assert len(everyone) == 2 and everyone[0] == everyone[1]
        if self.state is not None:
            report = self.state.report()
            assert report["steps"] == trainer.global_step > 0
            assert report["raw_bytes"] > report["sent_bytes"] > 0


def lossless(**settings: Any) -> Any:
    return state_of(gw.Compressor(gw.Lossless()), **settings)


def lossy(**settings: Any) -> Any:
    return state_of(gw.Compressor(gw.QSGD(4), memory=gw.Residual()), **settings)


def state_of(compressor: Any, **settings: Any) -> Any:
    return gw.torch.CompressionState(compressor=compressor, fallback=False, **settings)


def trainer_for(state: Any, strategy: Any = None, callbacks: Any = (), **settings: Any) -> Any:
    hook = [] if state is None else [Compression(state)]
    return L.Trainer(
        accelerator="cpu",
        devices=2,
        strategy=strategy or DDPStrategy(bucket_cap_mb=0.05),
        callbacks=[*callbacks, *hook, SameOnAllRanks(state)],
        enable_checkpointing=bool(callbacks),
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
        num_sanity_val_steps=0,
        **{"max_epochs": 4, **settings},
    )


def fit(state: Any, ckpt_path: Any = None, has_spare: bool = False, **settings: Any) -> Run:
    model = Classifier(has_spare)
    trainer_for(state, **settings).fit(model, ckpt_path=ckpt_path)
    return Run(model.weights(), model.loss(), state.report() if state else {})


def check_is_near(name: str, run: Run, plain: Run) -> None:
    ratio = run.report["compressed_ratio"]  # without buckets that are too small to compress
    RESULTS[name] = {"loss": run.loss, "plain": plain.loss, "ratio": ratio}
    assert run.loss < 0.4 and abs(run.loss / plain.loss - 1) < 0.05, RESULTS[name]
    assert ratio > 40, RESULTS[name]


def check_pipelines(file: Path) -> None:
    """The first states exist before Lightning has started the other rank."""
    states = [lossless(), lossy()]
    assert not dist.is_initialized()
    plain, same, near = (fit(state) for state in [None, *states])
    assert same.weights == plain.weights and same.report["steps"] == 96
    check_is_near("QSGD(4) with Residual", near, plain)
    if dist.get_rank() == 0:
        file.write_bytes(near.weights)
    default = fit(gw.torch.CompressionState(compressor=gw.Compressor(gw.QSGD(16))))
    assert abs(default.loss / plain.loss - 1) < 0.05


def check_options() -> None:
    """A lossless hook gives the bits of training without a hook."""
    unused = {"strategy": "ddp_find_unused_parameters_true", "has_spare": True}
    for name, options, steps in (
        ("accumulate_grad_batches", {"accumulate_grad_batches": 3}, 32),
        ("bf16-mixed", {"precision": "bf16-mixed"}, 96),
        ("find_unused_parameters", unused, 96),
    ):
        plain, same, near = (fit(state, **options) for state in (None, lossless(), lossy()))
        assert same.weights == plain.weights
        assert same.report["steps"] == near.report["steps"] == steps
        RESULTS[name] = {"loss": near.loss, "plain": plain.loss}
        assert abs(near.loss / plain.loss - 1) < 0.05, RESULTS


def float16(**settings: Any) -> dict[str, Any]:
    """A state and plugins for mixed precision whose scale is too large at first."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=30)
    state = lossy(loss_scale=scaler.get_scale)
    return {"state": state, "plugins": [MixedPrecision("16-mixed", "cpu", scaler)], **settings}


def check_float16() -> None:
    options = float16()
    plain, near = fit(**float16(state=None)), fit(**options)
    scale = options["plugins"][0].scaler.get_scale()
    assert scale < 2**24, "no step was skipped"
    RESULTS["loss scale"] = scale
    check_is_near("16-mixed", near, plain)


def check_checkpoints(name: str, options: Any) -> None:
    """A run that was resumed after two of four epochs ends with the bits of one that was not."""
    folder = [tempfile.mkdtemp()]
    dist.broadcast_object_list(folder)
    checkpoints = ModelCheckpoint(folder[0], every_n_epochs=2, save_top_k=-1)
    whole = fit(**options(), callbacks=[checkpoints])
    (path,) = Path(folder[0]).glob("epoch=1*.ckpt")
    resumed = fit(**options(), ckpt_path=path, callbacks=[checkpoints])
    assert resumed.weights == whole.weights
    assert resumed.report["steps"] == whole.report["steps"] == 96
    RESULTS[f"resumed, {name}"] = "same bits"
    unused = lossy()
    trainer_for(unused).validate(Classifier(), ckpt_path=path)
    assert not unused.state_dict()["tensors"]


def check_two_fits() -> None:
    """The state serves the second DDP model of the same module."""
    plain = fit(None)
    for state in (lossless(), lossy()):
        model, trainer = Classifier(), trainer_for(state, max_epochs=2)
        trainer.fit(model)
        trainer.fit_loop.max_epochs = 4
        trainer.fit(model)
        assert state.steps == 96
        assert abs(model.loss() / plain.loss - 1) < 0.05
        if isinstance(state.compressor.pipeline, gw.Lossless):
            assert model.weights() == plain.weights
    RESULTS["fit twice"] = {"loss": model.loss(), "plain": plain.loss}


def check_arguments_of_strategy() -> None:
    """On CPUs, Lightning ignores the hook of a DDPStrategy, as docs/lightning.md says."""
    state = lossy()
    hook = gw.torch.compressed_allreduce
    fit(None, strategy=DDPStrategy(ddp_comm_state=state, ddp_comm_hook=hook))
    assert state.steps == 0


def main() -> None:
    mode, file = sys.argv[1], Path(sys.argv[2])
    if mode != "ddp":
        # Ranks are processes with copies of the trainer; this one gets only the weights back.
        strategy = DDPStrategy(bucket_cap_mb=0.05, start_method=mode[len("ddp_") :])
        assert fit(lossy(), strategy=strategy).weights == file.read_bytes()
        print(json.dumps({mode: "same bits as with ddp"}), flush=True)
        return
    check_pipelines(file)
    check_options()
    check_float16()
    check_checkpoints("32-true", lambda: {"state": lossy()})
    check_checkpoints("16-mixed", float16)
    check_two_fits()
    check_arguments_of_strategy()
    if dist.get_rank() == 0:
        print(json.dumps(RESULTS), flush=True)
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # gloo's threads may abort when the interpreter ends


if __name__ == "__main__":
    main()
