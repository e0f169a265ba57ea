"""Skin, light and backgrounds."""

import pytest
import torch

from thesislib.synthetic.backgrounds import draw_background
from thesislib.synthetic.draws import fold
from thesislib.synthetic.lighting import Light, draw_light, occlusion, shade
from thesislib.synthetic.skin import MARKS, draw_cloth, draw_skin, lab_to_linear


def lamp(direction, shadow=1.0):
    ones = torch.ones(1, 3)
    direction = torch.nn.functional.normalize(torch.tensor([direction]), dim=1)
    return Light(direction, ones, 0.2 * ones, 0 * ones, torch.tensor([shadow]))


def test_known_colours():
    lab = torch.tensor([[53.585, 0.0, 0.0], [53.2408, 80.0925, 67.2032], [32.2970, 79.1875, -107.8602]])
    red, blue = (0.95, 0.004, 0.004), (0.004, 0.004, 0.95)  # cut to the range of albedos
    expected = torch.tensor([(0.2159, 0.2159, 0.2159), red, blue])
    torch.testing.assert_close(lab_to_linear(lab), expected, atol=2e-3, rtol=0)


def test_a_signer_keeps_their_skin_and_people_differ():
    skins = draw_skin(torch.arange(300))
    again = draw_skin(torch.tensor([7]))
    for name, values in vars(skins).items():
        torch.testing.assert_close(getattr(again, name)[0], values[7])
    light = skins.colour.mean(1)
    assert light.max() > 4 * light.min()
    assert (skins.colour[:, 0] > skins.colour[:, 1]).all() and (skins.colour[:, 1] > skins.colour[:, 2]).all()


def test_palms_of_dark_skins_are_much_lighter_than_their_backs_and_of_light_skins_little():
    skins = draw_skin(torch.arange(300))
    gain = skins.pigment[:, MARKS.index("palm"), 1].exp()  # green carries most of the lightness
    order = skins.colour[:, 1].argsort()
    assert gain[order[:60]].mean() > 1.3 * gain[order[-60:]].mean()
    assert gain[order[-60:]].mean() == pytest.approx(1, abs=0.1)


def test_cloth_follows_from_the_key():
    colours, stripes = draw_cloth(fold(1, torch.arange(50)))
    torch.testing.assert_close(draw_cloth(fold(1, torch.tensor([9])))[0][0], colours[9])
    assert colours.min() > 0 and (stripes[:, 1] == 0).float().mean() > 0.5


def test_surfaces_that_face_the_lamp_are_brighter_and_shadow_leaves_the_light_from_around():
    normals = torch.tensor([[[0.0, 0.0], [0.6, -0.6], [0.8, 0.8]]])  # facing up, facing down
    albedo, one = torch.full((1, 3, 2), 0.5), torch.ones(1, 1, 2)
    args = (lamp((0.0, 1.0, 0.5)), torch.full((1, 3), 0.1), 0 * one)
    lit = shade(albedo, normals, one, one, *args)
    assert (lit[..., 0] > 2 * lit[..., 1]).all()
    dark = shade(albedo, normals, 0 * one, one, *args)
    assert (dark[..., 0] < lit[..., 0]).all() and (dark >= 0.5 * 0.2).all()
    assert (shade(albedo, normals, one, 0.5 * one, *args) < lit).all()


def test_a_shadow_falls_away_from_the_lamp():
    depth, mask = torch.zeros(1, 64, 64), torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[:, 28:36, 28:36] = True
    lit, open_ = occlusion(depth, mask, torch.tensor([-0.3]), lamp((-1.0, 0.0, 1.0)), torch.tensor([3.0]))
    left, right = lit[0, 32, 10:26], lit[0, 32, 38:54]
    assert right.min() < 0.3 and left.min() > 0.95
    assert lit[0, 32, 32] > 0.95 and (open_[0][~mask[0]] == 1).all()
    far, _ = occlusion(depth, mask, torch.tensor([-50.0]), lamp((-1.0, 0.0, 1.0)), torch.tensor([3.0]))
    assert far[0, :, 50:].min() > 0.95  # what is far behind stays bright


def test_hollows_see_less_of_the_room():
    depth, mask = torch.zeros(1, 64, 64), torch.ones(1, 64, 64, dtype=torch.bool)
    depth[:, :, 31:33] = -0.2
    _, open_ = occlusion(depth, mask, torch.tensor([-50.0]), lamp((0.0, 0.0, 1.0)), torch.tensor([3.0]))
    assert open_[0, 32, 31] < 0.9 and open_[0, 32, 10] > 0.98


def test_light_is_positive_and_comes_mostly_from_above():
    light = draw_light(fold(2, torch.arange(400)))
    torch.testing.assert_close(light.direction.norm(dim=1), torch.ones(400))
    assert (light.direction[:, 2] > 0).all() and (light.direction[:, 1] > 0).float().mean() > 0.6
    assert light.key.min() > 0 and light.ambient.min() > 0


def test_backgrounds_follow_from_their_key_and_clutter_fills_them():
    key = fold(3, torch.arange(64))
    full = draw_background(key, 32, torch.ones(64))
    plain = draw_background(key, 32, torch.zeros(64))
    assert full.shape == (64, 3, 32, 32) and full.min() >= 0 and full.isfinite().all()
    alone = draw_background(key[5:6], 32, torch.ones(1))
    torch.testing.assert_close(alone[0], full[5], atol=1e-5, rtol=1e-4)

    def edges(image):
        return (image[..., 1:] - image[..., :-1]).abs().mean()

    assert edges(full) > 3 * edges(plain)
    assert full.mean((2, 3)).std(0).min() > 0.1  # rooms differ
