"""Two readers that learn nothing, what they must not notice, and one small run, stored and returned again."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thesislib import paths, pose_model
from thesislib.chapters import hands_out_of_numbers as chapter
from thesislib.chapters.hands_out_of_numbers import KNOBS, Config, edge_vectors, joint_vectors
from thesislib.synthetic import contacts
from thesislib.synthetic.hand import draw_anatomy
from thesislib.synthetic.scene import Difficulty

seeds = st.integers(0, 10_000)


def made_up(seed: int, count: int = 3, size: int = 16) -> dict[str, torch.Tensor]:
    """Grey pictures and keypoints that no generator drew; grey, so that brightness is exact."""
    random = np.random.default_rng(seed)
    grey = random.integers(20, 200, (count, 1, size, size), dtype=np.uint8)
    return {
        "image": torch.from_numpy(np.repeat(grey, 3, axis=1)),
        "keypoints": torch.from_numpy(random.uniform(0, size, (count, 21, 2)).astype(np.float32)),
        "left": torch.zeros(count, dtype=torch.bool),
    }


def mirrored(drawn: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    size = drawn["image"].shape[-1]
    keypoints = drawn["keypoints"] * torch.tensor([-1.0, 1.0]) + torch.tensor([float(size), 0.0])
    return {"image": drawn["image"].flip(-1), "keypoints": keypoints, "left": ~drawn["left"]}


@given(seeds, st.floats(-50, 50), st.floats(-50, 50), st.floats(0.2, 5))
def test_the_reader_of_joints_does_not_notice_place_or_size(seed, x, y, scale):
    drawn = made_up(seed)
    moved = drawn | {"keypoints": scale * drawn["keypoints"] + torch.tensor([x, y])}
    torch.testing.assert_close(joint_vectors(moved), joint_vectors(drawn), atol=1e-4, rtol=0)


@given(seeds)
def test_a_left_hand_reads_like_the_right_one_it_mirrors(seed):
    drawn = made_up(seed)
    torch.testing.assert_close(joint_vectors(mirrored(drawn)), joint_vectors(drawn), atol=1e-5, rtol=0)
    assert torch.equal(edge_vectors(mirrored(drawn)), edge_vectors(drawn))


def test_the_reader_of_joints_does_not_change_what_it_reads():
    drawn = made_up(0) | {"left": torch.ones(3, dtype=torch.bool)}
    before = drawn["keypoints"].clone()
    vectors = joint_vectors(drawn)
    assert torch.equal(drawn["keypoints"], before)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert (vectors[:, :2] == 0).all()  # the wrist is the origin


@given(seeds, st.integers(-20, 55))
def test_the_reader_of_edges_does_not_notice_brightness(seed, more):
    drawn = made_up(seed)
    brighter = drawn | {"image": (drawn["image"].int() + more).to(torch.uint8)}
    assert torch.equal(edge_vectors(brighter), edge_vectors(drawn))


@given(seeds)
def test_the_reader_of_edges_does_not_notice_contrast_where_there_is_some(seed):
    drawn = made_up(seed)
    low = drawn | {"image": (drawn["image"] // 4) * 2}
    high = drawn | {"image": (drawn["image"] // 4) * 4}
    torch.testing.assert_close(edge_vectors(high), edge_vectors(low), atol=1e-5, rtol=0)


def test_edges_are_those_counted_pixel_by_pixel():
    drawn = made_up(3, count=1)
    picture = drawn["image"][0, 0].numpy().astype(float)
    cells = np.zeros((9, 8, 8))
    for y in range(16):
        for x in range(16):
            across = picture[y, x + 1] - picture[y, x - 1] if 0 < x < 15 else 0.0
            down = picture[y + 1, x] - picture[y - 1, x] if 0 < y < 15 else 0.0
            degrees = np.degrees(np.arctan2(down, across)) % 180
            cells[min(int(degrees // 20), 8), y // 2, x // 2] += np.hypot(across, down) / 4
    cells /= np.maximum(np.linalg.norm(cells, axis=0), 1)
    expected = (cells / np.linalg.norm(cells)).ravel()
    np.testing.assert_allclose(edge_vectors(drawn)[0].numpy(), expected, atol=1e-5)


def test_a_blank_picture_has_no_edges_and_no_nan():
    blank = made_up(0) | {"image": torch.full((3, 3, 16, 16), 90, dtype=torch.uint8)}
    assert (edge_vectors(blank) == 0).all()


@pytest.mark.parametrize("shift, expected", [(0, 1.0), (1, 0.0)])
def test_readers_are_right_where_the_nearest_picture_shows_the_letter(monkeypatch, shift, expected):
    def generate(kind, seed, index, *, size, difficulty, signers):
        shown = made_up(7, count=len(index)) | {"visible": torch.ones(len(index), 21, dtype=torch.bool)}
        new = signers[0] == chapter.FIRST_SIGNER["test"]
        return shown | {"letter": index + shift * new}

    monkeypatch.setattr(chapter.scene, "generate", generate)
    config = Config.profile("smoke", known_images=12, new_images=12)
    at_the_corner = torch.zeros(12, 21, 2)
    accuracy = chapter.turned(config, Difficulty(), lambda images: at_the_corner)
    distance = made_up(7, count=12)["keypoints"].norm(dim=-1).mean() * 256 / config.size
    assert accuracy["new_signers_epe_px_at_256"] == pytest.approx(float(distance))
    assert accuracy["new_signers_letter_accuracy_1nn_joints"] == expected
    assert accuracy["new_signers_letter_accuracy_1nn_edges"] == expected
    assert accuracy["visible_share"] == 1 and accuracy["n"] == 12


def test_speed_counts_pictures_and_gives_the_threads_back(monkeypatch):
    monkeypatch.setattr(chapter.scene, "generate", lambda *args, **kwargs: time.sleep(0.01))
    threads = torch.get_num_threads()
    rate = chapter.images_per_second(0, 64, seconds=0.05)["one_cpu_thread"]
    assert torch.get_num_threads() == threads
    assert 64 / 0.05 < rate <= 64 / 0.01  # 64 pictures in 10 ms, or somewhat more on a busy machine


def test_contacts_are_those_of_the_hands_that_are_drawn(monkeypatch):
    """Where solving changes nothing, contacts are missed as the table misses them, on these people's hands."""
    table = torch.tensor([shape.angles for shape in chapter.LETTERS.values()])
    drawn, asked = draw_anatomy(torch.arange(2)), []

    def signer_handshapes(alphabet, signers):
        asked.append((alphabet, signers.tolist()))
        return table.expand(2, -1, -1)

    monkeypatch.setattr(chapter, "signer_handshapes", signer_handshapes)
    found = chapter.solved_contacts(2)
    assert asked == [("american letters", [0, 1])]
    for place, (letter, shape) in enumerate(chapter.LETTERS.items()):
        row = found["letters"][letter]
        error = contacts.contact_error(drawn, table[place].expand(2, -1), [shape] * 2)
        assert row["contact_error_after"] == row["contact_error_before"] == pytest.approx(float(error.mean()))
        assert row["contacts_missed"] == sum(e > contacts.CONTACT_TOLERANCE for e in error.tolist()) / 2
    missed = [row["contacts_missed"] for row in found["letters"].values()]
    assert found["mean_contacts_missed"] == pytest.approx(np.mean(missed)) and 0 < np.mean(missed) < 1
    assert found["contact_tolerance"] == contacts.CONTACT_TOLERANCE


def test_a_small_run_measures_every_knob_and_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    monkeypatch.setattr(contacts, "cache_folder", lambda: tmp_path / "handshapes")
    monkeypatch.setattr(contacts, "BLOCK", 2)
    contacts._block.cache_clear()
    few = dict(known_signers=2, new_signers=2, known_images=6, new_images=4, size=16, sizes=())
    config = Config.profile("smoke", **few)
    record = chapter.run(config)
    contacts._block.cache_clear()
    metrics = record["metrics"]
    assert set(metrics["knobs"]) == {"usual"} | {f"{k}={v:g}" for k, ends in KNOBS.items() for v in ends}
    assert set(metrics["usual"]) == set(KNOBS)
    for row in metrics["contacts"]["letters"].values():
        assert row["penetration_after"] <= contacts.MAX_PENETRATION + 1e-6
        assert 0 <= row["contacts_missed"] <= 1
    assert metrics["contacts"]["mean_contact_error_after"] < metrics["contacts"]["mean_contact_error_before"]
    joints = [v["new_signers_letter_accuracy_1nn_joints"] for v in metrics["knobs"].values()]
    assert all(0 <= value <= 1 for value in joints)
    assert all(0 < v["new_signers_epe_px_at_256"] < 256 for v in metrics["knobs"].values())
    assert record["data"]["weights"] == pose_model.default_model().name
    for knob in ("clutter", "resolution", "blur", "noise"):  # joints are where they are, whatever the picture
        for value in KNOBS[knob]:
            row = metrics["knobs"][f"{knob}={value:g}"]
            assert row["new_signers_letter_accuracy_1nn_joints"] == joints[0]
    monkeypatch.setattr(chapter, "_measure", lambda config: pytest.fail("measured again"))
    assert chapter.run(config) == record


def test_known_and_new_hands_share_neither_scene_nor_pose():
    """With one seed for both parts, hand i of one would be hand i of the other by another person: a leak."""
    seeds = {chapter.fold_seed(seed, part) for seed in range(5) for part in ("train", "test")}
    assert len(seeds) == 10


@pytest.mark.parametrize("knob", KNOBS)
def test_a_ladder_goes_one_way_and_passes_the_usual_value(knob):
    values = chapter.ladder(knob)
    assert values[0] == KNOBS[knob][0] and getattr(Difficulty(), knob) in values
    assert values in (sorted(values), sorted(values, reverse=True)) and len(set(values)) == 3
