"""How far predicted joints are from true ones: every number with its protocol in its name, and with its n.

Points are [N, J, 2] in pixels of square images of ``input_size``. ``labelled`` [N, J] says which keypoints have a
true position at all (default: all), ``visible`` [N, J] which of them can be seen. Errors are Euclidean distances.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

REPORTED_SIZE = 256  # the thesis quotes pixels of a 256-pixel image (Ignatiev 2019, figure 3.4)
UNKNOWN = -1  # of a signer
REPORT_INPUT = 128  # the ETH report counts joints within 2 pixels of its 128 (section 3.2)


def errors_px(predicted: Tensor, keypoints: Tensor, *, input_size: int, at: int = REPORTED_SIZE) -> Tensor:
    """Return the distance of each joint, [N, J], in pixels of an image ``at`` pixels wide."""
    if predicted.shape != keypoints.shape or keypoints.ndim != 3 or keypoints.shape[-1] != 2:
        raise ValueError(
            f"both sets of points are [N, J, 2]; got {tuple(predicted.shape)} and {tuple(keypoints.shape)}"
        )
    return (predicted - keypoints).norm(dim=-1) * (at / input_size)


def keypoint_metrics(
    predicted: Tensor,
    keypoints: Tensor,
    visible: Tensor,
    *,
    input_size: int,
    labelled: Tensor | None = None,
) -> dict[str, float]:
    """Return the benchmark's metrics: errors at 256 pixels over all, visible and occluded joints, AUC, share, n.

    A group without a keypoint has n = 0 and no error. Raises ValueError where no keypoint is labelled, or where a
    prediction is not a number.
    """
    labelled = torch.ones_like(visible) if labelled is None else labelled
    if not labelled.any():
        raise ValueError("no keypoint is labelled, so there is no error to report")
    error = errors_px(predicted, keypoints, input_size=input_size)
    if not error[labelled].isfinite().all():
        raise ValueError("a predicted or a true position is infinite or not a number")
    groups = {"": labelled, "_visible": labelled & visible, "_occluded": labelled & ~visible}
    metrics: dict[str, float] = {"n_images": int(labelled.any(dim=1).sum())}
    for name, group in groups.items():
        metrics[f"n_keypoints{name}"] = int(group.sum())
        if not group.any():
            continue
        chosen = error[group].double().cpu()
        metrics[f"epe_px_at_256{name}"] = float(chosen.mean())
        metrics[f"epe_median_px_at_256{name}"] = float(np.median(chosen))
        metrics[f"auc_0_30_px_at_256{name}"] = area_under_pck(chosen, 30)
    within = error[labelled] * (REPORT_INPUT / REPORTED_SIZE) <= 2
    metrics["share_within_2_px_at_128"] = float(within.float().mean())
    return metrics


def pck(error: Tensor, thresholds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the share of errors at or below each threshold, in the errors' own unit: the PCK curve [T]."""
    ordered = np.sort(error.flatten().double().cpu().numpy())
    return np.searchsorted(ordered, np.asarray(thresholds, dtype=float), side="right") / len(ordered)


def area_under_pck(error: Tensor, high: float, low: float = 0.0) -> float:
    """Return the area under the PCK curve between two thresholds, 1 at best: exact, not from points of the curve.

    An error e lifts the curve from e on, so its part of the area is the part of [low, high] above e.
    """
    return float((high - error.double().clamp(low, high)).mean() / (high - low))


def error_per_joint(error: Tensor, labelled: Tensor) -> np.ndarray:
    """Return the mean error of each joint, [N, J] to [J]; not a number for a joint that is never labelled."""
    total = (error * labelled).nan_to_num().sum(0)
    return (total / labelled.sum(0)).cpu().numpy()


def box_side(keypoints: Tensor, labelled: Tensor | None = None) -> Tensor:
    """Return the longer side of the tight box around the labelled keypoints: [N, J, 2] to [N], in their unit.

    Not a number for an image with fewer than two labelled keypoints, or with all of them in one place.
    """
    labelled = torch.ones_like(keypoints[..., 0], dtype=torch.bool) if labelled is None else labelled
    inside = labelled[..., None]
    low = keypoints.where(inside, torch.inf).amin(dim=1)
    high = keypoints.where(inside, -torch.inf).amax(dim=1)
    side = (high - low).amax(dim=-1)
    return side.where(side > 0, torch.nan)


def error_over_box(
    predicted: Tensor,
    keypoints: Tensor,
    side: Tensor,
    labelled: Tensor | None = None,
    *,
    signer: Tensor | None = None,
) -> dict[str, float]:
    """Return mean, median and n of the images' mean errors, in parts of the longer side of the hand's box.

    ``side`` [N] is in the points' unit; how the box is defined is the data set's to say (``box_side`` is the tight
    one). Images without a side or a labelled keypoint are left out; ValueError where none is left. ``signer``,
    int64 [N] with -1 for unknown, says whose hands they are: the interval then draws people, not images, because
    those of one person are alike. ``n_signers`` is how many are known; below two the interval draws images, and is
    too narrow if they show few people.
    """
    labelled = torch.ones_like(keypoints[..., 0], dtype=torch.bool) if labelled is None else labelled
    distance = errors_px(predicted, keypoints, input_size=1, at=1)
    counts = labelled.sum(1)
    share = torch.where(labelled, distance, 0).sum(1) / counts / side  # [N]
    used = (counts > 0) & side.isfinite()
    share = share[used].double()
    if not len(share):
        raise ValueError("no image has a hand's box and a labelled keypoint")
    who = torch.full_like(counts, UNKNOWN)[used] if signer is None else signer[used]
    n_signers = len(who[who != UNKNOWN].unique())
    low, high = bootstrap_interval(share, who if n_signers > 1 else None)
    return {
        "error_over_box": float(share.mean()),
        "error_over_box_low": low,
        "error_over_box_high": high,
        "error_over_box_median": float(np.median(share.cpu())),
        "n_images": len(share),
        "n_signers": n_signers,
    }


def bootstrap_interval(
    values: Tensor, signer: Tensor | None = None, *, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the central 95 % of the mean when images are drawn again with replacement: one value an image, [N].

    With ``signer``, int64 [N], people are drawn, each with all their images; an image of nobody known (-1) counts
    as a person of its own.
    """
    v, n = values.double().cpu().numpy(), len(values)
    group = np.arange(n)
    if signer is not None:
        who = signer.cpu().numpy()
        group = np.unique(np.where(who == UNKNOWN, -1 - np.arange(n), who), return_inverse=True)[1]
    total, count = np.bincount(group, v), np.bincount(group)
    generator = np.random.default_rng(seed)
    drawn = (generator.integers(len(count), size=len(count)) for _ in range(draws))
    means = [total[rows].sum() / count[rows].sum() for rows in drawn]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
