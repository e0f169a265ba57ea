"""Crops that miss the hand, as a hand detector leaves them where it fails (Ignatiev 2019, figure 3.20)."""

import numpy as np
import torch

from thesislib.transforms.hands import about_centre, warped

FINGERTIPS = (4, 8, 12, 16, 20)
CROP = 0.3  # side, as a share of the picture's


def failed_crops(image: np.ndarray, keypoints: np.ndarray, finger: np.ndarray) -> np.ndarray:
    """Return crops of 0.3 of the side that show a finger or nothing: uint8 [N, 3, S, S] to the same.

    keypoints: [N, 21, 2] in pixels, all known; finger: [N] from 0 (thumb) to 4 for the crop about that fingertip,
    negative for the crop that is farthest from any joint. Crops are brought back to S pixels.
    """
    size, rows = image.shape[-1], np.arange(len(image))
    line = np.linspace(CROP / 2, 1 - CROP / 2, 9) * size
    places = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)  # [81, 2]
    distance = np.linalg.norm(places[:, None] - keypoints[:, None], axis=-1).min(axis=2)  # [N, 81]
    empty = places[distance.argmax(axis=1)]
    tip = keypoints[rows, np.array(FINGERTIPS)[np.maximum(finger, 0)]]
    middle = np.where((finger < 0)[:, None], empty, tip)  # [N, 2]
    matrix = about_centre(torch.eye(2).repeat(len(image), 1, 1) / CROP, size)
    matrix[:, :2, 2] += torch.from_numpy((size / 2 - middle) / CROP).to(matrix)
    moved, _ = warped(torch.tensor(image).float(), torch.zeros(len(image), 0, 3), matrix)
    return moved.round().byte().numpy()
