"""Tiny sets in the published layouts of signs: what a list says is found, and what the disk lacks is named."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from thesislib import paths
from thesislib.datasets.sign_layouts import NAMES, load, read_layout
from thesislib.datasets.sources import DataError

av = pytest.importorskip("av", reason="PyAV, the extra 'video', is not installed")

ASKED = {"length": 2, "size": 16}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setattr(paths, "CACHE", tmp_path_factory.mktemp("cache"))


def write_video(path: Path, shade: int = 100, frames: int = 4, columns: np.ndarray | None = None) -> Path:
    """Write a video of 25 frames a second; frame k has the shade given plus 5 k, or columns of shades."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as video:
        stream = video.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for k in range(frames):
            pixels = np.full((24, 32, 3), shade + 5 * k, np.uint8)
            if columns is not None:
                pixels[:] = columns[None, :, None]
            video.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        video.mux(stream.encode())
    return path


ISOGD = {  # part: list, folder, [(number, gesture)]
    "train": ("IsoGD_phase_1/train_list.txt", "train", [(1, 26), (2, 249), (201, 1)]),
    "validation": ("IsoGD_phase_1/valid_list.txt", "valid", [(1, 26), (2, 1)]),
    "test": ("IsoGD_phase_2/test_list.txt", "test", [(1, 249)]),
}


def write_isogd(root: Path) -> Path:
    for file, folder, rows in ISOGD.values():
        path = root / "isogd" / file
        for number, gesture in rows:
            place = f"{folder}/{(number - 1) // 200 + 1:03d}"
            write_video(path.parent / place / f"M_{number:05d}.avi", shade=gesture // 2)
            with open(path, "a") as text:
                text.write(f"{place}/M_{number:05d}.avi {place}/K_{number:05d}.avi {gesture}\n")
    return root


def sign(name: str, label: int, signer: int, start: float = 0.0, end: float = 0.16, **more) -> dict:
    """An entry of MS-ASL, with the fields that are not read too."""
    return {
        "org_text": "x", "clean_text": "x", "text": "x", "start": 0, "end": 4, "file": "x", "width": 32.0,
        "height": 24.0, "fps": 25.0, "url": f"https://www.youtube.com/watch?v={name}", "label": label,
        "signer_id": signer, "start_time": start, "end_time": end, "box": [0.0, 0.0, 1.0, 1.0],
    } | more  # fmt: skip


MS_ASL = {
    "train": [
        sign("aaaaaaaaaaa", 0, 7),
        sign("aaaaaaaaaaa", 2, 7, 0.16, 0.32),
        sign("bb_bbbbbb-b", 1, 8, url="www.youtube.com/watch?feature=x&v=bb_bbbbbb-b&t=3s"),
        sign("cccccccccc0", 0, 8),
    ],
    "val": [sign("ddddddddddd", 1, 30)],
    "test": [sign("eeeeeeeeeee", 2, 31)],
}


def write_ms_asl(root: Path, entries: dict | None = None) -> Path:
    folder = root / "ms_asl"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MSASL_classes.json").write_text(json.dumps(["hello", "nice", "teacher"]))
    for name, listed in (entries or MS_ASL).items():
        (folder / f"MSASL_{name}.json").write_text(json.dumps(listed))
    for name, shade in (("aaaaaaaaaaa.mp4", 40), ("bb_bbbbbb-b.mkv", 120), ("ddddddddddd.mp4", 160)):
        write_video(folder / "videos" / name, shade, frames=8)
    return root


def write_ledasila(root: Path, counts: dict[str, int]) -> Path:
    video = write_video(root / "one.mp4").read_bytes()
    for word, count in counts.items():
        folder = root / "ledasila" / word
        folder.mkdir(parents=True)
        for k in range(count):
            (folder / f"{word}-{k}.mp4").write_bytes(video)
    return root


def quiet(name: str, root: Path, part: str, **asked):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load(name, root, part, **ASKED | asked)


@pytest.mark.parametrize("part", list(ISOGD))
def test_isogd_has_the_colour_videos_and_gestures_of_its_lists(tmp_path, part):
    clips = quiet("isogd", write_isogd(tmp_path), part)
    gestures = [gesture for _, gesture in ISOGD[part][2]]
    assert [int(clips.words[label]) for label in clips.label] == gestures and len(clips.words) == 249
    found = np.asarray(clips.frame).mean(axis=(1, 2, 3, 4)).tolist()
    assert found == pytest.approx([gesture // 2 + 10 for gesture in gestures], abs=4)
    assert (clips.signer == -1).all() and clips.source.startswith(f"isogd {part}, 2 frames")


def test_isogd_names_the_videos_that_are_not_there(tmp_path):
    write_isogd(tmp_path)
    (tmp_path / "isogd/IsoGD_phase_1/train/001/M_00002.avi").unlink()
    with pytest.warns(UserWarning, match=r"1 of 3 clips are not on the disk: 001/M_00002.avi \(249\)"):
        clips = load("isogd", tmp_path, "train", **ASKED)
    assert len(clips) == 2 and clips.source.endswith("2 of 3 listed clips on the disk")
    layout = read_layout("isogd", tmp_path, "train")
    assert [video.path.name for video in layout.missing] == ["M_00002.avi"] and len(layout.found.videos) == 2
    (tmp_path / "isogd/IsoGD_phase_2/test/001/M_00001.avi").unlink()
    with pytest.raises(DataError, match="none of 1 videos is on the disk; ask for ChaLearn"):
        load("isogd", tmp_path, "test", **ASKED)


def test_isogd_says_which_split_file_is_missing(tmp_path):
    write_isogd(tmp_path)
    (tmp_path / "isogd/IsoGD_phase_1/valid_list.txt").unlink()
    with pytest.raises(DataError, match="has no valid_list.txt, so nothing says which clip is in which part"):
        load("isogd", tmp_path, "validation", **ASKED)
    assert len(load("isogd", tmp_path, "train", **ASKED)) == 3
    (tmp_path / "isogd/train_list.txt").touch()
    with pytest.raises(DataError, match="train_list.txt more than once"):
        load("isogd", tmp_path, "train", **ASKED)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("valid/001/M_00001.avi valid/001/K_00001.avi", "no labels, as in the challenge of 2016"),
        ("train/001/M_00001.avi train/001/K_00001.avi 26", "is it the list of another part"),
        ("valid/001/M_00001.avi valid/001/K_00001.avi 250", "gestures 1 to 249"),
        ("valid/001/M_00001.avi valid/001/K_00001.avi 0", "gestures 1 to 249"),
        ("valid/001/M_00001.avi", "line 3: expected train/001/M_00001.avi"),
        ("../../M_00001.avi ../../K_00001.avi 1", "line 3: expected"),
        ("valid/001/K_00001.avi valid/001/M_00001.avi 3", "line 3: expected"),
    ],
)
def test_isogd_refuses_lines_of_another_kind(tmp_path, line, message):
    write_isogd(tmp_path)
    with open(tmp_path / "isogd/IsoGD_phase_1/valid_list.txt", "a") as text:
        text.write(line + "\n")
    with pytest.raises(DataError, match=message):
        load("isogd", tmp_path, "validation", **ASKED)


def test_isogd_may_be_unpacked_one_folder_deeper(tmp_path):
    write_isogd(tmp_path)
    inner = tmp_path / "isogd/IsoGD_phase_1"
    inner.rename(tmp_path / "moved")
    inner.mkdir()
    (tmp_path / "moved").rename(inner / "IsoGD_phase_1")
    assert len(quiet("isogd", tmp_path, "train")) == 3


def test_ms_asl_cuts_signs_out_of_whole_videos(tmp_path):
    write_ms_asl(tmp_path)
    with pytest.warns(
        UserWarning, match=r"1 of 4 clips are not on the disk: videos/cccccccccc0.mp4 \(hello\)"
    ):
        clips = load("ms_asl", tmp_path, "train", **ASKED)
    assert clips.words == ("hello", "nice", "teacher") and clips.label.tolist() == [0, 2, 1]
    assert clips.signer.tolist() == [7, 7, 8] and "3 of 4 listed clips" in clips.source
    shade = np.asarray(clips.frame).mean(axis=(2, 3, 4))
    # frames 1 and 3 of four: of the first sign 0 to 3, of the second 4 to 7
    np.testing.assert_allclose(shade, [[45, 55], [65, 75], [125, 135]], atol=3)


def test_ms_asl_boxes_are_top_left_bottom_right(tmp_path):
    columns = np.where(np.arange(32) < 16, 20, 220)
    for box, expected in (([0, 0, 1, 0.5], 20), ([0, 0.5, 1, 1], 220), ([-0.1, 0.5, 1.2, 1.01], 220)):
        listed = MS_ASL | {"val": [sign("ddddddddddd", 1, 30, box=box)]}
        write_ms_asl(tmp_path, listed)
        write_video(tmp_path / "ms_asl/videos/ddddddddddd.mp4", columns=columns)
        frame = np.asarray(quiet("ms_asl", tmp_path, "validation").frame)
        assert np.median(frame) == pytest.approx(expected, abs=6)


def test_ms_asl_has_subsets_of_its_most_frequent_words(tmp_path):
    write_ms_asl(tmp_path)
    layout = read_layout("ms_asl", tmp_path, "train", num_words=2)
    assert layout.found.words == ("hello", "nice") and len(layout.missing) == 1
    assert [(video.word, video.signer) for video in layout.found.videos] == [("hello", 7), ("nice", 8)]


def test_ms_asl_says_where_a_signer_is_in_two_parts(tmp_path):
    write_ms_asl(tmp_path, MS_ASL | {"test": [sign("eeeeeeeeeee", 2, 8)]})
    with pytest.warns(UserWarning, match="1 of 2 signers of train are in test too: 8"):
        read_layout("ms_asl", tmp_path, "train")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_layout("ms_asl", tmp_path, "validation")


@pytest.mark.parametrize(
    "file", ["MSASL_train.json", "MSASL_val.json", "MSASL_test.json", "MSASL_classes.json"]
)
def test_ms_asl_needs_all_its_files(tmp_path, file):
    write_ms_asl(tmp_path)
    path = tmp_path / "ms_asl" / file
    whole = path.read_text()
    for content, message in ((whole[:-5], "no readable JSON"), ("{}", "is no list"), ("[]", "is no list")):
        path.write_text(content)
        with pytest.raises(DataError, match=f"{file} {message}|{file} is"):
            read_layout("ms_asl", tmp_path, "train")
    path.unlink()
    with pytest.raises(DataError, match=f"{file} is missing, and no split can be made without it: download"):
        read_layout("ms_asl", tmp_path, "train")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"box": [0, 0, 1]}, "entry 0: url, label, signer_id"),
        ({"box": None}, "entry 0: url, label, signer_id"),
        ({"start_time": "soon"}, "is it a file of MS-ASL"),
        ({"label": 3}, "a label below 3"),
        ({"signer_id": -1}, "a signer from 0"),
        ({"url": "https://example.org/video.mp4"}, "expected a url that names a video"),
    ],
)
def test_ms_asl_names_the_entry_that_is_wrong(tmp_path, more, message):
    write_ms_asl(tmp_path, MS_ASL | {"val": [sign("ddddddddddd", 1, 30) | more]})
    with pytest.raises(DataError, match=message):
        read_layout("ms_asl", tmp_path, "train")


def test_ms_asl_names_a_sign_after_the_end_of_its_video(tmp_path):
    listed = MS_ASL | {"val": [sign("ddddddddddd", 1, 30), sign("ddddddddddd", 1, 30, 5.0, 6.0)]}
    write_ms_asl(tmp_path, listed)
    with pytest.raises(DataError, match="1 of 2 videos cannot be read: .*no frame between 5 and 6 seconds"):
        load("ms_asl", tmp_path, "validation", **ASKED)
    with pytest.warns(UserWarning, match="1 of 2 videos left out"):
        assert len(load("ms_asl", tmp_path, "validation", **ASKED, skip_unreadable=True)) == 1


def test_ledasila_keeps_the_frequent_words(tmp_path):
    write_ledasila(tmp_path, {"Haus": 18, "grün": 20, "selten": 17})
    clips = quiet("ledasila", tmp_path, "all")
    assert clips.words == ("grün", "Haus") and np.bincount(clips.label).tolist() == [20, 18]
    assert (clips.signer == -1).all()


def test_ledasila_has_no_split_and_says_why(tmp_path):
    write_ledasila(tmp_path, {"Haus": 18, "grün": 2})
    for part in ("train", "validation", "test"):
        with pytest.raises(DataError, match=f"no part '{part}'.*a random split may show one person on both"):
            load("ledasila", tmp_path, part, **ASKED)
    with pytest.raises(DataError, match="1 of 2 words have 18 clips or more"):
        load("ledasila", tmp_path, "all", **ASKED)


@pytest.mark.parametrize("name", NAMES)
def test_a_set_that_is_not_there_is_explained(tmp_path, name):
    with pytest.raises(DataError, match=f"{name} is missing. How to get it: .*{name}"):
        load(name, tmp_path, "train", **ASKED)


def test_unknown_names_and_parts(tmp_path):
    with pytest.raises(DataError, match="there are: isogd, ms_asl, ledasila"):
        load("wlasl", tmp_path, "train", **ASKED)
    for name, write in (("isogd", write_isogd), ("ms_asl", write_ms_asl)):
        write(tmp_path)
        with pytest.raises(DataError, match=f"{name} has no part 'val'; there are: train, validation, test"):
            load(name, tmp_path, "val", **ASKED)
