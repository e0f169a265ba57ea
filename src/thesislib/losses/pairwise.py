"""Losses over all pairs of a batch: the thesis's pairwise cross entropy, and Koch's L1 siamese one."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits


def pair_cross_entropy(same_class_logit: Tensor, label: Tensor) -> Tensor:
    """Return the weighted binary cross entropy over all pairs i < j of a batch (Ignatiev 2019, eqs 3.19-3.21).

    ``same_class_logit`` [B, B] is symmetric, ``label`` [B]. With y_ij = 1 where the labels agree,
    L = -mean over i<j of (pos y_ij log p_ij + (1 - y_ij) log(1 - p_ij)), p = sigmoid(logit).
    The thesis sets pos = |C| - 1, the ratio of different to same pairs it expects; pos here is that ratio as the
    batch has it, so that unbalanced classes weigh right. A pair of an image with itself carries no gradient and
    is left out. A batch without a same-class pair raises ValueError.
    """
    i, j = torch.triu_indices(len(label), len(label), offset=1, device=label.device)
    same_class = (label[i] == label[j]).to(same_class_logit.dtype)  # [B(B-1)/2]
    num_same = same_class.sum()
    if num_same == 0:
        raise ValueError(f"no two of the {len(label)} images of this batch share a class; use a larger batch")
    pos = (len(same_class) - num_same) / num_same
    return binary_cross_entropy_with_logits(same_class_logit[i, j], same_class, pos_weight=pos)


class PairwiseCosineLoss(nn.Module):
    """The thesis's loss (eqs 3.17-3.22): p_ij = sigmoid(beta + alpha^2 phi_i . phi_j), plus weight |beta|.

    Takes unit embeddings [B, f] and labels [B]. alpha and beta are learned; they start at 2 and -1, the values
    that the text reports as learned, read in the order (beta, alpha): the other way round every pair, even of
    opposite vectors, would count as the same class.
    """

    def __init__(self, beta_penalty: float = 0.25) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(2.0))
        self.beta = nn.Parameter(torch.tensor(-1.0))
        self.beta_penalty = beta_penalty

    def similarity(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the logit that a pair is of the same class: [A, f] and [B, f] to [A, B]."""
        return self.beta + self.alpha.square() * a @ b.T

    def forward(self, embedding: Tensor, label: Tensor) -> Tensor:
        loss = pair_cross_entropy(self.similarity(embedding, embedding), label)
        return loss + self.beta_penalty * self.beta.abs()


class PairwiseL1Loss(nn.Module):
    """Koch's siamese similarity (Koch et al. 2015; Ignatiev 2019, eq. 3.28), on the same pairs and weights.

    p_ij = sigmoid(bias + sum_k weight_k |phi_ik - phi_jk|) for embeddings [B, f]; weights start at -1, so that
    a large distance means different classes. The original omits the bias; without it p never exceeds one half.
    """

    def __init__(self, f: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(-torch.ones(f))
        self.bias = nn.Parameter(torch.tensor(1.0))

    def similarity(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the logit that a pair is of the same class: [A, f] and [B, f] to [A, B]."""
        # One feature at a time: [A, B, f] would not fit in memory for thousands of images.
        distance = sum(
            w * (x[:, None] - y[None, :]).abs() for w, x, y in zip(self.weight, a.T, b.T, strict=True)
        )
        return self.bias + distance

    def forward(self, embedding: Tensor, label: Tensor) -> Tensor:
        return pair_cross_entropy(self.similarity(embedding, embedding), label)
