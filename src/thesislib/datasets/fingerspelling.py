"""Fingerspelled letters by real people, every set in one form: LetterImages, each hand a square picture.

A hand is cut out by its box, made square and enlarged by a quarter, as `hands.load` does with the same pictures;
where a set's pictures are hands already, the whole picture is made a square with black, never stretched. Each set's
own way is told with its layout, in fingerspelling_layouts.py.
"""

from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from thesislib.datasets.fingerspelling_layouts import LAYOUTS, Layout, LetterPicture
from thesislib.datasets.hand_images import NUM_JOINTS
from thesislib.datasets.hands import cut_out
from thesislib.datasets.letter_images import LetterImages
from thesislib.datasets.own_letters import natural, own_letters
from thesislib.datasets.sources import DataError

NAMES = tuple(LAYOUTS)
NO_KEYPOINTS = np.full((NUM_JOINTS, 2), np.nan)


def load(name: str, data_root: Path, *, size: int) -> LetterImages:
    """Return the letters of the set with this name (one of NAMES), hands cut out and resized to `size` pixels.

    Raises DataError for an unknown name or size, and for missing, corrupt and foreign files.
    """
    if name not in LAYOUTS:
        raise DataError(f"no set of letters {name!r}; there are: {', '.join(NAMES)}")
    return _cut_out(name, LAYOUTS[name](Path(data_root)), size)


def load_folder(folder: Path, *, size: int) -> LetterImages:
    """Return your own recordings, folder/<signer>/<letter>/*.jpg or .png, resized to `size` pixels.

    A picture is a hand that is cut out already, as tightly as you like but the same for every signer: it is made a
    square with black, never stretched, and turned upright as its camera noted. Raises DataError, naming the place
    and what to do, for everything that own_letters does not expect, and for a file that is no readable picture.
    """
    return _cut_out(Path(folder).expanduser().resolve().name, own_letters(folder), size)


def _cut_out(name: str, layout: Layout, size: int) -> LetterImages:
    """Return every picture of a layout as a square, signer by signer, letter by letter, in order of time."""
    if size < 1:
        raise DataError(f"size must be positive, not {size}")
    if not layout.pictures:
        raise DataError(f"{name}: no picture of a letter is there; unpack its archive again")
    place = {letter: index for index, letter in enumerate(layout.letters)}
    pictures = sorted(
        layout.pictures, key=lambda p: (natural(p.signer), place[p.letter], natural(p.clip), p.frame)
    )
    image = np.empty((len(pictures), 3, size, size), np.uint8)
    keypoints = np.empty((len(pictures), NUM_JOINTS, 2), np.float32)
    for row, picture in enumerate(tqdm(pictures, desc=f"cutting out {name}", unit=" hands", leave=False)):
        pixels = layout.read(picture.path)
        try:
            image[row], keypoints[row] = _square(pixels, picture, layout, size)
        except DataError as error:
            raise DataError(f"{picture.path}: {error}") from error
    signer, signers = _numbered([picture.signer for picture in pictures])
    clip, _ = _numbered([picture.clip for picture in pictures])
    return LetterImages(
        image=image,
        letter=np.array([place[picture.letter] for picture in pictures], np.int64),
        signer=signer,
        clip=clip,
        frame=np.array([picture.frame for picture in pictures], np.int64),
        keypoints=keypoints,
        left=np.full(len(pictures), layout.left),
        letters=layout.letters,
        signers=signers,
        source=f"{name}, {layout.cut}",
    )


def _square(
    pixels: np.ndarray, picture: LetterPicture, layout: Layout, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the hand in uint8 [H,W,3] as uint8 [3,S,S], and its keypoints float32 [21,2] in the square."""
    height, width = pixels.shape[:2]
    points = NO_KEYPOINTS if picture.keypoints is None else picture.keypoints
    box = picture.box or (layout.find_box(pixels) if layout.find_box else (0, 0, width, height))
    box = np.array(box, np.float64)
    if layout.around == "black":
        middle, half = (box[:2] + box[2:]) / 2, layout.margin * (box[2:] - box[:2]).max() / 2
        over = np.concatenate([half - middle, middle + half - (width, height)]).max()
        rim = max(0, int(np.ceil(over)))  # as wide as the square reaches over the picture's edge
        pixels = np.pad(pixels, ((rim, rim), (rim, rim), (0, 0)))
        box, points = box + rim, points + rim
    return cut_out(pixels, points, tuple(box), size=size, margin=layout.margin)


def _numbered(values: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return which of the different values each one is, int64 [N], and these in order of appearance."""
    names = tuple(dict.fromkeys(values))
    place = {name: index for index, name in enumerate(names)}
    return np.array([place[value] for value in values], np.int64), names
