"""Videos painted here, each frame of one shade, so that what comes back says which frame it was."""

import os
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thesislib.datasets.sources import DataError
from thesislib.datasets.video_frames import even_frames, read_clip

av = pytest.importorskip("av", reason="PyAV, the extra 'video', is not installed")


def shades(count: int, width: int = 64, height: int = 48) -> np.ndarray:
    """Frames uint8 [T,H,W,3]; frame k has the shade 20 + 10 k."""
    return np.broadcast_to((20 + 10 * np.arange(count))[:, None, None, None], (count, height, width, 3))


def write_video(
    path: Path, frames: np.ndarray, *, codec="mpeg4", ratio=None, turn=None, options=None
) -> Path:
    """Write frames [T,H,W,3] with 25 a second; none makes a file with a head and no frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as video:
        stream = video.add_stream(codec, rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        if ratio:
            stream.codec_context.sample_aspect_ratio = ratio
        if turn:
            stream.set_display_rotation(turn)
        video.start_encoding()
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels, np.uint8), format="rgb24")
            video.mux(stream.encode(frame))
        video.mux(stream.encode())
    return path


def numbers(clip: np.ndarray) -> list[int]:
    """Which frame of shades() each frame of a clip is."""
    return ((clip.mean(axis=(1, 2, 3)) - 20) / 10).round().astype(int).tolist()


@given(count=st.integers(1, 300), length=st.integers(1, 64))
def test_frames_are_spread_evenly_and_the_first_is_repeated(count, length):
    chosen = even_frames(count, length)
    assert len(chosen) == length and 0 <= chosen.min() and chosen.max() < count
    if count >= length:
        steps = np.diff(chosen)
        assert (steps >= 1).all() and np.ptp(steps) <= 1 if length > 1 else True
        assert abs(chosen[0] - (count - 1 - chosen[-1])) <= 1  # as far from the start as from the end
    else:
        assert chosen.tolist() == [0] * (length - count) + list(range(count))


def test_frames_by_hand():
    assert even_frames(4, 4).tolist() == [0, 1, 2, 3]
    assert even_frames(8, 4).tolist() == [1, 3, 5, 7]
    assert even_frames(9, 3).tolist() == [1, 4, 7]
    assert even_frames(2, 5).tolist() == [0, 0, 0, 0, 1]
    with pytest.raises(ValueError, match="cannot choose 4 of 0"):
        even_frames(0, 4)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "mpeg4"),
        ("a.avi", "mpeg4"),
        ("a.mkv", "ffv1"),
        ("a.mpg", "mpeg1video"),
        ("žuta.MP4", "mpeg4"),
    ],
)
def test_a_clip_has_the_frames_it_should(tmp_path, name, codec):
    path = write_video(tmp_path / name, shades(12), codec=codec)
    clip = read_clip(path, length=4, size=16)
    assert clip.shape == (4, 3, 16, 16) and clip.dtype == np.uint8
    assert numbers(clip) == [1, 4, 7, 10]
    assert numbers(read_clip(path, length=14, size=16)) == [0, 0, *range(12)]


@pytest.mark.parametrize(("width", "height"), [(33, 47), (47, 33), (9, 64), (65, 65), (8, 8)])
def test_odd_sizes_are_read(tmp_path, width, height):
    path = write_video(tmp_path / "odd.mkv", shades(3, width, height), codec="ffv1")
    for square in ("middle", "whole"):
        clip = read_clip(path, length=3, size=15, square=square)
        middle = clip[:, :, 7, 7].astype(int)
        assert clip.shape == (3, 3, 15, 15) and np.abs(middle - [[20], [30], [40]]).max() <= 1


def test_squares_and_boxes_cut_what_they_say(tmp_path):
    """A frame of four columns, 96 x 48: red, green, blue, white."""
    columns = np.repeat(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]), 24, axis=0)
    frames = np.broadcast_to(columns, (2, 48, 96, 3))
    path = write_video(tmp_path / "columns.mkv", frames, codec="ffv1")
    middle = read_clip(path, length=1, size=48)[0]
    assert (middle.transpose(1, 2, 0) == columns[24:72]).all()
    whole = read_clip(path, length=1, size=96, square="whole")[0]
    assert (whole[:, 24:72].transpose(1, 2, 0) == columns).all()
    assert not whole[:, :24].any() and not whole[:, 72:].any()
    right = read_clip(path, length=1, size=48, box=(0.5, 0, 1, 1))[0]
    assert (right.transpose(1, 2, 0) == columns[48:]).all()
    narrow = read_clip(path, length=1, size=48, box=(0.75, 0, 1, 1))[0]  # 24 x 48: the right edge is repeated
    assert (narrow.transpose(1, 2, 0) == np.concatenate([columns[60:], np.full((12, 3), 255)])).all()


def test_wide_pixels_are_made_square(tmp_path):
    """A 32 x 48 frame with pixels twice as wide as high shows 64 x 48; its left quarter is white."""
    frames = np.zeros((2, 48, 32, 3))
    frames[:, :, :8] = 255
    path = write_video(tmp_path / "wide.mp4", frames, ratio=Fraction(2, 1))
    whole = read_clip(path, length=1, size=64, square="whole")[0, 0]
    assert (whole[32] > 128).sum() == pytest.approx(16, abs=1)
    assert (whole.max(axis=1) > 128).sum() == pytest.approx(48, abs=1)


@pytest.mark.parametrize(("turn", "side"), [(90, "bottom"), (-90, "top"), (180, "right")])
def test_a_camera_held_on_its_side_gives_upright_frames(tmp_path, turn, side):
    """The stored frame is white on its left; a turn against the clock by 90 degrees takes that to the bottom."""
    if not hasattr(av.video.stream.VideoStream, "set_display_rotation"):
        pytest.skip("this version of PyAV cannot write how a camera was held")
    frames = np.zeros((2, 48, 48, 3))
    frames[:, :, :12] = 255
    clip = read_clip(write_video(tmp_path / "turned.mp4", frames, turn=turn), length=1, size=48)[0, 0]
    sides = {"left": clip[:, :8], "right": clip[:, -8:], "top": clip[:8], "bottom": clip[-8:]}
    assert [name for name, pixels in sides.items() if pixels.mean() > 200] == [side]


def test_seconds_cut_a_sign_out_of_a_longer_video(tmp_path):
    path = write_video(tmp_path / "long.mp4", shades(20))  # frame k stands at k / 25 s
    assert numbers(read_clip(path, length=5, size=16, seconds=(0.4, 0.6))) == [10, 11, 12, 13, 14]
    assert numbers(read_clip(path, length=2, size=16, seconds=(0.0, 0.08))) == [0, 1]
    assert numbers(read_clip(path, length=4, size=16, seconds=(0.72, 9.0))) == [18, 18, 18, 19]
    for seconds in ((5.0, 6.0), (0.6, 0.4)):
        with pytest.raises(DataError, match="long.mp4 has no frame between"):
            read_clip(path, length=4, size=16, seconds=seconds)


def test_seconds_count_from_the_first_frame_where_a_file_starts_later(tmp_path):
    path = write_video(tmp_path / "late.mpg", shades(20), codec="mpeg1video")  # starts at 0.54 s
    assert numbers(read_clip(path, length=3, size=16, seconds=(0.4, 0.52))) == [10, 11, 12]


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.7, 0.9])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("a.mp4", "mpeg4", {}), ("a.mp4", "mpeg4", {"movflags": "faststart"}), ("a.mpg", "mpeg1video", {})],
)
def test_a_truncated_video_is_refused(tmp_path, name, codec, options, kept):
    noise = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3))
    path = write_video(tmp_path / name, noise, codec=codec, options=options)
    whole = path.read_bytes()
    assert read_clip(path, length=4, size=16).shape == (4, 3, 16, 16)
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(DataError, match=f"{name} (was cut off|is damaged|is no readable video|has no frame)"):
        read_clip(path, length=4, size=16)


def test_a_video_cut_off_between_two_frames_is_refused(tmp_path):
    """Nothing that is left of it is broken: only the file's own count of frames tells."""
    path = write_video(tmp_path / "a.mp4", shades(12), options={"movflags": "faststart"})
    with av.open(str(path)) as video:
        ends = [packet.pos + packet.size for packet in video.demux(video=0) if packet.size]
    path.write_bytes(path.read_bytes()[: ends[5]])
    with pytest.raises(DataError, match="a.mp4 was cut off: it says it has 12 frames, and 6 are there"):
        read_clip(path, length=4, size=16)


@pytest.mark.parametrize("name", ["none.mp4", "none.avi", "none.mkv"])
def test_a_video_without_frames_is_refused(tmp_path, name):
    path = write_video(tmp_path / name, shades(0))
    assert path.stat().st_size > 0
    with pytest.raises(DataError, match=f"{name} (has no frame|has no pictures|is no readable video)"):
        read_clip(path, length=4, size=16)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no video at all\n" * 50,
        b"#EXTM3U\n#EXTINF:1,\nreal.mp4\n",
        b"ffconcat version 1.0\nfile real.mp4\n",
    ],
)
def test_a_foreign_file_is_refused_and_leads_nowhere(tmp_path, content):
    write_video(tmp_path / "real.mp4", shades(3))
    path = tmp_path / "foreign.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match="foreign.mp4 is no readable video"):
        read_clip(path, length=4, size=16)


def test_a_picture_sound_a_folder_and_nothing_are_no_videos(tmp_path):
    from PIL import Image

    Image.new("RGB", (40, 40)).save(tmp_path / "picture.jpg")
    os.replace(tmp_path / "picture.jpg", tmp_path / "picture.mp4")
    (tmp_path / "folder.mp4").mkdir()
    for name in ("picture", "folder", "absent"):
        with pytest.raises(DataError, match=f"{name}.mp4 is no readable video"):
            read_clip(tmp_path / f"{name}.mp4", length=4, size=16)
    with av.open(str(tmp_path / "sound.mp4"), "w") as sound:
        stream = sound.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        sound.mux(stream.encode(frame))
        sound.mux(stream.encode())
    with pytest.raises(DataError, match="sound.mp4 has no pictures, only audio"):
        read_clip(tmp_path / "sound.mp4", length=4, size=16)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"length": 0}, "at least one frame"),
        ({"size": 0}, "at least one frame and one pixel"),
        ({"square": "round"}, 'there are: "middle", "whole"'),
        ({"box": (0.5, 0.0, 0.5, 1.0)}, "is not left, top, right, bottom"),
        ({"box": (0.0, 0.0, 30.0, 40.0)}, "between 0 and 1"),
        ({"box": (0.0, 0.0, float("nan"), 1.0)}, "between 0 and 1"),
        ({"box": (0.0, 0.0, 0.01, 0.01)}, "a.mp4: no hand-sized box"),
    ],
)
def test_what_cannot_be_asked_for_is_said(tmp_path, asked, message):
    path = write_video(tmp_path / "a.mp4", shades(2))
    with pytest.raises(DataError, match=message):
        read_clip(path, **{"length": 2, "size": 8} | asked)


def test_a_video_of_a_few_pixels_is_refused(tmp_path):
    path = write_video(tmp_path / "tiny.mkv", shades(2, 64, 7), codec="ffv1")
    with pytest.raises(DataError, match="64 x 7 pixels: too small"):
        read_clip(path, length=2, size=8)


def test_what_reads_videos_is_named_where_it_is_missing(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", shades(2))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"thesislib\[video\]"):
        read_clip(path, length=2, size=8)
