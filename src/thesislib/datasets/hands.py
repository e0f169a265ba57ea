"""Real hands, every set in one form: HandImages, each hand cut out as a square and resized.

A hand is cut out by its box, made square and enlarged about its middle:

- "keypoints": the box of all labelled keypoints, times 1.5;
- "given": the publisher's box, times 1.25 (asl7's fits tightly: it holds all keypoints of half its hands);
- "image": the whole picture, for sets that are cut out already (GANerated, as Ignatiev 2019 uses it).

Where the square reaches over the picture's edge, the edge's pixels are repeated. The square is resized with a
triangle filter that covers all pixels under it (antialiased), and keypoints are mapped by the same scale and
shift, without rounding.
"""

import warnings
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from thesislib.datasets.hand_images import HandImages
from thesislib.datasets.hand_layouts import LAYOUTS, AnnotatedHand
from thesislib.datasets.hand_test_sets import TEST_SETS
from thesislib.datasets.sources import DataError

NAMES = (*LAYOUTS, *TEST_SETS)
Box = Literal["keypoints", "given", "image"]
MARGIN = {"keypoints": 1.5, "given": 1.25, "image": 1.0}
LEAST_BOX_PX = 8.0  # a hand smaller than this shows no fingers
LEAST_LABELLED = 2  # keypoints, for a box of them
LARGEST_SQUARE = 8  # times the picture: more is a wrong box


def load(
    name: str,
    data_root: Path,
    *,
    size: int,
    part: Literal["train", "test"] = "test",
    box: Box | None = None,
) -> HandImages:
    """Return the hands of the set with this name (one of NAMES), cut out and resized to `size` pixels.

    `box` says what a hand is cut out by ("image" for the GANerated sets, "given" for asl7 and "keypoints" for
    the others, if not given). The box's longer side is size / MARGIN[box] pixels in every picture. The small test
    sets have no train part. Hands with fewer than two labelled keypoints or a box under 8 pixels are left out, with
    a warning that says how many. Raises DataError for an unknown name, part or box, and for missing, corrupt and
    foreign files.
    """
    hands = _annotated(name, Path(data_root), part)
    if box is None:
        box = "given" if name == "asl7" else "image" if name.startswith("ganerated") else "keypoints"
    if box not in get_args(Box):
        raise DataError(f"no way {box!r} to cut out a hand; there are: {', '.join(get_args(Box))}")
    if size < 1:
        raise DataError(f"size must be positive, not {size}")
    if box == "given" and any(hand.box is None for hand in hands):
        raise DataError(f"{name} gives no boxes; cut its hands out by 'keypoints' or 'image'")
    sized = [hand for hand in hands if _is_hand_sized(hand, box)]
    if not sized:
        raise DataError(
            f"{name}: none of {len(hands)} pictures has a box of at least {LEAST_BOX_PX:g} pixels"
        )
    if len(sized) < len(hands):
        warnings.warn(
            f"{name}: {len(hands) - len(sized)} hands without a hand-sized box left out", stacklevel=2
        )
    image = np.empty((len(sized), 3, size, size), np.uint8)
    keypoints = np.empty((len(sized), *sized[0].keypoints.shape), np.float32)
    for row, hand in enumerate(tqdm(sized, desc=f"cutting out {name}", unit=" hands", leave=False)):
        pixels = read_picture(hand.path, hand.size)
        corners = _corners(hand, box, pixels)
        try:
            image[row], keypoints[row] = cut_out(
                pixels, hand.keypoints, corners, size=size, margin=MARGIN[box]
            )
        except DataError as error:
            raise DataError(f"{hand.path}: {error}") from error
    how = {"keypoints": "box of the keypoints", "given": "given box", "image": "whole picture"}[box]
    return HandImages(
        image=image,
        keypoints=keypoints,
        visible=np.stack([hand.visible for hand in sized]),
        left=np.array([hand.left for hand in sized], bool),
        signer=np.array([hand.signer for hand in sized], np.int64),
        letter=np.array([hand.letter for hand in sized], np.int64),
        source=f"{name} {part}, {how} times {MARGIN[box]:g}",
    )


def cut_out(
    pixels: np.ndarray,
    keypoints: np.ndarray,
    box: tuple[float, float, float, float],
    *,
    size: int,
    margin: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the square about a box as a picture uint8 [3,S,S], and keypoints [21,2] in its pixels.

    `pixels` is uint8 [H,W,3]; `box` is left, top, right and bottom in its pixels; the square's side is `margin`
    times the box's longer side. Raises DataError for a box that is not finite, smaller than 8 pixels, far
    larger than the picture, or whose middle is outside it.
    """
    height, width = pixels.shape[:2]
    left, top, right, bottom = box
    longer = max(right - left, bottom - top)
    if not np.isfinite(box).all() or right <= left or bottom <= top or longer < LEAST_BOX_PX:
        raise DataError(f"no hand-sized box: {_brief(box)}; its longer side must be 8 pixels or more")
    middle = np.array([left + right, top + bottom]) / 2
    side = margin * longer
    if not (0 <= middle[0] <= width and 0 <= middle[1] <= height) or side > LARGEST_SQUARE * max(
        height, width
    ):
        raise DataError(
            f"the box {_brief(box)} does not lie in a picture of {width} x {height}: other labels?"
        )
    corner = middle - side / 2
    first, last = np.floor(corner).astype(int), np.ceil(corner + side).astype(int)
    columns, rows = (
        np.arange(first[i], last[i]).clip(0, extent - 1) for i, extent in enumerate((width, height))
    )
    patch = Image.fromarray(np.ascontiguousarray(pixels[rows][:, columns]))  # edges repeated where it is over
    inside = np.minimum(corner - first + side, patch.size)  # of the patch; rounding must not lead out of it
    region = (*(corner - first), *inside)
    picture = patch.resize((size, size), Image.Resampling.BILINEAR, box=region)
    return np.asarray(picture).transpose(2, 0, 1), ((keypoints - corner) * (size / side)).astype(np.float32)


def read_picture(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return a picture file as uint8 [H,W,3] in RGB; DataError where it is missing, broken or of another size."""
    try:
        with Image.open(path, formats=["JPEG", "PNG"]) as image:
            if size is not None and image.size != tuple(size):
                raise DataError(
                    f"{path} is {image.size[0]} x {image.size[1]} pixels; its labels are for {size}"
                )
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing, and its labels are there: unpack the archive again") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is no readable picture ({error}): delete it and unpack it again") from error


def _annotated(name: str, data_root: Path, part: str) -> list[AnnotatedHand]:
    if part not in ("train", "test"):
        raise DataError(f"no part {part!r}; there are: train, test")
    if name in TEST_SETS:
        if part != "test":
            raise DataError(f"{name} is a test set: it has no part {part!r}")
        hands = TEST_SETS[name](data_root)
    elif name in LAYOUTS:
        hands = LAYOUTS[name](data_root, part)
    else:
        raise DataError(f"no set of hands {name!r}; there are: {', '.join(NAMES)}")
    if not hands:
        raise DataError(f"{name}: no labelled hand in the part {part!r}; unpack its archive again")
    return hands


def _is_hand_sized(hand: AnnotatedHand, box: Box) -> bool:
    if box != "keypoints":
        return box == "image" or max(np.subtract(hand.box[2:], hand.box[:2])) >= LEAST_BOX_PX
    labelled = hand.keypoints[~np.isnan(hand.keypoints).any(axis=1)]
    return len(labelled) >= LEAST_LABELLED and np.ptp(labelled, axis=0).max() >= LEAST_BOX_PX


def _corners(hand: AnnotatedHand, box: Box, pixels: np.ndarray) -> tuple[float, float, float, float]:
    if box == "image":
        return 0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0])
    if box == "given":
        return hand.box
    return (*np.nanmin(hand.keypoints, axis=0), *np.nanmax(hand.keypoints, axis=0))


def _brief(box: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.1f}" for value in box) + ")"
