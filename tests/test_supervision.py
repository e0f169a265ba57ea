"""The supervision tool: a machine that is a pure function, and decisions that no crash takes away."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thesislib import supervision
from thesislib.datasets.sources import DataError
from thesislib.supervision import (
    Decision,
    Desk,
    Sitting,
    Stage,
    accepted,
    press,
    read_decisions,
    stages,
    verdicts,
)

PICTURES = ("a", "b", "c", "d")
keys = st.text(alphabet="ynbqx", max_size=30)


def pressed(desk: Desk, text: str) -> Desk:
    for key in text:
        desk = press(desk, key)
    return desk


# The machine


@given(keys)
def test_what_is_decided_is_a_stack_that_y_and_n_grow_and_b_shrinks(text):
    """An independent reading of figure 5.3: keys up to the first q that counts, on a plain list."""
    stack, left = [], False
    for key in text:
        if left or len(stack) == len(PICTURES):
            break
        if key in "yn":
            stack.append(key == "y")
        elif key == "b" and stack:
            stack.pop()
        left = key == "q"
    desk = pressed(Desk(PICTURES), text)
    assert desk.kept == tuple(stack) and desk.left == left
    assert desk.picture == (None if left or len(stack) == len(PICTURES) else PICTURES[len(stack)])


@given(keys, st.sampled_from("yn"))
def test_back_undoes_a_decision(text, key):
    desk = pressed(Desk((*PICTURES, "last")), text)
    after = press(desk, key)
    if not desk.done and not after.done:
        assert press(after, "b") == desk


@given(keys, st.sampled_from(["x", "", "Y", "yy", "\n"]))
def test_other_keys_do_nothing(text, key):
    desk = pressed(Desk(PICTURES), text)
    assert press(desk, key) is desk


def test_nothing_counts_after_the_end():
    for desk in (pressed(Desk(PICTURES), "yyyy"), pressed(Desk(PICTURES), "yq"), Desk(())):
        assert desk.done and all(press(desk, key) is desk for key in "ynbq")


# Two passes and a file


def sit(path, text, pictures=PICTURES, clock=time.monotonic):
    with Sitting(pictures, path, clock=clock) as sitting:
        for key in text:
            sitting.press(key)
        return sitting.in_pass, sitting.picture


def test_the_second_pass_shows_what_the_first_kept(tmp_path):
    path = tmp_path / "decisions.jsonl"
    assert sit(path, "ynyy") == (2, "a")
    assert sit(path, "yn") == (2, "d")
    assert accepted(path, PICTURES) == ["a"]
    assert sit(path, "y") == (2, None)
    assert accepted(path, PICTURES) == ["a", "d"]
    assert sit(path, "ynb") == (2, None)  # finished is finished


@given(text=st.text(alphabet="ynbx", max_size=24), cuts=st.lists(st.integers(0, 24), max_size=5))
def test_several_sittings_decide_what_one_does(tmp_path_factory, text, cuts):
    folder = tmp_path_factory.mktemp("sittings")
    one, many = folder / "one.jsonl", folder / "many.jsonl"
    places = [sit(one, text)]
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for start, stop in zip(edges, edges[1:], strict=False):
        last = sit(many, text[start:stop])
    assert places[-1] == last
    said, again = verdicts(read_decisions(one)), verdicts(read_decisions(many))
    assert [list(of.items()) for of in said] == [list(of.items()) for of in again]


def test_a_decision_is_in_the_file_before_the_next_picture_shows(tmp_path):
    path = tmp_path / "decisions.jsonl"
    with Sitting(PICTURES, path) as sitting:
        for number, key in enumerate("yny", start=1):
            sitting.press(key)
            assert len(path.read_text().splitlines()) == number
        sitting.press("b")
        assert [(d.picture, d.keep) for d in read_decisions(path)] == [
            *(("a", True), ("b", False), ("c", True), ("c", None))
        ]


def test_every_decision_is_synced(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(supervision.os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    path = tmp_path / "decisions.jsonl"
    sit(path, "ynx")
    assert len(synced) == 2 and synced[-1] == path.stat().st_size


@pytest.mark.parametrize("torn", ['{"picture": "b", "in_pass": 1, "ke', "{", '{"picture": "b"}'])
def test_a_torn_last_line_is_dropped(tmp_path, torn):
    path = tmp_path / "decisions.jsonl"
    sit(path, "y")
    path.write_text(path.read_text() + torn)
    assert len(read_decisions(path)) == 1
    assert sit(path, "n") == (1, "c")
    assert [d.picture for d in read_decisions(path)] == ["a", "b"]
    assert path.read_text().count("\n") == 2


def test_a_full_disk_is_said_and_leaves_whole_lines(tmp_path, monkeypatch):
    path = tmp_path / "decisions.jsonl"
    write = os.write
    with Sitting(PICTURES, path) as sitting:
        sitting.press("y")
        monkeypatch.setattr(supervision.os, "write", lambda file, line: write(file, line[:9]))
        with pytest.raises(DataError, match="make room"):
            sitting.press("n")
        assert sitting.picture == "b"
        monkeypatch.undo()
        sitting.press("n")
    assert [(d.picture, d.keep) for d in read_decisions(path)] == [("a", True), ("b", False)]


WORKER = """
import random, sys
from pathlib import Path
from thesislib.supervision import Sitting
pictures, path, seed = [f"p{n:04}" for n in range(int(sys.argv[1]))], Path(sys.argv[2]), int(sys.argv[3])
keys = random.Random(seed)
with Sitting(pictures, path) as sitting:
    while sitting.picture is not None:
        sitting.press(keys.choice("yyynb"))
        print(len(sitting.desk.kept), sitting.in_pass, flush=True)
"""


def test_killed_at_random_moments_nothing_is_lost(tmp_path):
    path = tmp_path / "decisions.jsonl"
    environment = os.environ | {"PYTHONPATH": str(Path(supervision.__file__).parents[1])}
    moments = (1, 7, 40)  # keys after which the process is killed
    for seed, moment in enumerate(moments):
        command = [sys.executable, "-c", WORKER, "100000", str(path), str(seed)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(moment):
            line = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].splitlines(keepends=True)
        told = [said for said in (line, *rest) if said.endswith("\n")][-1]
        kept, in_pass = map(int, told.split())
        said = verdicts(read_decisions(path))
        # what was shown as done is there; the key that was being taken may be, too
        assert in_pass == 1 and abs(len(said[0]) - kept) <= 1
        lines = path.read_bytes().split(b"\n")
        assert all(json.loads(line) for line in lines[:-1])
        last = len(said[0])
    with Sitting([f"p{n:04}" for n in range(100000)], path) as sitting:  # and it goes on there
        assert len(sitting.desk.kept) == last


# What is refused


def test_two_people_cannot_decide_into_one_file(tmp_path):
    path = tmp_path / "decisions.jsonl"
    with Sitting(PICTURES, path), pytest.raises(DataError, match="somebody else"):
        Sitting(PICTURES, path)
    assert sit(path, "y") == (1, "b")


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "[]",
        '{"picture": "a"}',
        '{"picture": "a", "in_pass": 3, "keep": true, "seconds": 1}',
        '{"picture": "a", "in_pass": 1, "keep": "yes", "seconds": 1}',
        '{"picture": "a", "in_pass": 1, "keep": true, "seconds": -1}',
        '{"picture": "a", "in_pass": 1, "keep": true, "seconds": NaN}',
        '{"picture": 3, "in_pass": 1, "keep": true, "seconds": 1}',
    ],
)
def test_a_foreign_file_is_refused_and_left_alone(tmp_path, line):
    path = tmp_path / "decisions.jsonl"
    sit(path, "y")
    path.write_text(path.read_text() + line + "\n")
    before = path.read_bytes()
    with pytest.raises(DataError, match="line 2, is no decision"):
        Sitting(PICTURES, path)
    assert path.read_bytes() == before


def test_decisions_on_other_pictures_are_refused(tmp_path):
    path = tmp_path / "decisions.jsonl"
    sit(path, "y")
    with pytest.raises(DataError, match="decides on a, which is not among the 2"):
        Sitting(("b", "c"), path)
    with pytest.raises(DataError, match="needs pictures, each once"):
        Sitting(("b", "b"), path)
    with pytest.raises(DataError, match="needs pictures, each once"):
        Sitting((), path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        Sitting(PICTURES, tmp_path / "file" / "decisions.jsonl")


# What is left


def test_stages_count_pictures_and_hours(tmp_path):
    now = iter(range(0, 10_000, 18))  # a clock that goes 18 s at each look
    path = tmp_path / "decisions.jsonl"
    sit(path, "ynybyyy", clock=lambda: next(now))
    found = stages(read_decisions(path), PICTURES)
    assert [stage.images for stage in found] == [4, 3, 1] and found[0].hours is None
    assert found[1] == Stage("wrist and quality", 3, pytest.approx(6 * 18 / 3600))  # back takes time too
    assert found[2].hours == pytest.approx(18 / 3600)


def test_a_pause_is_no_work():
    pause = [Decision("a", 1, True, 5000.0), Decision("b", 1, True, 2.0)]
    assert stages(pause, PICTURES)[1].hours == pytest.approx(62 / 3600)
