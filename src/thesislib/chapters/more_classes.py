"""More classes to learn from: the question that section 3.2.2 of the thesis leaves open (Ignatiev 2019).

The thesis supposes that its embedding needs few dimensions because it has few training classes, and that
thousands of classes, as in Omniglot, would regularise by themselves. Here the unseen classes stay the same
while the number of training classes grows.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch.nn.functional import normalize

from thesislib import paths, results, runtime
from thesislib.chapters.character_stages import (
    BEST_AUGMENTATION,
    NETWORK,
    Characters,
    Embedding,
    augmented_features,
    best_recipe,
    data_sha256,
    embed,
    five_views,
    head_recipe,
    score,
    train_classifier,
    train_head,
    unit_length,
    unit_pixels,
)
from thesislib.config import ConfigError, ExperimentConfig
from thesislib.datasets import glyphs
from thesislib.evaluation.intervals import over_draws
from thesislib.losses.pairwise import PairwiseCosineLoss
from thesislib.networks.embedding import EmbeddingHead
from thesislib.networks.glyph_classifier import GlyphEncoder

EXPERIMENT = "more_classes"
UNSEEN_SEED = 0  # the unseen classes are the same whatever the run's seed
EPOCH = 6_000  # images: a smaller training set is repeated, so that an epoch is as long for every run


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """One point of the curve: so many training classes, equal in total images or in images a class.

    ``thesis run more_classes --profile full -p num_classes 100 -p total_images 6000`` takes about three minutes
    on one CPU core. The thesis prints no number for it.
    """

    dataset: Literal["invented", "kkanji", "omniglot"] = "kkanji"
    num_classes: int | None = 100  # the most frequent ones that are not held out; None takes all
    images_per_class: int | None = None
    total_images: int | None = None  # shared equally among the classes, at least two each
    num_unseen: int = 49
    ways: int | None = None  # classes in a question; None asks about all unseen ones at once
    shots: tuple[int, ...] = (1, 5, 10)
    quarter_turns: bool = False
    width: float = 0.5
    stem_stride: int = 2
    features: int = 128
    image_passes: int = 48_000  # training images seen, the same whatever the number of classes
    head_epochs: int = 8
    draws: int = 100

    profiles: ClassVar = {
        "smoke": dict(dataset="invented", num_classes=12, images_per_class=8, num_unseen=5, width=0.25)
        | dict(features=16, image_passes=6_000, head_epochs=1, draws=5, shots=(1, 5)),
        "quick": dict(dataset="invented", images_per_class=40, num_unseen=20, image_passes=36_000),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images_per_class is not None and self.total_images is not None:
            raise ConfigError("give images_per_class or total_images, not both")


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""

    return results.cached(
        record_path(config),
        config,
        __name__,
        lambda: _measure(config),
        lambda: data_sha256(lambda: load(config)),
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; runs on invented characters are not committed."""
    label = f"{config.dataset}-{config.num_classes or 'all'}-classes-seed{config.seed}"
    committed = config.dataset != "invented" and config.profile_name == "full"
    return results.record_path(EXPERIMENT, results.record_name(config, label), committed=committed)


def load(config: Config) -> glyphs.GlyphDataset:
    """Return the data set; invented characters come in as many classes as the run needs."""
    if config.dataset != "invented":
        return glyphs.load(config.dataset, paths.raw_data())
    return glyphs.load(
        "invented",
        paths.raw_data(),
        num_classes=(config.num_classes or 100) + config.num_unseen,
        images_per_class=max(config.images_per_class or 0, 20),
        test_images_per_class=20,
    )


def divide(
    pool_count: np.ndarray, query_count: np.ndarray, num_unseen: int, num_classes: int | None, shots: int
) -> tuple[list[int], list[int]]:
    """Return training and unseen classes, disjoint: image counts a class [C] of the train and test part.

    Unseen classes are drawn among those with twice as many train images as prototypes and three test images.
    The training classes are the most frequent of the rest, so a larger set holds every smaller one; a class of
    one image teaches nothing and is left out. Raises ConfigError where there are not enough.
    """
    usable = np.flatnonzero((pool_count >= 2 * shots) & (query_count >= 3))
    if len(usable) < num_unseen:
        raise ConfigError(
            f"only {len(usable)} classes have enough images to be unseen, {num_unseen} are asked for"
        )
    unseen = sorted(np.random.RandomState(UNSEEN_SEED).choice(usable, num_unseen, replace=False).tolist())
    total = pool_count + query_count
    order = [c for c in np.argsort(-total, kind="stable").tolist() if total[c] >= 2 and c not in set(unseen)]
    if num_classes is not None and num_classes > len(order):
        raise ConfigError(f"only {len(order)} classes are left to train on, {num_classes} are asked for")
    return order[:num_classes], unseen


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    device = runtime.best_device()
    data = load(config)
    parts = (data.train.image, data.train.label, data.test.image, data.test.label)
    characters = Characters(*(torch.from_numpy(part).to(device) for part in parts))
    count = [
        np.bincount(labels, minlength=len(data.classes)) for labels in (data.train.label, data.test.label)
    ]
    seen, unseen = divide(*count, config.num_unseen, config.num_classes, max(config.shots))
    folder = paths.RUNS / EXPERIMENT / f"{record_path(config).stem}-{results.source_hash(__name__)[:8]}"

    # Both parts of a training class train: nothing is asked about it.
    each = config.images_per_class or (
        max(config.total_images // len(seen), 2) if config.total_images else None
    )
    images, labels = [], []
    for position, c in enumerate(seen):
        own = np.concatenate(
            [data.train.image[data.train.label == c], data.test.image[data.test.label == c]]
        )[:each]
        images.append(own)
        labels += [position] * len(own)
    train_image = torch.from_numpy(np.concatenate(images)).to(device)
    train_label = torch.tensor(labels, device=device)
    repeats = max(EPOCH // len(train_image), 1)
    epochs = max(round(config.image_passes / (repeats * len(train_image))), 1)

    runtime.seed_everything(config.seed, NETWORK)
    encoder = GlyphEncoder(width=config.width, stem_stride=config.stem_stride, features=config.features)
    classifier = train_classifier(
        train_image.repeat(repeats, 1, 1),
        train_label.repeat(repeats),
        encoder,
        best_recipe(epochs, 128),
        folder=folder / "classifier",
        seed=config.seed,
        augmentation=BEST_AUGMENTATION,
        quarter_turns=config.quarter_turns,
        dropout=0.2,
        label_smoothing=0.1,
    )
    asked = characters.of(unseen)

    def both(function) -> tuple[torch.Tensor, torch.Tensor]:
        return embed(function, asked.pool), embed(function, asked.query)

    features = both(classifier.encoder)
    embeddings = {
        "pixels": Embedding(*both(unit_pixels)),
        "features": Embedding(*(normalize(part, dim=1) for part in features)),
        "spatial_five_views": Embedding(*both(five_views(unit_length(classifier.encoder.spatial)))),
    }
    views = augmented_features(classifier.encoder, train_image, views=repeats + 1, seed=config.seed)
    for f in (10, 64):
        runtime.seed_everything(config.seed, NETWORK)
        head, loss = EmbeddingHead(config.features, f), PairwiseCosineLoss()
        recipe = head_recipe(config.head_epochs)
        train_head(views, train_label, head, loss, recipe, folder=folder / f"head_f{f}", seed=config.seed)
        with torch.inference_mode():
            embedded = [head(part).clone() for part in features]
        embeddings[f"head_f{f}"] = Embedding(*embedded, torch.no_grad()(loss.similarity))
    metrics: dict[str, Any] = {"train_classes": len(seen), "train_images": len(train_image), "embeddings": {}}
    for name, embedding in embeddings.items():
        metrics["embeddings"][name] = {
            f"unseen_balanced_accuracy_s{shots}_{rule}_rule": over_draws(values)
            for shots in config.shots
            for rule, values in score(
                asked, embedding, unseen, shots=shots, draws=config.draws, seed=shots, ways=config.ways
            ).balanced_accuracy.items()
        }
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=data.described(),
        split={"seen": seen, "unseen": unseen},
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
