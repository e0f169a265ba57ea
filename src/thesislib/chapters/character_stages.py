"""The stages that experiments with characters share: classifier, frozen features, head, low-shot scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from thesislib.datasets.glyphs import GlyphDataset
from thesislib.datasets.sources import DataError
from thesislib.evaluation.low_shot import LowShotScores, Similarity, cosine, low_shot
from thesislib.networks.glyph_classifier import GlyphClassifier
from thesislib.runtime import seed_everything
from thesislib.training import Recipe, fit
from thesislib.transforms.cutout import cutout
from thesislib.transforms.glyphs import GlyphAugmentation, quarter_turn_classes, to_input

# What the thesis lists for hands, as far as it means anything for ink on paper: small moves and cutout.
THESIS_AUGMENTATION = GlyphAugmentation(rotation=10, shift=2, scale=0, shear=0, cutout=4)
BEST_AUGMENTATION = GlyphAugmentation(rotation=12, shift=2.5, scale=0.15, shear=0.15, cutout=7)

# Streams of random numbers besides those of the epochs, which are (seed, 0), (seed, 1), ...
NETWORK, VIEWS = 1_000_000, 1_000_001

ImageFunction = Callable[[Tensor], Tensor]  # float [B, 1, S, S] to [B, ...]


@dataclass(frozen=True)
class Characters:
    """Images on their device: ``pool`` is the train part, ``query`` the test part, labels index all classes."""

    pool: Tensor  # uint8 [P, S, S]
    pool_label: Tensor  # [P]
    query: Tensor  # uint8 [Q, S, S]
    query_label: Tensor  # [Q]

    def of(self, classes: Sequence[int]) -> "Characters":
        """Return the images of these classes alone; labels stay as they are."""
        wanted = torch.tensor(classes, device=self.pool.device)
        p, q = torch.isin(self.pool_label, wanted), torch.isin(self.query_label, wanted)
        return Characters(self.pool[p], self.pool_label[p], self.query[q], self.query_label[q])


@dataclass(frozen=True)
class Embedding:
    """Embeddings of pool [P, f] and query [Q, f], how to compare them, and the rules to classify by."""

    pool: Tensor
    query: Tensor
    similarity: Similarity = cosine
    rules: tuple[str, ...] = ("max", "prototype_mean")


def data_sha256(load: Callable[[], GlyphDataset]) -> str | None:
    """Return the digest of the data as they are now, None where they are not here: a record can be read without."""
    try:
        return load().sha256
    except DataError:
        return None


def position_in(classes: Sequence[int], label: Tensor) -> Tensor:
    """Return where each label [N] stands in ``classes``, -1 where it does not."""
    position = torch.full((int(max(max(classes), int(label.max()))) + 1,), -1, device=label.device)
    position[torch.tensor(classes, device=label.device)] = torch.arange(len(classes), device=label.device)
    return position[label]


def thesis_recipe(epochs: int, batch_size: int) -> Recipe:
    """Return section 3.1.2's recipe: a quarter of the epochs to warm up, restarts at a quarter and at half."""
    return Recipe(epochs=epochs, batch_size=batch_size, warmup_epochs=epochs / 4, restarts=(epochs // 2,))


def best_recipe(epochs: int, batch_size: int) -> Recipe:
    """Return the recipe that a short search on two other draws of unseen classes preferred: AdamW, one cycle."""
    return Recipe(
        epochs=epochs,
        batch_size=min(batch_size, 256),
        optimizer="adamw",
        schedule="one_cycle",
        lr_max=4e-3,
        lr_min=1e-5,
        warmup_epochs=epochs / 8,
        weight_decay=0.05,
    )


def head_recipe(epochs: int) -> Recipe:
    """Return the thesis's procedure for a head on frozen features; so small a network takes half the rate."""
    return Recipe(
        epochs=epochs, batch_size=512, lr_max=0.05, warmup_epochs=epochs / 4, restarts=(epochs // 2,)
    )


def train_classifier(
    images: Tensor,
    label: Tensor,
    encoder: nn.Module,
    recipe: Recipe,
    *,
    folder: Path,
    seed: int,
    augmentation: GlyphAugmentation,
    quarter_turns: bool = False,
    dropout: float = 0.5,
    label_smoothing: float = 0.0,
) -> GlyphClassifier:
    """Return a trained and frozen classifier of images uint8 [N, S, S] with labels 0..C-1.

    With ``quarter_turns`` every character turned by 90, 180 and 270 degrees is a class of its own, so the
    classifier has 4 C outputs, of which the first C are the upright ones.
    """
    num_classes = int(label.max()) + 1
    seed_everything(seed, NETWORK)
    classifier = GlyphClassifier(encoder, num_classes * (4 if quarter_turns else 1), dropout=dropout)
    classifier.to(images.device, memory_format=torch.channels_last)

    def augment(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x = augmentation.warp(x)
        if quarter_turns:
            x, y = quarter_turn_classes(x, y, num_classes)
        return cutout(x, augmentation.cutout), y

    fit(
        classifier,
        nn.CrossEntropyLoss(label_smoothing=label_smoothing),
        to_input(images).contiguous(memory_format=torch.channels_last),
        label,
        recipe,
        folder=folder,
        seed=seed,
        augment=augment,
        title=folder.name,
    )
    return classifier.requires_grad_(False)


def train_head(
    views: Tensor, label: Tensor, head: nn.Module, loss: nn.Module, recipe: Recipe, *, folder: Path, seed: int
) -> None:
    """Train a head in place on cached features: views [V, N, c] of the same N images, labels [N]."""
    head.to(views.device)
    loss.to(views.device)
    inputs = views.flatten(0, 1)  # [V, N, c] -> [V * N, c]
    fit(head, loss, inputs, label.repeat(len(views)), recipe, folder=folder, seed=seed, title=folder.name)


def embed(function: ImageFunction, images: Tensor) -> Tensor:
    """Return a function of images uint8 [N, S, S], batch by batch and without gradients: [N, ...]."""
    with torch.inference_mode():
        parts = [
            function(to_input(batch).contiguous(memory_format=torch.channels_last))
            for batch in images.split(512)
        ]
    return torch.cat(parts).clone()


def augmented_features(encoder: nn.Module, images: Tensor, *, views: int, seed: int) -> Tensor:
    """Return frozen features of images uint8 [N, S, S] under random moves: [views, N, c].

    The encoder does not change while a head trains, so its features are computed once; the first view is the
    images as they are.
    """
    seed_everything(seed, VIEWS)
    moved = [embed(lambda x: encoder(THESIS_AUGMENTATION(x)), images) for _ in range(views - 1)]
    return torch.stack([embed(encoder, images), *moved])


def unit_pixels(x: Tensor) -> Tensor:
    """Return images as unit vectors: float [B, 1, S, S] to [B, S * S]."""
    return normalize(x.flatten(1), dim=1)


def unit_length(function: ImageFunction) -> ImageFunction:
    """Return the function with results [B, c] scaled to length 1."""
    return lambda x: normalize(function(x), dim=1)


def five_views(function: ImageFunction) -> ImageFunction:
    """Return the mean of a unit embedding over an image and its four one-pixel moves, scaled to length 1."""
    moves = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    return lambda x: normalize(sum(function(x.roll(move, dims=(2, 3))) for move in moves), dim=1)


def score(
    characters: Characters,
    embedding: Embedding,
    classes: Sequence[int],
    *,
    shots: int,
    draws: int,
    seed: int,
    ways: int | None = None,
) -> LowShotScores:
    """Classify the test images of some classes by prototypes from their train part; see `low_shot`."""
    wanted = torch.tensor(classes, device=characters.pool.device)
    p, q = torch.isin(characters.pool_label, wanted), torch.isin(characters.query_label, wanted)
    return low_shot(
        embedding.query[q],
        characters.query_label[q],
        embedding.pool[p],
        characters.pool_label[p],
        shots=shots,
        draws=draws,
        seed=seed,
        similarity=embedding.similarity,
        rules=embedding.rules,
        ways=ways,
    )
