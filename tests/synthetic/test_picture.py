import pytest
import torch
import torch.nn.functional as F

from thesislib.synthetic import poses
from thesislib.synthetic.bones import bone_maps
from thesislib.synthetic.draws import fold
from thesislib.synthetic.hand import JOINTS, draw_anatomy, pose
from thesislib.synthetic.hand_surface import hand_surface
from thesislib.synthetic.handshapes import handshape
from thesislib.synthetic.picture import draw_camera, fixed_camera, picture
from thesislib.synthetic.render import Camera, rasterise

PLAIN = {"clutter": 0.0, "resolution": 512.0, "blur": 0.0, "noise": 0.0}
OPEN_HAND = torch.tensor([[35.0, 20, -110, 5, 5, 8, 3, 3, 3, 0, 3, 3, 3, -4, 3, 3, 3, -8, 3, 3, 3]])


def draw(angles, orientation, *, size=64, supersample=1, start=0, **settings):
    who = torch.arange(start, start + len(angles))
    settings = PLAIN | settings | {"size": size, "supersample": supersample}
    return picture(draw_anatomy(who), who, angles, orientation, fold(4, who), **settings)


@pytest.fixture(scope="module")
def random_hands():
    index = torch.arange(96)
    angles, orientation = poses.random(1, index, index)
    return angles, orientation, draw(angles, orientation)


def test_all_joints_lie_inside_the_silhouette_up_to_a_pixel(random_hands):
    _, _, drawn = random_hands
    covered = F.max_pool2d((drawn["mask"] > 0).float()[:, None], 3, stride=1, padding=1)[:, 0]
    column, row = drawn["keypoints"].floor().long().unbind(-1)
    hand = torch.arange(96)[:, None]
    assert ((column >= 0) & (column < 64) & (row >= 0) & (row < 64)).all()
    assert covered[hand, row, column].all()


def test_keypoints_are_the_projected_joints(random_hands):
    """Independent of the camera's own arithmetic: a pinhole picture of the 3D joints, up to place and scale."""
    angles, orientation, drawn = random_hands
    key = fold(4, torch.arange(96))
    posed = pose(draw_anatomy(torch.arange(96)), angles)
    distance = draw_camera(key, posed, orientation).distance
    for k in range(0, 96, 7):
        joints = (drawn["joints"][k] - drawn["joints"][k].mean(0)).double()
        seen = joints[:, :2] / (1 - joints[:, 2:] / distance[k])
        design = torch.cat([seen * torch.tensor([1.0, -1.0]), torch.ones(21, 1)], dim=1).double()
        fitted = torch.linalg.lstsq(design, drawn["keypoints"][k].double()).solution
        torch.testing.assert_close(design @ fitted, drawn["keypoints"][k].double(), atol=2e-3, rtol=0)
        assert fitted[0, 0] == pytest.approx(float(fitted[1, 1]), rel=1e-3)  # square pixels
        assert fitted[:2].fliplr().diagonal().abs().max() < 1e-2 * fitted[0, 0]  # no shear, no turn


def test_crops_have_margins_like_those_of_hand_detectors(random_hands):
    points = random_hands[2]["keypoints"]
    longer = (points.amax(1) - points.amin(1)).amax(1) / 64
    assert 0.5 < longer.median() < 0.85 and longer.max() < 0.95


def test_depth_is_the_hand_s_own(random_hands):
    _, _, drawn = random_hands
    points, visible = drawn["keypoints"], drawn["visible"]
    column, row = points.floor().long().unbind(-1)
    surface = drawn["depth"][torch.arange(96)[:, None], row, column]
    middle = drawn["joints"].mean(1, keepdim=True)
    before = surface - (drawn["joints"] - middle)[..., 2]
    inner = torch.tensor([name.endswith(("PIP", "DIP", "IP")) for name in JOINTS])
    assert before[visible & inner].median() == pytest.approx(0.1, abs=0.03)  # skin is a finger's radius away


def test_an_open_hand_shows_all_joints_and_a_finger_before_the_palm_hides_what_it_covers():
    front = torch.eye(3)[None]
    spread = torch.tensor(handshape("spread").angles).expand(8, -1)
    assert draw(spread, front.expand(8, 3, 3))["visible"].all()
    fist = OPEN_HAND.clone()
    fist[:, 5:] = torch.tensor([0.0, 80, 100, 60]).repeat(4)
    visible = draw(fist, front)["visible"][0]
    hidden = {name for name, seen in zip(JOINTS, visible, strict=True) if not seen}
    # folded forwards, each finger stands before its own knuckle; its middle joint is in front of everything
    assert {f"{finger} MCP" for finger in ("index", "middle", "ring", "little")} <= hidden
    assert not {f"{finger} PIP" for finger in ("index", "middle", "ring", "little")} & hidden
    behind = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))[None]
    from_the_back = draw(fist, behind)["visible"][0]
    assert from_the_back[[5, 9, 13, 17]].all() and not from_the_back[[8, 12, 16]].any()


def test_no_arm_or_sleeve_reaches_the_camera(random_hands):
    drawn = random_hands[2]
    assert drawn["depth"].max() < 3.5 and drawn["mask"].mean((1, 2)).max() < 0.9


def test_supersampling_smooths_the_outline_and_keeps_the_labels():
    index = torch.arange(8)
    angles, orientation = poses.flat(1, index, index)
    rough, fine = draw(angles, orientation, size=48), draw(angles, orientation, size=48, supersample=2)
    torch.testing.assert_close(fine["keypoints"], rough["keypoints"])
    assert set(rough["mask"].unique().tolist()) == {0.0, 1.0}
    partial = (fine["mask"] > 0.05) & (fine["mask"] < 0.95)
    assert partial.float().mean() > 0.01
    assert (fine["mask"] - rough["mask"]).abs().mean() < 0.03


def test_the_surface_has_no_holes():
    """Seen from the front, an open hand is one piece: no pixel inside it shows the background."""
    flat = OPEN_HAND.expand(16, 21)
    mask = draw(flat, torch.eye(3).expand(16, 3, 3), size=96)["mask"] > 0
    around = F.avg_pool2d(mask.float()[:, None], 3, stride=1, padding=1)[:, 0] * 9
    assert not (~mask & (around >= 8 - 1e-3)).any()


@pytest.mark.parametrize("width", [0.5, 1.1])
def test_the_closest_view_of_an_arm_or_sleeve_shows_its_front_without_gaps(width):
    anatomy = draw_anatomy(torch.zeros(1, dtype=torch.int64), spread=0.0)
    posed = pose(anatomy, OPEN_HAND)
    maps = bone_maps(anatomy, posed, torch.eye(3)[None], torch.tensor([[0.05, width]]))
    side = torch.tensor([1.35])  # the least width of a picture
    camera = Camera(
        torch.eye(3)[None],
        torch.tensor([[0.0, -0.5, 0.0]]),
        torch.tensor([4.5]),
        -side[:, None].expand(1, 2) / 2,
        side,
    )
    buffers = rasterise(hand_surface(0.02), maps, camera, 64)
    middle = slice(24, 40)  # a quarter of the picture, well inside the arm, from wrist to lower edge
    assert buffers.mask[0, 16:, middle].all()
    assert (buffers.depth[0, 16:, middle] > 0.1).all()  # nothing of its back shows through


def test_a_fixed_camera_keeps_the_wrist_in_place():
    angles, orientation = OPEN_HAND.repeat(3, 1), torch.eye(3).expand(3, 3, 3)
    angles[1:, 6:9] = torch.tensor([[40.0, 50, 20], [80.0, 100, 60]])
    anatomy = draw_anatomy(torch.zeros(3, dtype=torch.int64))
    posed = pose(anatomy, angles)
    place, _ = fixed_camera(posed, orientation).project(posed.joints)
    torch.testing.assert_close(place[1:, 0], place[:2, 0])
    assert (place > 0).all() and (place < 1).all()
    assert (place[1, 8] - place[0, 8]).norm() > 0.05


def test_blur_noise_clutter_and_resolution_do_what_they_say():
    index = torch.arange(48)
    angles, orientation = poses.flat(1, index, index)

    def sharpness(**settings):
        image = draw(angles, orientation, **settings)["image"]
        assert image.min() >= 0 and image.max() <= 1
        return float((image[..., 1:] - image[..., :-1]).abs().mean())

    plain = sharpness()
    assert sharpness(blur=3.0) < 0.9 * plain
    assert sharpness(resolution=12.0) < 0.9 * plain
    assert sharpness(noise=0.1) > 1.3 * plain
    assert sharpness(clutter=1.0) > 1.2 * plain


def test_nothing_is_left_on_another_device():
    """Every tensor follows the key's device; the meta device has no data but refuses to mix."""
    who = torch.arange(2, device="meta")
    drawn = picture(
        draw_anatomy(who),
        who,
        torch.zeros(2, 21, device="meta"),
        torch.eye(3, device="meta").expand(2, 3, 3),
        who,
        size=32,
        supersample=2,
        clutter=0.5,
        resolution=30.0,
        blur=0.5,
        noise=0.02,
    )
    assert drawn["image"].shape == (2, 3, 32, 32) and {values.device.type for values in drawn.values()} == {
        "meta"
    }
