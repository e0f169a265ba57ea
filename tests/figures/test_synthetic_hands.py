"""Figures of chapter 1 draw what they are given; what they are given is what the generator says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgba

from thesislib.chapters.hands_out_of_numbers import KNOBS, ladder
from thesislib.datasets import hand_test_sets
from thesislib.datasets.hand_layouts import AnnotatedHand
from thesislib.datasets.sources import DataError
from thesislib.figures import chapter1_numbers, hand_portraits, hands, real_and_synthetic, synthetic_hands
from thesislib.synthetic import contacts
from thesislib.synthetic.hand import ANGLES, BONES, LIMITS
from thesislib.synthetic.handshapes import alphabet, handshape
from thesislib.synthetic.scene import Difficulty

RANDOM = np.random.default_rng(0)
SMALL = dict(size=16, supersample=1)


@pytest.fixture(scope="module", autouse=True)
def solved_apart(tmp_path_factory):
    """Solve two signers at a time, into a temporary folder."""
    folder = tmp_path_factory.mktemp("handshapes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contacts, "cache_folder", lambda: folder)
        patch.setattr(contacts, "BLOCK", 2)
        contacts._block.cache_clear()
        yield
    contacts._block.cache_clear()


def pictures(n: int) -> np.ndarray:
    return RANDOM.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8)


def words(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_every_picture_is_in_its_row_and_column():
    rows = {"one": pictures(4), "two": pictures(4)}
    figure = synthetic_hands.picture_rows(rows, {"two": list("abcd")}, label_width=0.5, group=2)
    (axes,) = figure.axes
    shown = axes.images
    for image, given_ in zip(shown, np.concatenate(list(rows.values())), strict=True):
        np.testing.assert_array_equal(image.get_array(), given_.transpose(1, 2, 0))
    left = [image.get_extent()[0] for image in shown]
    assert left[:4] == left[4:]
    steps = np.diff(left[:4])
    assert steps[0] == pytest.approx(steps[2]) and steps[1] > steps[0]  # a wider gap between groups
    assert shown[4].get_extent()[3] > shown[0].get_extent()[2]  # the second row is below the first
    assert words(figure) == ["one", "two", *"abcd"]
    assert "one, two" in figure.get_label()


def test_a_moving_finger_is_coloured_and_the_others_are_pale():
    rows = {"index MCP": RANDOM.uniform(0, 1, (3, 21, 2))}
    figure = synthetic_hands.skeleton_rows(rows, moving={"index MCP": 1}, legend=False)
    (axes,) = figure.axes
    assert len(axes.lines) == 3 and {line.get_color() for line in axes.lines} == {hands.FINGER_COLOURS[1]}
    corner = axes.lines[0].get_xydata() - rows["index MCP"][0, 5:9]
    np.testing.assert_allclose(corner, np.broadcast_to(corner[0], (4, 2)), atol=1e-9)
    greys = {tuple(c) for lines in axes.collections for c in lines.get_colors()}
    assert all(r == g == b for r, g, b, _ in greys)


@given(st.integers(0, 1000), st.booleans())
def test_skeletons_fit_the_unit_square_without_being_bent(seed, together):
    skeletons = np.random.default_rng(seed).normal(0, 30, (4, 21, 2))
    fitted = synthetic_hands.in_unit_square(skeletons, together=together)
    assert fitted.min() >= 0 and fitted.max() <= 1

    def shares(s):
        sizes = np.linalg.norm(s[:, 1:] - s[:, :1], axis=-1)
        return sizes / (sizes.sum() if together else sizes.sum(axis=1, keepdims=True))

    np.testing.assert_allclose(shares(fitted), shares(skeletons))


def test_stages_colour_the_skin_by_finger():
    skin, part = RANDOM.uniform(0, 1, (6, 2)), np.array([-1, 0, 1, 2, 3, 4])
    depth = np.full((8, 8), np.nan)
    depth[2:5, 2:5] = 1
    figure = synthetic_hands.stages(
        RANDOM.uniform(0, 1, (21, 2)), skin, part, depth, {"plain": pictures(1)[0]}
    )
    (axes,) = figure.axes
    colours = [tuple(c) for c in axes.collections[-1].get_facecolors()]
    assert colours == [to_rgba(c) for c in (synthetic_hands.PALE, *hands.FINGER_COLOURS)]
    assert len(axes.images) == 2 and words(figure)[1:] == ["bones", "skin", "depth", "plain"]


def test_a_trail_is_the_traced_joint():
    way = RANDOM.uniform(-1, 1, (12, 21, 2))
    figure = synthetic_hands.trails({"Z": way}, {"Z": 8})
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xydata(), way[:, 8])
    assert figure.axes[0].yaxis_inverted()


def test_dots_are_the_speeds_of_the_record():
    rates = {"64 px": {"one_cpu_thread": 400.0, "gpu": 30_000.0}, "128 px": {"one_cpu_thread": 90.0}}
    figure = synthetic_hands.speeds(rates)
    assert [line.get_xdata()[0] for line in figure.axes[0].lines] == [400, 30_000, 90]
    assert words(figure) == ["400", "30,000", "90"]


@pytest.mark.parametrize("angle", ["thumb radial", "index PIP", "little abduction"])
def test_one_angle_moves_one_finger_from_limit_to_limit(angle):
    skeletons, degrees = hand_portraits.between_limits(angle, 5)
    limits = LIMITS[:, ANGLES.index(angle)]
    read = [float(degrees[end].rstrip("°").replace("−", "-")) for end in (0, -1)]
    assert read == limits.tolist()
    still = ~synthetic_hands._of_finger(synthetic_hands.finger_of(angle))
    np.testing.assert_allclose(skeletons[0][still], skeletons[-1][still], atol=1e-6)
    assert np.abs(skeletons[0][~still] - skeletons[-1][~still]).max() > 0.05


def test_twist_shows_on_a_bent_thumb_only():
    straight = hand_portraits.between_limits("thumb twist", 2, bent={"thumb MCP": 0.0, "thumb IP": 0.0})[0]
    bent = hand_portraits.between_limits("thumb twist", 2, bent={"thumb MCP": 0.0, "thumb IP": 45.0})[0]
    np.testing.assert_allclose(straight[0], straight[1], atol=1e-6)
    assert np.abs(bent[0] - bent[1]).max() > 0.05


def test_portraits_come_in_the_order_asked_for():
    both = hand_portraits.portraits(1, "american letters", labels=("b", "g"), **SMALL)
    other = hand_portraits.portraits(1, "american letters", labels=("g", "b"), **SMALL)
    assert both.shape == (2, 3, 16, 16) and both.dtype == np.uint8
    np.testing.assert_array_equal(both[::-1], other)
    assert (both[0] != both[1]).any()


def test_skin_lies_around_the_bones_that_carry_it():
    angles = torch.tensor(handshape("spread").angles)
    skin, whose = hand_portraits.skin_points(0, angles, torch.eye(3), spacing=0.08)
    made = hand_portraits.scene.portray(0, angles[None], torch.eye(3)[None], **SMALL)
    joints = made["keypoints"][0].numpy() / 16
    for finger in range(5):
        tip = joints[4 + 4 * finger]
        near = np.linalg.norm(skin - tip, axis=1).argmin()
        assert whose[near] == finger and np.linalg.norm(skin[near] - tip) < 0.05
    assert whose[np.linalg.norm(skin - joints[0], axis=1).argmin()] == -1


def test_a_moving_letter_keeps_its_bones_and_travels():
    angles, orientation, way = hand_portraits.moving_letter("z", 0, frames=10)
    assert angles.shape == (10, 21) and orientation.shape == (10, 3, 3) and way.shape == (10, 21, 2)
    moved = way - way[:1]
    np.testing.assert_allclose(
        moved, np.broadcast_to(moved[:, :1], moved.shape), atol=1e-5
    )  # Z does not turn
    assert np.linalg.norm(moved[-1, 0]) > 0.5


def test_a_ladder_has_the_usual_picture_in_the_middle():
    ladders = {"blur": ladder("blur")}
    rows, captions = hand_portraits.turned(ladders, seed=0, signers=range(2), hands=2, **SMALL)
    assert rows["blur"].shape == (6, 3, 16, 16)
    assert captions["blur"] == [f"{v:g}" for v in (KNOBS["blur"][0], Difficulty().blur, KNOBS["blur"][1])] * 2
    how = dict(signers=range(2), **SMALL)
    usual = hand_portraits.scene.generate("letters", 0, torch.arange(12), **how)["image"].numpy()
    for middle in (1, 4):
        assert any((rows["blur"][middle] == picture).all() for picture in usual)
    contrast = rows["blur"].astype(float).std(axis=(1, 2, 3))
    assert contrast[2] < contrast[0] and contrast[5] < contrast[3]


def test_the_nearest_pose_of_a_drawn_pose_is_itself_and_of_its_mirror_too():
    drawn, far = real_and_synthetic.nearest(np.zeros((1, 21, 2)), among=30)
    found, zero = real_and_synthetic.nearest(drawn, among=30)
    np.testing.assert_array_equal(found, drawn)
    assert far[0] > 0.1 and zero[0] < 1e-9
    mirrored = drawn * [-1, 1] + [1, 0]
    assert real_and_synthetic.nearest(mirrored, among=30)[1][0] < 1e-9


def test_letters_of_signers_are_theirs():
    skeletons = real_and_synthetic.letters_of_signers(("a", "l"), (0, 1))
    assert skeletons.shape == (2, 2, 21, 2)
    alone = real_and_synthetic.letters_of_signers(("a",), (0,))
    np.testing.assert_allclose(alone[0, 0], skeletons[0, 0], atol=1e-6)
    assert np.abs(skeletons[0] - skeletons[1]).max() > 0.005


def test_missing_real_hands_are_said_to_be_missing(tmp_path):
    with pytest.raises(DataError, match="asl7"):
        real_and_synthetic.letters_of_people(tmp_path, ("a",), (3,))


def annotated(shift: float, **known) -> AnnotatedHand:
    points = np.stack([np.arange(21.0) ** 1.5 + shift * np.arange(21), np.arange(21.0)[::-1]], axis=1)
    return AnnotatedHand(Path("nobody.jpg"), points, np.ones(21, bool), **known)


def test_letters_of_people_are_the_first_of_each_person(monkeypatch):
    people = [annotated(k, signer=who, letter=k % 2) for who in (3, 4) for k in range(4)]
    monkeypatch.setattr(hand_test_sets, "asl7", lambda data_root: people)
    found = real_and_synthetic.letters_of_people(Path(), ("b", "a"), (4, 3))
    expected = synthetic_hands.in_unit_square(np.stack([annotated(1).keypoints, annotated(0).keypoints]))
    np.testing.assert_allclose(found, np.stack([expected, expected]))
    with pytest.raises(DataError, match=r"\(3, 2\)"):
        real_and_synthetic.letters_of_people(Path(), ("c",), (3,))


def test_samples_are_the_first_and_last_whole_hand_of_each_set(monkeypatch):
    partly = annotated(9)
    partly.visible[5] = False
    sets = {
        name: lambda root: [partly, *map(annotated, range(3)), partly] for name in real_and_synthetic.SAMPLES
    }
    assert set(sets) < set(hand_test_sets.TEST_SETS)
    monkeypatch.setattr(hand_test_sets, "TEST_SETS", sets)
    expected = synthetic_hands.in_unit_square(np.stack([annotated(0).keypoints, annotated(2).keypoints]))
    np.testing.assert_allclose(real_and_synthetic.samples(Path()), np.concatenate([expected] * len(sets)))


def made_up_record() -> dict:
    def row(joints: float, edges: float) -> dict:
        names = ("new_signers_letter_accuracy_1nn_joints", "new_signers_letter_accuracy_1nn_edges")
        return dict(zip(names, (joints, edges), strict=True)) | {
            "visible_share": 0.6,
            "chance": 1 / 24,
            "n": 400,
            "new_signers_epe_px_at_256": 100 * (1 - joints),
        }

    settings = ["usual"] + [f"{knob}={value:g}" for knob, ends in KNOBS.items() for value in ends]
    contact = {f"{n}_{w}": 0.2 for n in ("contact_error", "penetration") for w in ("before", "after")}
    contact["contacts_missed"] = 0.1
    means = {f"mean_{name}": value / 2 for name, value in contact.items()} | {"contact_tolerance": 0.2}
    metrics = {
        "knobs": {setting: row(0.9 - i / 100, 0.5) for i, setting in enumerate(settings)},
        "usual": {knob: getattr(Difficulty(), knob) for knob in KNOBS},
        "contacts": {"signers": 4, "letters": {"w": contact}} | means,
        "images_per_second": {"64 px": {"one_cpu_thread": 149.0}, "128 px": {"one_cpu_thread": 40.0}},
    }
    config = dict(known_signers=4, new_signers=2, known_images=40, new_images=400)
    return {"metrics": metrics, "config": config}


def test_numbers_of_the_sentences_are_the_records():
    numbers = chapter1_numbers.of_the_run(made_up_record())
    assert numbers["read_joints"] == pytest.approx(90) and numbers["chance"] == pytest.approx(100 / 24)
    assert numbers["contact_error_after_w"] == pytest.approx(20)
    assert numbers["contact_error_after"] == pytest.approx(10)
    assert numbers["found_px"] == pytest.approx(10)
    assert numbers["speed"] == "149 of 64 px a second on one thread of its processor"
    assert (numbers["speed_goal"], numbers["speed_verdict"]) == (150, "not met by one")
    # a knob's settings have 1 and 2, 3 and 4, ... px more; joints are read with a margin of 2.94 %
    assert numbers["unmoved"] == "none"
    calm = made_up_record()
    for setting in ("blur=0", "blur=2.5"):
        calm["metrics"]["knobs"][setting] = calm["metrics"]["knobs"]["usual"]
    assert chapter1_numbers.of_the_run(calm)["unmoved"] == "blur"
    assert numbers["hardest_for_network"] == "24 px, with noise at 0.15"  # the last of the 14
    assert numbers["contacts_missed"] == pytest.approx(5) and numbers["contact_tolerance"] == 20
    assert numbers["margin_joints"] == pytest.approx(2.94, abs=0.01)  # 1.96 * sqrt(.9 * .1 / 400)
    model = chapter1_numbers.of_the_model()
    assert model["num_bones"] == len(BONES) and model["num_letters"] == len(alphabet("american letters"))


def test_the_table_of_knobs_has_a_row_a_knob_and_its_numbers_in_order():
    table = chapter1_numbers.knobs(made_up_record()).data
    assert list(table["knob"]) == [knob.replace("_", " ") for knob in KNOBS]
    assert table["joints, %"][0] == "89, 90, 88" and table["edges, %"][0] == "50, 50, 50"
    assert set(chapter1_numbers.MEANINGS) == set(KNOBS)


def test_the_table_of_a_handshape_has_its_angles():
    table = chapter1_numbers.handshape("american letters", "y").data.set_index("finger")
    angles = dict(zip(ANGLES, alphabet("american letters")["y"].angles, strict=True))
    assert float(table.loc["little", "PIP"]) == angles["little PIP"]
    assert table.loc["index", "twist"] == "–" and float(table.loc["thumb", "twist"]) == angles["thumb twist"]
