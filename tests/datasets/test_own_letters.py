"""Own recordings in signer/letter/*.jpg: read in natural order, and every mistake is explained."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from thesislib.datasets import own_letters
from thesislib.datasets.fingerspelling import load_folder
from thesislib.datasets.own_letters import natural
from thesislib.datasets.sources import DataError


def picture(path: Path, grey: int = 100, size: tuple[int, int] = (20, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey,) * 3).save(path)


def record(root: Path, signers=("Anna", "Ben"), letters=("a", "b"), count: int = 3) -> Path:
    folder = root / "mine"
    for signer in signers:
        for letter in letters:
            for k in range(count):
                picture(folder / signer / letter / f"img{8 + k}.jpg", 40 + 50 * k)
    return folder


def test_signers_letters_and_frames_are_read_in_natural_order(tmp_path):
    folder = record(tmp_path, signers=("s10", "s2"), letters=("B", "a", "10", "9"))
    images = load_folder(folder, size=32)
    assert images.signers == ("s2", "s10") and images.letters == ("9", "10", "a", "b")
    assert images.frame[:3].tolist() == [0, 1, 2] and len(np.unique(images.clip)) == 8
    assert images.image[:3, 0, 16, 16].astype(int) == pytest.approx([40, 90, 140], abs=3)  # img8, img9, img10
    assert np.isnan(images.keypoints).all() and not images.left.any() and "mine" in images.source


def test_a_picture_is_padded_with_black_and_never_stretched(tmp_path):
    bright = load_folder(record(tmp_path), size=40).image[2].max(axis=0) > 20
    assert bright.any(axis=0).sum() == pytest.approx(20, abs=2) and bright.any(axis=1).all()


def test_every_kind_of_name_and_picture_is_read(tmp_path):
    folder = record(tmp_path, letters=("ä", "b"))  # one code point
    (folder / "Ben" / "ä").rename(folder / "Ben" / "a\u0308")  # two, as some systems store it
    picture(folder / "Anna" / "b" / "z.PNG")
    Image.new("P", (30, 30)).save(folder / "Anna" / "b" / "zz.png")
    Image.new("CMYK", (30, 30)).save(folder / "Anna" / "b" / "zzz.jpeg")
    Image.new("RGBA", (30, 30)).save(folder / "Anna" / "b" / "zzzz.png")
    for place in (folder, folder / "Anna", folder / "Anna" / "b"):
        (place / ".DS_Store").write_bytes(b"x")
        (place / "Thumbs.db").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    images = load_folder(folder, size=16)
    assert images.letters == ("b", "ä") and len(images) == 16


def test_a_photograph_is_turned_as_its_camera_noted(tmp_path):
    folder = record(tmp_path)
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, :20] = 250  # its left end: the top, once it is turned clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(folder / "Anna" / "a" / "img0.jpg", exif=exif, quality=95)
    first = load_folder(folder, size=40).image[0, 0].astype(int)
    assert first[4, 20] > 200 and first[30, 20] < 50 and first[20, 4] < 50


def test_links_are_followed_where_they_lead_somewhere(tmp_path):
    folder = record(tmp_path)
    outside = tmp_path / "elsewhere.jpg"
    picture(outside, 222)
    (folder / "Ben" / "b" / "img0.jpg").symlink_to(outside)
    images = load_folder(folder, size=16)
    assert len(images) == 13 and images.image[9, 0, 8, 8] == pytest.approx(222, abs=3)
    outside.unlink()
    with pytest.raises(DataError, match="img0.jpg is a link that leads nowhere"):
        load_folder(folder, size=16)


def broken(folder: Path, kind: str) -> None:
    place = folder / "Ben" / "b"
    if kind == "one signer":
        (folder / "Ben").rename(folder.parent / "away")
    elif kind == "no signer":
        for signer in ("Anna", "Ben"):
            (folder / signer).rename(folder.parent / signer)
    elif kind == "no letters":
        (folder / "Cleo").mkdir()
    elif kind == "one letter":
        for signer in ("Anna", "Ben"):
            (folder / signer / "b").rename(folder.parent / signer)
    elif kind == "other letters":
        picture(folder / "Ben" / "sch" / "1.jpg")
        (folder / "Anna" / "b").rename(folder / "Anna" / "k")
    elif kind == "empty letter":
        for path in place.iterdir():
            path.unlink()
    elif kind == "one picture":
        for path in sorted(place.iterdir())[1:]:
            path.unlink()
    elif kind == "file beside signers":
        picture(folder / "me.jpg")
    elif kind == "file beside letters":
        (folder / "Ben" / "notes.txt").write_text("x")
    elif kind == "file beside pictures":
        (place / "clip.mov").write_bytes(b"x")
    elif kind == "folder beside pictures":
        (place / "more").mkdir()
    elif kind == "folder called a picture":
        (place / "more.jpg").mkdir()
    elif kind == "pipe":
        os.mkfifo(place / "pipe.jpg")
    elif kind == "same letter twice":
        picture(folder / "Ben" / "B" / "1.jpg")
    elif kind == "text":
        (place / "x.jpg").write_text("not a picture")
    elif kind == "cut short":
        (place / "x.jpg").write_bytes((place / "img8.jpg").read_bytes()[:300])
    elif kind == "empty file":
        (place / "x.jpg").write_bytes(b"")
    elif kind == "gif inside":
        Image.new("P", (20, 20)).save(place / "x.jpg", format="GIF")
    elif kind == "tiny":
        picture(place / "x.jpg", size=(3, 3))
    elif kind == "depth":
        Image.fromarray(np.zeros((20, 20), np.uint16)).save(place / "x.png")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("one signer", r"one signer only \(Anna\)"),
        ("no signer", "holds no signer's folder: expected mine/<signer>/<letter>"),
        ("no letters", "Cleo holds no letter's folder"),
        ("one letter", r"one letter only \(a\)"),
        ("other letters", "Anna lacks b, sch; Ben lacks k"),
        ("empty letter", r"fewer are in Ben/b \(0\)"),
        ("one picture", r"2 pictures or more; fewer are in Ben/b \(1\)"),
        ("file beside signers", "me.jpg lies where a signer's folder should be"),
        ("file beside letters", "notes.txt lies where a letter's folder should be"),
        ("file beside pictures", "clip.mov is no picture"),
        ("folder beside pictures", "more is a folder"),
        ("folder called a picture", "more.jpg is a folder"),
        ("pipe", "pipe.jpg is no picture"),
        ("same letter twice", "are the same letter"),
        ("text", "x.jpg is no readable picture"),
        ("cut short", "x.jpg is no readable picture"),
        ("empty file", "x.jpg is no readable picture"),
        ("gif inside", "x.jpg is no readable picture"),
        ("tiny", r"x.jpg: no hand-sized box.* 8 pixels"),
        ("depth", "x.png has more than 8 bits"),
    ],
)
def test_every_mistake_is_explained(tmp_path, kind, message):
    folder = record(tmp_path)
    broken(folder, kind)
    with pytest.raises(DataError, match=message):
        load_folder(folder, size=16)


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_a_place_that_is_no_folder_is_refused(tmp_path, place):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is no folder: expected one that holds signer/letter"):
        load_folder(tmp_path / place, size=16)


def test_a_signers_own_folder_in_place_of_the_whole_says_what_is_expected(tmp_path):
    folder = record(tmp_path)
    with pytest.raises(DataError, match=r"img10.jpg lies where a letter's folder should be: .* a/<letter>"):
        load_folder(folder / "Anna", size=16)


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    folder = record(tmp_path)
    monkeypatch.setattr(own_letters, "LARGEST_PIXELS", 20 * 40)
    assert len(load_folder(folder, size=16)) == 12
    picture(folder / "Ben" / "b" / "x.jpg", size=(41, 20))
    with pytest.raises(DataError, match="x.jpg is 41 x 20 pixels: shrink it"):
        load_folder(folder, size=16)


def test_many_faults_are_told_in_one_line(tmp_path):
    folder = record(tmp_path, letters="abcdefgh", count=1)
    with pytest.raises(DataError, match=r"Anna/a \(1\), .* and 11 more$"):
        load_folder(folder, size=16)


def test_large_photographs_are_decoded_smaller_and_look_the_same(tmp_path):
    ramp = np.linspace(0, 250, 2048).astype(np.uint8)
    Image.fromarray(np.tile(ramp, (2100, 1))).convert("RGB").save(tmp_path / "large.jpg", quality=95)
    pixels = own_letters.upright_picture(tmp_path / "large.jpg")
    assert pixels.shape == (1050, 1024, 3)
    assert pixels[500, :, 0].astype(int) == pytest.approx(ramp[::2].astype(int), abs=4)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=8, unique=True))
def test_natural_order_counts(numbers):
    names = [f"take {number} of a.jpg" for number in numbers]
    assert sorted(names, key=natural) == [f"take {number} of a.jpg" for number in sorted(numbers)]


def test_natural_order_takes_any_names():
    names = ["٣", "²", "1a", "a1", "", "-5", "Ä2", "ß"]
    assert len(sorted(names, key=natural)) == len(names)
