"""What the embeddings of chapter 3 look at: maps, gradients, preferred images and adversarial steps."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from thesislib.analysis.gradient_maps import adversarial_steps, preferred_images, similarity_gradients
from thesislib.analysis.kernel_pca import (
    kernel_pca,
    largest_difference_to_plain_pca,
    nearest_neighbour_accuracy,
)
from thesislib.chapters.character_stages import Characters
from thesislib.datasets.splits import ClassSplit
from thesislib.evaluation.low_shot import class_scores, cosine
from thesislib.transforms.glyphs import to_input

MAPPED_CLASSES = 10  # of kernel PCA, as in figure 3.17
IMAGES_A_CLASS = 30
PAIRED_IMAGES = 8  # of the gradient grid, figure 3.18
ADVERSARIAL_STEPS, ADVERSARIAL_RATE = 8, 4 / 255


def measure(
    characters: Characters,
    split: ClassSplit,
    thesis: nn.Module,
    head: nn.Module,
    loss: nn.Module,
    best: nn.Module,
    seed: int,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays that the figures draw, and the metrics that the page quotes.

    ``thesis`` and ``best`` are trained classifiers; ``head`` and ``loss`` the thesis's embedding on the first.
    """

    def thesis_embed(x: Tensor) -> Tensor:
        return head(thesis.encoder(x))  # [B, 1, 28, 28] -> [B, f]

    def best_embed(x: Tensor) -> Tensor:
        return normalize(best.encoder.spatial(x), dim=1)

    for module in (thesis, best, head, loss):
        module.eval().requires_grad_(False)
    random = np.random.RandomState(seed)
    seen = sorted(random.choice(split.seen, MAPPED_CLASSES, replace=False).tolist())
    unseen = list(split.unseen)
    fewest = min(int(torch.bincount(part).min()) for part in (characters.query_label, characters.pool_label))
    count = min(IMAGES_A_CLASS, fewest)
    arrays: dict[str, np.ndarray] = {}
    metrics: dict[str, Any] = {"mapped_seen_classes": seen}
    for group, classes in (("seen", seen), ("unseen", unseen)):
        index = first_of_each(characters.query_label, classes, count)
        images = to_input(characters.query[index])
        label = characters.query_label[index].cpu().numpy()
        arrays[f"{group}_image"] = characters.query[index].cpu().numpy()
        arrays[f"{group}_label"] = label
        for name, embed in (("thesis", thesis_embed), ("best", best_embed)):
            embedding = embed(images).detach().cpu().numpy()
            arrays[f"{group}_{name}_map"] = kernel_pca(embedding)
            metrics[f"{group}_{name}_kernel_minus_plain_pca"] = largest_difference_to_plain_pca(embedding)
            pool = first_of_each(characters.pool_label, classes, count)
            train = embed(to_input(characters.pool[pool])).detach().cpu().numpy()
            train_label = characters.pool_label[pool].cpu().numpy()
            for components in (2, min(10, embedding.shape[1])):
                metrics[f"{group}_{name}_accuracy_5nn_on_{components}_kernel_components"] = (
                    nearest_neighbour_accuracy(train, train_label, embedding, label, components)
                )

    pair_index = first_of_each(characters.query_label, seen[:PAIRED_IMAGES], 1)
    pairs = to_input(characters.query[pair_index])
    arrays["pair_image"] = characters.query[pair_index].cpu().numpy()
    for name, embed in (("thesis", thesis_embed), ("best", best_embed)):
        arrays[f"{name}_gradient"] = similarity_gradients(embed, pairs).cpu().numpy().astype(np.float32)
    preferred = preferred_images(lambda x: head(thesis.encoder(x.to(pairs.device))), head.f, pairs.shape[-1])
    arrays["preferred_image"] = preferred.cpu().numpy()

    # One step at a time towards the second most similar class, ten prototypes a class.
    prototype_index = first_of_each(characters.pool_label, unseen, 10)
    query_index = first_of_each(characters.query_label, unseen, count)
    images, truth = to_input(characters.query[query_index]), characters.query_label[query_index]
    for name, embed in (("thesis", thesis_embed), ("best", best_embed)):
        prototypes = embed(to_input(characters.pool[prototype_index])).view(len(unseen), 10, -1)
        similarity = loss.similarity if name == "thesis" else cosine

        def score(x: Tensor, embed=embed, prototypes=prototypes, similarity=similarity) -> Tensor:
            return class_scores(embed(x), prototypes, similarity, "max")  # [n, C]

        ranked = score(images).argsort(dim=1, descending=True)
        path = adversarial_steps(score, images, ranked[:, 1], rate=ADVERSARIAL_RATE, steps=ADVERSARIAL_STEPS)
        right = torch.tensor(unseen, device=truth.device)
        after = [(right[score(x[:, None]).argmax(dim=1)] == truth).float().mean() for x in path]
        metrics[f"{name}_unseen_accuracy_s10_after_adversarial_steps"] = [float(a) for a in after]
        shown = slice(None, None, count)
        arrays[f"{name}_adversarial"] = (
            path[[0, ADVERSARIAL_STEPS]][:, shown].cpu().numpy().astype(np.float32)
        )
        arrays[f"{name}_adversarial_target"] = right[ranked[shown, 1]].cpu().numpy()
    metrics["adversarial_rate"] = ADVERSARIAL_RATE
    return arrays, metrics


def first_of_each(label: Tensor, classes: list[int], count: int) -> Tensor:
    """Return indices of the first ``count`` images of each class, class by class: [len(classes) * count]."""
    return torch.cat([torch.nonzero(label == c).flatten()[:count] for c in classes])
