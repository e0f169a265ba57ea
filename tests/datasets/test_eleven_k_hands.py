"""11k Hands and OpenPose's files, made up in their official layouts: read right, or refused with a reason."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from thesislib.datasets.eleven_k_hands import COLUMNS, load, read_joints, read_reduced, read_register, split
from thesislib.datasets.sources import DataError
from thesislib.supervision import Sitting
from thesislib.synthetic.flat_hands import BORDER

WIDTH, HEIGHT = 400, 300
ROWS = [  # subject, aspect, accessories
    (0, "dorsal right", 0),
    (0, "palmar left", 1),
    (7, "dorsal left", 0),
    (7, "palmar right", 0),
    (31, "dorsal right", 0),
]
NAMES = [f"Hand_{number:07}.jpg" for number in (2, 3, 4, 55, 6000)]


def joints_of(row: int) -> np.ndarray:
    """21 places on a grid and certainties, [21, 3]; the middle of the first pixel is 0, as OpenPose counts."""
    number = np.arange(21)
    places = np.stack(
        [150 + 12 * (number % 6) + 3 * row, 90 + 30 * (number // 6), 0.4 + 0.02 * number], axis=1
    )
    return places.astype(np.float64)


def draw(row: int) -> Image.Image:
    """A dark picture with a bright square of 7 pixels around each of three joints, one a colour."""
    pixels = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    for colour, joint in enumerate((0, 4, 20)):
        x, y = joints_of(row)[joint, :2].astype(int)
        pixels[y - 3 : y + 4, x - 3 : x + 4, colour] = 255
    return Image.fromarray(pixels)


def register_text(rows=ROWS, names=NAMES, columns=COLUMNS) -> str:
    lines = [",".join(columns)]
    for (subject, aspect, accessories), name in zip(rows, names, strict=True):
        lines.append(f"{subject},27,male,fair,{accessories},0,{aspect},{name},1")
    return "\n".join(lines) + "\n"


def told(row: int) -> dict:
    side, other = ("left", "right") if "left" in ROWS[row][1] else ("right", "left")
    person = {
        "pose_keypoints_2d": [],
        f"hand_{side}_keypoints_2d": joints_of(row).flatten().tolist(),
        f"hand_{other}_keypoints_2d": [0.0] * 63,
    }
    return {"version": 1.3, "people": [person]}


@pytest.fixture
def places(tmp_path):
    """The publisher's folder and OpenPose's."""
    folder, json_folder = tmp_path / "11k", tmp_path / "openpose"
    (folder / "Hands").mkdir(parents=True)
    json_folder.mkdir()
    (folder / "HandInfo.csv").write_text(register_text())
    for row, name in enumerate(NAMES):
        draw(row).save(folder / "Hands" / name, quality=98, subsampling=0)
        (json_folder / f"{name[:-4]}_keypoints.json").write_text(json.dumps(told(row)))
    return folder, json_folder


def test_rows_of_the_csv_are_the_register(places):
    register = read_register(places[0])
    assert [photograph.name for photograph in register] == NAMES
    second = register[1]
    assert (second.subject, second.left, second.palmar, second.age) == (0, True, True, 27)
    assert (second.gender, second.skin_colour) == ("male", "fair")
    assert second.accessories and not second.nail_polish and second.irregularities


def test_hands_come_as_right_hands_with_joints_on_what_they_marked(places):
    hands = load(*places, size=64)
    assert hands.truth is None and hands.size == 64 and len(hands) == 5
    assert (hands.subject == [row[0] for row in ROWS]).all()
    assert (hands.mirrored == ["left" in row[1] for row in ROWS]).all()
    assert np.allclose(hands.certainty, joints_of(0)[:, 2])
    for image, keypoints in zip(hands.image, hands.keypoints, strict=True):
        for colour, joint in enumerate((0, 4, 20)):
            light = image[colour].astype(float) - image.min(axis=0)
            weight = np.where(light > 0.5 * light.max(), light, 0)
            y, x = np.indices(light.shape) + 0.5
            middle = [(weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()]
            assert np.abs(middle - keypoints[joint]).max() < 0.5


def test_a_left_hand_is_the_mirror_image_of_a_right_one(places):
    folder, json_folder = places
    there = load(folder, json_folder, size=64)
    person = told(1)["people"][0]
    swapped = {
        "hand_right_keypoints_2d": person["hand_left_keypoints_2d"],
        "hand_left_keypoints_2d": [0.0] * 63,
    }
    (json_folder / "Hand_0000003_keypoints.json").write_text(json.dumps({"people": [swapped]}))
    (folder / "HandInfo.csv").write_text(
        register_text([(*row[:1], "palmar right", 0) for row in ROWS[:2]], NAMES[:2])
    )
    right = load(folder, json_folder, size=64)
    assert (right.image[1] == there.image[1, :, :, ::-1]).all()
    assert np.allclose(right.keypoints[1, :, 0], 64 - there.keypoints[1, :, 0], atol=1e-4)
    assert np.allclose(right.keypoints[1, :, 1], there.keypoints[1, :, 1])


@pytest.mark.parametrize("size", [16, 40, 64, 224])
def test_the_square_has_its_border_at_every_size_and_reduction(places, size):
    hands = load(*places, size=size)
    low, high = hands.keypoints.min(axis=1), hands.keypoints.max(axis=1)
    assert np.allclose((high - low).max(axis=1), size / (1 + 2 * BORDER), rtol=1e-4)
    assert np.allclose((low + high) / 2, size / 2, atol=1e-2)


def test_a_picture_is_decoded_smaller_where_that_is_enough(tmp_path):
    path = tmp_path / "large.jpg"
    Image.new("RGB", (1603, 1205)).save(path)
    for needed, expected in ((0.04, 1 / 8), (0.2, 1 / 4), (0.3, 1 / 2), (0.7, 1), (3, 1)):
        pixels, scale = read_reduced(path, needed)
        assert scale == expected and pixels.shape == (-(-1205 * scale // 1), -(-1603 * scale // 1), 3)


def test_a_joint_that_was_not_found_is_finite_and_counts_for_nothing(places):
    folder, json_folder = places
    story = told(0)
    story["people"][0]["hand_right_keypoints_2d"][:3] = [0, 0, 0]
    story["people"][0]["hand_right_keypoints_2d"][5] = 1.03  # heatmaps reach a little beyond 1
    (json_folder / "Hand_0000002_keypoints.json").write_text(json.dumps(story))
    hands = load(folder, json_folder, size=64)
    assert hands.certainty[0, 0] == 0 and hands.certainty[0, 1] == 1
    assert np.abs(hands.keypoints[0, 0] - 32).max() < 0.5  # and the box does not reach for the corner


def test_a_picture_without_a_hand_is_left_out_with_a_warning(places):
    folder, json_folder = places
    (json_folder / "Hand_0000004_keypoints.json").write_text(
        json.dumps({"people": [{"hand_left_keypoints_2d": [0.0] * 63}]})
    )
    with pytest.warns(UserWarning, match="1 pictures without joints"):
        hands = load(folder, json_folder, size=16)
    assert len(hands) == 4 and (hands.subject == [0, 0, 7, 31]).all()


def test_decisions_filter(places, tmp_path):
    decisions = tmp_path / "decisions.jsonl"
    with Sitting(NAMES, decisions) as sitting:
        for key in "ynyyy" + "yny":  # 2, 4, 55 and 6000 stay; then 4 goes, and 6000 is not decided
            sitting.press(key)
    hands = load(*places, decisions, size=16)
    assert (hands.subject == [0, 7]).all() and (hands.image == load(*places, size=16).image[[0, 3]]).all()
    assert "supervised" in hands.source
    with pytest.raises(DataError, match="no decisions"):
        load(*places, tmp_path / "none.jsonl")
    with Sitting(["Hand_9.jpg"], tmp_path / "other.jsonl") as sitting:
        sitting.press("y")
    with pytest.raises(DataError, match="Hand_9.jpg, which is not among the 5"):
        load(*places, tmp_path / "other.jsonl")
    with Sitting(NAMES, tmp_path / "nothing.jsonl") as sitting:
        sitting.press("n")
    with pytest.raises(DataError, match="keeps no picture"):
        load(*places, tmp_path / "nothing.jsonl")


def test_subjects_are_on_one_side_of_a_split(places):
    hands = load(*places, size=16)
    for seed in range(6):
        training, validation = split(hands, seed=seed)
        assert not set(training.subject) & set(validation.subject)
        assert len(training) + len(validation) == 5 and len(training) > len(validation) > 0
    sides = {tuple(np.unique(split(hands, seed=seed)[1].subject)) for seed in range(20)}
    assert len(sides) > 1  # the seed draws who is asked
    same = split(hands, seed=3)[0], split(hands, seed=3)[0]
    assert same[0].sha256 == same[1].sha256


def test_a_split_is_as_near_to_the_share_as_subjects_allow(places):
    hands = load(*places, size=16)
    many = replace(hands.of(np.arange(500) % 5), subject=np.arange(500) // 10)
    training, validation = split(many)
    assert (len(training), len(validation)) == (400, 100)


def test_one_subject_cannot_be_split(places):
    hands = load(*places, size=16)
    with pytest.raises(DataError, match="one subject only, number 7"):
        split(hands.of(hands.subject == 7))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "HandInfo.csv is missing"),
        ("", "has no rows"),
        ("id,age\n1,2\n", "line 2, has no gender"),
        (register_text().replace("dorsal left", "left"), "line 4: no aspect"),
        (register_text().replace("7,27", "seven,27"), "line 4: invalid literal"),
        (register_text(names=[NAMES[0]] * 5), "names a picture twice"),
        (register_text().replace(NAMES[0], "../a.jpg"), "no name of a picture"),
        (register_text()[:-30], "line 6, has no"),
    ],
)
def test_a_broken_register_is_refused(places, text, message):
    path = places[0] / "HandInfo.csv"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(DataError, match=message):
        load(*places)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "_keypoints.json is missing"),
        ("{", "no readable JSON"),
        ("[]", "no list of people"),
        (json.dumps({"people": []}), "no person in it"),
        (json.dumps({"people": [{}]}), "has nothing, expected 63"),
        (json.dumps({"people": [{"hand_right_keypoints_2d": [1.0] * 60}]}), "has 60 numbers"),
        (json.dumps({"people": [{"hand_right_keypoints_2d": ["a"] * 63}]}), "no number"),
        (json.dumps({"people": [{"hand_right_keypoints_2d": [float("nan")] * 63}]}), "not finite"),
    ],
)
def test_broken_joints_are_refused(places, text, message):
    path = places[1] / "Hand_0000002_keypoints.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_joints(places[1], read_register(places[0])[0])
    with pytest.raises(DataError, match=message):
        load(*places)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is missing, and HandInfo.csv lists it"), (b"JFIF", "no readable picture")],
)
def test_a_broken_picture_is_refused(places, content, message):
    path = places[0] / "Hands" / NAMES[3]
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(*places)


def test_a_truncated_picture_is_refused(places):
    path = places[0] / "Hands" / NAMES[0]
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(DataError, match="no readable picture"):
        load(*places)
