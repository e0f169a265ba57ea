"""MANO's official file, made up in its format: read right, and refused where it is anything else."""

import os
import pickle
import struct
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.spatial.transform import Rotation

from thesislib.datasets import mano
from thesislib.datasets.mano import PARENTS, TIPS, load_mano
from thesislib.datasets.sources import DataError
from thesislib.hand_model import HandModel, posed
from thesislib.synthetic.hand import JOINTS

COUNT = 778
NAMES = ("wrist", *(f"{f} {k}" for f in ("index", "middle", "little", "ring", "thumb") for k in (1, 2, 3)))
# Metres in the axes of MANO's right hand: fingers towards -x, the palm down to -y, the thumb towards +z.
BASES = {"index": (0.0, 0.028), "middle": (-0.005, 0.005), "ring": (0.0, -0.018), "little": (0.01, -0.035)}


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 wrote in protocol 2: texts and the bytes of arrays alike as strings of bytes."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_text(self, value: str | bytes) -> None:
        content = value.encode("latin1") if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_text


def joints() -> np.ndarray:
    places = {"wrist": (0.09, 0.006, 0.006)}
    for finger, (x, z) in BASES.items():
        places |= {f"{finger} {k}": (x - 0.03 * (k - 1), 0.004, z) for k in (1, 2, 3)}
    places |= {f"thumb {k}": (0.07 - 0.02 * (k - 1), -0.01, 0.03 + 0.02 * (k - 1)) for k in (1, 2, 3)}
    return np.array([places[name] for name in NAMES])


def official() -> dict[str, np.ndarray]:
    """A hand in MANO's format whose joints are where they should be and the rest drawn by lot."""
    draw = np.random.default_rng(0)
    template = draw.normal(0, 0.05, (COUNT, 3))
    regressor = np.zeros((16, COUNT))
    for joint, place in enumerate(joints()):  # each in the middle of two vertices
        offset = draw.normal(0, 0.01, 3)
        template[[2 * joint, 2 * joint + 1]] = place + offset, place - offset
        regressor[joint, [2 * joint, 2 * joint + 1]] = 0.5
    weights = draw.random((COUNT, 16)) ** 6
    return {
        "v_template": template,
        "f": draw.integers(0, COUNT, (1538, 3)).astype(np.uint32),
        "J_regressor": regressor,
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "shapedirs": draw.normal(0, 0.003, (COUNT, 3, 10)),
        "posedirs": draw.normal(0, 0.001, (COUNT, 3, 135)),
        "kintree_table": np.array([(4294967295, *PARENTS[1:]), range(16)], dtype=np.uint32),
        "hands_components": draw.normal(size=(45, 45)),
        "hands_mean": draw.normal(size=45),
        "bs_style": "lbs",
    }


@pytest.fixture
def chumpy(monkeypatch) -> Iterator[types.SimpleNamespace]:
    """Modules named as chumpy's, so that objects can be pickled as if it had made them."""
    found = {}
    for module, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select"), ("chumpy.logic", "All")):
        kind = type(
            name, (), {"__module__": module, "__init__": lambda self, **state: vars(self).update(state)}
        )
        stand_in = types.ModuleType(module)
        setattr(stand_in, name, kind)
        monkeypatch.setitem(sys.modules, module, stand_in)
        found[name] = kind
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    return types.SimpleNamespace(**found)


def write(path: Path, content: dict, chumpy, protocol: int = 2, **changed) -> Path:
    """Write a file as the publisher did: shape directions chosen by chumpy, joints as scipy's sparse columns."""
    content = content | {name: value for name, value in changed.items() if isinstance(value, np.ndarray)}
    more = np.concatenate([content["shapedirs"], np.ones((len(content["shapedirs"]), 3, 10))], axis=2)
    index = np.arange(more.size).reshape(more.shape)[..., : content["shapedirs"].shape[2]]
    constant = chumpy.Ch(x=more, _dirty_vars={"x"}, _status="new")
    stored = content | {
        "shapedirs": chumpy.Select(a=constant, idxs=index.ravel(), preferred_shape=index.shape),
        "v_template": chumpy.Ch(x=content["v_template"]),
        "J_regressor": sparse.csc_matrix(content["J_regressor"]),
    }
    stored |= {name: value for name, value in changed.items() if not isinstance(value, np.ndarray)}
    with open(path, "wb") as file:
        if protocol == 2:
            Python2Pickler(file, 2, fix_imports=True).dump(stored)
        else:
            pickle.dump(stored, file, protocol)
    old = path.read_bytes()
    if protocol <= 2:  # where scipy and numpy had these then
        old = old.replace(b"scipy.sparse._csc", b"scipy.sparse.csc")
        old = old.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
        path.write_bytes(old)
    return path


def hand_frame() -> np.ndarray:
    """From MANO's axes to ours, joint by joint: rows x to the index side, y to the middle knuckle, z."""
    place = dict(zip(NAMES, joints(), strict=True))
    rotation, _ = Rotation.align_vectors(
        [[0, 1, 0], [1, 0, 0]],
        [place["middle 1"] - place["wrist"], place["index 1"] - place["little 1"]],
        weights=[np.inf, 1],
    )
    return rotation.as_matrix()


# Reading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_the_loaded_hand_is_the_official_one_in_our_frame_and_units(tmp_path, chumpy, protocol):
    content = official()
    found = load_mano(write(tmp_path / "MANO_RIGHT.pkl", content, chumpy, protocol))
    plain = HandModel(  # metres, MANO's axes
        template=torch.tensor(content["v_template"]).float(),
        faces=found.faces,
        shape_basis=torch.tensor(content["shapedirs"]).float(),
        pose_basis=torch.tensor(content["posedirs"]).float(),
        joint_regressor=torch.tensor(content["J_regressor"]).float(),
        skinning=torch.tensor(content["weights"]).float(),
        parents=PARENTS,
        tips=torch.tensor(TIPS),
        keypoint_order=found.keypoint_order,
        name="MANO",
    )
    draw = torch.Generator().manual_seed(1)
    pose, shape, rotation = (0.7 * torch.randn(3, size, generator=draw) for size in (45, 10, 3))
    expected = posed(plain, pose, shape, rotation)
    turn = torch.tensor(hand_frame()).float()
    ours = posed(found, (pose.unflatten(1, (15, 3)) @ turn.T).flatten(1), shape, rotation @ turn.T)
    torch.testing.assert_close(ours.vertices, expected.vertices @ turn.T / 0.09, atol=3e-5, rtol=0)
    torch.testing.assert_close(ours.keypoints, expected.keypoints @ turn.T / 0.09, atol=3e-5, rtol=0)
    assert found.faces.tolist() == content["f"].tolist()
    assert found.template.dtype == torch.float32 and found.name == "MANO"


def test_keypoints_are_in_the_usual_order_and_the_hand_in_its_frame(tmp_path, chumpy):
    content = official()
    places = joints()
    for finger, tip in zip(("thumb", "index", "middle", "ring", "little"), TIPS, strict=True):
        last = NAMES.index(f"{finger} 3")
        content["v_template"][tip] = places[last] + 0.5 * (places[last] - places[last - 1])
    model = load_mano(write(tmp_path / "MANO_RIGHT.pkl", content, chumpy))
    keypoints = posed(model, torch.zeros(1, 45), torch.zeros(1, 10), torch.zeros(1, 3)).keypoints[0]
    of = dict(zip(JOINTS, keypoints, strict=True))
    assert of["wrist"].abs().max() < 1e-6 and abs(of["middle MCP"][0]) < 1e-5 and of["middle MCP"][1] > 0.9
    assert of["index MCP"][0] > of["middle MCP"][0] > of["ring MCP"][0] > of["little MCP"][0]
    assert of["thumb MCP"][0] > of["index MCP"][0] and of["thumb CMC"][2] > 0  # on the palm's side
    for finger in ("index", "middle", "ring", "little"):
        heights = [of[f"{finger} {joint}"][1] for joint in ("MCP", "PIP", "DIP", "tip")]
        assert heights == sorted(heights)
    torch.testing.assert_close(model.joint_regressor[0] @ model.template, torch.zeros(3), atol=1e-6, rtol=0)


def test_fingertips_can_be_chosen(tmp_path, chumpy):
    path = write(tmp_path / "MANO_RIGHT.pkl", official(), chumpy)
    assert load_mano(path).tips.tolist() == list(TIPS)
    assert load_mano(path, (1, 2, 3, 4, 5)).tips.tolist() == [1, 2, 3, 4, 5]
    for wrong in ((1, 2, 3, 4), (1, 2, 3, 4, COUNT), (-1, 2, 3, 4, 5)):
        with pytest.raises(DataError, match="five tips among 778"):
            load_mano(path, wrong)


# Refusing ----------------------------------------------------------------------------------------------


class Harmful:
    """Runs a command when it is unpickled by an ordinary reader."""

    def __reduce__(self):
        return os.system, ("touch harmed",)


class Evaluated:
    def __reduce__(self):
        return eval, ("open('harmed', 'w')",)


class ByNumpy:
    def __reduce__(self):
        from numpy.testing._private import utils

        return utils.runstring, ("open('harmed', 'w')", {})


class ByReconstructor:
    """copy_reg._reconstructor builds any class by its base's __new__ and __init__."""

    def __reduce__(self):
        import copyreg

        return copyreg._reconstructor, (dict, dict, {"a": 1})


class ByArray:
    """What the pickle of an array would look like with another class in its place."""

    def __reduce__(self):
        return np._core.multiarray._reconstruct, (Harmful, (0,), b"b")


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("harm", [Harmful(), Evaluated(), ByNumpy(), ByReconstructor(), ByArray(), Path("x")])
def test_a_file_that_asks_for_more_than_arrays_is_refused_unrun(
    tmp_path, monkeypatch, chumpy, harm, protocol
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickle.dumps(official() | {"hands_mean": harm}, protocol))
    with pytest.raises(DataError, match="cannot be read as MANO's file .*mano.is.tue.mpg.de"):
        load_mano(path)
    assert not (tmp_path / "harmed").exists()


def test_no_class_of_chumpys_but_two_is_known_and_no_method_of_theirs_runs(tmp_path, chumpy):
    path = write(tmp_path / "MANO_RIGHT.pkl", official(), chumpy, hands_mean=chumpy.All(a=1))
    with pytest.raises(DataError, match="chumpy.logic.All"):
        load_mano(path)
    ran = []
    chumpy.Ch.__setstate__ = lambda self, state: ran.append(state)
    chumpy.Ch.__array__ = lambda self: ran.append(self)
    load_mano(write(tmp_path / "MANO_RIGHT.pkl", official(), chumpy))
    assert not ran


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"v_template": np.zeros((0, 3))}, "v_template"),
        ({"v_template": np.full((COUNT, 3), np.nan)}, "finite"),
        ({"weights": np.full((COUNT, 15), 1 / 15)}, r"weights is \[778, 15\], expected \[778, 16\]"),
        ({"weights": np.full((COUNT, 16), 1.0)}, "do not sum to one"),
        ({"J_regressor": np.ones((24, COUNT))}, "J_regressor is .24, 778."),
        ({"shapedirs": np.zeros((COUNT, 3, 9))}, "shapedirs"),
        ({"posedirs": np.zeros((COUNT, 3, 207))}, r"posedirs is \[778, 3, 207\], expected \[778, 3, 135\]"),
        ({"posedirs": "abc"}, "no array posedirs"),
        ({"posedirs": [[1], [2, 3]]}, "no array posedirs"),
        ({"f": np.full((5, 3), COUNT)}, "faces name vertices that do not exist"),
        ({"kintree_table": np.zeros((2, 16), np.uint32)}, "hang together otherwise"),
        ({"kintree_table": np.zeros((2, 24), np.uint32)}, r"expected \[2, 16\]"),
    ],
)
def test_numbers_of_another_model_are_refused_with_what_to_do(tmp_path, chumpy, changed, message):
    path = write(tmp_path / "MANO_RIGHT.pkl", official(), chumpy, **changed)
    with pytest.raises(DataError, match=f"(?s){message}.*mano.is.tue.mpg.de"):
        load_mano(path)


def test_indices_that_point_outside_their_arrays_are_refused(tmp_path, chumpy):
    columns = sparse.csc_matrix(official()["J_regressor"])
    columns.indices[3] = 10_000_000  # scipy itself would write there
    with pytest.raises(DataError, match="no array J_regressor"):
        load_mano(write(tmp_path / "MANO_RIGHT.pkl", official(), chumpy, J_regressor=columns))
    outside = chumpy.Select(a=chumpy.Ch(x=np.zeros(5)), idxs=np.array([7]))
    with pytest.raises(DataError, match="no array shapedirs"):
        load_mano(write(tmp_path / "MANO_RIGHT.pkl", official(), chumpy, shapedirs=outside))
    itself = chumpy.Select(idxs=np.array([0]))
    itself.a = itself
    with pytest.raises(DataError, match="no array posedirs"):
        load_mano(write(tmp_path / "MANO_RIGHT.pkl", official(), chumpy, posedirs=itself))


def test_a_left_hand_is_told_from_a_right_one(tmp_path, chumpy):
    content = official()
    mirrored = content["v_template"] * [-1.0, 1.0, 1.0]
    with pytest.raises(DataError, match="looks like a left hand"):
        load_mano(write(tmp_path / "MANO_RIGHT.pkl", content, chumpy, v_template=mirrored))
    with pytest.raises(DataError, match="all in one place"):
        load_mano(write(tmp_path / "MANO_RIGHT.pkl", content, chumpy, v_template=np.zeros((COUNT, 3))))


def test_missing_cut_and_foreign_files_are_refused_with_what_to_do(tmp_path, chumpy):
    path = tmp_path / "MANO_RIGHT.pkl"
    with pytest.raises(DataError, match="is missing. MANO_RIGHT.pkl comes from https://mano"):
        load_mano(path)
    whole = write(path, official(), chumpy).read_bytes()
    for part in (
        b"",
        whole[: len(whole) // 2],
        whole[:-1],
        b"PK\x03\x04 no pickle",
        b"\x80\x02cos\nsystem\n.",
    ):
        path.write_bytes(part)
        with pytest.raises(DataError, match="cannot be read as MANO's file"):
            load_mano(path)
    with pytest.raises(DataError, match="cannot be read as MANO's file"):
        load_mano(tmp_path)  # a folder
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(DataError, match="holds no hand model"):
        load_mano(path)
    incomplete = {key: value for key, value in official().items() if key != "posedirs"}
    path.write_bytes(pickle.dumps(incomplete))
    with pytest.raises(DataError, match="no array posedirs"):
        load_mano(path)


def test_a_file_of_the_oldest_format_builds_only_stand_ins(tmp_path):
    """Protocol 0 names classes for copy_reg to build: those of this reader, and by nothing else than object."""
    for arguments in ((dict, object, None), (mano._Constant, dict, None), (mano._Constant, object, {})):
        with pytest.raises(pickle.UnpicklingError):
            mano._made(*arguments)
    assert isinstance(mano._made(mano._Constant, object, None), mano._Constant)
