"""MediaPipe's landmark model asked about pictures of hands, without the rest of MediaPipe.

The model expects a hand that stands upright, its palm as large as half of the picture. MediaPipe sees to that: at
first by a detector of palms, which is not used here, and in a video by a crop about the landmarks of the frame
before. Such a tracking crop can be taken of a single picture as well, about what the model finds in all of it.
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

# The rule of MediaPipe 0.10.14 for its tracking crop: hand_landmarks_to_rect_calculator.cc has the joints and the
# angle (what it calls PIP joints are places in this list, and MCP joints), hand_landmark_landmarks_to_roi.pbtxt the
# rest.
PALM = [j for j, name in enumerate(JOINTS) if name.split()[-1] in ("wrist", "CMC", "MCP", "PIP", "IP")]
ENLARGED = 2.0  # the crop's side, in longer sides of the box of these joints
MOVED = 0.1  # towards the fingers, in heights of that box
LEAST_PX = 1.0  # of a crop's side: where all points are in one place there is still something to look at

Find = Callable[[Tensor], Tensor]  # pictures uint8 [N, 3, 224, 224] to joints [N, 21, 2] in their pixels


def landmark_model(model: Path) -> Find:
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
    (picture,), points = interpreter.get_input_details(), interpreter.get_output_details()[0]
    shapes = [tensor["shape"].tolist() for tensor in (picture, points)]
    if shapes != [[1, INPUT_PX, INPUT_PX, 3], [1, 3 * len(JOINTS)]]:  # x and y in pixels, and a depth
        raise DataError(f"{model} is no landmark model: it maps {shapes[0]} to {shapes[1]}")

    def find(images: Tensor) -> Tensor:
        found = []
        for image in images.permute(0, 2, 3, 1).contiguous().float().div(255).numpy():
            interpreter.set_tensor(picture["index"], image[None])
            interpreter.invoke()
            found.append(interpreter.get_tensor(points["index"]).reshape(len(JOINTS), 3)[:, :2].copy())
        return torch.from_numpy(np.stack(found))

    return find


def whole_and_tracked(find: Find, images: Tensor, *, batch: int = 32) -> tuple[Tensor, Tensor]:
    """Return what a model finds in whole pictures uint8 [N, 3, S, S], and then in tracking crops about that.

    Both are joints [N, 21, 2] in pixels of the pictures.
    """
    whole, tracked = [], []
    for part in tqdm(images.split(batch), "asking MediaPipe", unit=" batches", leave=False):
        whole.append(_in_regions(find, part, about_middle(part)))
        tracked.append(_in_regions(find, part, tracking_crop(whole[-1])))
    return torch.cat(whole), torch.cat(tracked)


def _in_regions(find: Find, images: Tensor, regions: Regions) -> Tensor:
    return regions.in_picture(find(regions.cut_out(images, INPUT_PX)) / INPUT_PX)


def tracking_crop(joints: Tensor) -> Regions:
    """Return the regions that MediaPipe's tracking looks at after finding joints [N, 21, 2] in pixels.

    The line from the wrist to the knuckles of three fingers points up in them; see `PALM` for their size.
    """
    wrist, index, middle, ring = (
        joints[:, JOINTS.index(name)] for name in ("wrist", "index MCP", "middle MCP", "ring MCP")
    )
    towards = (index + ring) / 4 + middle / 2 - wrist
    upright = towards.new_tensor([0.0, -1.0]).expand_as(towards)
    up = F.normalize(torch.where(towards.norm(dim=-1, keepdim=True) > 0, towards, upright), dim=-1)
    axes = torch.stack([torch.stack([-up[:, 1], up[:, 0]], -1), -up], -1)  # y points to the wrist
    palm = joints[:, PALM] @ axes  # [N, 12, 2], along the axes
    low, high = palm.amin(dim=1), palm.amax(dim=1)
    extent, centre = high - low, (low + high) / 2
    centre[:, 1] -= MOVED * extent[:, 1]
    side = (ENLARGED * extent.amax(dim=-1)).clamp(min=LEAST_PX)
    return Regions((axes @ centre[..., None])[..., 0], side, axes)
