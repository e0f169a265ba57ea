"""Failed crops show what they are said to: the fingertip in the middle, or nothing of the hand."""

import numpy as np
import pytest

from thesislib.transforms.failed_crops import CROP, FINGERTIPS, failed_crops


def a_hand(x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """White dots on a circle about a place, one a joint: picture [1, 3, 64, 64], keypoints [1, 21, 2]."""
    around = np.linspace(0, 2 * np.pi, 21, endpoint=False)
    keypoints = np.stack([x + 11 * np.cos(around), y + 11 * np.sin(around)], axis=-1)
    image = np.zeros((1, 3, 64, 64), np.uint8)
    for column, row in keypoints.astype(int):
        image[:, :, row, column] = 255
    return image, keypoints[None]


@pytest.mark.parametrize("finger", range(5))
def test_the_fingertip_is_in_the_middle(finger):
    image, keypoints = a_hand(36, 30)
    image[:] = 0
    column, row = keypoints[0, FINGERTIPS[finger]].astype(int)
    image[:, :, row, column] = 255
    found = failed_crops(image, keypoints, np.array([finger]))
    assert found.shape == image.shape and found.dtype == np.uint8
    weight = found[0, 0].astype(float)
    place = np.arange(64) + 0.5
    middle = np.array([(weight.sum(0) * place).sum(), (weight.sum(1) * place).sum()]) / weight.sum()
    # the dot fills the pixel that the tip lies in, and is drawn larger by 1 / CROP
    off = (np.array([column, row]) + 0.5 - keypoints[0, FINGERTIPS[finger]]) / CROP
    np.testing.assert_allclose(middle, 32 + off, atol=0.1)
    assert weight.sum() / 255 == pytest.approx(1 / CROP**2, rel=0.05)


@pytest.mark.parametrize("place", [(14, 14), (50, 20), (20, 50), (45, 45)])
def test_an_empty_crop_shows_no_joint(place):
    image, keypoints = a_hand(*place)
    assert failed_crops(image, keypoints, np.array([-1])).max() == 0
    assert failed_crops(255 - image, keypoints, np.array([-3])).min() == 255  # and stays within the picture


def test_each_picture_has_a_crop_of_its_own():
    image, keypoints = (np.concatenate(both) for both in zip(a_hand(20, 20), a_hand(44, 40), strict=True))
    both = failed_crops(image, keypoints, np.array([2, -1]))
    one = [failed_crops(image[[n]], keypoints[[n]], np.array([f]))[0] for n, f in ((0, 2), (1, -1))]
    np.testing.assert_array_equal(both, np.stack(one))
