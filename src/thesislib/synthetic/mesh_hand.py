"""This project's own hand model, built from its anatomy: nothing of it is licensed away.

MANO was learned from scans of people (Komorowicz 2018, section 2.1). Here invented people take their place: the
generator's skin, moved by its 39 bones, is the scan, and its vertices are those of one mesh in every hand. From
such meshes come the principal components of shape, the places of joints, and what the 16 bones of linear blend
skinning cannot do alone.
"""

from dataclasses import replace

import torch
from scipy.optimize import nnls
from torch import Tensor

from thesislib.hand_model import NUM_JOINTS, HandModel, axis_angles, posed, rotation_matrices
from thesislib.synthetic.bones import _REST_ANGLES, FINGER, NUM_BONES, bone_maps, rest_hand
from thesislib.synthetic.draws import fold, normal, uniform
from thesislib.synthetic.hand import LIMITS, Anatomy, PosedHand, draw_anatomy, pose
from thesislib.synthetic.hand_surface import _bind
from thesislib.synthetic.rest_mesh import rest_mesh
from thesislib.synthetic.rotations import compose

REST_ANGLES = torch.tensor(_REST_ANGLES)  # [21] degrees, in which the template rests; hand.ANGLES names them
PARENTS = (-1, *(0 if joint % 3 == 1 else joint - 1 for joint in range(1, NUM_JOINTS)))
NAME = "hand2vec"
FIRST_PERSON = 3_000_000  # who taught the model is in no picture
_PEOPLE_APART = 100_000  # between the first people of two seeds

# Places of synthetic.hand.JOINTS among the model's 16 joints (the same without tips), then 5 tips.
_TIP = NUM_JOINTS
KEYPOINT_ORDER = torch.tensor(
    [0, *(p for f in range(5) for p in (3 * f + 1, 3 * f + 2, 3 * f + 3, _TIP + f))]
)
MODEL_JOINTS = [joint for joint in range(21) if joint == 0 or joint % 4]  # those of JOINTS that are no tips
_POSES, _TURNS = 51, 52  # purposes of the draws
_LOOSENESS = 3.0  # degrees, standard deviation: turns that joints cannot make tell all entries of R - I apart
_RIDGE = 1e-4  # of the pose basis, as a share of the mean square of a feature
_NEAR = 60  # vertices that may place a joint
_PLACED = 500  # people whose joints place them
_EXACT = 2e4  # weight of the average hand's joints, against one person's


def build(num_vertices: int = 900, people: int = 2_000, poses: int = 3_000, *, seed: int = 0) -> HandModel:
    """Return the model: shape learned from so many invented people, what bends with pose from so many poses."""
    template, faces, tips = rest_mesh(num_vertices)
    anatomy = draw_anatomy(scanned(people, seed))
    meshes = resting_mesh(template, anatomy)
    model = HandModel(
        template=template,
        faces=faces,
        shape_basis=_shape_basis(meshes - template),
        pose_basis=torch.zeros(*template.shape, 9 * (NUM_JOINTS - 1)),
        joint_regressor=_joint_regressor(template, meshes[:_PLACED], anatomy[:_PLACED]),
        skinning=_skinning(template),
        parents=PARENTS,
        tips=tips,
        keypoint_order=KEYPOINT_ORDER,
        name=NAME,
    )
    return replace(model, pose_basis=_pose_basis(model, poses, seed))


def scanned(count: int, seed: int = 0) -> Tensor:
    """Return the numbers of the people, int64 [count], from whom `build` learns."""
    return FIRST_PERSON + _PEOPLE_APART * seed + torch.arange(count)


def true_mesh(model: HandModel, anatomy: Anatomy, angles: Tensor) -> Tensor:
    """Return the skin of the generator's hands at angles [B, 21] degrees, [B, V, 3] in the hand frame.

    Its vertices are those of the model's template, moved by the generator's 39 bones instead of its 16.
    """
    return _moved(model.template, anatomy, pose(anatomy, angles))


def theta_of(
    model: HandModel, anatomy: Anatomy, angles: Tensor, orientation: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return pose [B, 45], shape [B, 10] and rotation [B, 3] of the generator's hands in the model's terms.

    angles: [B, 21] degrees; orientation: [B, 3, 3], hand frame to camera axes. Pose and rotation are exact; the
    shape is the resting skin projected onto the model's basis.
    """
    turns = _relative(pose(anatomy, angles))
    return axis_angles(turns).flatten(1), shape_of(model, anatomy), axis_angles(orientation)


def shape_of(model: HandModel, anatomy: Anatomy) -> Tensor:
    """Return the shape [B, 10] whose resting mesh is nearest to that of the generator's hands."""
    basis = model.shape_basis.flatten(0, 1)
    offset = (resting_mesh(model.template, anatomy) - model.template).flatten(1)
    return torch.linalg.solve(basis.T @ basis, basis.T @ offset.T).T


def resting_mesh(template: Tensor, anatomy: Anatomy) -> Tensor:
    """Return the skin [B, V, 3] of hands whose bones point as those of the average hand at rest.

    How people's fingers fan out is thus left to the pose.
    """
    return _moved(template, *_resting(anatomy))


def resting_joints(anatomy: Anatomy) -> Tensor:
    """Return the joints [B, 21, 3] of the hands of `resting_mesh`."""
    return _resting(anatomy)[1].joints


def _resting(anatomy: Anatomy) -> tuple[Anatomy, PosedHand]:
    count = len(anatomy.base)
    straight = replace(anatomy, fan=rest_hand()[0].fan.to(anatomy.fan).expand(count, -1))
    return straight, pose(straight, REST_ANGLES.to(anatomy.fan).expand(count, -1))


def _moved(template: Tensor, anatomy: Anatomy, hand: PosedHand) -> Tensor:
    still = torch.eye(3, device=template.device).expand(len(hand.joints), 3, 3)
    no_sleeve = torch.tensor([[0.0, 1.0]], device=template.device).expand(len(still), 2)
    maps = bone_maps(anatomy, hand, still, no_sleeve)  # [B, 39, 3, 4]
    weight = _bind(template.cpu()).to(template.device)
    homogeneous = torch.nn.functional.pad(template, (0, 1), value=1.0)
    binding = (weight[:, :, None] * homogeneous[:, None]).flatten(1)  # [V, 39 * 4]
    return torch.einsum("vk,bck->bvc", binding, maps.transpose(1, 2).flatten(2))


def _skinning(template: Tensor) -> Tensor:
    """Return [V, 16]: the 39 bones' weights, a bone half-way in a joint counting half for either side."""
    share = torch.zeros(NUM_BONES, NUM_JOINTS)
    share[:FINGER, 0] = 1
    for finger in range(5):
        for k in range(3):
            half, joint = FINGER + 6 * finger + 2 * k, 1 + 3 * finger + k
            share[half, joint] = share[half, PARENTS[joint]] = 0.5
            share[half + 1, joint] = 1
    return _bind(template) @ share


def _relative(hand: PosedHand) -> Tensor:
    """Return [B, 15, 3, 3]: the turn of each phalanx against the one before it, as seen in the resting hand."""
    rest = rest_hand()[1].frames.to(hand.frames)
    turn = compose(hand.frames, rest.mT)  # [B, 5, 3, 3, 3]
    first = turn[:, :, :1]
    later = compose(turn[:, :, :2].mT, turn[:, :, 1:])
    return torch.cat([first, later], dim=2).flatten(1, 2)


def _shape_basis(offsets: Tensor) -> Tensor:
    """Return [V, 3, 10]: principal components of people's offsets [N, V, 3] from the average hand.

    One unit is one standard deviation. The greatest entry of each is positive, so that signs are always the same.
    """
    _, size, direction = torch.linalg.svd(offsets.flatten(1), full_matrices=False)
    size, direction = size[:10] / len(offsets) ** 0.5, direction[:10]
    greatest = direction.gather(1, direction.abs().argmax(dim=1, keepdim=True))
    return (direction * greatest.sign() * size[:, None]).T.unflatten(0, (-1, 3)).contiguous()


def _joint_regressor(template: Tensor, meshes: Tensor, anatomy: Anatomy) -> Tensor:
    """Return [16, V]: each joint a mean of vertices near it, exact for the average hand, best for people."""
    joints = resting_joints(anatomy)[:, MODEL_JOINTS]  # [N, 16, 3]
    centre = rest_hand()[1].joints[0, MODEL_JOINTS]
    regressor = torch.zeros(NUM_JOINTS, len(template))
    for joint in range(NUM_JOINTS):
        near = (template - centre[joint]).norm(dim=1).argsort()[:_NEAR]
        # Rows: people's coordinates, then the average hand's, then that weights sum to one.
        rows = [meshes[:, near].transpose(1, 2).flatten(0, 1), _EXACT * template[near].T]
        rows.append(torch.full((1, _NEAR), _EXACT))
        wanted = [joints[:, joint].flatten(), _EXACT * centre[joint], torch.tensor([_EXACT])]
        weight, _ = nnls(torch.cat(rows).double().numpy(), torch.cat(wanted).double().numpy())
        regressor[joint, near] = torch.from_numpy(weight).float()
    return regressor


def _pose_basis(model: HandModel, count: int, seed: int) -> Tensor:
    """Return [V, 3, 135]: by ridge regression, what bends the template so that skinning ends at the true skin."""
    index, (low, high) = torch.arange(count), LIMITS
    angles = low + uniform(fold(seed, _POSES, index), 21) * (high - low)
    average = Anatomy(
        **{name: row.expand(count, *row.shape[1:]) for name, row in vars(rest_hand()[0]).items()}
    )
    loose = torch.deg2rad(_LOOSENESS * normal(fold(seed, _TURNS, index), 45)).unflatten(1, (15, 3))
    relative = _relative(pose(average, angles)) @ rotation_matrices(loose)

    none = torch.zeros(count, 10)
    skinned = posed(model, axis_angles(relative).flatten(1), none, none[:, :3])
    linear = torch.einsum("vj,bjcd->bvcd", model.skinning, skinned.turns)
    missing = _moved(model.template, average, _chained(average, relative)) - skinned.vertices
    missing = torch.linalg.solve(linear, missing[..., None])[..., 0].double()  # before skinning turns it
    feature = (relative - torch.eye(3)).flatten(1).double()  # [N, 135]
    ridge = _RIDGE * feature.square().sum(dim=0).mean()
    basis = torch.zeros(*model.template.shape, feature.shape[1])
    # A vertex listens only to the joints that move it: chance must not tie one finger's skin to another's bones.
    listens, group = (model.skinning[:, 1:] > 0).unique(dim=0, return_inverse=True)
    for number, joints in enumerate(listens):
        chosen, vertices = joints.repeat_interleave(9).nonzero()[:, 0], (group == number).nonzero()[:, 0]
        seen = feature[:, chosen]
        gram = seen.T @ seen + ridge * torch.eye(len(chosen))
        found = torch.linalg.solve(gram, seen.T @ missing[:, vertices].flatten(1))  # [9 J, 3 v]
        basis[vertices[:, None], :, chosen] = found.unflatten(1, (-1, 3)).transpose(0, 1).float()
    return basis


def _chained(anatomy: Anatomy, relative: Tensor) -> PosedHand:
    """Return hands with these turns [B, 15, 3, 3] of their joints against the resting hand."""
    turn = relative.unflatten(1, (5, 3))
    first, second = turn[:, :, 0], turn[:, :, 0] @ turn[:, :, 1]
    turn = torch.stack([first, second, second @ turn[:, :, 2]], dim=2)
    frames = turn @ rest_hand()[1].frames
    steps = frames[..., 1] * anatomy.length[..., None]
    ends = anatomy.base[:, :, None] + steps.cumsum(dim=2)
    chains = torch.cat([anatomy.base[:, :, None], ends], dim=2)
    wrist = torch.zeros_like(chains[:, 0, :1])
    return PosedHand(torch.cat([wrist, chains.flatten(1, 2)], dim=1), frames)
