"""Trains a small GPT on Shakespeare with several processes that take local steps (DiLoCo).

    torchrun --standalone --nproc_per_node=2 examples/diloco_shakespeare.py
    torchrun --standalone --nproc_per_node=2 examples/diloco_shakespeare.py --every 100
    torchrun --standalone --nproc_per_node=2 examples/diloco_shakespeare.py --compressor plain

Each process trains its copy of the model with AdamW; every 50 steps they average what has changed.
The model predicts the next character. The text is that of ddp_shakespeare.py.
"""

from __future__ import annotations

from pathlib import Path

import common
import torch
import torch.distributed as dist
from ddp_shakespeare import read_text, word_batches
from torch import nn

import gradwire as gw

WIDTH, LAYERS, LENGTH, BATCH = 128, 4, 64, 8
HELD_OUT = 9_000  # last characters of the text, not trained on


class GPT(nn.Module):
    """Transformer language model."""

    def __init__(self, vocabulary: int, width: int, layers: int, length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.randn(length, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.output = nn.Linear(width, vocabulary)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(length))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores of the next token."""
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        return self.output(self.layers(x, mask=self.mask, is_causal=True))


def character_ids(text: str) -> torch.Tensor:
    """The characters of the text as numbers from 0."""
    number = {character: i for i, character in enumerate(sorted(set(text)))}
    return torch.tensor([number[character] for character in text])


def next_loss(model: nn.Module, tokens: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
    """The mean loss of a batch, in nats for each token."""
    return nn.functional.cross_entropy(model(tokens).flatten(0, 1), following.flatten())


@torch.no_grad()
def held_out_loss(model: nn.Module, ids: torch.Tensor) -> float:
    """The mean loss on text that was not trained on."""
    batches = word_batches(ids, BATCH, LENGTH)
    count = len(ids) // BATCH // LENGTH - 1
    return sum(next_loss(model, *next(batches)).item() for _ in range(count)) / count


def main() -> None:
    """Runs the command line."""
    parser = common.parser(__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, help="file, or folder of .txt files")
    parser.add_argument("--every", type=int, default=50, help="steps in a round (default 50)")
    parser.set_defaults(memory="residual")
    options = parser.parse_args()
    common.start(options.seed)
    ids = character_ids(read_text(options.text))
    model = GPT(int(ids.max()) + 1, WIDTH, LAYERS, LENGTH)
    inner = torch.optim.AdamW(model.parameters(), 1e-3)
    outer = torch.optim.SGD(model.parameters(), lr=0.7, momentum=0.9, nesterov=True)
    plain = options.compressor == "plain"
    compressor = gw.Compressor(gw.Lossless()) if plain else common.chosen_compressor(options)
    diloco = gw.torch.DiLoCo(
        model, inner, outer, compressor, every=options.every, algorithm=options.algorithm
    )
    share = ids[:-HELD_OUT].chunk(dist.get_world_size())[dist.get_rank()]
    batches = word_batches(share, BATCH, LENGTH)
    progress = common.Progress(options.steps)
    for step in range(1, options.steps + 1):
        loss = next_loss(model, *next(batches))
        inner.zero_grad()
        loss.backward()
        diloco.step()
        progress.show(step, loss.item())
    diloco.finish()
    common.finish(f"held-out loss {held_out_loss(model, ids[-HELD_OUT:]):.4f}", diloco)


if __name__ == "__main__":
    main()
