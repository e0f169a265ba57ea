"""How the LSTM of chapter 6 begins, from nothing or from gestures, and how it learns from clips as features."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thesislib import runtime
from thesislib.chapters.sign_sets import Lesson
from thesislib.evaluation.readers import shrunk_lda
from thesislib.networks.frame_lstm import FrameLSTM, freeze, transfer
from thesislib.training import Recipe, fit

NETWORK = (
    1_000_000  # the stream of random numbers that weights come from; epochs have (seed, 0), (seed, 1), ...
)


@dataclass(frozen=True)
class Start:
    """A network of LSTM layers and dense ones, the last of which classifies, and what it begins with.

    ``taught``: all but that last one come from a network that knows gestures; ``frozen``: so many LSTM layers, from
    the first on, stay as they came.
    """

    taught: bool = False
    frozen: int = 0
    layers: int = 2
    dense: int = 1
    dropout: bool = True


SCRATCH = "scratch"
STARTS = {  # the network that Schorr 2018 transferred
    SCRATCH: Start(),
    "transfer_all": Start(taught=True),
    "transfer_one_frozen": Start(taught=True, frozen=1),
    "transfer_frozen": Start(taught=True, frozen=2),
}
VARIANTS = {  # from scratch; the first is what Schorr 2018 trained from scratch
    "one_lstm_two_dense": Start(layers=1, dense=2),
    "one_lstm": Start(layers=1),
    "no_dropout": Start(dropout=False),
}


@dataclass(frozen=True)
class Clips:
    """Clips as features float32 [N, T, F], what is signed and by whom, int64 [N], and the words' names."""

    x: np.ndarray
    label: np.ndarray
    signer: np.ndarray
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how fast a network learns: Adam at one rate, as in Schorr 2018."""

    epochs: int
    steps: int  # of an epoch, however many clips there are
    batch_size: int
    rate: float


@dataclass(frozen=True)
class Trained:
    """A network that has learned from a lesson, what it says by protocol, int64 [n], and its history."""

    network: FrameLSTM
    said: Mapping[str, np.ndarray]
    history: list[dict[str, float]]


def build(
    start: Start,
    num_features: int,
    num_words: int,
    *,
    hidden: int,
    dropout: float,
    seed: int,
    source: FrameLSTM | None = None,
) -> FrameLSTM:
    """Return a network before training: its weights from the seed, and what was taught from ``source``."""
    runtime.seed_everything(seed, NETWORK)
    if start.taught:
        network = transfer(source, num_words)
        freeze(network, start.frozen)
        return network
    return FrameLSTM(
        num_features,
        num_words,
        hidden=hidden,
        layers=start.layers,
        dense=start.dense,
        dropout=dropout if start.dropout else 0.0,
    )


def standardised(x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return features [N, T, F] less their mean over the training clips' frames, in parts of their spread there."""
    frames = x[train].reshape(-1, x.shape[2])
    return (x - frames.mean(axis=0)) / (frames.std(axis=0) + 1e-3)


def train(
    network: FrameLSTM,
    data: Clips,
    lesson: Lesson,
    training: Training,
    *,
    watched: str,
    folder: Path,
    title: str,
) -> Trained:
    """Train a network on a lesson and ask it.

    Each epoch the history notes ``accuracy`` of training clips, without dropout and of no more than are watched,
    and ``validation_accuracy`` and ``validation_loss`` of those asked under the protocol ``watched``.
    """
    device = runtime.best_device()
    network = network.to(device)
    x = torch.from_numpy(standardised(data.x, lesson.train)).to(device)
    y = torch.from_numpy(data.label).to(device)
    # As many steps for few clips as for many: else a small set would be learned from for a moment only.
    rows = torch.from_numpy(np.resize(lesson.train, training.steps * training.batch_size)).to(device)
    asked = torch.from_numpy(lesson.asked[watched]).to(device)
    known = np.random.RandomState(lesson.seed).permutation(lesson.train)[: len(asked)]
    known = torch.from_numpy(known).to(device)

    def features(index: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        return x[index], label  # [B, T, F]

    def watch(network: nn.Module) -> dict[str, float]:
        logits = network(x[asked])
        return {
            "accuracy": _share(network(x[known]), y[known]),
            "validation_accuracy": _share(logits, y[asked]),
            "validation_loss": float(F.cross_entropy(logits, y[asked])),
        }

    recipe = Recipe(
        epochs=training.epochs,
        batch_size=training.batch_size,
        optimizer="adam",
        schedule="constant",
        lr_max=training.rate,
        warmup_epochs=0,
        weight_decay=0.0,
    )
    history = fit(
        network,
        nn.CrossEntropyLoss(),
        rows,
        y[rows],
        recipe,
        folder=folder,
        seed=lesson.seed,
        augment=features,
        evaluate=watch,
        title=title,
    )
    with torch.inference_mode():
        said = {name: network(x[of]).argmax(dim=1).cpu().numpy() for name, of in lesson.asked.items()}
    return Trained(network, said, history)


def bag_of_frames(data: Clips, lesson: Lesson, rows: np.ndarray, moments: slice = slice(None)) -> np.ndarray:
    """Return what a reader says of clips that knows no order, int64 [n]: shrunk LDA on the mean of their frames."""
    x = standardised(data.x, lesson.train)[:, moments].mean(axis=1)  # [N, F]
    scores = shrunk_lda(x[lesson.train], data.label[lesson.train], x[rows], len(data.words))
    return scores.argmax(axis=1)


def _share(logits: Tensor, word: Tensor) -> float:
    return float((logits.argmax(dim=1) == word).double().mean())
