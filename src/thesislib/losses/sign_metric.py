"""What a network of signs learns from: AM-softmax with entropy, two pushes, sharp attention (Izutov 2020, III-C).

Each term has a weight and is not computed where that is 0. The paper gives no margin, no weight and no equation of
the pushes. Those here are from the author's published code: the configuration for MS-ASL in the OpenVINO Training
Extensions of 2020, and its successor for the weight of the attention's loss. Where the code does something else
than the paper says, the preset "repository" follows it: in `falling_scale`, in the mean that `SignMetricLoss` takes
of AM-softmax, and in `attention.hard_total_variation`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, normalize, one_hot, relu

from thesislib.losses.attention import Preset, hard_total_variation

START_SCALE, END_SCALE = 30.0, 5.0  # Izutov 2020, section III-C
POWER = 1.2  # of the author's polynomial
SMALLEST_SINE = 1e-3  # what float32 can tell of a sine by way of 1 - cos²


def falling_scale(epoch: Tensor, epochs: float = 40.0, preset: Preset = "paper") -> Tensor:
    """Return the scale of the cosines at fractional epochs, any shape: 30 at first, 5 from ``epochs`` on.

    "paper" is a straight line (a gradual descent during 40 epochs, Izutov 2020, section III-C); "repository" is
    the author's curve, which falls fast at first and levels out (there over 41.276 epochs).
    """
    progress = (epoch / epochs).clamp(0, 1)
    if preset == "repository":
        progress = (POWER * progress - progress**POWER) / (POWER - 1)
    return START_SCALE + (END_SCALE - START_SCALE) * progress


def am_softmax(
    cosine: Tensor, label: Tensor, *, scale: float | Tensor, margin: float, entropy_weight: float = 0.0
) -> Tensor:
    """Return AM-softmax (Wang et al. 2018) less weighted entropy, at least 0: [B, C] and [B] to [B].

    [L_cross - entropy_weight H(p)]_+ of each clip (Izutov 2020, eq. 2). L_cross is the cross entropy of the scaled
    cosines, the true word's lowered by ``margin``; p is the distribution as it is predicted, without a margin.
    """
    lowered = cosine - margin * one_hot(label, cosine.shape[1]).to(cosine)
    cross = cross_entropy(scale * lowered, label, reduction="none")
    log_p = log_softmax(scale * cosine, dim=1)
    return relu(cross + entropy_weight * (log_p.exp() * log_p).sum(1))


def pr_product(cosine: Tensor) -> Tensor:
    """Return cosines as they are, their gradient divided by the sine of the angle (Wang, Zou and Xu 2019).

    |sin| cos + cos (1 - |sin|), the first sine and the second cosine held fixed, is cos, and its derivative with
    respect to cos is 1 / |sin|. So vectors turn with the same strength at any angle, where the gradient of a
    cosine fades out as they come to point the same or the opposite way.
    """
    fixed = cosine.detach()
    sine = (1 - fixed.square()).clamp_min(SMALLEST_SINE**2).sqrt()
    return fixed + (cosine - fixed) / sine


def sample_push(embedding: Tensor, own_cosine: Tensor, label: Tensor, margin: float = 0.1) -> Tensor:
    """Return how much too near clips of other words are: unit embeddings [B, f], labels [B] to one number.

    A clip whose cosine to its own word's centre is ``own_cosine`` [B] should be further by ``margin`` from every
    clip of another word: it pays max(0, cosine - max(0, own_cosine - margin)) for the nearest such clip; the mean
    over clips. How near its own centre is has no gradient here. Izutov 2020 names it PushPlus, without an
    equation; this is the author's code. Raises ValueError where all clips are of one word.
    """
    other = label[:, None] != label
    if not other.any():
        raise ValueError(
            f"all {len(label)} clips of this batch are of one word, and nothing can be pushed apart; "
            "use a larger batch, more words, or no push between samples (weight 0)"
        )
    allowed = (own_cosine.detach() - margin).clamp_min(0)
    excess = relu(embedding @ embedding.T - allowed[:, None])  # [B, B]
    return excess.masked_fill(~other, 0).amax(1).mean()


def centre_push(centre: Tensor, allowed: float = 0.1) -> Tensor:
    """Return by how much unit centres [C, f] are nearer than the cosine ``allowed``: the mean over such pairs.

    0 where there is no such pair. Izutov 2020 names it L_cpush, without an equation; this is the author's code.
    """
    i, j = torch.triu_indices(len(centre), len(centre), offset=1, device=centre.device)
    excess = relu((centre @ centre.T)[i, j] - allowed)
    return excess.sum() / (excess > 0).sum().clamp_min(1)


class SignMetricLoss(nn.Module):
    """The sum of all terms of Izutov 2020 for embeddings [B, f] and words [B]; it owns a centre a word.

    What the network gives is its embedding, or a pair of that and a list of attention masks [B, ..., T, M, N],
    values 0 to 1, which ``total_variation_weight`` needs; masks are summed over. `epoch`, a buffer that
    checkpoints keep, says how far the scale has fallen: the training loop moves it on by `start_epoch`.
    ``pr_product`` changes gradients of AM-softmax alone, the last inner product. The preset "repository" averages
    AM-softmax over the clips whose loss is above 0, "paper" over all; for the rest see the functions above.
    Raises ValueError for wrong shapes, embeddings that are not finite, and labels that are no word.
    """

    def __init__(
        self,
        num_words: int,
        num_features: int = 256,
        *,
        preset: Preset = "paper",
        margin: float = 0.35,
        scale_epochs: float = 40.0,
        entropy_weight: float = 0.085,
        pr_product: bool = True,
        sample_push_weight: float = 1.0,
        centre_push_weight: float = 1.0,
        total_variation_weight: float = 0.1,
    ) -> None:
        super().__init__()
        if num_words < 2 or preset not in ("paper", "repository"):
            raise ValueError(f"two words at least and a preset, paper or repository: {num_words}, {preset!r}")
        self.preset, self.margin, self.scale_epochs = preset, margin, scale_epochs
        self.entropy_weight, self.pr_product = entropy_weight, pr_product
        weights = {
            "am_softmax": 1.0,
            "sample_push": sample_push_weight,
            "centre_push": centre_push_weight,
            "total_variation": total_variation_weight,
        }
        self.weights = {name: weight for name, weight in weights.items() if weight}
        self.centre = nn.Parameter(normalize(torch.randn(num_words, num_features), dim=1))
        self.register_buffer("epoch", torch.zeros(()))

    def start_epoch(self, epoch: float) -> None:
        """Say how many epochs have been trained, fractions too: `scale` follows."""
        self.epoch.fill_(epoch)

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied by now, a scalar."""
        return falling_scale(self.epoch, self.scale_epochs, self.preset)

    def cosine(self, embedding: Tensor) -> Tensor:
        """Return the cosines of embeddings and the words' centres, the scores of words: [B, f] to [B, C]."""
        return normalize(embedding.to(self.centre), dim=1) @ normalize(self.centre, dim=1).T

    def forward(self, output: Tensor | tuple[Tensor, Sequence[Tensor]], label: Tensor) -> Tensor:
        """Return the weighted sum of all terms."""
        terms = self.terms(output, label)
        return torch.stack([weight * terms[name] for name, weight in self.weights.items()]).sum()

    def terms(self, output: Tensor | tuple[Tensor, Sequence[Tensor]], label: Tensor) -> dict[str, Tensor]:
        """Return each term that has a weight, unweighted; in full precision whatever the network's."""
        embedding, masks = output if isinstance(output, tuple) else (output, ())
        self._check(embedding, label)
        if "total_variation" in self.weights and not masks:
            raise ValueError("the network gives no attention masks to judge; set total_variation_weight=0")
        with torch.autocast(embedding.device.type, enabled=False):
            return self._terms(embedding.to(self.centre), masks, label)

    def _terms(self, embedding: Tensor, masks: Sequence[Tensor], label: Tensor) -> dict[str, Tensor]:
        cosine = self.cosine(embedding)
        terms = {"am_softmax": self._am_softmax(cosine, label)}
        if "sample_push" in self.weights:
            own = cosine.gather(1, label[:, None])[:, 0]
            terms["sample_push"] = sample_push(normalize(embedding, dim=1), own, label)
        if "centre_push" in self.weights:
            terms["centre_push"] = centre_push(normalize(self.centre, dim=1))
        if "total_variation" in self.weights:
            each = [hard_total_variation(mask.to(self.centre), self.preset) for mask in masks]
            terms["total_variation"] = torch.stack(each).sum()
        return terms

    def _am_softmax(self, cosine: Tensor, label: Tensor) -> Tensor:
        loss = am_softmax(
            pr_product(cosine) if self.pr_product else cosine,
            label,
            scale=self.scale,
            margin=self.margin,
            entropy_weight=self.entropy_weight,
        )
        return loss.mean() if self.preset == "paper" else loss.sum() / (loss > 0).sum().clamp_min(1)

    def _check(self, embedding: Tensor, label: Tensor) -> None:
        num_words, num_features = self.centre.shape
        if embedding.ndim != 2 or embedding.shape[1] != num_features or label.shape != embedding.shape[:1]:
            raise ValueError(
                f"embeddings are [B, {num_features}] with a label each [B], got {list(embedding.shape)} and "
                f"{list(label.shape)}"
            )
        if len(label) == 0 or label.dtype != torch.int64:
            raise ValueError(f"labels are int64, one at least; got {label.dtype} {list(label.shape)}")
        if not 0 <= label.min() <= label.max() < num_words:
            low, high = int(label.min()), int(label.max())
            raise ValueError(f"labels are 0 to {num_words - 1} for {num_words} words; got {low} to {high}")
        if not torch.isfinite(embedding).all():
            raise ValueError(
                "an embedding is NaN or infinite: a clip is damaged, or training diverged and wants a lower rate"
            )
