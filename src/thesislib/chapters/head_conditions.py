"""Conditions that a head is trained under, one differing from the usual in one thing: how, and on what."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from thesislib import runtime
from thesislib.chapters.letter_heads import new_classifier, new_head
from thesislib.evaluation.signers import Split, require_strangers
from thesislib.losses.pairwise import PairwiseCosineLoss
from thesislib.training import Recipe, fit

LOSSES = ("pairwise", "cross_entropy")
TEST_SHARE = 5  # one in five pictures is asked
SPLIT = 2_000_000  # the stream of random numbers of the split


@dataclass(frozen=True, kw_only=True)
class Condition:
    """How a head is trained, and on what; as it stands, the way of this chapter on the thesis's random split.

    ``times`` multiplies the epochs; ``failed_crops`` is the share of pictures that miss the hand (figure 3.20);
    ``feature`` is the pose network's, averaged over the picture or, in as many principal components, where it
    stands; ``by_signer`` asks about people who are not trained on; ``shuffled`` deals the letters out at random.
    """

    layer_dropout: float = 0.25
    last_dropout: float = 0.5
    lr_max: float = 0.05
    batch_size: int = 128
    times: int = 1
    failed_crops: float = 0.0
    feature: Literal["pooled", "spatial"] = "pooled"
    by_signer: bool = False
    shuffled: bool = False


def dropout(rate: float, **more: Any) -> Condition:
    """Return the condition with this dropout at every layer, and no less than the usual before the last."""
    return Condition(layer_dropout=rate, last_dropout=max(rate, 0.5) if rate else 0.0, **more)


def split_of(condition: Condition, signer: np.ndarray, seed: int) -> Split:
    """Return the split 4:1 of pictures, drawn at random, or of signers [N]; ValueError for a single signer."""
    random = np.random.RandomState([seed, SPLIT])
    if not condition.by_signer:
        order = random.permutation(len(signer))
        count = len(order) // TEST_SHARE
        return Split(np.sort(order[count:]), np.sort(order[:count]))
    people = random.permutation(np.unique(signer))
    asked = np.isin(signer, people[: max(len(people) // TEST_SHARE, 1)])
    return require_strangers(Split(np.flatnonzero(~asked), np.flatnonzero(asked)), signer)


def guessing_loss(loss_name: str, letter: np.ndarray, num_letters: int) -> float:
    """Return the test loss of a head that knows nothing: every pair as likely the same, or every letter as likely.

    Both kinds of pairs weigh alike in the pairwise loss (eq. 3.21), so it is log 2 for each.
    """
    if loss_name == "cross_entropy":
        return float(np.log(num_letters))
    count = np.bincount(letter)
    same = (count * (count - 1)).sum() / (len(letter) * (len(letter) - 1))
    return float(2 * (1 - same) * np.log(2))


@dataclass(frozen=True)
class Trained:
    """A head that has learned, its loss, and what `training.fit` noted."""

    network: nn.Module
    loss: nn.Module
    history: list[dict[str, float]]


def train(
    condition: Condition,
    loss_name: str,
    views: np.ndarray,
    letter: np.ndarray,
    rows: np.ndarray,
    test: np.ndarray,
    *,
    num_letters: int,
    epochs: int,
    seed: int,
) -> Trained:
    """Train the head of figure 3.19 on some rows of views [V, N, c], and note the loss of the test rows each epoch.

    Each time a picture comes up, it is in one of its views; the test rows are as they are.
    """
    dropout = {"layer_dropout": condition.layer_dropout, "last_dropout": condition.last_dropout}
    if loss_name == "pairwise":
        network, loss = new_head(views.shape[2], seed=seed, **dropout), PairwiseCosineLoss()
    else:
        network, loss = (
            new_classifier(views.shape[2], num_letters, seed=seed, **dropout),
            nn.CrossEntropyLoss(),
        )
    device = runtime.best_device()
    network, loss = network.to(device), loss.to(device)
    x, y = torch.from_numpy(views).to(device), torch.from_numpy(letter).to(device)

    def one_view(index: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        view = torch.randint(len(x), (len(index),)).to(
            device
        )  # drawn on the CPU: the same whatever the device
        return x[view, index], label  # [B, c]

    def test_loss(network: nn.Module) -> dict[str, float]:
        return {"test_loss": float(loss(network(x[0, test]), y[test]))}

    epochs *= condition.times
    recipe = Recipe(
        epochs=epochs,
        batch_size=condition.batch_size,
        lr_max=condition.lr_max,
        warmup_epochs=epochs / 4,
        restarts=(epochs // 2,),
    )
    index = torch.from_numpy(rows).to(device)
    with TemporaryDirectory() as folder:  # seconds of training: there is nothing to resume
        history = fit(
            network,
            loss,
            index,
            y[index],
            recipe,
            folder=Path(folder),
            seed=seed,
            augment=one_view,
            evaluate=test_loss,
            title=loss_name,
        )
    return Trained(network, loss, history)
