"""The supervision tool in a terminal and in a notebook, on made-up photographs in 11k Hands' layout."""

import io
import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

from thesislib.datasets.eleven_k_hands import COLUMNS
from thesislib.datasets.sources import DataError
from thesislib.supervision import accepted, read_decisions, verdicts
from thesislib.supervision_notebook import supervise_in_notebook
from thesislib.supervision_terminal import draw_joints, supervise_folder

NAMES = [f"Hand_{number}.jpg" for number in range(4)]
POINTS = [number for joint in range(21) for number in (20 + 12 * (joint % 6), 15 + 20 * (joint // 6), 0.7)]


@pytest.fixture
def places(tmp_path):
    """Folder, OpenPose's folder, and the file of decisions, which is not there yet."""
    folder, json_folder = tmp_path / "11k", tmp_path / "openpose"
    (folder / "Hands").mkdir(parents=True)
    json_folder.mkdir()
    lines = [",".join(COLUMNS)]
    for number, name in enumerate(NAMES):
        lines.append(f"{number},27,male,fair,0,0,dorsal right,{name},0")
        Image.new("RGB", (120, 90), (40 + 40 * number, 90, 90)).save(folder / "Hands" / name)
        person = {"hand_right_keypoints_2d": POINTS}
        (json_folder / f"{name[:-4]}_keypoints.json").write_text(json.dumps({"people": [person]}))
    (folder / "HandInfo.csv").write_text("\n".join(lines) + "\n")
    return folder, json_folder, tmp_path / "decisions.jsonl"


# In a terminal


def test_lines_decide_where_there_is_no_terminal(places):
    said = []
    found = supervise_folder(*places, keys=io.StringIO("y\nn\nwhat\nyes\nq\n"), say=said.append)
    assert verdicts(read_decisions(places[2]))[0] == {NAMES[0]: True, NAMES[1]: False, NAMES[2]: True}
    assert [stage.images for stage in found] == [4, 2, 0]
    shown = places[2].with_suffix(".png")
    assert str(shown) in said[0] and sum("4 of 4" in line for line in said) == 1
    with Image.open(shown) as picture:
        assert abs(picture.getpixel((60, 88))[0] - (40 + 40 * 3)) < 4  # the fourth picture waits
    # the end of the input leaves, too; the next sitting goes on
    found = supervise_folder(*places, keys=io.StringIO("y\ny\nn\ny"), say=said.append)
    assert [stage.images for stage in found] == [4, 3, 2]
    assert accepted(places[2], NAMES) == [NAMES[0], NAMES[3]]
    assert sum(line.startswith("Pass 2") for line in said) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_single_keys_decide_in_a_terminal_which_is_left_as_it_was(places):
    import termios

    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    os.write(master, b"ynYb" + b"q")  # no line ends
    with open(slave, closefd=False) as keys:
        supervise_folder(*places, keys=keys, say=lambda line: None)
    assert verdicts(read_decisions(places[2]))[0] == {NAMES[0]: True, NAMES[1]: False}
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_an_interrupt_leaves_with_everything_kept(places):
    class Keys(io.StringIO):
        def readline(self, *_):
            if line := super().readline():
                return line
            raise KeyboardInterrupt

    said = []
    supervise_folder(*places, keys=Keys("y\nn\n"), say=said.append)
    assert "Stopped." in said and len(read_decisions(places[2])) == 2


def test_a_broken_file_is_said_after_what_came_before_is_kept(places):
    (places[1] / "Hand_2_keypoints.json").unlink()
    with pytest.raises(DataError, match="Hand_2_keypoints.json is missing"):
        supervise_folder(*places, keys=io.StringIO("y\ny\ny\n"), say=lambda line: None)
    assert len(read_decisions(places[2])) == 2


def test_joints_are_drawn_where_they_are_and_darker_where_unsure():
    picture = Image.new("RGB", (300, 300), "#808080")
    points = np.array(POINTS, np.float32).reshape(21, 3)[:, :2] * 2.5
    certainty = np.linspace(0.2, 1, 21).astype(np.float32)
    certainty[3] = 0
    drawn = np.asarray(draw_joints(picture, points, certainty, ring_wrist=False)).astype(int)
    for joint, (x, y) in enumerate(points):
        inside = drawn[round(float(y)), round(float(x))]
        if joint != 3:
            assert np.abs(inside - round(255 * float(certainty[joint]))).max() <= 1
    assert (drawn[round(float(points[3, 1])) + 2, round(float(points[3, 0])) + 2] == 128).all()
    ringed = np.asarray(draw_joints(picture, points, certainty, ring_wrist=True))
    changed = np.argwhere((ringed != drawn).any(axis=-1))
    assert len(changed) and np.linalg.norm(changed[:, ::-1] - points[0], axis=1).max() < 10
    assert (np.asarray(picture) == 128).all()  # the picture itself is left alone


# In a notebook


def _controls(box):
    heading, picture, line, progress, row = box.children
    *buttons, field = row.children
    return heading, picture, line, progress, {button.description[-2]: button for button in buttons}, field


def test_buttons_and_typed_keys_decide(places):
    pytest.importorskip("ipywidgets")
    heading, picture, line, progress, buttons, field = _controls(supervise_in_notebook(*places))
    assert "Pass 1 of 2" in heading.value and NAMES[0] in line.value
    first = picture.value
    buttons["y"].click()
    assert NAMES[1] in line.value and picture.value != first and (progress.value, progress.max) == (1, 4)
    field.value = "n"
    assert field.value == "" and NAMES[2] in line.value
    buttons["b"].click()
    field.value = "yyn"
    assert "Pass 2 of 2" in heading.value
    field.value = "nyq"
    assert all(button.disabled for button in buttons.values()) and "fingers: 1" in heading.value
    assert accepted(places[2], NAMES) == [NAMES[1]]


def test_a_notebook_and_a_terminal_go_on_with_one_file(places):
    pytest.importorskip("ipywidgets")
    *_, buttons, field = _controls(supervise_in_notebook(*places))
    field.value = "yn"
    with pytest.raises(DataError, match="somebody else"):
        supervise_folder(*places, keys=io.StringIO(""), say=lambda line: None)
    buttons["q"].click()
    found = supervise_folder(*places, keys=io.StringIO("y\nn\ny\ny\n"), say=lambda line: None)
    assert [stage.images for stage in found] == [4, 2, 2]


def test_without_ipywidgets_it_says_what_to_do(places, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(DataError, match="pip install ipywidgets"):
        supervise_in_notebook(*places)
    assert not places[2].exists()


def test_a_picture_that_cannot_be_shown_lets_the_file_go(places):
    pytest.importorskip("ipywidgets")
    (places[0] / "Hands" / NAMES[0]).unlink()
    for _ in range(2):  # the second time the file is free again
        with pytest.raises(DataError, match="unpack Hands.zip"):
            supervise_in_notebook(*places)
