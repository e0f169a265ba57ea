"""All classes seen: how good are the classifiers that chapter 3's embeddings stand on? (Ignatiev 2019, 3.2.2)

The thesis divides Kuzushiji-49 into classes that are seen and classes that are not. The set's own benchmark
asks another question: all classes are trained, and the test images are new. Here both recipes answer that
one, so that they can be compared with what others print for these sets.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from thesislib import paths, results, runtime
from thesislib.chapters.character_stages import (
    BEST_AUGMENTATION,
    NETWORK,
    THESIS_AUGMENTATION,
    best_recipe,
    data_sha256,
    embed,
    thesis_recipe,
    train_classifier,
    unit_pixels,
)
from thesislib.config import ExperimentConfig
from thesislib.datasets import glyphs
from thesislib.networks.glyph_classifier import GlyphEncoder
from thesislib.training import read_history

EXPERIMENT = "character_benchmark"
NEIGHBOURS = (1, 4)  # the set's own table prints 4


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """One classifier by the thesis's recipe and one by the best, of all classes of a set.

    ``thesis run character_benchmark --profile full -p dataset kmnist`` is the thesis's own size: minutes on a
    graphics card, a day on one CPU core. The stored record says which smaller size it has.
    """

    dataset: Literal["invented", "kmnist", "k49", "k49_stand_in"] = "kmnist"
    images_per_class: int | None = None
    test_images_per_class: int | None = None
    width: float = 1.0
    stem_stride: int = 1
    best_features: int = 128
    batch_size: int = 1024
    thesis_epochs: int = 20
    best_epochs: int = 30

    profiles: ClassVar = {
        "smoke": dict(dataset="invented", images_per_class=20, test_images_per_class=5, width=0.25)
        | dict(stem_stride=2, best_features=16, batch_size=64, thesis_epochs=1, best_epochs=6),
        "quick": dict(dataset="invented", images_per_class=50, test_images_per_class=20, width=0.5)
        | dict(stem_stride=2, batch_size=128, thesis_epochs=6, best_epochs=8),
        "full": {},
    }


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
    committed = config.dataset != "invented" and config.profile_name == "full"
    name = results.record_name(config, f"{config.dataset}-seed{config.seed}")
    return results.record_path(EXPERIMENT, name, committed=committed)


def load(config: Config) -> glyphs.GlyphDataset:
    """Return the data set of a configuration; raises DataError where files are missing or damaged."""
    return glyphs.load(
        config.dataset,
        paths.raw_data(),
        images_per_class=config.images_per_class,
        test_images_per_class=config.test_images_per_class,
    )


def accuracies(predicted: Tensor, label: Tensor) -> dict[str, float]:
    """Return plain and balanced accuracy (the mean of the classes' recalls) of predicted [N] against label [N]."""
    right = predicted == label
    recall = torch.stack([right[label == c].float().mean() for c in label.unique()])
    return {"test_accuracy": float(right.float().mean()), "test_balanced_accuracy": float(recall.mean())}


def nearest_neighbours(query: Tensor, pool: Tensor, label: Tensor, k: int) -> Tensor:
    """Return the majority class of the k most similar pool vectors [P, f] for each query [Q, f]: [Q].

    Where classes tie, the one with the larger sum of similarities wins.
    """
    predicted = []
    for part in query.split(256):
        similarity, index = (part @ pool.T).topk(k, dim=1)  # [q, k]
        votes = torch.zeros(len(part), int(label.max()) + 1, device=query.device)
        votes.scatter_add_(1, label[index], 1 + similarity / (2 * k))  # similarity breaks ties, never votes
        predicted.append(votes.argmax(dim=1))
    return torch.cat(predicted)


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    device = runtime.best_device()
    data = load(config)
    parts = (data.train.image, data.train.label, data.test.image, data.test.label)
    train, train_label, test, test_label = (torch.from_numpy(part).to(device) for part in parts)
    folder = paths.RUNS / EXPERIMENT / f"{record_path(config).stem}-{results.source_hash(__name__)[:8]}"

    metrics: dict[str, Any] = {
        "train_images": len(train),
        "test_images": len(test),
        "largest_class": accuracies(torch.full_like(test_label, int(train_label.mode().values)), test_label),
        "training_loss": {},
    }
    pool, query = embed(unit_pixels, train), embed(unit_pixels, test)
    for k in NEIGHBOURS:
        metrics[f"pixels_{k}nn"] = accuracies(nearest_neighbours(query, pool, train_label, k), test_label)
    for name in ("thesis", "best"):
        best = name == "best"
        runtime.seed_everything(config.seed, NETWORK)
        classifier = train_classifier(
            train,
            train_label,
            GlyphEncoder(
                width=config.width,
                stem_stride=config.stem_stride,
                features=config.best_features if best else 32,
            ),
            best_recipe(config.best_epochs, config.batch_size)
            if best
            else thesis_recipe(config.thesis_epochs, config.batch_size),
            folder=folder / name,
            seed=config.seed,
            augmentation=BEST_AUGMENTATION if best else THESIS_AUGMENTATION,
            dropout=0.2 if best else 0.5,
            label_smoothing=0.1 if best else 0.0,
        )
        metrics[f"{name}_classifier"] = accuracies(embed(classifier, test).argmax(dim=1), test_label)
        metrics["training_loss"][name] = [row["loss"] for row in read_history(folder / name)]
        if best:
            moves = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))

            def five(x: Tensor, classifier=classifier, moves=moves) -> Tensor:
                return sum(classifier(x.roll(move, dims=(2, 3))).softmax(dim=1) for move in moves)

            metrics["best_classifier_five_views"] = accuracies(embed(five, test).argmax(dim=1), test_label)
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=data.described(),
        split={"classes": list(data.classes), "protocol": "all classes trained; the set's own test images"},
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
