"""Tiny sets written in the official layouts: the dot painted at a joint is found where the loader says it is."""

import csv
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thesislib.datasets import hands as room
from thesislib.datasets.hands import NAMES, cut_out, load, read_picture
from thesislib.datasets.sources import DataError

INDEX_TIP, LITTLE_BASE = 8, 17  # in the usual order
RHD_INDEX_TIP, RHD_LITTLE_BASE = 5, 20  # tip first
SIZE = 64


def joints(seed: int, width: int, height: int) -> np.ndarray:
    """21 places in a picture, float64 [21,2], pixel centres at +0.5, well inside."""
    random = np.random.default_rng(seed)
    return np.array([width, height]) * random.uniform(0.25, 0.75, (21, 2))


def picture(path: Path, place: np.ndarray, width: int, height: int, colour=(250, 250, 250)) -> None:
    """A dark picture with one soft dot at a place."""
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    dot = np.exp(-((x - place[0]) ** 2 + (y[:, None] - place[1]) ** 2) / (2 * 2.5**2))
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (20 + dot[..., None] * (np.array(colour) - 20)).round().astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=95)


def dot_in(image: np.ndarray) -> np.ndarray:
    """Where the dot of a crop uint8 [3,S,S] is, in pixels."""
    grey = np.clip(image.astype(float).mean(axis=0) - 40, 0, None)
    at = np.arange(len(grey)) + 0.5
    return np.array([(grey.sum(0) * at).sum(), (grey.sum(1) * at).sum()]) / grey.sum()


def write_json(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_ganerated(root: Path) -> None:
    for folder, partition, seed in (("noObject", 1, 0), ("noObject", 10, 1), ("withObject", 20, 2)):
        place = root / "ganerated" / "GANeratedHands_Release" / "data" / folder / f"{partition:04d}"
        points = joints(seed, 256, 256)
        picture(place / "0001_color_composed.png", points[INDEX_TIP], 256, 256)
        (place / "0001_joint2D.txt").write_text(",".join(f"{v:.6f}" for v in (points - 0.5).ravel()) + "\n")
        (place / "0001_joint_pos.txt").write_text(",".join(["0.0"] * 63))


def write_rhd(root: Path, protocol: int = 2) -> None:
    """Two pictures: in the first both hands are seen, in the second the left one is out of the frame."""
    for part, shift in (("training", 0), ("evaluation", 10)):
        place = root / "rhd" / "RHD_published_v2" / part
        annotations = {}
        for number in (0, 1):
            left, right = joints(number + shift, 320, 320), joints(number + 5 + shift, 320, 320)
            stored = np.concatenate([left, right])
            seen = np.ones((42, 1))
            seen[:21] = 1 - number
            seen[21 + 3] = 0  # one joint of the right thumb is hidden
            table = np.hstack([stored, seen]).astype(np.float32)
            annotations[number] = {"uv_vis": table, "xyz": np.zeros((42, 3)), "K": np.eye(3)}
            picture(place / "color" / f"{number:05d}.png", right[RHD_INDEX_TIP], 320, 320)
        (place / f"anno_{part}.pickle").write_bytes(pickle.dumps(annotations, protocol))


def write_freihand(root: Path) -> None:
    place = root / "freihand" / "FreiHAND_pub_v2"
    camera = np.array([[480.0, 0, 112], [0, 470, 110], [0, 0, 1]])
    for part, numbers in (("training", (0, 1, 32_560)), ("evaluation", (0, 1))):
        depth = 0.5 + np.random.default_rng(9).uniform(0, 0.2, (2, 21, 1))
        points = np.stack([joints(3, 224, 224), joints(4, 224, 224)])
        rays = np.concatenate([points - 0.5, np.ones((2, 21, 1))], axis=2) @ np.linalg.inv(camera).T
        write_json(place / f"{part}_xyz.json", (rays * depth).tolist())
        write_json(place / f"{part}_K.json", [camera.tolist()] * 2)
        for number in numbers:
            place_of_dot = points[number % 32_560][INDEX_TIP]
            picture(place / part / "rgb" / f"{number:08d}.jpg", place_of_dot, 224, 224)


def write_onehand10k(root: Path) -> None:
    for part, seed in (("Train", 20), ("Test", 21)):
        place = root / "onehand10k" / part
        points = joints(seed, 180, 240).round() + 0.5
        fields = [str(int(v)) for v in (points - 0.5).ravel()]
        fields[2 * LITTLE_BASE : 2 * LITTLE_BASE + 2] = ["-1", "-1"]  # hidden
        place.mkdir(parents=True)
        (place / "label_joint.txt").write_text(",".join(["7.jpg", "180", "240", "1", *fields]) + "\n")
        picture(place / "source" / "7.jpg", points[INDEX_TIP], 180, 240)


def write_cmu_hands(root: Path) -> None:
    for part, seed in (("manual_train", 30), ("manual_test", 31)):
        for side, left in (("l", 1.0), ("r", 0.0)):
            points = joints(seed, 300, 200)
            place = root / "cmu_hands" / "hand_labels" / part / f"005_{side}"
            table = np.hstack([points - 0.5, np.ones((21, 1))])
            table[LITTLE_BASE] = 0
            content = {"hand_pts": table.tolist(), "hand_box_center": [150.0, 100.0], "is_left": left}
            write_json(place.with_suffix(".json"), content)
            picture(place.with_suffix(".jpg"), points[INDEX_TIP], 300, 200)


def write_asl7(root: Path) -> None:
    points, rows = [], []
    for signer, letter in ((3, "A"), (3, "Y"), (6, "B")):
        place = joints(signer, 320, 240)
        name = f"user_{signer}/{letter}0.jpg"
        picture(root / "asl7" / name, place[INDEX_TIP], 320, 240)
        points.append(np.hstack([place, np.zeros((21, 1))]))
        rows.append((name, letter, f"user_{signer}"))
    for signer in (3, 6):
        with open(root / "asl7" / f"user_{signer}" / f"user_{signer}_loc.csv", "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["image", "top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y"])
            table.writerows([row[0], 60, 40, 240, 220] for row in rows if row[2] == f"user_{signer}")
    image, letter, signer = (np.array(column) for column in zip(*rows, strict=True))
    xyz = np.array(points, np.float32)
    path = root / "asl7" / "mediapipe_landmarks.npz"
    np.savez(path, xyz=xyz, letter=letter, signer=signer, image=image)


def write_samples(root: Path, name: str = "freihand") -> None:
    folder = root / "keypoint_samples" / name
    points = joints(40, 200, 160)
    stored = points.copy()
    if name == "rhd":  # tip first: turn each finger round
        stored[1:] = points[1:].reshape(5, 4, 2)[:, ::-1].reshape(20, 2)
    table = np.hstack([stored - 0.5, np.ones((21, 1))])
    annotation = {"image_id": 5, "bbox": [40, 30, 120, 90], "keypoints": table.ravel().tolist()}
    if name == "rhd":
        annotation |= {"keypoints": table.tolist(), "hand_type": "left"}
    images = [{"id": 5, "file_name": "5_l.jpg", "width": 200, "height": 160}]
    write_json(folder / f"test_{name}.json", {"images": images, "annotations": [annotation]})
    picture(folder / "5_l.jpg", points[INDEX_TIP], 200, 160)


def write_interhand(root: Path) -> None:
    """One picture with a right hand only; the camera is turned and stands aside."""
    folder = root / "keypoint_samples" / "interhand2.6m"
    points, depth = joints(50, 334, 512), np.random.default_rng(1).uniform(900, 1100, (21, 1))
    focal, centre = np.array([1200.0, 1210.0]), np.array([160.0, 250.0])
    in_camera = np.hstack([(points - 0.5 - centre) / focal * depth, depth])
    angle = 0.4
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    position = np.array([-300.0, 20.0, 50.0])
    world = in_camera @ turn + position
    stored = np.zeros((42, 3))
    stored[20] = world[0]
    stored[:20] = world[1:].reshape(5, 4, 3)[:, ::-1].reshape(20, 3)
    views = {"campos": position, "camrot": turn, "focal": focal, "princpt": centre}
    camera = {"3": {key: {"400": value.tolist()} for key, value in views.items()}}
    image = dict(id=1, file_name="image9.jpg", width=334, height=512, capture=3, camera="400", frame_idx=9)
    valid = [[1]] * 21 + [[0]] * 21
    annotation = {"image_id": 1, "bbox": [1, 2, 3, 4], "joint_valid": valid, "hand_type": "right"}
    stem = folder / "test_interhand2.6m"
    write_json(Path(f"{stem}_data.json"), {"images": [image], "annotations": [annotation]})
    write_json(Path(f"{stem}_camera.json"), camera)
    write_json(Path(f"{stem}_joint_3d.json"), {"3": {"9": {"world_coord": stored.tolist()}}})
    picture(folder / "image9.jpg", points[INDEX_TIP], 334, 512)


WRITERS = {
    "ganerated": write_ganerated,
    "ganerated_with_object": write_ganerated,
    "rhd": write_rhd,
    "freihand": write_freihand,
    "onehand10k": write_onehand10k,
    "cmu_hands": write_cmu_hands,
    "asl7": write_asl7,
    "freihand_samples": write_samples,
    "onehand10k_samples": lambda root: write_samples(root, "onehand10k"),
    "panoptic_samples": lambda root: write_samples(root, "panoptic"),
    "rhd_samples": lambda root: write_samples(root, "rhd"),
    "interhand_samples": write_interhand,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("box", ["keypoints", "given", "image"])
def test_the_dot_at_the_index_tip_is_where_the_loader_says(name, box, tmp_path):
    WRITERS[name](tmp_path)
    given = name == "asl7" or (name.endswith("_samples") and name != "interhand_samples")
    if box == "given" and not given:
        with pytest.raises(DataError, match="gives no boxes"):
            load(name, tmp_path, size=SIZE, box=box)
        return
    hands = load(name, tmp_path, size=SIZE, box=box)
    if name == "rhd":
        hands = hands.of(~hands.left)  # the dot is on the right hand
    assert len(hands) >= 1
    for image, keypoints in zip(hands.image, hands.keypoints, strict=True):
        np.testing.assert_allclose(dot_in(image), keypoints[INDEX_TIP], atol=0.35)
    assert name in hands.source and "test" in hands.source


def test_a_square_about_the_keypoints_is_one_and_a_half_times_their_box(tmp_path):
    write_freihand(tmp_path)
    hands = load("freihand", tmp_path, size=90, part="train")
    points = joints(3, 224, 224)
    low, high = points.min(axis=0), points.max(axis=0)
    side = 1.5 * (high - low).max()
    expected = (points - (low + high) / 2) / side * 90 + 45
    np.testing.assert_allclose(hands.keypoints[0], expected, atol=1e-3)
    np.testing.assert_allclose(hands.keypoints[2], expected, atol=1e-3)  # the same pose on another background
    assert np.abs(hands.keypoints[1] - expected).max() > 3 and not hands.left.any()


def test_ganerated_is_resized_whole_left_and_divided_by_partition(tmp_path):
    write_ganerated(tmp_path)
    train, test = (load("ganerated", tmp_path, size=SIZE, part=part) for part in ("train", "test"))
    np.testing.assert_allclose(train.keypoints[0], joints(0, 256, 256) / 4, atol=1e-3)
    np.testing.assert_allclose(test.keypoints[0], joints(1, 256, 256) / 4, atol=1e-3)
    assert train.left.all() and len(train) == len(test) == 1
    held = load("ganerated_with_object", tmp_path, size=SIZE)
    np.testing.assert_allclose(held.keypoints[0], joints(2, 256, 256) / 4, atol=1e-3)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_rhd_gives_both_hands_turns_fingers_round_and_keeps_hidden_joints(tmp_path, protocol):
    write_rhd(tmp_path, protocol)
    hands = load("rhd", tmp_path, size=320, part="train", box="image")
    assert hands.left.tolist() == [True, False, False]  # the second picture's left hand is not seen
    stored = joints(5, 320, 320)
    np.testing.assert_allclose(hands.keypoints[1, [0, INDEX_TIP]], stored[[0, RHD_INDEX_TIP]], atol=1e-3)
    np.testing.assert_allclose(hands.keypoints[1, LITTLE_BASE], stored[RHD_LITTLE_BASE], atol=1e-3)
    assert (
        hands.visible[0].all() and (~hands.visible[1]).nonzero()[0].tolist() == [2] and hands.labelled.all()
    )


def test_hidden_joints_of_onehand10k_and_cmu_have_no_label(tmp_path):
    write_onehand10k(tmp_path)
    write_cmu_hands(tmp_path)
    for name in ("onehand10k", "cmu_hands"):
        hands = load(name, tmp_path, size=SIZE)
        assert (~hands.labelled[0]).nonzero()[0].tolist() == [LITTLE_BASE] and not hands.visible[
            0, LITTLE_BASE
        ]
        assert hands.targets[0, LITTLE_BASE].tolist() == [0, 0, 0]
    assert hands.left.tolist() == [True, False]


def test_asl7_knows_signers_letters_and_the_given_box(tmp_path):
    write_asl7(tmp_path)
    hands = load("asl7", tmp_path, size=SIZE)
    assert hands.signer.tolist() == [3, 3, 6] and hands.letter.tolist() == [0, 24, 1]
    assert not hands.left.any() and hands.source == "asl7 test, given box times 1.25"
    expected = (joints(6, 320, 240) - (150, 130)) / (180 * 1.25) * SIZE + SIZE / 2
    np.testing.assert_allclose(hands.keypoints[2], expected, atol=1e-3)


def test_sides_of_samples_are_known_where_the_set_tells(tmp_path):
    for name, left in (("rhd", True), ("panoptic", True), ("freihand", False)):
        write_samples(tmp_path, name)
        assert load(f"{name}_samples", tmp_path, size=SIZE).left.tolist() == [left]


def test_a_square_over_the_edge_repeats_the_edge():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 0] = (200, 0, 0)
    image, keypoints = cut_out(pixels, np.array([[0.5, 20.0]]), (0, 10, 20, 30), size=40, margin=2)
    assert image.shape == (3, 40, 40)
    assert (image[0, :, :11] == 200).all() and (image[0, :, 11:] == 0).all()
    np.testing.assert_allclose(keypoints, [[10.5, 20.0]])


def test_shrinking_averages_instead_of_skipping_pixels():
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 200
    image, _ = cut_out(stripes, np.zeros((1, 2)), (0, 0, 128, 128), size=16, margin=1)
    assert np.abs(image.astype(int) - 100).max() <= 5  # skipping every eighth would give 200 or 0


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((10, 10, 14, 13), "hand-sized"),
        ((30, 30, 10, 10), "hand-sized"),
        ((np.nan, 10, 30, 30), "hand-sized"),
        ((100, 100, 140, 140), "does not lie in"),
        ((-5000, -5000, 5000, 5000), "does not lie in"),
    ],
)
def test_a_picture_without_a_hand_sized_box_is_refused(box, message):
    with pytest.raises(DataError, match=message):
        cut_out(np.zeros((60, 60, 3), np.uint8), np.zeros((21, 2)), box, size=16, margin=1.5)


def test_hands_too_small_are_left_out_with_a_warning_and_none_left_is_an_error(tmp_path):
    write_cmu_hands(tmp_path)
    path = tmp_path / "cmu_hands" / "hand_labels" / "manual_test" / "005_l.json"
    content = json.loads(path.read_text())
    content["hand_pts"] = [[100 + i / 10, 100, 1] for i in range(21)]
    write_json(path, content)
    with pytest.warns(UserWarning, match="1 hands without a hand-sized box"):
        assert len(load("cmu_hands", tmp_path, size=SIZE)) == 1
    write_json(path.with_name("005_r.json"), content)
    with pytest.raises(DataError, match="none of 2 pictures"):
        load("cmu_hands", tmp_path, size=SIZE)


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


class Disguised:
    """What a pickle of an array would look like with something else in its place."""

    def __reduce__(self):
        return np._core.multiarray._reconstruct, (Harmful, (0,), b"b")


@pytest.mark.parametrize("content", [Harmful(), {0: {"uv_vis": Disguised()}}, {0: {"uv_vis": Path("x")}}])
def test_a_pickle_that_asks_for_more_than_arrays_is_refused_unread(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    write_rhd(tmp_path)
    path = tmp_path / "rhd" / "RHD_published_v2" / "evaluation" / "anno_evaluation.pickle"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="no pickle of plain arrays"):
        load("rhd", tmp_path, size=SIZE)
    assert not (tmp_path / "harmed").exists()


RHD_LABELS = "rhd/RHD_published_v2/evaluation/anno_evaluation.pickle"
GANERATED_LABELS = "ganerated/GANeratedHands_Release/data/noObject/0010/0001_joint2D.txt"
CMU_LABELS = "cmu_hands/hand_labels/manual_test/005_l.json"
SAMPLES = "keypoint_samples/freihand/test_freihand.json"


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("ganerated", GANERATED_LABELS, b"1,2,3", "1.5 keypoints|no table|places"),
        ("ganerated", GANERATED_LABELS, b"\xff\xfe\x00", "no readable text"),
        ("ganerated", GANERATED_LABELS, b",".join([b"a"] * 42), "something else than keypoints"),
        ("ganerated", GANERATED_LABELS, b",".join([b"nan"] * 42), "infinite"),
        ("rhd", RHD_LABELS, b"", "no pickle"),
        ("rhd", RHD_LABELS, pickle.dumps([1, 2]), "no table of pictures"),
        ("rhd", RHD_LABELS, pickle.dumps({0: {"xyz": np.zeros(3)}}), "no table uv_vis"),
        ("rhd", RHD_LABELS, pickle.dumps({0: {"uv_vis": np.zeros((21, 3))}}), r"expected \[42, 3\]"),
        ("freihand", "freihand/FreiHAND_pub_v2/evaluation_xyz.json", b"[[1, 2", "not readable JSON"),
        ("freihand", "freihand/FreiHAND_pub_v2/evaluation_xyz.json", b"[[[0, 0, 1]]]", "expected .N, 21, 3"),
        ("freihand", "freihand/FreiHAND_pub_v2/evaluation_K.json", b"{}", "no list of tables|expected"),
        ("freihand", "freihand/FreiHAND_pub_v2/evaluation/rgb/notes.jpg", b"x", "file name of digits"),
        ("freihand", "freihand/FreiHAND_pub_v2/evaluation/rgb/00000007.jpg", b"x", "has no joints"),
        (
            "freihand",
            "freihand/FreiHAND_pub_v2/evaluation/rgb/00000001.jpg",
            b"\xff\xd8cut",
            "no readable picture",
        ),
        ("onehand10k", "onehand10k/Test/label_joint.txt", b"7.jpg,180,240,1,5,5\n", "fields"),
        ("onehand10k", "onehand10k/Test/label_joint.txt", b"", "no labelled hand"),
        ("cmu_hands", CMU_LABELS, b"{}", "lacks hand_pts or is_left"),
        ("cmu_hands", CMU_LABELS, b'{"hand_pts": [[1, 2, 1]], "is_left": 0}', "1 keypoints"),
        ("asl7", "asl7/mediapipe_landmarks.npz", b"PK", "not a readable .npz"),
        ("asl7", "asl7/user_6/user_6_loc.csv", b"a,b\n1,2\n", "no list of boxes"),
        ("freihand_samples", SAMPLES, b"{}", "COCO-style"),
        ("freihand_samples", SAMPLES, b"[" * 100_000, "not readable JSON"),
        (
            "interhand_samples",
            "keypoint_samples/interhand2.6m/test_interhand2.6m_camera.json",
            b"{}",
            "InterHand",
        ),
    ],
)
def test_a_foreign_or_broken_file_is_named(tmp_path, name, file, content, message):
    WRITERS[name](tmp_path)
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        load(name, tmp_path, size=SIZE)
    assert (
        message == "no labelled hand" or str(path) in str(error.value) or path.parent.name in str(error.value)
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_set_and_a_missing_picture_are_errors_that_name_the_place(name, tmp_path):
    with pytest.raises(DataError, match="missing") as error:
        load(name, tmp_path, size=SIZE)
    assert str(tmp_path) in str(error.value)
    WRITERS[name](tmp_path)
    for image in [*tmp_path.rglob("*.jpg"), *tmp_path.rglob("*.png")]:
        if name != "freihand":  # whose pictures are its list
            image.unlink()
    if name != "freihand":
        with pytest.raises(DataError, match="its labels are there"):
            load(name, tmp_path, size=SIZE)


def test_a_picture_of_another_size_than_its_labels_say_is_refused(tmp_path):
    write_onehand10k(tmp_path)
    path = tmp_path / "onehand10k" / "Test" / "source" / "7.jpg"
    picture(path, np.array([5.0, 5.0]), 100, 240)
    with pytest.raises(DataError, match="its labels are for"):
        load("onehand10k", tmp_path, size=SIZE)


def test_odd_requests_are_refused(tmp_path):
    write_asl7(tmp_path)
    for changes, message in (
        ({"name": "asl8"}, "no set of hands"),
        ({"part": "dev"}, "no part"),
        ({"part": "train"}, "is a test set"),
        ({"box": "palm"}, "no way"),
        ({"size": 0}, "positive"),
    ):
        with pytest.raises(DataError, match=message):
            load(**{"name": "asl7", "data_root": tmp_path, "size": SIZE} | changes)


def test_grey_and_paletted_pictures_are_read_as_colour(tmp_path):
    Image.fromarray(np.full((9, 12), 77, np.uint8)).save(tmp_path / "grey.png")
    assert (read_picture(tmp_path / "grey.png") == 77).all()
    assert read_picture(tmp_path / "grey.png").shape == (9, 12, 3)


def real(name: str) -> Path:
    root = os.environ.get("THESIS_DATA")
    if not root:
        pytest.skip("THESIS_DATA names no folder of real data")
    folder = "asl7" if name == "asl7" else "keypoint_samples"
    if not (Path(root) / folder).exists():
        pytest.skip(f"{root} has no {folder}")
    return Path(root)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("freihand_samples", 8),
        ("onehand10k_samples", 4),
        ("panoptic_samples", 4),
        ("rhd_samples", 3),
        ("interhand_samples", 6),
        ("asl7", 1200),
    ],
)
def test_fingers_of_real_hands_grow_shorter_outwards_and_fill_the_crop(name, count):
    hands = load(name, real(name), size=SIZE, box="keypoints")
    assert len(hands) == count
    extent = np.nanmax(hands.keypoints, axis=1) - np.nanmin(hands.keypoints, axis=1)
    np.testing.assert_allclose(extent.max(axis=1), SIZE / room.MARGIN["keypoints"], atol=0.01)
    fingers = hands.keypoints[:, 1:].reshape(-1, 5, 4, 2)[:, 1:]  # without the thumb
    bones = np.linalg.norm(np.diff(fingers, axis=2), axis=-1)  # [N, 4, 3] from knuckle to tip
    first, _, last = np.nanmean(bones, axis=(0, 1))
    assert first > 1.3 * last  # the other way round where fingers are counted from the tip
