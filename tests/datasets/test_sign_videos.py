"""Folders of small painted videos: every word, signer and file is found, kept, or named where it is left out."""

import os
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest

from thesislib import paths
from thesislib.datasets.sign_videos import decoded, find, first_words, load_folder
from thesislib.datasets.sources import DataError

av = pytest.importorskip("av", reason="PyAV, the extra 'video', is not installed")

ASKED = {"length": 3, "size": 16}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    monkeypatch.setattr(paths, "CACHE", tmp_path_factory.mktemp("cache"))
    return paths.CACHE


def write_video(path: Path, shade: int = 100, frames: int = 4) -> Path:
    """Write frames of one shade, which comes back within a few grey levels; none makes a head without frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as video:
        stream = video.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        video.start_encoding()
        for _ in range(frames):
            pixels = np.full((24, 32, 3), shade, np.uint8)
            video.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        video.mux(stream.encode())
    return path


def write_set(folder: Path) -> Path:
    """Two words and four clips, whose shades are 40, 80, 120, 160 in natural order."""
    for shade, name in ((40, "crn/2.mp4"), (80, "crn/10.avi"), (120, "žuta/a.mp4"), (160, "žuta/b.mkv")):
        write_video(folder / name, shade)
    return folder


def shades(clips) -> list[int]:
    return (np.asarray(clips.frame).mean(axis=(1, 2, 3, 4)) / 40).round().astype(int).tolist()


def test_words_are_folders_and_clips_are_files(tmp_path):
    clips = load_folder(write_set(tmp_path / "signs"), **ASKED)
    assert clips.words == ("crn", "žuta") and clips.label.tolist() == [0, 0, 1, 1]
    assert clips.frame.shape == (4, 3, 3, 16, 16) and shades(clips) == [1, 2, 3, 4]
    assert (clips.signer == -1).all() and (clips.begin == 0).all() and (clips.end == 3).all()
    assert clips.source == "signs, 3 frames a clip, middle square"


def test_signers_are_folders_of_words_and_need_not_have_all_of_them(tmp_path):
    for shade, name in ((40, "Ana/da"), (80, "Ana/ne"), (120, "Bo/ne"), (160, "Bo/hvala")):
        write_video(tmp_path / "own" / name / "1.mp4", shade)
    found = find(tmp_path / "own")
    assert found.signers == ("Ana", "Bo") and found.words == ("da", "hvala", "ne")
    clips = decoded(found, **ASKED)
    named = [(found.signers[s], clips.words[w]) for s, w in zip(clips.signer, clips.label, strict=True)]
    assert dict(zip(named, shades(clips), strict=True)) == {
        ("Ana", "da"): 1, ("Ana", "ne"): 2, ("Bo", "hvala"): 4, ("Bo", "ne"): 3,
    }  # fmt: skip


def test_names_are_the_same_however_a_letter_with_a_hook_is_stored(tmp_path):
    write_video(tmp_path / "own" / unicodedata.normalize("NFD", "žuta") / "1.mp4")
    write_video(tmp_path / "own" / "crn" / "1.mp4")
    assert find(tmp_path / "own").words == ("crn", "žuta")
    write_video(tmp_path / "own" / "žuta" / "1.mp4")
    with pytest.raises(DataError, match="the same name: put them together"):
        find(tmp_path / "own")


def test_videos_are_decoded_once(tmp_path, monkeypatch, cache):
    folder = write_set(tmp_path / "signs")
    first = load_folder(folder, **ASKED)
    assert isinstance(first.frame, np.memmap) and not first.frame.flags.writeable
    monkeypatch.setattr("thesislib.datasets.sign_videos.read_clip", None)  # decoding again would fail
    assert load_folder(folder, **ASKED).sha256 == first.sha256
    assert len(list((cache / "videos").iterdir())) == 1


def test_another_request_or_another_file_is_decoded_anew(tmp_path):
    folder = write_set(tmp_path / "signs")
    assert load_folder(folder, **ASKED).length == 3
    assert load_folder(folder, length=2, size=16).length == 2
    whole = load_folder(folder, **ASKED, square="whole")
    assert not whole.frame[:, :, :, 0].any() and "whole square" in whole.source
    write_video(folder / "crn" / "2.mp4", 200)
    assert shades(load_folder(folder, **ASKED)) == [5, 2, 3, 4]


@pytest.mark.parametrize("name", ["frame.u8", "labels.npz", "manifest.json"])
@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda content: b"x" + content[1:]]
)
def test_frames_that_were_damaged_are_noticed(tmp_path, cache, name, damage):
    folder = write_set(tmp_path / "signs")
    first = load_folder(folder, **ASKED).sha256
    (kept,) = (cache / "videos").iterdir()
    (kept / name).write_bytes(damage((kept / name).read_bytes()))
    with pytest.warns(UserWarning, match="decoding the videos again"):
        assert load_folder(folder, **ASKED).sha256 == first


def test_an_unreadable_file_stops_the_reading_and_every_one_is_named(tmp_path, cache):
    folder = write_set(tmp_path / "signs")
    whole = (folder / "crn" / "2.mp4").read_bytes()
    (folder / "crn" / "2.mp4").write_bytes(whole[: len(whole) // 2])
    write_video(folder / "žuta" / "a.mp4", frames=0)
    with pytest.raises(DataError, match=r"2 of 4 videos cannot be read: .*2\.mp4.*; .*a\.mp4 has no"):
        load_folder(folder, **ASKED)
    assert not list(cache.rglob("*.u8")) and not list(cache.rglob("manifest.json"))


def test_what_is_left_out_is_named_each_time(tmp_path):
    folder = write_set(tmp_path / "signs")
    (folder / "žuta" / "b.mkv").write_bytes(b"no video at all")
    for _ in range(2):  # decoded, then kept
        with pytest.warns(UserWarning, match=r"1 of 4 videos left out: .*b\.mkv is no readable video"):
            clips = load_folder(folder, **ASKED, skip_unreadable=True)
        assert shades(clips) == [1, 2, 3] and clips.label.tolist() == [0, 0, 1]
    (folder / "žuta" / "a.mp4").write_bytes(b"")
    with pytest.raises(DataError, match="Nothing is left of the words žuta"):
        load_folder(folder, **ASKED, skip_unreadable=True)


def test_what_is_no_video_is_named_and_hidden_files_are_not(tmp_path):
    folder = write_set(tmp_path / "signs")
    (folder / ".DS_Store").touch()
    (folder / "crn" / "Thumbs.db").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(find(folder).videos) == 4
    (folder / "README.md").touch()
    with pytest.warns(UserWarning, match="README.md is no video"):
        find(folder)
    (folder / "README.md").unlink()
    (folder / "crn" / "notes.txt").touch()
    with pytest.warns(UserWarning, match="crn: no videos, left out: notes.txt"):
        assert len(find(folder).videos) == 4


def one_word(folder: Path) -> None:
    write_video(folder / "crn" / "1.mp4")


def no_word(folder: Path) -> None:
    folder.mkdir()


def an_empty_word(folder: Path) -> None:
    write_set(folder)
    (folder / "plavo").mkdir()


def a_video_beside_words(folder: Path) -> None:
    write_video(write_set(folder) / "1.mp4")


def two_depths(folder: Path) -> None:
    write_video(write_set(folder) / "Ana" / "crn" / "1.mp4")


def a_video_beside_a_signers_words(folder: Path) -> None:
    write_video(folder / "Ana" / "crn" / "1.mp4")
    write_video(folder / "Ana" / "1.mp4")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (one_word, r"one word only \(crn\): there is nothing to tell it from"),
        (no_word, r"holds no word: expected word/\*\.mp4"),
        (an_empty_word, r"plavo holds no video"),
        (a_video_beside_words, r"1\.mp4 lies beside folders"),
        (two_depths, r"folders are in Ana and not in crn, žuta"),
        (a_video_beside_a_signers_words, r"1\.mp4 lies beside folders"),
        (lambda folder: folder.write_text("a file"), "is no folder"),
        (lambda folder: None, "is no folder"),
    ],
)
def test_folders_that_are_not_as_expected_are_explained(tmp_path, make, message):
    make(tmp_path / "own")
    with pytest.raises(DataError, match=message):
        load_folder(tmp_path / "own", **ASKED)


def test_only_the_first_words(tmp_path):
    for word in ("a", "b", "c"):
        write_video(tmp_path / "own" / word / "1.mp4")
    found = first_words(find(tmp_path / "own"), 2)
    assert found.words == ("a", "b") and [video.word for video in found.videos] == ["a", "b"]
    for count in (1, 4):
        with pytest.raises(DataError, match=f"has 3 words: cannot take {count}"):
            first_words(find(tmp_path / "own"), count)


def test_the_disk_is_asked_before_it_is_full(tmp_path, monkeypatch):
    folder = write_set(tmp_path / "signs")
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr("thesislib.datasets.sign_videos.shutil.disk_usage", lambda _: usage)
    with pytest.raises(DataError, match="1,000 are free: make room first"):
        load_folder(folder, **ASKED)


def test_real_signs_by_one_person():
    root = os.environ.get("THESIS_DATA")
    folder = Path(root or ".") / "croatian_signs"
    if not root or not folder.is_dir():
        pytest.skip("THESIS_DATA names no folder that has croatian_signs")
    found = find(folder)
    assert len(found.words) == 9 and len(found.videos) == 36 and {"smeđe", "žuta"} <= set(found.words)
    clips = decoded(first_words(found, 2), length=4, size=32)
    frames = np.asarray(clips.frame).astype(int)
    assert len(clips) == 8 and clips.label.tolist() == [0] * 4 + [1] * 4
    assert frames.std(axis=(2, 3, 4)).min() > 20  # pictures, not blank
    assert np.abs(np.diff(frames, axis=1)).mean(axis=(2, 3, 4)).max() > 2  # in which something moves
