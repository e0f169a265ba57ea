"""MediaPipe's landmark model as a finder of joints: it looks at a picture, and again at what it has found.

The model expects a hand that stands upright and fills about half of its picture. MediaPipe sees to that: at first
by a detector of palms, which is not used here, and in a video by the points of the picture before. A second look at
the same picture, about the points of the first, is what its tracking would take; see `palm_upright`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from thesislib.datasets.sources import DataError
from thesislib.peers import INPUT_PX
from thesislib.regions import Regions, about_middle
from thesislib.synthetic.hand import JOINTS

# What hand_landmark_landmarks_to_roi.pbtxt of MediaPipe 0.10.14 says of the next region: the joints it is the box
# of, and how far it is enlarged, and moved towards the fingers, both in parts of that box.
PALM = [j for j, name in enumerate(JOINTS) if name.split()[-1] in ("wrist", "CMC", "MCP", "PIP", "IP")]
ENLARGED, MOVED = 2.0, 0.1
LEAST_PX = 1.0  # of a region's side: where all points are in one place there is still something to look at

Finder = Callable[[Tensor], Tensor]  # pictures uint8 [N, 3, 224, 224] to joints [N, 21, 2] in their pixels


def finder(model: Path) -> Finder:
    """Return a landmark model of `peers.mediapipe_landmark_models` as a function, on one CPU thread.

    Raises RuntimeError where LiteRT is not installed, DataError for a file that is no such model.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise RuntimeError(
            "LiteRT is not installed, and MediaPipe's models need it: pip install -e '.[peers]'"
        ) from None
    try:
        interpreter = Interpreter(model_path=str(model), num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{model} is no TFLite model ({error})") from None
    (picture,) = interpreter.get_input_details()
    points = interpreter.get_output_details()[0]  # [1, 63]: x and y in pixels, and a depth

    def find(images: Tensor) -> Tensor:
        found = []
        for image in images.permute(0, 2, 3, 1).contiguous().float().div(255).numpy():
            interpreter.set_tensor(picture["index"], image[None])
            interpreter.invoke()
            found.append(interpreter.get_tensor(points["index"]).reshape(len(JOINTS), 3)[:, :2].copy())
        return torch.from_numpy(np.stack(found))

    return find


def look(find: Finder, images: Tensor, *, looks: int = 2, batch: int = 32) -> list[Tensor]:
    """Return what each look at pictures uint8 [N, 3, S, S] finds: joints [N, 21, 2] in their pixels.

    The first is at whole pictures as they stand, each other about what the one before has found.
    """
    found: list[list[Tensor]] = [[] for _ in range(looks)]
    for part in tqdm(images.split(batch), "asking MediaPipe", unit=" batches", leave=False):
        regions = about_middle(part)
        for of_look in found:
            of_look.append(regions.in_picture(find(regions.cut_out(part, INPUT_PX)) / INPUT_PX))
            regions = palm_upright(of_look[-1])
    return [torch.cat(of_look) for of_look in found]


def palm_upright(joints: Tensor) -> Regions:
    """Return the squares that MediaPipe's tracking looks at after finding joints [N, 21, 2] in pixels.

    The line from the wrist to the knuckles points up in them; see `PALM` for their size.
    """
    wrist, index, middle, ring = (
        joints[:, JOINTS.index(name)] for name in ("wrist", "index MCP", "middle MCP", "ring MCP")
    )
    towards = (index + ring) / 4 + middle / 2 - wrist
    upright = towards.new_tensor([0.0, -1.0]).expand_as(towards)
    up = F.normalize(torch.where(towards.norm(dim=-1, keepdim=True) > 0, towards, upright), dim=-1)
    axes = torch.stack(
        [torch.stack([-up[:, 1], up[:, 0]], -1), -up], -1
    )  # x to the hand's right, y to the wrist
    palm = joints[:, PALM] @ axes  # [N, 12, 2], along the axes
    low, high = palm.amin(dim=1), palm.amax(dim=1)
    extent, centre = high - low, (low + high) / 2
    centre[:, 1] -= MOVED * extent[:, 1]
    side = (ENLARGED * extent.amax(dim=-1)).clamp(min=LEAST_PX)
    return Regions((axes @ centre[..., None])[..., 0], side, axes)
