"""Small sets of real hands to test on: labelled samples of five research sets, and seven people's letters.

`keypoint_samples` are a few pictures of each of five sets with a COCO-style list of labels, as the test folder
of MMPose has them. `asl7` is a public collection of static ASL letters with a box for each hand, and 21 points
that MediaPipe Hands found in it: a teacher's opinion, not ground truth, so an error against them is a distance
between two networks.
"""

import csv
from pathlib import Path

import numpy as np

from thesislib.datasets.arrays import read_npz
from thesislib.datasets.hand_images import NUM_JOINTS
from thesislib.datasets.hand_layouts import (
    PIXEL_CENTRE,
    TIP_TO_BASE,
    AnnotatedHand,
    labelled_keypoints,
    read_json,
)
from thesislib.datasets.sources import DataError

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ASL7_COLUMNS = ("image", "top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y")
INTERHAND_ORDER = np.concatenate([[20], TIP_TO_BASE[1:] - 1])  # it counts fingers first, the wrist last


def asl7(data_root: Path) -> list[AnnotatedHand]:
    """Static ASL letters by the people of asl7 whose MediaPipe points are there: signer 3 is user_3.

    Layout: user_N/<letter><k>.jpg, user_N/user_N_loc.csv with the corners of a square box a picture, and
    mediapipe_landmarks.npz (xyz [N,21,3] in pixels from the picture's corner; letter; signer; image). The
    hands are right ones: in B, a flat palm to the viewer, the index finger is on the viewer's right.
    """
    folder = Path(data_root) / "asl7"
    labels = folder / "mediapipe_landmarks.npz"
    if not labels.exists():
        raise DataError(f"{labels} is missing: let THESIS_DATA name a folder that has asl7")
    points, letters, signers, images = read_npz(
        labels,
        {
            "xyz": (np.floating, (None, NUM_JOINTS, 3)),
            "letter": (np.str_, (None,)),
            "signer": (np.str_, (None,)),
            "image": (np.str_, (None,)),
        },
    )
    if len({len(points), len(letters), len(signers), len(images)}) != 1:
        raise DataError(f"{labels}: its arrays do not belong together, their lengths differ")
    boxes = {}
    for signer in sorted(set(signers)):
        boxes |= _boxes(folder / signer / f"{signer}_loc.csv")
    hands = []
    for keypoints, letter, signer, image in zip(points, letters, signers, images, strict=True):
        if image not in boxes or letter not in ALPHABET or not signer.removeprefix("user_").isdigit():
            raise DataError(f"{labels}: {image} ({letter}, {signer}) has no box or no known letter or signer")
        hands.append(
            AnnotatedHand(
                folder / image,
                keypoints[:, :2].astype(np.float64),
                np.ones(NUM_JOINTS, bool),
                signer=int(signer.removeprefix("user_")),
                letter=ALPHABET.index(letter),
                box=boxes[image],
            )
        )
    return hands


def coco_samples(data_root: Path, name: str) -> list[AnnotatedHand]:
    """Labelled samples of freihand, onehand10k, panoptic or rhd: COCO-style `images` and `annotations`.

    `keypoints` is a flat list or a table of x, y, labelled; `bbox` is left, top, width, height. RHD's fingers
    come from tip to base, whatever its list of names says. Left hands are known where `hand_type` says so, and
    in panoptic by the file name (_l, _r); elsewhere `left` is False and means nothing. FreiHAND's eight pictures
    show two poses, each on four backgrounds: as evidence they are two hands.
    """
    labels = Path(data_root) / "keypoint_samples" / name / f"test_{name}.json"
    content = read_json(labels)
    hands = []
    try:
        files = {image["id"]: image for image in content["images"]}
        for annotation in content["annotations"]:
            image = files[annotation["image_id"]]
            points = labelled_keypoints(labels, annotation["keypoints"])
            points = points[TIP_TO_BASE] if name == "rhd" else points
            x, y, width, height = map(float, annotation["bbox"])
            picture = labels.parent / image["file_name"]
            left = annotation.get("hand_type") == "left" or (
                name == "panoptic" and picture.stem.endswith("_l")
            )
            hands.append(
                AnnotatedHand(
                    picture,
                    points,
                    ~np.isnan(points).any(axis=1),
                    left=left,
                    box=(x, y, x + width, y + height),
                    size=(image["width"], image["height"]),
                )
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{labels} is no COCO-style list of keypoints ({error!r})") from error
    return hands


def interhand_samples(data_root: Path) -> list[AnnotatedHand]:
    """Labelled samples of InterHand2.6M (Moon et al. 2020): 3D joints projected with each picture's camera.

    Each labelled hand of a picture counts by itself; the given box is left out, for it holds both hands.
    Joints 0 to 19 of a hand are thumb to little finger from tip to base, 20 the wrist; the right hand first.
    """
    folder = Path(data_root) / "keypoint_samples" / "interhand2.6m"
    stem = "test_interhand2.6m"
    content, cameras, joints = (
        read_json(folder / f"{stem}_{kind}.json") for kind in ("data", "camera", "joint_3d")
    )
    hands = []
    try:
        files = {image["id"]: image for image in content["images"]}
        for annotation in content["annotations"]:
            image = files[annotation["image_id"]]
            capture, view = str(image["capture"]), str(image["camera"])
            world = np.array(
                joints[capture][str(image["frame_idx"])]["world_coord"], np.float64
            )  # [42, 3] mm
            camera = {key: np.array(cameras[capture][key][view], np.float64) for key in cameras[capture]}
            seen = (world - camera["campos"]) @ camera["camrot"].T
            points = seen[:, :2] / seen[:, 2:] * camera["focal"] + camera["princpt"] + PIXEL_CENTRE
            valid = np.array(annotation["joint_valid"], np.float64).reshape(2 * NUM_JOINTS, 1) > 0
            points = np.where(valid, points, np.nan)
            for left, rows in ((False, points[:NUM_JOINTS]), (True, points[NUM_JOINTS:])):
                labelled = ~np.isnan(rows[INTERHAND_ORDER]).any(axis=1)
                if labelled.any():
                    picture, size = folder / image["file_name"], (image["width"], image["height"])
                    hands.append(
                        AnnotatedHand(picture, rows[INTERHAND_ORDER], labelled, left=left, size=size)
                    )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(f"{folder} is no sample of InterHand2.6M ({error!r})") from error
    return hands


TEST_SETS = {
    "asl7": asl7,
    "freihand_samples": lambda data_root: coco_samples(data_root, "freihand"),
    "onehand10k_samples": lambda data_root: coco_samples(data_root, "onehand10k"),
    "panoptic_samples": lambda data_root: coco_samples(data_root, "panoptic"),
    "rhd_samples": lambda data_root: coco_samples(data_root, "rhd"),
    "interhand_samples": interhand_samples,
}


def _boxes(path: Path) -> dict[str, tuple[float, float, float, float]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return {
                row["image"]: tuple(float(row[column]) for column in ASL7_COLUMNS[1:])
                for row in csv.DictReader(file)
            }
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: it holds the boxes of this signer's hands") from error
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path} is no list of boxes with columns {', '.join(ASL7_COLUMNS)}") from error
