"""Heads on a frozen network's features of hands: augmented views, the thesis's head, and a classifier beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thesislib import runtime
from thesislib.hand_features import Feature
from thesislib.networks.blocks import initialise
from thesislib.networks.embedding import EmbeddingHead
from thesislib.runtime import seed_everything
from thesislib.training import Recipe, fit
from thesislib.transforms.cutout import cutout
from thesislib.transforms.hands import MEAN, SIZE, about_centre, blurred, recoloured, warped

# Streams of random numbers besides those of the epochs, which are (seed, 0), (seed, 1), ...
HEAD, VIEWS = 1_000_000, 1_000_001
BATCH = 512  # pictures augmented at once
LEAST_BATCH, LARGEST_BATCH, STEPS = 128, 512, 16  # a sixteenth of what there is, within these bounds


@dataclass(frozen=True, kw_only=True)
class LetterAugmentation:
    """Small moves, colours and damage that leave a letter what it is: pictures uint8 [B, 3, S, S] to the same.

    Ignatiev 2019, section 3.3, names turn, crop and shear without their ranges. A turn (`rotation`, +- degrees) is
    small, because G and Q or H and U differ by little else; nothing is mirrored, since that would change the hand.
    `zoom` is the least and the greatest, `shift` a share of the picture, `shear` in degrees; colours as in
    `transforms.hands`; blur (sigma up to `blur` pixels) and the erased square's side are for pictures of 64.
    `noise` is the greatest standard deviation as a share of white.
    """

    rotation: float = 15.0
    zoom: tuple[float, float] = (0.8, 1.1)
    shift: float = 0.05
    shear: float = 10.0
    jitter: float = 0.4
    hue: float = 0.05
    blur: float = 1.2
    noise: float = 0.02
    cutout: float = 16

    def __call__(self, images: Tensor) -> Tensor:
        """Return the pictures changed, each by a draw of its own."""
        b, size = len(images), images.shape[-1]
        turn, lean = (torch.deg2rad(_uniform(b, -limit, limit)) for limit in (self.rotation, self.shear))
        zoom, cos, sin = _uniform(b, *self.zoom), turn.cos(), turn.sin()
        rows = (cos, cos * lean.tan() - sin, sin, sin * lean.tan() + cos)  # shear along x, then the turn
        linear = zoom[:, None, None] * torch.stack(rows, dim=1).view(b, 2, 2)
        matrix = about_centre(linear, size)
        matrix[:, :2, 2] += size * torch.stack([_uniform(b, -self.shift, self.shift) for _ in "xy"], dim=1)
        no_keypoints = torch.zeros(b, 0, 3, device=images.device)
        x, _ = warped(images.float() / 255, no_keypoints, matrix.to(images.device))
        factors = (1 + _uniform(b, -self.jitter, self.jitter) for _ in range(3))
        x = recoloured(x, *factors, _uniform(b, -self.hue, self.hue))
        x = blurred(x, torch.rand(b) * self.blur * size / SIZE)
        x = x + torch.randn_like(x) * (torch.rand(b) * self.noise).to(x)[:, None, None, None]
        mean = x.new_tensor(MEAN)[:, None, None]  # what is erased is what a network reads as zero
        x = cutout(x - mean, round(self.cutout * size / SIZE)) + mean
        return (x.clamp(0, 1) * 255).round().byte()


Augmentation = Callable[[Tensor], Tensor]
AUGMENTATION = LetterAugmentation()


class LetterClassifier(nn.Module):
    """An embedding head [B, c] to [B, f] and a linear layer behind it: features [B, c] to logits [B, C]."""

    def __init__(self, head: nn.Module, f: int, num_classes: int) -> None:
        super().__init__()
        self.head = head
        self.logits = nn.Linear(f, num_classes)
        initialise(self.logits)

    def forward(self, features: Tensor) -> Tensor:
        return self.logits(self.head(features))  # [B, c] -> [B, f] -> [B, C]


def feature_views(
    feature: Feature, image: np.ndarray, *, count: int, seed: int, augmentation: Augmentation = AUGMENTATION
) -> np.ndarray:
    """Return a feature of pictures uint8 [N, 3, S, S] as they are and augmented: [count, N, c].

    The network behind ``feature`` does not change while a head trains, so its features are computed once. The
    first view is the pictures as they are.
    """
    seed_everything(seed, VIEWS)
    found = [feature(image)]
    for _ in range(count - 1):
        starts = range(0, len(image), BATCH)
        moved = [augmentation(torch.tensor(image[start : start + BATCH])).numpy() for start in starts]
        found.append(feature(np.concatenate(moved)))
    return np.stack(found)


def new_head(
    features: int, f: int = 10, *, seed: int, standardised: bool = False, **options: Any
) -> nn.Module:
    """Return an untrained head, features [B, c] to unit vectors [B, f], its weights from the seed alone.

    With 128 features it is the thesis's (Ignatiev 2019, figure 3.19). ``standardised`` puts a batch norm without
    weights before it, so that each feature comes with mean 0 and spread 1; ``options`` are `EmbeddingHead`'s.
    """
    seed_everything(seed, HEAD)
    head = EmbeddingHead(features, f, **options)
    return nn.Sequential(nn.BatchNorm1d(features, affine=False), head) if standardised else head


def new_classifier(
    features: int, num_classes: int, f: int = 10, *, seed: int, **options: Any
) -> LetterClassifier:
    """Return `new_head` with a linear layer behind it, for the cross entropy."""
    return LetterClassifier(new_head(features, f, seed=seed, **options), f, num_classes)


def head_recipe(epochs: int, rows: int) -> Recipe:
    """Return the thesis's procedure for a head on ``rows`` feature vectors; so small a network takes half the rate.

    The batch grows with the set, from 128 to 512: few pictures still give some steps an epoch.
    """
    batch_size = min(max(rows // STEPS, LEAST_BATCH), LARGEST_BATCH)
    warmup, restarts = epochs / 4, (epochs // 2,)
    return Recipe(epochs=epochs, batch_size=batch_size, lr_max=0.05, warmup_epochs=warmup, restarts=restarts)


def train_head(
    views: np.ndarray,
    letter: np.ndarray,
    head: nn.Module,
    loss: nn.Module,
    *,
    epochs: int,
    folder: Path,
    seed: int,
) -> list[dict[str, float]]:
    """Train a head in place on features [V, N, c] of N pictures in V views, letters [N]; return its history.

    ``loss`` takes embeddings and letters, as `PairwiseCosineLoss` and `losses.metric` do; a `LetterClassifier`
    wants `nn.CrossEntropyLoss`.
    """
    device = runtime.best_device()
    inputs = torch.from_numpy(views).flatten(0, 1).to(device)  # [V, N, c] -> [V * N, c]
    targets = torch.from_numpy(letter).repeat(len(views)).to(device)
    return fit(
        head.to(device),
        loss.to(device),
        inputs,
        targets,
        head_recipe(epochs, len(inputs)),
        folder=folder,
        seed=seed,
        title=folder.name,
    )


def outputs(network: nn.Module, features: np.ndarray) -> np.ndarray:
    """Return what a trained head or classifier makes of features [N, c]: embeddings [N, f] or logits [N, C]."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        return network.eval()(torch.from_numpy(features).to(device)).cpu().numpy()


def _uniform(b: int, low: float, high: float) -> Tensor:
    return torch.empty(b).uniform_(low, high)  # on the CPU: the same draw whatever the device
