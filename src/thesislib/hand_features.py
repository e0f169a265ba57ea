"""Pictures of hands and their keypoints as vectors that a letter can be read from.

Pictures are uint8 [N, 3, S, S] and at least one, what comes back is float32 [N, D]; another kind of array raises
ValueError. A network is a `networks.pose.PoseNetwork`, or any with its `features` and heatmaps; it is put into
evaluation mode and works in batches, on its own device and without gradients.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, normalize
from torch.optim.swa_utils import update_bn

from thesislib import heatmaps
from thesislib.heatmaps import NUM_JOINTS
from thesislib.synthetic.hand import BONES
from thesislib.transforms.hands import LUMA, about_centre, to_input, warped

BATCH = 256
HOG_SIDE = 64  # pixels that a picture is brought to before its edges are counted
FINGER_BASES = (1, 5, 9, 13, 17)
FINGERTIPS = (4, 8, 12, 16, 20)
# Turn in degrees (clockwise to the eye), zoom, shift as shares of the picture's side; the first changes nothing.
VIEWS = (
    (0.0, 1.0, 0.0, 0.0),
    (-8.0, 1.0, 0.0, 0.0),
    (8.0, 1.0, 0.0, 0.0),
    (0.0, 0.9, 0.0, 0.0),
    (0.0, 1.1, 0.0, 0.0),
    (0.0, 1.0, -0.05, 0.0),
    (0.0, 1.0, 0.05, 0.0),
    (0.0, 1.0, 0.0, -0.05),
    (0.0, 1.0, 0.0, 0.05),
)

Feature = Callable[[np.ndarray], np.ndarray]  # pictures uint8 [N, 3, S, S] to float32 [N, D]
Density = Callable[[Tensor], Tensor]  # logits of heatmaps to what they mean: torch.sigmoid, spatial_softmax


# Of pictures alone ------------------------------------------------------------------------------------------


def pixels(image: np.ndarray, side: int = 16) -> np.ndarray:
    """Return brightness at ``side`` x ``side`` pixels, less its mean, as unit vectors [N, side * side].

    A picture of one brightness throughout gives zeros.
    """
    grey = _in_batches(lambda x: adaptive_avg_pool2d(_grey(x), side).flatten(1), image)
    return _unit(grey - grey.mean(axis=1, keepdims=True))


def hog(image: np.ndarray) -> np.ndarray:
    """Return histograms of oriented gradients (Dalal and Triggs 2005) of pictures brought to 64 pixels: [N, 1764].

    Nine directions, cells of 8 x 8 pixels, blocks of 2 x 2 cells, as scikit-image counts them.
    """
    from skimage.feature import hog as histogram  # imported here: it is slow to load, and few need it

    grey = _in_batches(lambda x: _resized(_grey(x), HOG_SIDE)[:, 0], image)  # [N, 64, 64]
    cells = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2)}
    found = [histogram(picture, **cells) for picture in grey]
    return np.asarray(found, np.float32)


def as_right_hands(image: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Return the pictures with those where ``left`` bool [N] mirrored: all show right hands."""
    return np.where(left[:, None, None, None], image[..., ::-1], image)


# Of a network -----------------------------------------------------------------------------------------------


def pooled(network: nn.Module, image: np.ndarray) -> np.ndarray:
    """Return the encoder's features averaged over the picture, [N, 128] (Ignatiev 2019, section 3.3)."""
    return _of_network(network, lambda x: network.features(x).mean(dim=(2, 3)), image)


def spatial(network: nn.Module, image: np.ndarray) -> np.ndarray:
    """Return the encoder's features where they stand, [N, 128 * 4 * 4] for pictures of 64 pixels."""
    return _of_network(network, lambda x: network.features(x).flatten(1), image)


def heatmap_features(
    network: nn.Module, image: np.ndarray, *, density: Density = torch.sigmoid, side: int = 8
) -> np.ndarray:
    """Return the root of each joint's heatmap shrunk to ``side`` x ``side``, [N, 21 * side * side].

    The root lets places that a network thinks possible count beside the one it is sure of. ``density`` says what
    a map's logits mean: `torch.sigmoid` after a loss of single pixels, `heatmaps.spatial_softmax` after the
    spatial cross entropy.
    """

    def shrunk(x: Tensor) -> Tensor:
        return adaptive_avg_pool2d(density(network(x).float()), side).sqrt().flatten(1)

    return _of_network(network, shrunk, image)


def predicted_keypoints(
    network: nn.Module, image: np.ndarray, *, density: Density = torch.sigmoid
) -> np.ndarray:
    """Return the joints that a network finds, read from its heatmaps by DARK: [N, 21, 2] in pixels."""
    size = image.shape[-1]
    return _of_network(network, lambda x: heatmaps.dark(density(network(x).float()), size), image)


def adapted(network: nn.Module, image: np.ndarray) -> nn.Module:
    """Return a copy of a network with its batch norms' statistics taken from these pictures, which need no labels.

    AdaBN (Li et al. 2016, "Revisiting batch normalization for practical domain adaptation"). The network itself
    stays as it is.
    """
    _check(image)
    copy, device = deepcopy(network), next(network.parameters()).device
    parts = np.array_split(image, -(-len(image) // BATCH))  # as even as can be: each counts alike
    update_bn((_input(torch.tensor(part), device) for part in parts), copy)
    return copy.eval()


# Of keypoints -----------------------------------------------------------------------------------------------


def keypoint_vector(keypoints: np.ndarray) -> np.ndarray:
    """Return keypoints [N, 21, 2] from the wrist, in parts of the hand's size: [N, 42], whatever place and scale.

    The size is the root mean square distance of the known joints from their middle. A joint that is not known
    (NaN) lies where the wrist does; a hand without a wrist is measured from its middle, one without joints is 0.
    """
    return _placed(keypoints).reshape(len(keypoints), 2 * NUM_JOINTS)


def angle_vector(keypoints: np.ndarray) -> np.ndarray:
    """Return how the bones of hands [N, 21, 2] point and bend and where fingertips are, whatever place and scale.

    [N, 110]: cosine and sine of the direction of each of the 20 bones; of the 15 bends from one bone of a finger
    to the next; and, in parts of the hand's size (see `keypoint_vector`), the distances between fingertips (10)
    and from each to the wrist and the five fingers' bases (30). What an unknown joint (NaN) has part in is 0.
    """
    points = np.where(_known(keypoints)[..., None], _placed(keypoints), np.nan)
    parents, children = np.array(BONES).T
    bones = points[:, children] - points[:, parents]  # [N, 20, 2]
    direction = bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-6)
    x, y = np.moveaxis(direction.reshape(-1, 5, 4, 2), -1, 0)  # [N, 5, 4]: a finger's bones from the wrist
    bend_cos = x[..., :-1] * x[..., 1:] + y[..., :-1] * y[..., 1:]  # [N, 5, 3]
    bend_sin = x[..., :-1] * y[..., 1:] - y[..., :-1] * x[..., 1:]
    tips = points[:, FINGERTIPS]  # [N, 5, 2]
    first, second = np.triu_indices(len(FINGERTIPS), 1)
    between = np.linalg.norm(tips[:, first] - tips[:, second], axis=-1)  # [N, 10]
    reach = np.linalg.norm(tips[:, :, None] - points[:, None, (0, *FINGER_BASES)], axis=-1)  # [N, 5, 6]
    parts = (direction, bend_cos, bend_sin, between, reach)
    flat = [part.reshape(len(keypoints), -1) for part in parts]
    return np.nan_to_num(np.concatenate(flat, axis=1)).astype(np.float32)


# Of features ------------------------------------------------------------------------------------------------


def centred(x: np.ndarray, signer: np.ndarray) -> np.ndarray:
    """Return features [N, D] less the mean of their signer [N]: what a signer's pictures share needs no labels."""
    _, row = np.unique(signer, return_inverse=True)
    total = np.zeros((row.max() + 1, x.shape[1]))
    np.add.at(total, row, x)
    return (x - (total / np.bincount(row)[:, None])[row]).astype(np.float32)


def views(image: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the pictures as they are, then under each small move of `VIEWS`: uint8 [N, 3, S, S] each time."""
    yield image
    for turn, zoom, *shift in VIEWS[1:]:
        angle = np.deg2rad(turn)
        linear = zoom * torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = about_centre(linear[None].float(), image.shape[-1])
        matrix[:, :2, 2] += image.shape[-1] * torch.tensor(shift)

        def moved(x: Tensor, matrix: Tensor = matrix) -> Tensor:
            nothing = torch.zeros(len(x), 0, 3)  # no keypoints to take along
            return warped(x.float(), nothing, matrix.expand(len(x), 3, 3))[0].round().byte()

        yield _in_batches(moved, image)


def mean_over_views(feature: Feature, image: np.ndarray) -> np.ndarray:
    """Return the mean of a feature, uint8 [N, 3, S, S] to [N, D], over the `views` of each picture."""
    return sum(feature(view) for view in views(image)) / np.float32(len(VIEWS))


# Inside -----------------------------------------------------------------------------------------------------


def _check(image: np.ndarray) -> None:
    shape = image.shape
    if image.dtype != np.uint8 or image.ndim != 4 or shape[1] != 3 or shape[2] != shape[3] or not len(image):
        raise ValueError(f"pictures are uint8 [N, 3, S, S], one at least, not {image.dtype} {list(shape)}")


def _in_batches(function: Callable[[Tensor], Tensor], image: np.ndarray) -> np.ndarray:
    """Return a function of pictures, a batch at a time and without gradients."""
    _check(image)
    starts = range(0, len(image), BATCH)
    with torch.inference_mode():
        parts = [function(torch.tensor(image[start : start + BATCH])).cpu().numpy() for start in starts]
    return np.concatenate(parts)


def _of_network(network: nn.Module, function: Callable[[Tensor], Tensor], image: np.ndarray) -> np.ndarray:
    network.eval()
    device = next(network.parameters()).device
    return _in_batches(lambda x: function(_input(x, device)).float(), image)


def _input(x: Tensor, device: torch.device) -> Tensor:
    return to_input(x.to(device)).contiguous(memory_format=torch.channels_last)


def _grey(x: Tensor) -> Tensor:
    """Return brightness, [B, 3, S, S] to [B, 1, S, S] in 0..1."""
    return torch.einsum("bchw,c->bhw", x.float() / 255, torch.tensor(LUMA))[:, None]


def _resized(x: Tensor, side: int) -> Tensor:
    if x.shape[-1] == side:
        return x
    return interpolate(x, size=(side, side), mode="bilinear", antialias=True)


def _unit(x: np.ndarray) -> np.ndarray:
    return normalize(torch.from_numpy(x), dim=1).numpy()


def _known(keypoints: np.ndarray) -> np.ndarray:
    if keypoints.ndim != 3 or keypoints.shape[1:] != (NUM_JOINTS, 2):
        raise ValueError(f"keypoints are [N, 21, 2], not {list(keypoints.shape)}")
    return np.isfinite(keypoints).all(axis=-1)  # [N, 21]


def _placed(keypoints: np.ndarray) -> np.ndarray:
    """Return keypoints [N, 21, 2] from the wrist in parts of the hand's size; `keypoint_vector` says the rest."""
    known = _known(keypoints)[..., None]
    points = np.where(known, keypoints, 0).astype(np.float64)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)  # [N, 1, 1]
    middle = points.sum(axis=1, keepdims=True) / count
    spread = np.where(known, points - middle, 0)
    size = np.sqrt((spread**2).sum(axis=(1, 2), keepdims=True) / count)
    origin = np.where(known[:, :1], points[:, :1], middle)
    placed = np.where(known, points - origin, 0) / np.maximum(size, 1e-6)
    return placed.astype(np.float32)
