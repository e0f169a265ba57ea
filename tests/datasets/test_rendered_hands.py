"""Rendered sets: the same whatever happened on the way, and never a damaged one."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from thesislib import paths
from thesislib.datasets import rendered_hands
from thesislib.datasets.rendered_hands import rendered
from thesislib.datasets.sources import DataError

COUNT, SIZE = 50, 8


@dataclass(frozen=True)
class Knobs:
    noise: float = 0.5
    steps: tuple[int, ...] = (1, 2)


class Painter:
    """A tiny generator; remembers what it was asked for, and can be told to die at a sample."""

    def __init__(self, dies_at: int | None = None):
        self.asked, self.dies_at = [], dies_at

    def __call__(self, kind, seed, index, *, size, **settings):
        if self.dies_at is not None and (index >= self.dies_at).any():
            raise KeyboardInterrupt
        self.asked += index.tolist()
        image = ((index[:, None, None, None] * 7 + seed) % 256).expand(-1, 3, size, size).to(torch.uint8)
        return {
            "image": image,
            "keypoints": (index[:, None, None] % size).expand(-1, 21, 2).float(),
            "visible": torch.ones(len(index), 21, dtype=torch.bool),
            "left": index % 2 == 0,
            "signer": index,
            "letter": index % 26,
            "angles": index[:, None].expand(-1, 21).float(),
        }


def ask(folder, painter, **changes):
    wanted = {
        "kind": "letters",
        "seed": 3,
        "count": COUNT,
        "size": SIZE,
        "chunk": 8,
        "noise": Knobs(),
    } | changes
    return rendered(**wanted, folder=folder, generate=painter)


def test_a_set_is_rendered_once_and_then_mapped(tmp_path):
    painter = Painter()
    hands = ask(tmp_path, painter)
    assert painter.asked == list(range(COUNT))
    assert isinstance(hands.image, np.memmap) and not hands.image.flags.writeable
    assert (hands.image[:, 0, 0, 0] == (np.arange(COUNT) * 7 + 3) % 256).all()
    assert (hands.signer == np.arange(COUNT)).all() and hands.keypoints[49, 0, 0] == 1
    again = ask(tmp_path, painter)
    assert len(painter.asked) == COUNT and again.sha256 == hands.sha256
    (place,) = tmp_path.iterdir()
    assert sorted(p.name for p in place.iterdir()) == [".lock", "image.npy", "labels.npz", "manifest.json"]
    with np.load(place / "labels.npz", allow_pickle=False) as labels:
        assert labels["angles"].shape == (COUNT, 21)  # what else the generator gave is kept


def test_the_chunk_makes_no_difference(tmp_path):
    sets = [ask(tmp_path / str(chunk), Painter(), chunk=chunk) for chunk in (1, 7, 50, 512)]
    assert len({hands.sha256 for hands in sets}) == 1


@pytest.mark.parametrize(
    "change",
    [{"seed": 4}, {"count": 49}, {"kind": "poses"}, {"code": "x"}, {"noise": Knobs(0.6)}, {"size": 9}],
)
def test_another_request_is_another_set(tmp_path, change):
    ask(tmp_path, Painter())
    painter = Painter()
    ask(tmp_path, painter, **change)
    assert len(painter.asked) == change.get("count", COUNT) and len(list(tmp_path.iterdir())) == 2


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path, Painter(dies_at=30))
    (place,) = tmp_path.iterdir()
    assert not (place / "manifest.json").exists() and not (place / "image.npy").exists()
    painter = Painter()
    hands = ask(tmp_path, painter)
    assert painter.asked == list(range(24, COUNT))  # three chunks of eight were done
    assert hands.sha256 == ask(tmp_path / "fresh", Painter()).sha256


def test_a_killed_process_leaves_a_set_that_is_finished_by_the_next(tmp_path):
    program = """
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from test_rendered_hands import Painter, ask
        class Killer(Painter):
            def __call__(self, kind, seed, index, **settings):
                if (index >= 30).any():
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().__call__(kind, seed, index, **settings)
        ask(Path(sys.argv[1]), Killer())
    """
    here = os.path.dirname(os.path.abspath(__file__))
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT / "src")}
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path), here]
    killed = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    painter = Painter()
    hands = ask(tmp_path, painter)
    assert painter.asked == list(range(24, COUNT))
    assert hands.sha256 == ask(tmp_path / "fresh", Painter()).sha256


def test_a_kill_while_checksums_are_made_costs_no_hand(tmp_path, monkeypatch):
    def killed(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(rendered_hands, "_sha256", killed)
        ask(tmp_path, Painter())
    painter = Painter()
    hands = ask(tmp_path, painter)
    assert painter.asked == [] and hands.sha256 == ask(tmp_path / "fresh", Painter()).sha256


def test_what_a_killed_run_left_is_cleared_away(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path, Painter(dies_at=30), chunk=5)  # its chunks are not those of the run that finishes
    hands = ask(tmp_path, Painter())
    (place,) = tmp_path.iterdir()
    (place / "labels-0-8.part.npz").touch()  # and one that was killed with the manifest written
    assert ask(tmp_path, Painter()).sha256 == hands.sha256
    assert sorted(p.name for p in place.iterdir()) == [".lock", "image.npy", "labels.npz", "manifest.json"]


def test_two_that_ask_at_once_render_it_once(tmp_path):
    painter = Painter()
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: ask(tmp_path, painter, chunk=1), range(2))
    assert sorted(painter.asked) == list(range(COUNT)) and first.sha256 == second.sha256


def test_chunks_whose_pixels_are_not_what_was_written_are_drawn_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path, Painter(dies_at=30))
    (place,) = tmp_path.iterdir()
    with open(place / "image.part.npy", "r+b") as file:
        file.seek(
            -COUNT * 3 * SIZE * SIZE + 10 * 3 * SIZE * SIZE, os.SEEK_END
        )  # in sample 10, of chunk 8 to 15
        file.write(b"\xff\xee")
    (place / "labels-16-24.part.npz").write_bytes(b"cut short")
    painter = Painter()
    hands = ask(tmp_path, painter)
    assert painter.asked == [*range(8, COUNT)]
    assert hands.sha256 == ask(tmp_path / "fresh", Painter()).sha256


def damage(place, kind):
    if kind == "truncated image":
        os.truncate(place / "image.npy", (place / "image.npy").stat().st_size - 1)
    elif kind == "one bit of the image":
        content = bytearray((place / "image.npy").read_bytes())
        content[-5] ^= 1
        (place / "image.npy").write_bytes(content)
    elif kind == "labels gone":
        (place / "labels.npz").unlink()
    elif kind == "foreign labels":
        (place / "labels.npz").write_bytes(b"not labels at all")
    elif kind == "manifest cut short":
        (place / "manifest.json").write_text((place / "manifest.json").read_text()[:40])
    elif kind == "manifest of another set":
        manifest = json.loads((place / "manifest.json").read_text())
        manifest["asked"]["seed"] = 99
        (place / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "kind",
    [
        "truncated image",
        "one bit of the image",
        "labels gone",
        "foreign labels",
        "manifest cut short",
        "manifest of another set",
    ],
)
def test_a_damaged_set_is_refused_and_rendered_again(tmp_path, kind):
    good = ask(tmp_path, Painter()).sha256
    (place,) = tmp_path.iterdir()
    damage(place, kind)
    painter = Painter()
    with pytest.warns(UserWarning, match="rendering it again"):
        hands = ask(tmp_path, painter)
    assert painter.asked == list(range(COUNT)) and hands.sha256 == good
    ask(tmp_path, painter)  # and then it is fine: no warning, which pytest would show as an error here
    assert len(painter.asked) == COUNT


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("image", lambda a: a.float(), "images of float32"),
        ("image", lambda a: a[:, :, :4], "images of uint8"),
        ("keypoints", lambda a: a[:, :20], "keypoints is float32"),
        ("left", None, "gave no left"),
    ],
)
def test_a_generator_that_gives_something_else_is_refused(tmp_path, name, value, message):
    def generate(*args, **settings):
        made = Painter()(*args, **settings)
        changed = made.pop(name)
        return made | ({name: value(changed)} if value else {})

    with pytest.raises(DataError, match=message):
        ask(tmp_path, generate)


def test_nothing_is_rendered_without_room_and_the_error_says_so(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("thesislib.datasets.rendered_hands.shutil.disk_usage", lambda path: usage)
    with pytest.raises(DataError, match="make room first"):
        ask(tmp_path, Painter())


def test_odd_requests_are_refused(tmp_path):
    with pytest.raises(DataError, match="at least one hand"):
        ask(tmp_path, Painter(), count=0)
    with pytest.raises(DataError, match="must be a number"):
        ask(tmp_path, Painter(), noise=object())
