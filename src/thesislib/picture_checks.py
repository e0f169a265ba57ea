"""Pictures that a command should refuse before a network looks at them, because they would be misread.

Apart from `pose_model`, on whose code the stored results of most chapters hang.
"""

import struct
from pathlib import Path

from PIL import Image, ImageOps

from thesislib.pose_model import ModelError

LONGEST = 10.0  # sides of a picture to one another, where no box says where the hand is


def check_picture(path: Path, *, boxed: bool) -> None:
    """Raise ModelError for more than 8 bits a channel, damaged notes of a camera, and a strip without a box.

    A file that is no picture is left to whoever opens it.
    """
    try:
        with Image.open(path) as image:
            mode, (width, height) = image.mode, image.size
            if mode in ("I", "F") or mode.startswith("I;"):
                raise ModelError(f"{path} has more than 8 bits a channel ({mode}): save it with 8")
            if not boxed and max(width, height) > LONGEST * min(width, height):
                raise ModelError(f"{path} is a strip of {width} x {height} pixels: name the hand's --box")
            ImageOps.exif_transpose(image)
    except (struct.error, AttributeError, KeyError, TypeError) as error:  # what Pillow trips over
        raise ModelError(
            f"the notes of the camera (EXIF) in {path} are damaged ({error}): save it anew"
        ) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return
