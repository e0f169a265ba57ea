"""Frames of videos. PyAV does the work; it is an extra (`pip install thesislib[video]`), for one set needs it."""

from itertools import islice
from pathlib import Path

import numpy as np

from thesislib.datasets.sources import DataError


def middle_frame(path: Path) -> np.ndarray:
    """Return the middle frame of a video as uint8 [H,W,3]: of n frames that can be decoded, number n // 2 from 0.

    Frames are counted by decoding, for what an old MPEG file says of its length is not to be trusted. Raises
    DataError where PyAV is missing and for a file that is missing, broken or no video.
    """
    try:
        import av
    except ImportError as error:
        raise DataError('videos are read with PyAV: pip install "thesislib[video]"') from error
    try:
        with av.open(str(path)) as video:
            count = sum(1 for _ in video.decode(video=0))
        with av.open(str(path)) as video:
            frame = next(islice(video.decode(video=0), count // 2, None))
            return frame.to_ndarray(format="rgb24")
    except (OSError, ValueError, IndexError, StopIteration, av.FFmpegError) as error:
        why = str(error) or "it has no frame"
        raise DataError(f"{path} is no readable video ({why}): delete it and unpack it again") from error
