"""A state is made before torch.distributed is initialized, as Lightning does it."""

from __future__ import annotations

import copy
import json
import os
import pickle
import sys

import torch.distributed as dist
from torch_training import assert_same_on_all_ranks, expect, flat, network, train, wrap

import gradwire as gw


def main() -> None:
    """Prints what went wrong, as JSON."""
    compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual())
    states = [gw.torch.CompressionState(compressor=compressor, fallback=False)]
    states += [copy.deepcopy(states[0]), pickle.loads(pickle.dumps(states[0]))]
    for state in states:
        assert state.steps == 0 and state.choices() == {} and state.saturated == 0
        assert state.report()["phase"] == "no step yet" and "no step yet" in state.summary()
        told = ["init_process_group"]
        expect(RuntimeError, told, state.state_dict)
        expect(RuntimeError, told, lambda state=state: state.load_state_dict({"tensors": {}}))
        state.enabled = False
        state.enabled = True
    rules = {"2.*": gw.Compressor(gw.TopK(0.1), memory=gw.Residual())}
    chosen = gw.torch.CompressionState(start_step=3, exclude="*.bias", rules=rules)
    names = {**vars(gw), "CompressionState": gw.torch.CompressionState}
    assert repr(eval(repr(chosen), names)) == repr(chosen) and "*.bias" in repr(chosen)
    closed = gw.torch.CompressionState()
    closed.close()
    expect(RuntimeError, ["was closed"], closed.state_dict)
    expect(TypeError, ["state_dict()"], lambda: copy.copy(closed))
    expect(ValueError, ["unknown algorithm"], lambda: gw.torch.CompressionState(None, None, "ring"))
    dist.init_process_group("gloo")
    wanted = None
    for state in [
        *states,
        gw.torch.CompressionState(compressor=copy.deepcopy(compressor), fallback=False),
    ]:
        ddp = wrap(network())
        ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
        train(ddp, 3)
        assert_same_on_all_ranks(ddp.module)
        assert state.report()["compressed_ratio"] > 10 and state.steps == 3
        assert wanted is None or bool((flat(ddp.module) == wanted).all())
        wanted = flat(ddp.module)
        expect(TypeError, ["state_dict()"], lambda state=state: copy.copy(state))
    print(json.dumps({"error": ""}), flush=True)
    dist.barrier()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
