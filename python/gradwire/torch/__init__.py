"""PyTorch: a hook for DistributedDataParallel, FSDP2, local steps, and averages of single tensors.

state = gw.torch.CompressionState(compressor=gw.Compressor(gw.QSGD(4), memory=gw.Residual()))
model.register_comm_hook(state, gw.torch.compressed_allreduce)
"""

from gradwire._extras import needs

with needs("torch"):
    import torch as _torch  # noqa: F401

from gradwire.torch.collectives import allgather
from gradwire.torch.communicator import Communicator, communicator_from_params
from gradwire.torch.diloco import DiLoCo
from gradwire.torch.fsdp import compress_fsdp
from gradwire.torch.hook import compressed_allreduce
from gradwire.torch.state import CompressionState

__all__ = [
    "Communicator",
    "CompressionState",
    "DiLoCo",
    "allgather",
    "communicator_from_params",
    "compress_fsdp",
    "compressed_allreduce",
]
