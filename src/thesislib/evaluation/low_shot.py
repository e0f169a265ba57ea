"""Low-shot classification: a few labelled prototypes a class, drawn many times (Ignatiev 2019, section 3.2.1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

RULES = ("max", "mean", "softmax", "prototype_mean")

Similarity = Callable[[Tensor, Tensor], Tensor]  # [Q, f] and [P, f] to same-class logits [Q, P]


@dataclass(frozen=True)
class LowShotScores:
    """``balanced_accuracy`` maps each rule to one value a draw; ``confusion`` [C, C] counts, rows are truth.

    The confusion is summed over the draws, under the first rule asked for.
    """

    balanced_accuracy: dict[str, np.ndarray]
    confusion: np.ndarray


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Return the dot products of unit vectors: [A, f] and [B, f] to [A, B]."""
    return a @ b.T


def class_scores(query: Tensor, prototypes: Tensor, similarity: Similarity, rule: str) -> Tensor:
    """Return a score a class for each query: [Q, f] and prototypes [C, S, f] to [Q, C].

    'max' is eq. 3.24, the nearest prototype; 'mean' eq. 3.25, the mean probability; 'softmax' eq. 3.26, whose
    denominator is the same for every class and is left out; 'prototype_mean' the similarity to the mean
    prototype, scaled to length 1 (Snell et al. 2017, with the cosine). Unknown rules raise ValueError.
    """
    if rule == "prototype_mean":
        return similarity(query, normalize(prototypes.mean(dim=1), dim=1))  # [Q, C]
    classes, shots, f = prototypes.shape
    logits = similarity(query, prototypes.reshape(classes * shots, f)).view(len(query), classes, shots)
    if rule == "max":
        return logits.amax(dim=2)
    if rule == "mean":
        return logits.sigmoid().mean(dim=2)
    if rule == "softmax":
        return logits.logsumexp(dim=2)
    raise ValueError(f"unknown rule {rule!r}; known: {', '.join(RULES)}")


def low_shot(
    query: Tensor,
    query_label: Tensor,
    pool: Tensor,
    pool_label: Tensor,
    *,
    shots: int,
    draws: int,
    seed: int,
    similarity: Similarity = cosine,
    rules: Sequence[str] = ("max",),
    ways: int | None = None,
) -> LowShotScores:
    """Classify queries by ``shots`` prototypes a class drawn from the pool, ``draws`` times over.

    ``query`` [Q, f] and ``pool`` [P, f] are embeddings, the labels [Q] and [P] name the same C classes. With
    ``ways`` each draw also picks that many of the classes (an episode). The drawn prototypes follow from the
    seed alone, so that two embeddings of the same images meet the same draws. Raises ValueError where a class
    has fewer than ``shots`` images in the pool.
    """
    labels = torch.unique(pool_label).tolist()
    members = {c: torch.nonzero(pool_label == c).flatten().cpu().numpy() for c in labels}
    scarce = [c for c in labels if len(members[c]) < shots]
    if scarce or set(query_label.unique().tolist()) - set(labels):
        raise ValueError(
            f"every class needs {shots} images in the pool; too few for classes {scarce or 'unknown'}"
        )
    random = np.random.RandomState(seed)
    accuracy = {rule: np.empty(draws) for rule in rules}
    confusion = torch.zeros(len(labels), len(labels), dtype=torch.long)
    position = {c: i for i, c in enumerate(labels)}
    truth = torch.tensor([position[c] for c in query_label.tolist()], device=query.device)
    for draw in range(draws):
        episode = sorted(random.choice(len(labels), ways, replace=False)) if ways else range(len(labels))
        chosen = np.stack([random.choice(members[labels[i]], shots, replace=False) for i in episode])
        prototypes = pool[torch.from_numpy(chosen).to(pool.device)]  # [C, S, f]
        classes = torch.tensor(list(episode), device=query.device)
        asked = torch.isin(truth, classes)
        for rule in rules:
            scores = class_scores(query[asked], prototypes, similarity, rule)
            predicted = classes[scores.argmax(dim=1)]  # [Q]
            counts = torch.bincount(truth[asked] * len(labels) + predicted, minlength=len(labels) ** 2)
            counts = counts.view(len(labels), len(labels)).cpu()
            accuracy[rule][draw] = balanced_accuracy(counts)
            if rule == rules[0]:
                confusion += counts
    return LowShotScores(accuracy, confusion.numpy())


def balanced_accuracy(confusion: Tensor | np.ndarray) -> float:
    """Return the mean over classes of the share of their images classified right: counts [C, C], rows truth."""
    counts = np.asarray(confusion, dtype=float)
    total = counts.sum(axis=1)
    return float((counts.diagonal()[total > 0] / total[total > 0]).mean())
