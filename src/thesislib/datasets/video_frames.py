"""A video as a clip: so many frames of one size, spread evenly over it, however long it is.

PyAV does the work; it is an extra (`pip install thesislib[video]`). Files are opened as what they are found to be,
out of a list of video formats, and read from the disk alone: a play list in disguise leads nowhere.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from thesislib.datasets.hands import cut_out
from thesislib.datasets.sources import DataError

SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")
OPENED = {
    "format_whitelist": "mov,mp4,avi,matroska,webm,mpeg,mpegvideo,mpegts",
    "protocol_whitelist": "file",
}
WHOLE = (0.0, float("inf"))  # seconds
LEAST_OF_ITS_FRAMES = 0.9  # of those that a file says it has: with fewer it was cut off
LEAST_SIDE_PX = 8
NO_POINTS = np.empty((0, 2))

Square = Literal["middle", "whole"]
Box = tuple[float, float, float, float]  # left, top, right, bottom, as fractions of a frame's sides


def read_clip(
    path: Path,
    *,
    length: int,
    size: int,
    square: Square = "middle",
    box: Box | None = None,
    seconds: tuple[float, float] = WHOLE,
) -> np.ndarray:
    """Return `length` frames of a video as uint8 [T,3,S,S], upright and never stretched.

    Which frames: even_frames() of those between two times (`seconds`, the end not included). square: "middle" cuts
    the largest square out of the middle of each frame, "whole" keeps all of it, with black around. `box` takes the
    place of both: the square about it, as wide as its longer side; edges are repeated where it reaches over them.
    Frames are counted by decoding, so a file is read twice. Raises DataError where PyAV is missing, for a file
    that is missing, truncated, damaged, without frames or no video, and for a number, square or box that cannot be.
    """
    if length < 1 or size < 1:
        raise DataError(
            f"a clip needs at least one frame and one pixel, not {length} frames of {size} pixels"
        )
    count = sum(1 for _ in _frames(path, seconds))
    wanted = np.bincount(even_frames(count, length), minlength=count)  # how often each frame is shown
    clip = [
        np.broadcast_to(_squared(_upright(frame, ratio), path, size, square, box), (times, 3, size, size))
        for (frame, ratio), times in zip(_frames(path, seconds), wanted, strict=True)
        if times
    ]
    return np.concatenate(clip)


def even_frames(count: int, length: int) -> np.ndarray:
    """Return which of `count` frames make a clip of `length`: int64 [T], in order of time.

    A longer video gives the middle frame of each of T equal parts. A shorter one gives every frame, after the first
    frame as often as it takes (Izutov 2020, section IV.B). Raises ValueError for no frames.
    """
    if count < 1 or length < 1:
        raise ValueError(f"cannot choose {length} of {count} frames")
    if count < length:
        return np.maximum(np.arange(length) - (length - count), 0)
    return (2 * np.arange(length) + 1) * count // (2 * length)


def _frames(path: Path, seconds: tuple[float, float]) -> Iterator[tuple[Any, Fraction | None]]:
    """Yield the frames of a video between two times, and how wide its pixels are for their height (None: as wide).

    Raises DataError where a frame is broken or none is there.
    """
    try:
        import av
    except ImportError as error:
        raise DataError('videos are read with PyAV: pip install "thesislib[video]"') from error
    try:
        with av.open(str(Path(path).resolve()), options=OPENED) as video:
            yield from _between(video, path, *seconds)
    except (OSError, ValueError, IndexError, av.FFmpegError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{path} is no readable video ({why}): get it again, or take it away") from error


def _between(video: Any, path: Path, begin_s: float, end_s: float) -> Iterator[tuple[Any, Fraction | None]]:
    if not video.streams.video:
        raise DataError(
            f"{path} has no pictures, only {', '.join(s.type for s in video.streams) or 'nothing'}"
        )
    stream = video.streams.video[0]
    start, whole, count = stream.start_time or 0, (begin_s, end_s) == WHOLE, 0
    if begin_s > 0:  # to the last whole picture before it
        video.seek(start + int(begin_s / stream.time_base), stream=stream)
    for frame in video.decode(stream):
        if not whole:
            if frame.pts is None:
                raise DataError(f"{path} tells no times of its frames: cut the sign out of it yourself")
            time_s = float((frame.pts - start) * stream.time_base)
            if time_s >= end_s:
                break
            if time_s < begin_s:
                continue
        if frame.is_corrupt:
            raise DataError(f"{path} is damaged at its frame {count}: get it again, or take it away")
        count += 1
        yield frame, stream.sample_aspect_ratio
    if not count:
        where = "" if whole else f" between {begin_s:g} and {end_s:g} seconds"
        raise DataError(f"{path} has no frame{where}: get it again, or take it away")
    if whole and count < LEAST_OF_ITS_FRAMES * stream.frames:
        raise DataError(
            f"{path} was cut off: it says it has {stream.frames} frames, and {count} are there. Get it again."
        )


def _squared(pixels: np.ndarray, path: Path, size: int, square: Square, box: Box | None) -> np.ndarray:
    """Return a frame uint8 [H,W,3] as uint8 [3,S,S]."""
    height, width = pixels.shape[:2]
    if min(height, width) < LEAST_SIDE_PX:
        raise DataError(f"{path} is {width} x {height} pixels: too small to show a sign")
    if box is not None:
        left, top, right, bottom = box
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise DataError(f"{path}: the box {box} is not left, top, right, bottom between 0 and 1")
        corners = (left * width, top * height, right * width, bottom * height)
    elif square == "middle":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        corners = (left, top, left + side, top + side)
    elif square == "whole":
        side = max(width, height)
        above, before = (side - height) // 2, (side - width) // 2
        pixels = np.pad(pixels, ((above, side - height - above), (before, side - width - before), (0, 0)))
        corners = (0.0, 0.0, float(side), float(side))
    else:
        raise DataError(f'no square {square!r}; there are: "middle", "whole"')
    try:
        return cut_out(pixels, NO_POINTS, corners, size=size, margin=1.0)[0]
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _upright(frame: Any, ratio: Fraction | None) -> np.ndarray:
    """Return a frame's pixels uint8 [H,W,3], turned as its camera was held, and as wide as they are high."""
    pixels = frame.to_ndarray(format="rgb24")
    if ratio and ratio != 1:
        picture = Image.fromarray(pixels)
        pixels = np.asarray(picture.resize((round(picture.width * ratio), picture.height)))
    return np.rot90(pixels, round(frame.rotation / 90))  # both count against the clock
