"""Published sets of fingerspelled letters, read in their layouts as lists of pictures by letter, signer and clip.

The 24 static letters of the American alphabet have the same names in every set, so that sets can be crossed. J and
Z are left out: they are movements, and a still picture of one shows another letter's hand (I and, nearly, D).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from thesislib.datasets.hand_test_sets import ALPHABET, ASL7_COLUMNS, asl7
from thesislib.datasets.hands import MARGIN, read_picture
from thesislib.datasets.sources import DataError
from thesislib.datasets.videos import middle_frame

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels

STATIC_LETTERS = tuple(letter for letter in ALPHABET.lower() if letter not in "jz")
LSA16_SHAPES = tuple(f"{number:02d}" for number in range(1, 17))
# Gestures 1 to 35 of the German set in the order of its list; None for the five that are movements.
GERMAN_GESTURES = (
    *(letter if letter in STATIC_LETTERS else None for letter in ALPHABET.lower()),
    *(None, None, None, "sch", "1", "2", "3", "4", "5"),  # the first three are ae, oe, ue
)
GERMAN_SIGNERS = 20

ASL7_BURST = 5  # photographs taken one after another
SURREY_NAME = re.compile(r"color_(\d+)_(\d+)\.png")
MASSEY_NAME = re.compile(r"hand(\d+)_(\w)_([a-z]+)_seg_(\d+)_cropped\.(?:jpe?g|png)")
LSA16_NAME = re.compile(r"(\d\d)_(\d\d)_(\d\d)\.png")
RWTH_NAME = re.compile(r"(\d+)_(\d+)_([12])_cam1\.mpg")

# The gloves' colour as Pillow's HSV counts it, 0 to 255. Of all saturated pixels of the set, the gloves' hues are
# 238 to 251; a skin's are around 10.
GLOVE_HUES = (225, 255)
GLOVE_SATURATION, GLOVE_VALUE = 110, 50
SECOND_GLOVE = 0.2  # of the first one's pixels; what is found beside a glove in the set itself is below 0.02


@dataclass(frozen=True)
class LetterPicture:
    """One picture file of a letter, before its hand is cut out.

    box: the hand's, or None for what the layout says; keypoints: float64 [21,2] in pixels of the file, or None.
    """

    path: Path
    letter: str
    signer: str
    clip: str
    frame: int
    box: Box | None = None
    keypoints: np.ndarray | None = None


@dataclass(frozen=True)
class Layout:
    """All pictures of a set, and what is the same for all of them.

    cut: how hands are cut out, in words; margin: the square's side over the longer side of the hand's box; around:
    what lies where the square reaches over the picture's edge, its "edge" repeated or "black"; read: gives a file's
    pixels uint8 [H,W,3]; find_box: gives the hand's box in them where a picture comes without one (if None, it is
    the whole picture); left: the hands look like left ones.
    """

    pictures: list[LetterPicture]
    letters: tuple[str, ...]
    cut: str
    margin: float = 1.0
    around: Literal["edge", "black"] = "black"
    read: Callable[[Path], np.ndarray] = read_picture
    find_box: Callable[[np.ndarray], Box] | None = None
    left: bool = False


def asl7_letters(data_root: Path) -> Layout:
    """Static American letters by five people, ten photographs a letter, as hand_test_sets.asl7 finds them.

    <letter>0 to <letter>4 were taken one after another, and so were 5 to 9 on another occasion: sleeves, watch and
    light differ. So a person has two clips a letter; the number in the name is the frame.
    """
    pictures = []
    for hand in asl7(data_root):
        letter, number, signer = hand.path.stem[:1].lower(), hand.path.stem[1:], f"user_{hand.signer}"
        if letter not in STATIC_LETTERS or not number.isdigit():
            raise DataError(f"{hand.path}: expected a static letter and a number for a name, like A0.jpg")
        clip = f"{signer} {letter} {int(number) // ASL7_BURST}"
        pictures.append(LetterPicture(hand.path, letter, signer, clip, int(number), hand.box, hand.keypoints))
    cut = f"given box times {MARGIN['given']:g}"
    return Layout(pictures, STATIC_LETTERS, cut, MARGIN["given"], around="edge")


def massey(data_root: Path) -> Layout:
    """Massey University's gestures (Barczak et al. 2011): right hands of five people, cut out on black.

    Layout: <label>/hand<person>_<label>_<lighting>_seg_<k>_cropped.jpeg, or .png, in folders or not. A hand's
    letter under one light is a clip, k the frame; not every hand has every light. Only the static letters are
    read: digits share hands with letters (0 with o, 2 with v, 6 with w), and j and z are stills of movements. The
    hands touch the edges of their pictures; the margin of a given box makes them as large as those of asl7.
    """
    pictures = []
    for path in _pictures(data_root, "massey"):
        person, label, lighting, k = _named(path, MASSEY_NAME, "hand1_a_bot_seg_1_cropped.jpeg")
        if len(path.parent.name) == 1 and path.parent.name != label:
            raise DataError(f"{path} lies in the folder {path.parent.name}, and its name says {label}")
        if label in STATIC_LETTERS:
            signer = f"hand{person}"
            pictures.append(LetterPicture(path, label, signer, f"{signer} {label} {lighting}", int(k)))
    cut = f"whole picture times {MARGIN['given']:g}, black around"
    return Layout(pictures, STATIC_LETTERS, cut, MARGIN["given"])


def lsa16(data_root: Path) -> Layout:
    """LSA16 (Ronchetti et al. 2016): 16 handshapes of Argentinian Sign Language, ten people in coloured gloves.

    Layout: <handshape>_<person>_<repetition>.png, two digits each, the colour version with cut-out hands on their
    background: the publisher has turned each hand upright and put black around it (some stand on their heads).
    Letters are the handshapes' numbers. A hand's box is the largest region of the glove's colour. The five
    repetitions are clips of one frame. The people are right-handed (the set's page), and hands count as right.
    """
    pictures = []
    for path in _pictures(data_root, "lsa16"):
        shape, person, repetition = _named(path, LSA16_NAME, "01_01_01.png")
        if shape not in LSA16_SHAPES:
            raise DataError(f"{path}: there are handshapes 01 to 16, none with the number {shape}")
        pictures.append(LetterPicture(path, shape, person, path.stem, int(repetition)))
    cut = f"box of the glove times {MARGIN['given']:g}, black around"
    return Layout(pictures, LSA16_SHAPES, cut, MARGIN["given"], find_box=glove_box)


def glove_box(pixels: np.ndarray) -> Box:
    """Return the box of the largest pink region of uint8 [H,W,3]; DataError where there is none, or two."""
    hue, saturation, value = np.moveaxis(np.asarray(Image.fromarray(pixels).convert("HSV")), 2, 0)
    pink = (hue >= GLOVE_HUES[0]) & (hue <= GLOVE_HUES[1])
    regions, count = ndimage.label(pink & (saturation >= GLOVE_SATURATION) & (value >= GLOVE_VALUE))
    sizes = np.bincount(regions.ravel(), minlength=2)[1:]  # pixels a region
    largest, *others = np.sort(sizes)[::-1]
    if count == 0:
        raise DataError("no glove is found by its colour: is it a picture of LSA16, and its colour version?")
    if others and others[0] > SECOND_GLOVE * largest:
        raise DataError("two gloves are found: take LSA16's version with the hands cut out, not the scenes")
    rows, columns = ndimage.find_objects(regions)[int(sizes.argmax())]
    return float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)


def asl_fingerspelling_a(data_root: Path) -> Layout:
    """The thesis's set (Pugeault and Bowden 2011, set A): a Kinect's clips of 24 letters by signers A to E.

    Layout: dataset5/<signer>/<letter>/color_<number>_<frame>.png; the depth_*.png beside them are not read, and
    signers may be missing. A letter of a signer is a clip; frames are counted in the order of their names' numbers,
    whatever is left out. Pictures are hands cut out already, of every shape: they are made squares with black,
    never stretched. Signer A's hands look like left ones, as if in a mirror; all five count as such, for one camera
    took them, and the other four were not at hand.
    """
    root = _folder(data_root, "asl_fingerspelling_a") / "dataset5"
    signers = sorted(path for path in root.glob("[!.]*") if path.is_dir())
    if not signers:
        raise DataError(f"{root} holds no signer's folder (A to E): unpack fingerspelling5.tar.bz2 beside it")
    pictures = []
    for signer in signers:
        for letter in STATIC_LETTERS:
            files = [
                (*map(int, _named(path, SURREY_NAME, "color_0_0002.png")), path)
                for path in (signer / letter).glob("color_*")
            ]
            if not files:
                raise DataError(f"{signer / letter} holds no color_*.png: unpack the archive again")
            for frame, (*_, path) in enumerate(sorted(files)):
                clip = f"{signer.name} {letter}"
                pictures.append(LetterPicture(path, letter, signer.name, clip, frame))
    return Layout(pictures, STATIC_LETTERS, "whole picture, black around", left=True)


def rwth_fingerspelling(data_root: Path) -> Layout:
    """The German finger alphabet (Dreuw et al. 2006): the 30 static gestures of 20 people, filmed on two days.

    Layout: video/<gesture>/<person>_<gesture>_<day>_cam<1 or 2>.mpg, gestures 1 to 35 in the order A to Z, AE, OE,
    UE, SCH, one to five. The release was not at hand: this layout is that of two public loaders, and of the list
    of its 3,036 videos that one of them prints. Persons 1 to 20 were filmed on both days; 23 to 26 on one, 24 not
    to the end, and these four are left out. Only cam1 is read, the webcam that shows the hand; cam2 shows the
    whole person. (Of all 24 people, cam1 has 1,302 videos of static gestures; the thesis counts about 1.3k.)

    As in the thesis (section 3.3.1), a video gives its middle frame. So a clip is one picture. The thesis then cuts
    the hand out with the detector of Zimmermann and Brox (2017), which missed some. Here hands are cut out by
    hand_boxes.csv beside video/, if you make one: columns video (as 1_1_1_cam1), top_left_x, top_left_y,
    bottom_right_x, bottom_right_y in pixels of the middle frame. Without it the whole frame is used.
    """
    root = _folder(data_root, "rwth_fingerspelling")
    boxes = _hand_boxes(root / "hand_boxes.csv")
    pictures = []
    for path in sorted((root / "video").glob("*/*_cam1.mpg")):
        person, gesture, day = _named(path, RWTH_NAME, "1_1_1_cam1.mpg")
        if path.parent.name != gesture or not 1 <= int(gesture) <= len(GERMAN_GESTURES):
            raise DataError(f"{path}: expected gesture {gesture} in video/{gesture}, and gestures 1 to 35")
        letter = GERMAN_GESTURES[int(gesture) - 1]
        if letter is None or int(person) > GERMAN_SIGNERS:
            continue
        if boxes and path.stem not in boxes:
            raise DataError(f"{root / 'hand_boxes.csv'} has no box for {path.stem}")
        clip = f"{person} {letter} {day}"
        pictures.append(LetterPicture(path, letter, person, clip, 0, boxes.get(path.stem)))
    if not pictures:
        raise DataError(f"{root} holds no video/1/1_1_1_cam1.mpg and no other: unpack the archive there")
    cut = "middle frame, " + ("box of hand_boxes.csv times 1.25" if boxes else "whole, black around")
    letters = tuple(letter for letter in GERMAN_GESTURES if letter)
    return Layout(pictures, letters, cut, MARGIN["given"] if boxes else 1.0, read=middle_frame)


LAYOUTS = {
    "asl7": asl7_letters,
    "massey": massey,
    "lsa16": lsa16,
    "asl_fingerspelling_a": asl_fingerspelling_a,
    "rwth_fingerspelling": rwth_fingerspelling,
}


def _folder(data_root: Path, name: str) -> Path:
    folder = Path(data_root) / name
    if not folder.is_dir():
        raise DataError(
            f"{folder} is missing. How to get it: thesis fetch {name}; put it there, or let THESIS_DATA name a "
            "folder that has it."
        )
    return folder


def _pictures(data_root: Path, name: str) -> list[Path]:
    """Return every file of a set at any depth but hidden ones, so that a foreign one is noticed by its name."""
    files = (path for path in _folder(data_root, name).rglob("[!.]*") if path.is_file())
    return sorted(path for path in files if path.suffix.lower() in (".png", ".jpg", ".jpeg"))


def _named(path: Path, pattern: re.Pattern, example: str) -> tuple[str, ...]:
    named = pattern.fullmatch(path.name)
    if not named:
        raise DataError(f"{path}: expected a name like {example}; is it a file of this set?")
    return named.groups()


def _hand_boxes(path: Path) -> dict[str, Box]:
    if not path.exists():
        return {}
    columns = list(ASL7_COLUMNS[1:])
    try:
        table = pd.read_csv(path, index_col="video", usecols=["video", *columns])[columns].astype(float)
    except (OSError, ValueError, UnicodeError) as error:
        raise DataError(f"{path} is no list of boxes with columns video, {', '.join(columns)}") from error
    return dict(zip(table.index, map(tuple, table.to_numpy().tolist()), strict=True))
