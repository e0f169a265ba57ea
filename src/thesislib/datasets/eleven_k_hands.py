"""11k Hands (Afifi 2019) with joints by OpenPose: photographs of flat hands, in their official layouts.

The publisher's folder holds HandInfo.csv and Hands/Hand_0000002.jpg and so on, 1600 x 1200 pixels; the rows of the
csv are the register. OpenPose wrote one file a picture, Hand_0000002_keypoints.json. Pictures are cut out as in
Komorowicz 2018, section 6.2: a square around the detected joints, with a border. Left hands are mirrored.
"""

import csv
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from thesislib.datasets.hand_images import NUM_JOINTS
from thesislib.datasets.hands import LEAST_BOX_PX, LEAST_LABELLED, cut_out
from thesislib.datasets.modelled_hands import ModelledHands
from thesislib.datasets.sources import DataError
from thesislib.supervision import accepted
from thesislib.synthetic.flat_hands import BORDER

COLUMNS = (
    *("id", "age", "gender", "skinColor", "accessories", "nailPolish", "aspectOfHand", "imageName"),
    "irregularities",
)
TRAINING_SHARE = 0.8


@dataclass(frozen=True)
class Photograph:
    """One row of HandInfo.csv: whose hand a picture shows, which one, from which side, and what is on it."""

    name: str
    subject: int
    left: bool
    palmar: bool
    age: int
    gender: str
    skin_colour: str
    accessories: bool
    nail_polish: bool
    irregularities: bool


def read_register(folder: Path) -> tuple[Photograph, ...]:
    """Return the rows of folder/HandInfo.csv in their order.

    Raises DataError, naming the line, for a missing or foreign file, and for a row that is no row of it.
    """
    path = Path(folder) / "HandInfo.csv"
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing: get HandInfo.csv and Hands.zip from https://sites.google.com/view/11khands "
            "and unpack the pictures into Hands/ beside it"
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no readable csv file ({error}): fetch it again") from error
    if not rows:
        raise DataError(f"{path} has no rows: fetch it again")
    photographs = tuple(_photograph(path, line, row) for line, row in enumerate(rows, start=2))
    if len({photograph.name for photograph in photographs}) < len(photographs):
        raise DataError(f"{path} names a picture twice: fetch it again")
    return photographs


def _photograph(path: Path, line: int, row: dict[str, str]) -> Photograph:
    if missing := [column for column in COLUMNS if row.get(column) is None]:
        raise DataError(f"{path}, line {line}, has no {', '.join(missing)}: it is another file, or cut short")
    aspect = row["aspectOfHand"].strip().lower().split()
    name = row["imageName"].strip()
    if len(aspect) != 2 or aspect[0] not in ("dorsal", "palmar") or aspect[1] not in ("left", "right"):
        raise DataError(f"{path}, line {line}: no aspect of a hand is called {row['aspectOfHand']!r}")
    if not name or Path(name).name != name:
        raise DataError(f"{path}, line {line}: {name!r} is no name of a picture")
    try:
        return Photograph(
            name=name,
            subject=int(row["id"]),
            left=aspect[1] == "left",
            palmar=aspect[0] == "palmar",
            age=int(row["age"]),
            gender=row["gender"].strip(),
            skin_colour=row["skinColor"].strip(),
            **{
                ours: bool(int(row[theirs]))
                for ours, theirs in (
                    ("accessories", "accessories"),
                    ("nail_polish", "nailPolish"),
                    ("irregularities", "irregularities"),
                )
            },
        )
    except ValueError as error:
        raise DataError(f"{path}, line {line}: {error}") from error


def picture_path(folder: Path, photograph: Photograph) -> Path:
    """Return where a photograph's picture is."""
    return Path(folder) / "Hands" / photograph.name


def read_joints(json_folder: Path, photograph: Photograph) -> tuple[np.ndarray, np.ndarray]:
    """Return what OpenPose found of a photograph's hand: keypoints float32 [21, 2] and certainty float32 [21].

    Keypoints are in pixels of the whole picture, the middle of the first one at 0.5 (OpenPose says 0). A joint that
    was not found has certainty 0. Raises DataError for a missing or foreign file, one without a person, and a
    hand of another number of points.
    """
    path = Path(json_folder) / f"{Path(photograph.name).stem}_keypoints.json"
    side = "left" if photograph.left else "right"
    key = f"hand_{side}_keypoints_2d"
    try:
        told: Any = json.loads(path.read_text(encoding="utf8"))
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing: run OpenPose's hand detector on every picture with --write_json"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no readable JSON ({error}): run OpenPose again") from error
    people = told.get("people") if isinstance(told, dict) else None
    if not isinstance(people, list):
        raise DataError(f"{path} has no list of people: OpenPose did not write it")
    if not people:
        raise DataError(
            f"{path} has no person in it: give OpenPose the whole picture as the box of the {side} hand"
        )
    numbers = people[0].get(key) if isinstance(people[0], dict) else None
    if not isinstance(numbers, list) or len(numbers) != 3 * NUM_JOINTS:
        found = f"{len(numbers)} numbers" if isinstance(numbers, list) else "nothing"
        raise DataError(f"{path}: {key} has {found}, expected {3 * NUM_JOINTS}: was the hand detector on?")
    try:
        points = np.array(numbers, np.float32).reshape(NUM_JOINTS, 3)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {key} holds what is no number ({error})") from error
    if not np.isfinite(points).all():
        raise DataError(f"{path}: {key} has a number that is not finite")
    return points[:, :2] + 0.5, points[:, 2].clip(0, 1)  # its heatmaps reach a little beyond 1 at times


def load(folder: Path, json_folder: Path, decisions: Path | None = None, *, size: int = 64) -> ModelledHands:
    """Return the hands of 11k Hands as right hands of `size` pixels, with OpenPose's joints and no truth.

    decisions: the supervision tool's file; with it, only pictures that both passes kept are read. The square is
    1.3 times the longer side of the box of the joints that were found. A picture with fewer than two joints, or a
    box under 8 pixels, is left out with a warning. One picture at a time is in memory beside what is returned, 3
    size^2 bytes a hand. Raises DataError for missing, foreign or broken files, and where nothing is left.
    """
    register = read_register(folder)
    if decisions is not None:
        kept = set(accepted(decisions, [photograph.name for photograph in register]))
        register = tuple(photograph for photograph in register if photograph.name in kept)
        if not register:
            raise DataError(f"{decisions} keeps no picture: go on with `thesis supervise`")
    if size < 1:
        raise DataError(f"size must be positive, not {size}")
    joints = [read_joints(json_folder, photograph) for photograph in register]
    rows = [
        row for row, (keypoints, certainty) in enumerate(joints) if _box(keypoints, certainty) is not None
    ]
    if not rows:
        raise DataError(f"{json_folder}: no hand was found in any of {len(register)} pictures")
    if len(rows) < len(register):
        warnings.warn(
            f"11k Hands: {len(register) - len(rows)} pictures without joints left out", stacklevel=2
        )
    image = np.empty((len(rows), 3, size, size), np.uint8)
    keypoints = np.empty((len(rows), NUM_JOINTS, 2), np.float32)
    certainty = np.stack([joints[row][1] for row in rows])
    for place, row in enumerate(tqdm(rows, desc="cutting out 11k Hands", unit=" hands", leave=False)):
        path = picture_path(folder, register[row])
        image[place], keypoints[place] = _right_hand(path, register[row].left, *joints[row], size)
    return ModelledHands(
        image=image,
        keypoints=keypoints,
        certainty=certainty,
        subject=np.array([register[row].subject for row in rows], np.int64),
        mirrored=np.array([register[row].left for row in rows], bool),
        source="11k Hands, joints by OpenPose" + ("" if decisions is None else ", supervised"),
    )


def split(
    hands: ModelledHands, *, training_share: float = TRAINING_SHARE, seed: int = 0
) -> tuple[ModelledHands, ModelledHands]:
    """Split hands by subject into training and validation sets, as near to the share of pictures as can be.

    Subjects come in an order that the seed gives; nobody is in both (Komorowicz 2018, section 5.2: 80 and 20 %).
    Raises DataError where there are fewer than two subjects.
    """
    subjects, counts = np.unique(hands.subject, return_counts=True)
    if len(subjects) < 2:
        raise DataError(
            f"{hands.source}: one subject only, number {subjects[0] if len(subjects) else 'none'}; "
            "to ask about strangers takes two"
        )
    order = np.random.default_rng(seed).permutation(len(subjects))
    share = counts[order].cumsum()[:-1] / len(hands)  # of the pictures, if the cut comes after this subject
    trained = subjects[order[: np.abs(share - training_share).argmin() + 1]]
    chosen = np.isin(hands.subject, trained)
    return hands.of(chosen), hands.of(~chosen)


def _box(keypoints: np.ndarray, certainty: np.ndarray) -> tuple[float, float, float, float] | None:
    """Return the box of the joints that were found, or None where it is no hand's."""
    found = keypoints[certainty > 0]
    if len(found) < LEAST_LABELLED or np.ptp(found, axis=0).max() < LEAST_BOX_PX:
        return None
    return (*found.min(axis=0), *found.max(axis=0))


def _right_hand(
    path: Path, left: bool, keypoints: np.ndarray, certainty: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture's hand cut out, uint8 [3, S, S], and keypoints [21, 2] in it, both as of a right hand."""
    box = _box(keypoints, certainty)
    margin = 1 + 2 * BORDER
    # A joint that was not found has no place; the middle of the box does no harm at certainty 0.
    middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], np.float32)
    keypoints = np.where(certainty[:, None] > 0, keypoints, middle)
    pixels, scale = read_reduced(path, size / (margin * max(box[2] - box[0], box[3] - box[1])))
    try:
        image, keypoints = cut_out(
            pixels, keypoints * scale, tuple(value * scale for value in box), size=size, margin=margin
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if left:
        image, keypoints = image[:, :, ::-1], keypoints * np.float32([-1, 1]) + np.float32([size, 0])
    return image, keypoints


def read_reduced(path: Path, needed: float) -> tuple[np.ndarray, float]:
    """Return a picture uint8 [H,W,3] and its scale: at least `needed` times the stored size, at most 1.

    A JPEG is decoded at an eighth, a quarter or half of its size where that is enough, which saves most of the
    time and memory. Raises DataError where it is missing or no picture.
    """
    try:
        with Image.open(path, formats=["JPEG", "PNG"]) as image:
            width, height = image.size
            asked = tuple(max(1, int(np.ceil(side * min(needed, 1)))) for side in (width, height))
            image.draft("RGB", asked)
            scale = 1 / round(max(width / image.width, height / image.height))
            return np.asarray(image.convert("RGB")), scale
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing, and HandInfo.csv lists it: unpack Hands.zip into Hands/ again"
        ) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is no readable picture ({error}): unpack it again") from error
