"""Tiny sets in the published layouts: who signs what is found, and what is painted is where it belongs."""

import csv
import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thesislib.datasets.fingerspelling import NAMES, load
from thesislib.datasets.fingerspelling_layouts import (
    GERMAN_GESTURES,
    STATIC_LETTERS,
    asl7_letters,
    glove_box,
)
from thesislib.datasets.hand_sources import find_hand_source
from thesislib.datasets.sources import DataError
from thesislib.synthetic.handshapes import alphabet

GREY, RED, BLUE, PINK = (120, 120, 120), (220, 30, 30), (30, 30, 220), (210, 40, 110)


def picture(path: Path, width: int, height: int, colour=GREY) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), colour).save(path, quality=95)


def shade(k: int) -> tuple[int, int, int]:
    return (40 + 20 * k,) * 3


def write_asl7(root: Path) -> None:
    folder, rows = root / "asl7", []
    for signer in ("user_3", "user_6"):
        boxes = []
        for letter in "AY":
            for k in (0, 4, 5, 9):
                name = f"{signer}/{letter}{k}.jpg"
                picture(folder / name, 64, 48, shade(k))
                boxes.append([name, 16, 8, 48, 40])
                rows.append((name, letter, signer))
        with open(folder / signer / f"{signer}_loc.csv", "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["image", "top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y"])
            table.writerows(boxes)
    image, letter, signer = (np.array(column) for column in zip(*rows, strict=True))
    xyz = np.full((len(rows), 21, 3), 24, np.float32)
    np.savez(folder / "mediapipe_landmarks.npz", xyz=xyz, letter=letter, signer=signer, image=image)


def write_massey(root: Path) -> None:
    for person in (1, 10, 2):
        for label in ("a", "y", "0", "j", "z"):
            for lighting in ("bot", "dif"):
                for k in (1, 2):
                    name = f"hand{person}_{label}_{lighting}_seg_{k}_cropped.jpeg"
                    picture(root / "massey" / label / name, 30, 60, shade(k))


def write_lsa16(root: Path) -> None:
    for shape in (1, 16):
        for person in (1, 10):
            for repetition in (1, 2):
                path = root / "lsa16" / f"{shape:02d}_{person:02d}_{repetition:02d}.png"
                picture(path, 80, 60, (200, 180, 160))
                image = Image.open(path)
                image.paste(PINK, (56, 20, 76, 52))
                image.paste(PINK, (2, 2, 5, 5))  # a speck of the same colour
                image.save(path)


def write_surrey(root: Path) -> None:
    for signer in ("A", "D"):
        for place, letter in enumerate(STATIC_LETTERS):
            folder = root / "asl_fingerspelling_a" / "dataset5" / signer / letter
            for frame in (1000, 2, 28):
                picture(folder / f"color_{place}_{frame:04d}.png", 30, 60, shade(frame % 7))
                picture(folder / f"depth_{place}_{frame:04d}.png", 5, 5)


def write_rwth(root: Path, frames: int = 5) -> None:
    av = pytest.importorskip("av", reason="PyAV, the extra 'video', is not installed")
    for person, gesture, day in ((1, 1, 1), (1, 1, 2), (20, 30, 1), (3, 35, 1), (1, 10, 1), (23, 1, 1)):
        path = root / "rwth_fingerspelling" / "video" / f"{gesture}" / f"{person}_{gesture}_{day}_cam1.mpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(path.name.replace("cam1", "cam2")).write_bytes(b"not read")
        with av.open(str(path), "w") as video:
            stream = video.add_stream("mpeg1video", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for k in range(frames):
                pixels = np.zeros((48, 64, 3), np.uint8)
                pixels[:24] = 40 * k  # how far the video has come
                pixels[24:] = (0, 0, 200)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                video.mux(stream.encode(frame))
            video.mux(stream.encode())


WRITERS = {
    "asl7": write_asl7,
    "massey": write_massey,
    "lsa16": write_lsa16,
    "asl_fingerspelling_a": write_surrey,
    "rwth_fingerspelling": write_rwth,
}


def clips(images) -> dict[tuple[str, str], list[list[int]]]:
    """Frame numbers by signer and letter, a list a clip, in the order of the rows."""
    found = {}
    for clip in dict.fromkeys(images.clip.tolist()):
        rows = np.flatnonzero(images.clip == clip)
        who, what = images.signers[images.signer[rows[0]]], images.letters[images.letter[rows[0]]]
        found.setdefault((who, what), []).append(images.frame[rows].tolist())
    return found


def test_asl7_has_two_bursts_a_letter_with_points_in_the_box_times_one_and_a_quarter(tmp_path):
    write_asl7(tmp_path)
    images = load("asl7", tmp_path, size=40)
    assert images.signers == ("user_3", "user_6") and images.letters == STATIC_LETTERS
    assert clips(images)["user_6", "y"] == [[0, 4], [5, 9]] and len(clips(images)) == 4
    assert [int(grey) for grey in images.image[:4, 0, 20, 20]] == pytest.approx([40, 120, 140, 220], abs=4)
    expected = (np.array([24, 24]) - (32, 24)) + 20  # the box is 32 pixels, its square 40: no scale
    np.testing.assert_allclose(images.keypoints, np.broadcast_to(expected, (8 * 2, 21, 2)))
    assert not images.left.any() and images.source == "asl7, given box times 1.25"


def test_massey_reads_static_letters_by_hand_and_light_and_never_stretches(tmp_path):
    write_massey(tmp_path)
    images = load("massey", tmp_path, size=75)
    assert images.signers == ("hand1", "hand2", "hand10") and images.letters == STATIC_LETTERS
    assert clips(images) == {(who, what): [[1, 2], [1, 2]] for who in images.signers for what in "ay"}
    bright = images.image[0].max(axis=0) > 20  # 30 x 60 in a square of 75
    assert bright.any(axis=0).sum() == pytest.approx(30, abs=2)
    assert bright.any(axis=1).sum() == pytest.approx(60, abs=2)
    assert bright[:, 37].nonzero()[0].mean() == pytest.approx(37, abs=1)
    assert np.isnan(images.keypoints).all()


def test_massey_may_lie_in_one_folder_but_not_under_another_letter(tmp_path):
    picture(tmp_path / "massey" / "hand1_a_bot_seg_1_cropped.png", 20, 20)
    assert len(load("massey", tmp_path, size=16)) == 1
    picture(tmp_path / "massey" / "b" / "hand1_a_bot_seg_2_cropped.jpeg", 20, 20)
    with pytest.raises(DataError, match="folder b, and its name says a"):
        load("massey", tmp_path, size=16)


def test_lsa16_is_cut_out_by_the_glove_and_every_repetition_is_a_clip(tmp_path):
    write_lsa16(tmp_path)
    images = load("lsa16", tmp_path, size=40)
    assert images.signers == ("01", "10") and len(images.letters) == 16
    assert clips(images)["10", "16"] == [[1], [2]] and len(np.unique(images.clip)) == len(images) == 8
    red, green, _ = images.image[0].astype(int)
    pink = (red - green > 100).nonzero()  # 20 x 32 in a square of 40, in its middle
    assert np.ptp(pink[1]) + 1 == pytest.approx(20, abs=2) and np.ptp(pink[0]) + 1 == pytest.approx(32, abs=2)
    assert pink[1].mean() == pytest.approx(19.5, abs=0.6) and pink[0].mean() == pytest.approx(19.5, abs=0.6)
    assert (images.image[0][:, :, -1] == 0).all()  # beyond the picture's right edge


def test_a_glove_is_found_by_its_colour_alone():
    pixels = np.full((40, 60, 3), (205, 150, 120), np.uint8)  # skin
    with pytest.raises(DataError, match="no glove"):
        glove_box(pixels)
    pixels[5:25, 10:30] = PINK
    pixels[30:35, 40:45] = PINK
    assert glove_box(pixels) == (10, 5, 30, 25)
    pixels[5:20, 40:58] = PINK
    with pytest.raises(DataError, match="two gloves"):
        glove_box(pixels)


def test_surrey_counts_frames_in_order_of_their_numbers_and_pads_with_black(tmp_path):
    write_surrey(tmp_path)
    images = load("asl_fingerspelling_a", tmp_path, size=32)
    assert images.signers == ("A", "D") and len(images) == 2 * 24 * 3 and images.left.all()
    assert clips(images) == {(who, what): [[0, 1, 2]] for who in "AD" for what in STATIC_LETTERS}
    assert [int(grey) for grey in images.image[:3, 0, 16, 16]] == [shade(2)[0], shade(0)[0], shade(6)[0]]
    bright = images.image[0].max(axis=0) > 20  # 30 x 60 in a square of 32
    assert bright.all(axis=0).sum() == pytest.approx(16, abs=2) and not bright[:, :7].any()


@pytest.mark.parametrize("lost", ["dataset5/D/q", "dataset5/A"])
def test_surrey_without_a_letter_or_a_signer(tmp_path, lost):
    write_surrey(tmp_path)
    for path in sorted((tmp_path / "asl_fingerspelling_a" / lost).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (tmp_path / "asl_fingerspelling_a" / lost).rmdir()
    if lost.endswith("q"):
        with pytest.raises(DataError, match=r"D/q holds no color"):
            load("asl_fingerspelling_a", tmp_path, size=16)
    else:
        assert load("asl_fingerspelling_a", tmp_path, size=16).signers == ("D",)


def test_rwth_gives_the_middle_frame_of_static_gestures_by_the_first_twenty(tmp_path):
    write_rwth(tmp_path)
    images = load("rwth_fingerspelling", tmp_path, size=64)
    assert images.signers == ("1", "3", "20") and len(images.letters) == 30
    assert clips(images) == {("1", "a"): [[0], [0]], ("3", "5"): [[0]], ("20", "sch"): [[0]]}
    assert images.image[:, :, 20, 32].astype(int) == pytest.approx(80, abs=6)  # frame 2 of 0 to 4
    assert (images.image[:, :, :7] < 10).all() and (images.image[:, :, 58:] < 10).all()  # 64 x 48 in a square
    assert images.source == "rwth_fingerspelling, middle frame, whole, black around"


def test_rwth_is_cut_out_by_boxes_that_you_made(tmp_path):
    write_rwth(tmp_path)
    path = tmp_path / "rwth_fingerspelling" / "hand_boxes.csv"
    header = "video,top_left_x,top_left_y,bottom_right_x,bottom_right_y\n"
    names = ("1_1_1_cam1", "1_1_2_cam1", "20_30_1_cam1", "3_35_1_cam1")
    path.write_text(header + "".join(f"{name},16,30,32,46\n" for name in names))
    images = load("rwth_fingerspelling", tmp_path, size=16)
    assert (images.image[:, 2, 2:14] > 150).all() and "hand_boxes.csv times 1.25" in images.source
    path.write_text(header + "1_1_1_cam1,16,30,32,46\n")
    with pytest.raises(DataError, match="no box for 1_1_2_cam1"):
        load("rwth_fingerspelling", tmp_path, size=16)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no list of boxes with columns video"):
        load("rwth_fingerspelling", tmp_path, size=16)


def test_rwth_says_what_reads_videos_where_it_is_missing(tmp_path, monkeypatch):
    write_rwth(tmp_path)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"thesislib\[video\]"):
        load("rwth_fingerspelling", tmp_path, size=16)


@pytest.mark.parametrize("content", [b"", b"no video at all" * 50])
def test_rwth_names_a_broken_video(tmp_path, content):
    write_rwth(tmp_path)
    path = tmp_path / "rwth_fingerspelling" / "video" / "30" / "20_30_1_cam1.mpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match="20_30_1_cam1.mpg is no readable video"):
        load("rwth_fingerspelling", tmp_path, size=16)


def test_letters_have_the_names_that_invented_signers_use():
    assert STATIC_LETTERS == tuple(alphabet("american letters"))
    assert tuple(letter for letter in GERMAN_GESTURES if letter) == tuple(alphabet("german alphabet"))
    assert len(GERMAN_GESTURES) == 35 and GERMAN_GESTURES[9] is GERMAN_GESTURES[25] is None


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("massey", "massey/a/copy_of_hand.jpeg", "expected a name like hand1_a_bot"),
        ("massey", "massey/a/hand1_a_bot_seg_3_cropped.jpeg", "no readable picture"),
        ("lsa16", "lsa16/1_1_1.png", "expected a name like 01_01_01"),
        ("lsa16", "lsa16/17_01_01.png", "none with the number 17"),
        ("lsa16", "lsa16/02_01_01.png", "no readable picture"),
        (
            "asl_fingerspelling_a",
            "asl_fingerspelling_a/dataset5/A/b/color_1.png",
            "expected a name like color_0",
        ),
        ("asl_fingerspelling_a", "asl_fingerspelling_a/dataset5/A/b/color_1_7.png", "no readable picture"),
        ("rwth_fingerspelling", "rwth_fingerspelling/video/1/a_cam1.mpg", "expected a name like 1_1_1_cam1"),
        (
            "rwth_fingerspelling",
            "rwth_fingerspelling/video/1/1_2_1_cam1.mpg",
            "expected gesture 2 in video/2",
        ),
        ("rwth_fingerspelling", "rwth_fingerspelling/video/36/1_36_1_cam1.mpg", "gestures 1 to 35"),
        ("asl7", "asl7/user_3/A0.jpg", "no readable picture"),
    ],
)
def test_a_foreign_or_broken_file_is_named(tmp_path, name, file, message):
    WRITERS[name](tmp_path)
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match=message) as error:
        load(name, tmp_path, size=16)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_or_empty_set_is_an_error_that_names_the_place(name, tmp_path):
    with pytest.raises(DataError, match="missing") as error:
        load(name, tmp_path, size=16)
    assert str(tmp_path / name) in str(error.value)
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="missing|unpack|no picture"):
        load(name, tmp_path, size=16)
    assert find_hand_source(name).name == name


def test_unknown_names_and_sizes_are_refused(tmp_path):
    write_lsa16(tmp_path)
    with pytest.raises(DataError, match="there are: asl7, massey"):
        load("asl", tmp_path, size=16)
    with pytest.raises(DataError, match="size must be positive"):
        load("lsa16", tmp_path, size=0)


def real(name: str) -> Path:
    root = os.environ.get("THESIS_DATA")
    if not root or not (Path(root) / name).exists():
        pytest.skip(f"THESIS_DATA names no folder that has {name}")
    return Path(root)


@pytest.mark.parametrize(
    ("name", "signers", "letters", "count", "num_clips"),
    [
        ("asl7", 5, 24, 1200, 240),
        ("massey", 5, 24, 1675, 335),
        ("lsa16", 10, 16, 800, 800),
    ],
)
def test_real_sets_are_whole(name, signers, letters, count, num_clips):
    images = load(name, real(name), size=16)
    assert len(images) == count and len(np.unique(images.clip)) == num_clips
    assert len(np.unique(images.signer)) == signers and len(np.unique(images.letter)) == letters


def test_every_real_signer_of_surrey_has_every_letter():
    images = load("asl_fingerspelling_a", real("asl_fingerspelling_a"), size=16)
    assert len(clips(images)) == len(images.signers) * 24


def test_the_photographs_of_a_real_letter_change_most_between_its_two_clips():
    """Measured on whole photographs, small; else a clip would not be what the protocols take it for."""
    by_letter = {}
    for picture in asl7_letters(real("asl7")).pictures:
        by_letter.setdefault((picture.signer, picture.letter), []).append(picture)
    assert len(by_letter) == 120
    for pictures in by_letter.values():
        pictures.sort(key=lambda picture: picture.frame)
        small = [Image.open(picture.path).resize((40, 30)) for picture in pictures]
        steps = [np.abs(np.subtract(after, before, dtype=float)).mean() for before, after in pairwise(small)]
        edge = [before.clip != after.clip for before, after in pairwise(pictures)]
        assert edge.count(True) == 1 and np.argmax(steps) == edge.index(True)
