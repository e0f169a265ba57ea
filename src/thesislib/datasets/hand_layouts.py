"""Published sets of hands with 21 keypoints, read in their official layouts as lists of annotated hands.

Every set names its joints from wrist over thumb to little finger. RHD and InterHand count a finger from tip to
base and are turned round here; the others count as `synthetic.hand.JOINTS` does. No set says where in a pixel
a whole number lies; here it is the middle (shift +0.5), except for RHD, whose camera has its centre exactly in
the middle of the picture and thus measures from the corner. A wrong guess costs half a pixel of the original.
"""

import csv
import json
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thesislib.datasets.hand_images import NUM_JOINTS, UNKNOWN
from thesislib.datasets.sources import DataError

PIXEL_CENTRE = 0.5
# The place of each of our joints in a set that counts fingers from tip to base, after the wrist.
TIP_TO_BASE = np.array([0] + [4 * finger + joint for finger in range(5) for joint in (4, 3, 2, 1)])
FREIHAND_POSES = 32_560  # its training pictures are these poses, four times, with other backgrounds
GANERATED_SIZE = 256
GANERATED_TEST_EVERY = 10
RHD_LEAST_VISIBLE = 11  # of 21: pictures have two hands, and often one is out of the frame


@dataclass(frozen=True)
class AnnotatedHand:
    """One labelled hand in a picture file, before it is cut out.

    keypoints: float64 [21,2] in pixels of the file, NaN where not labelled; visible: bool [21]; box: left, top,
    right and bottom as the publisher gives them, or None; size: width and height the labels were made for.
    """

    path: Path
    keypoints: np.ndarray
    visible: np.ndarray
    left: bool = False
    signer: int = UNKNOWN
    letter: int = UNKNOWN
    box: tuple[float, float, float, float] | None = None
    size: tuple[int, int] | None = None


def ganerated(data_root: Path, part: str, *, folder: str = "noObject") -> list[AnnotatedHand]:
    """GANerated Hands (Mueller et al. 2018): left hands only, 256 x 256 pictures that are cut out already.

    Layout (README of the release): data/<noObject or withObject>/<4-digit partition>/<4 digits>_joint2D.txt,
    42 numbers u1,v1,u2,v2,.. in the picture ..._color_composed.png, ordered W, T0 to T3, I0 to I3, ... There
    is no official split, so partitions 10, 20, 30, ... are the test part. Occlusion is not annotated.
    """
    marker = f"data/{folder}"
    root = _root(data_root, "ganerated", marker)
    hands = []
    for partition in sorted(path for path in (root / marker).iterdir() if path.is_dir()):
        if not partition.name.isdigit():
            raise DataError(f"{partition}: expected partitions with numbers for names, like 0001")
        if (int(partition.name) % GANERATED_TEST_EVERY == 0) != (part == "test"):
            continue
        for labels in sorted(partition.glob("*_joint2D.txt")):
            picture = labels.with_name(labels.name.replace("_joint2D.txt", "_color_composed.png"))
            numbers = _numbers(labels, _read_text(labels).strip().split(","))
            keypoints = _keypoints(labels, numbers, 2) + PIXEL_CENTRE
            size = (GANERATED_SIZE, GANERATED_SIZE)
            hands.append(AnnotatedHand(picture, keypoints, _all(keypoints), left=True, size=size))
    return hands


def rhd(data_root: Path, part: str) -> list[AnnotatedHand]:
    """Rendered Hand Pose (Zimmermann and Brox 2017): both hands of each 320 x 320 picture, if enough is seen.

    Layout (README of version 1.1): <training or evaluation>/anno_<same>.pickle, a dict from picture number to
    `uv_vis` [42,3] (u, v, visible), `xyz` and `K`; pictures are color/<5 digits>.png. Rows 0 to 20 are the
    left hand: wrist, then thumb to little finger, each from tip to base; rows 21 to 41 the right hand. A hand
    is used where at least 11 of its 21 keypoints are visible; hidden ones keep their labels. All hands of a
    picture are in the same part.
    """
    name = "evaluation" if part == "test" else "training"
    marker = f"{name}/anno_{name}.pickle"
    labels = _root(data_root, "rhd", marker) / marker
    hands = []
    for number, annotation in sorted(_read_pickle(labels).items()):
        try:
            table = np.asarray(annotation["uv_vis"], np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{labels}: picture {number} has no table uv_vis of numbers ({error})") from error
        if table.shape != (2 * NUM_JOINTS, 3) or not np.isfinite(table).all():
            raise DataError(f"{labels}: uv_vis of picture {number} is {list(table.shape)}, expected [42, 3]")
        for left, rows in ((True, table[:NUM_JOINTS]), (False, table[NUM_JOINTS:])):
            keypoints, visible = rows[TIP_TO_BASE, :2], rows[TIP_TO_BASE, 2] > 0
            if visible.sum() >= RHD_LEAST_VISIBLE:
                picture = labels.parent / "color" / f"{number:05d}.png"
                hands.append(AnnotatedHand(picture, keypoints, visible, left=left, size=(320, 320)))
    return hands


def freihand(data_root: Path, part: str) -> list[AnnotatedHand]:
    """FreiHAND (Zimmermann et al. 2019): right hands, 224 x 224; 3D joints are projected with the camera.

    Layout (version 2): <training or evaluation>_xyz.json, a list of [21,3] in metres, ..._K.json, a list of
    [3,3], pictures <same>/rgb/<8 digits>.jpg. Training picture i shows pose i mod 32,560: the same poses come
    four times, with other backgrounds. The joints of the evaluation part came later, in the archive
    FreiHAND_pub_v2_eval.zip. Occlusion is not annotated.
    """
    name = "evaluation" if part == "test" else "training"
    marker = f"{name}_xyz.json"
    root = _root(data_root, "freihand", marker)
    joints, cameras = (_table(root / f"{name}_{key}.json", (n, 3)) for key, n in (("xyz", 21), ("K", 3)))
    if len(joints) != len(cameras):
        raise DataError(f"{root}: {len(joints)} poses and {len(cameras)} cameras do not belong together")
    if not (joints[..., 2] > 0).all():
        raise DataError(f"{root / marker}: a joint is behind the camera; these are not FreiHAND's joints")
    projected = np.einsum("nij,nkj->nki", cameras, joints)  # [N, 21, 3]
    keypoints = projected[..., :2] / projected[..., 2:] + PIXEL_CENTRE
    hands = []
    for picture in sorted((root / name / "rgb").glob("*.jpg")):
        number = _integer(picture, picture.stem)
        pose = number % FREIHAND_POSES if part == "train" else number
        if pose >= len(keypoints):
            raise DataError(f"{picture} has no joints: {root / marker} holds {len(keypoints)} poses")
        hands.append(AnnotatedHand(picture, keypoints[pose], _all(keypoints[pose]), size=(224, 224)))
    return hands


def onehand10k(data_root: Path, part: str) -> list[AnnotatedHand]:
    """OneHand10K (Wang et al. 2018): web pictures of any size with joints marked by hand where they are seen.

    Layout: <Train or Test>/label_joint.txt, a line a picture: file name, width, height, number of hands, then
    x and y of 21 joints, -1 where hidden; pictures are <same>/source/<name>. This follows two public loaders
    (OpenPifPaf's fork for hands and the repair scripts of MP-100); the release itself was not at hand. Whether
    a hand is left or right is not annotated: `left` is False throughout and means nothing here.
    """
    name = "Test" if part == "test" else "Train"
    marker = f"{name}/label_joint.txt"
    labels = _root(data_root, "onehand10k", marker) / marker
    hands = []
    for row in csv.reader(_read_text(labels).splitlines()):
        if not row:
            continue
        numbers = _numbers(labels, row[1:])
        if len(numbers) < 3 or (len(numbers) - 3) % (2 * NUM_JOINTS):
            raise DataError(f"{labels}: the line of {row[0]!r} has {len(row)} fields, expected 4 + 42 a hand")
        for start in range(3, len(numbers), 2 * NUM_JOINTS):
            keypoints = _keypoints(labels, numbers[start : start + 2 * NUM_JOINTS], 2)
            keypoints = np.where((keypoints < 0).any(axis=1, keepdims=True), np.nan, keypoints + PIXEL_CENTRE)
            picture, size = labels.parent / "source" / row[0], (int(numbers[0]), int(numbers[1]))
            hands.append(AnnotatedHand(picture, keypoints, _all(keypoints), size=size))
    return hands


def cmu_hands(data_root: Path, part: str) -> list[AnnotatedHand]:
    """Hands of the CMU Panoptic group (Simon et al. 2017): manual labels on MPII and New Zealand signers.

    Layout of hand_labels.zip: <manual_train or manual_test>/<name>.json beside <name>.jpg, with `hand_pts`
    [21,3] (x, y, 1 where labelled) and `is_left`. One hand a file; the same picture comes again for the other.
    """
    folder = "manual_test" if part == "test" else "manual_train"
    root = _root(data_root, "cmu_hands", folder)
    hands = []
    for labels in sorted((root / folder).glob("*.json")):
        content = read_json(labels)
        try:
            points, left = content["hand_pts"], bool(int(content["is_left"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{labels} lacks hand_pts or is_left: another file than its name says") from error
        keypoints = labelled_keypoints(labels, points)
        hands.append(AnnotatedHand(labels.with_suffix(".jpg"), keypoints, _all(keypoints), left=left))
    return hands


LAYOUTS: dict[str, Callable[[Path, str], Iterable[AnnotatedHand]]] = {
    "ganerated": ganerated,
    "ganerated_with_object": lambda data_root, part: ganerated(data_root, part, folder="withObject"),
    "rhd": rhd,
    "freihand": freihand,
    "onehand10k": onehand10k,
    "cmu_hands": cmu_hands,
}


def labelled_keypoints(path: Path, points: Any) -> np.ndarray:
    """Return float64 [21,2], NaN where the third column is 0, of a table x, y, labelled in pixel indices."""
    table = _keypoints(path, points, 3)
    return np.where(table[:, 2:] > 0, table[:, :2] + PIXEL_CENTRE, np.nan)


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; DataError where it is missing, cut short or no JSON."""
    try:
        return json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not readable JSON ({error}): delete it and unpack it again") from error


class _ArrayUnpickler(pickle.Unpickler):
    """Builds dicts, lists, numbers, texts and NumPy arrays of them; refuses to import anything else."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _empty_array
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes in old protocols
            return _latin1
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no annotation needs")


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes) -> np.ndarray:
    if kind is not np.ndarray or tuple(shape) != (0,):
        raise pickle.UnpicklingError("it builds something else than plain arrays")
    return np.ndarray((0,), np.uint8)


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes text as {encoding!r}")
    return text.encode("latin1")


def _read_pickle(path: Path) -> dict[int, Any]:
    try:
        with open(path, "rb") as file:
            content = _ArrayUnpickler(file, encoding="latin1").load()  # also from Python 2
    except Exception as error:  # a broken pickle can raise anything
        raise DataError(
            f"{path} is no pickle of plain arrays ({error}): delete it, unpack it again"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(key, int) for key in content):
        raise DataError(f"{path} holds no table of pictures by number: another file than its name says")
    return content


def _root(data_root: Path, name: str, marker: str) -> Path:
    """Return the folder under data_root/name, at most two levels down, that holds the marker of this layout."""
    folder = Path(data_root) / name
    for pattern in ("", "*", "*/*"):
        for root in [folder] if not pattern else sorted(folder.glob(pattern)):
            if (root / marker).exists():
                return root
    raise DataError(
        f"{marker} is missing: looked in {folder} and two levels below. Where to get {name}: see "
        "datasets/hand_sources.py; unpack it there, or let THESIS_DATA name a folder that has it."
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: unpack the archive again") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no readable text ({error}): delete it and unpack it again") from error


def _numbers(path: Path, fields: list[str]) -> np.ndarray:
    try:
        return np.array([float(field) for field in fields])
    except ValueError as error:
        raise DataError(f"{path} holds something else than keypoints ({error})") from error


def _keypoints(path: Path, values: Any, columns: int) -> np.ndarray:
    try:
        table = np.asarray(values, np.float64).reshape(-1, columns)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} holds no table of keypoints ({error})") from error
    if len(table) != NUM_JOINTS or not np.isfinite(table).all():
        raise DataError(f"{path} holds {len(table)} keypoints or infinite ones, expected 21 places")
    return table


def _table(path: Path, shape: tuple[int, int]) -> np.ndarray:
    try:
        table = np.asarray(read_json(path), np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} is no list of tables {list(shape)} ({error})") from error
    if table.shape[1:] != shape or not np.isfinite(table).all():
        raise DataError(f"{path} is {list(table.shape)}, expected [N, {shape[0]}, {shape[1]}] finite numbers")
    return table


def _integer(path: Path, text: str) -> int:
    if not text.isdigit():
        raise DataError(f"{path}: expected a file name of digits")
    return int(text)


def _all(keypoints: np.ndarray) -> np.ndarray:
    """Return bool [21]: labelled, for sets that do not tell hidden joints from seen ones."""
    return ~np.isnan(keypoints).any(axis=1)
