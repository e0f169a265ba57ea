"""The hand model MANO (Romero et al. 2017) out of its official file, in the place of this project's own.

MANO_RIGHT.pkl was pickled by Python 2 and holds objects of chumpy, a package that Python 3 cannot import;
Komorowicz 2018 (section 6.1) had to take them out by hand. Here they are read without it: every object but plain
arrays is replaced by one that only keeps what was stored, and nothing in the file is ever run.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse

from thesislib.datasets.hand_layouts import _ArrayUnpickler
from thesislib.datasets.sources import DataError
from thesislib.hand_model import NUM_JOINTS, UNIT_MM, HandModel

WHERE = (
    "MANO_RIGHT.pkl comes from https://mano.is.tue.mpg.de: register, accept the licence (research only, not to be "
    "passed on), and unpack it; it is in the folder models"
)
# Its joints: wrist, then three each of index, middle, little and ring finger and thumb.
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
_INDEX, _MIDDLE, _LITTLE, _THUMB = 1, 4, 7, 13  # the first joints of four fingers
# Places of synthetic.hand.JOINTS among those 16 joints and then the tips of thumb to little finger.
KEYPOINT_ORDER = (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20)
TIPS = (745, 317, 444, 556, 673)


def load_mano(path: Path, tips: tuple[int, ...] = TIPS) -> HandModel:
    """Return the hand model in MANO's official file MANO_RIGHT.pkl, in hand units.

    Its pose zero is the flat hand of the file's template. The model is turned into the hand frame of
    `synthetic.hand` (+y from wrist to middle knuckle, +x towards the index finger's side, +z out of the palm),
    the axes of its joints' turns with it: Q @ axis for an axis of the official pose. MANO has no joints at the
    fingertips: `tips` are chosen vertices, thumb first. Raises DataError where the file is missing, damaged,
    foreign or of a left hand, and where it asks for more than arrays; then nothing of it has been run.
    """
    content = _read(Path(path))
    template = _array(path, content, "v_template", (None, 3))
    count = len(template)
    faces = _array(path, content, "f", (None, 3))
    regressor = _array(path, content, "J_regressor", (NUM_JOINTS, count))
    skinning = _array(path, content, "weights", (count, NUM_JOINTS))
    shape_basis = _array(path, content, "shapedirs", (count, 3, 10))
    pose_basis = _array(path, content, "posedirs", (count, 3, 9 * (NUM_JOINTS - 1)))
    tree = _array(path, content, "kintree_table", (2, NUM_JOINTS))[0]
    if tuple(tree[1:].astype(int)) != PARENTS[1:]:
        raise DataError(f"{path}: its joints hang together otherwise than MANO's. {WHERE}.")
    if len(tips) != 5 or not all(0 <= tip < count for tip in tips):
        raise DataError(f"{path}: five tips among {count} vertices are needed, got {tips}")
    if faces.min() < 0 or faces.max() >= count or (faces != np.floor(faces)).any():
        raise DataError(f"{path}: its faces name vertices that do not exist. {WHERE}.")
    if not np.allclose(regressor.sum(axis=1), 1, atol=1e-3) or not np.allclose(
        skinning.sum(axis=1), 1, atol=1e-3
    ):
        raise DataError(f"{path}: weights of its vertices do not sum to one. {WHERE}.")

    turn = _to_hand_frame(path, regressor @ template)
    unit = 1000 / UNIT_MM  # hand units in a metre
    bent = pose_basis.reshape(count, 3, NUM_JOINTS - 1, 3, 3)
    # A turn R becomes Q R Q^T in the hand frame, so what belongs to its entries turns along on both sides.
    bent = np.einsum("cd,vdjef,ae,bf->vcjab", turn, bent, turn, turn, optimize=True)
    return HandModel(
        template=_float(unit * (template - regressor[0] @ template) @ turn.T),
        faces=torch.from_numpy(faces.astype(np.int64)),
        shape_basis=_float(unit * np.einsum("cd,vdk->vck", turn, shape_basis)),
        pose_basis=_float(unit * bent.reshape(count, 3, -1)),
        joint_regressor=_float(regressor),
        skinning=_float(skinning),
        parents=PARENTS,
        tips=torch.tensor(tips),
        keypoint_order=torch.tensor(KEYPOINT_ORDER),
        name="MANO",
    )


def _to_hand_frame(path: Path, joints: np.ndarray) -> np.ndarray:
    """Return the rotation [3, 3] that takes MANO's axes to those of the hand frame."""
    along = joints[_MIDDLE] - joints[0]
    across = joints[_INDEX] - joints[_LITTLE]
    with np.errstate(invalid="ignore", divide="ignore"):
        y = along / np.linalg.norm(along)
        x = across - (across @ y) * y
        x /= np.linalg.norm(x)
    turn = np.stack([x, y, np.cross(x, y)])
    if not np.isfinite(turn).all():
        raise DataError(f"{path}: the knuckles of its template are all in one place. {WHERE}.")
    if turn[2] @ (joints[_THUMB : _THUMB + 3].mean(axis=0) - joints[0]) < 0:
        raise DataError(f"{path}: a thumb behind the back of the hand; this looks like a left hand. {WHERE}.")
    return turn


def _float(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


# Reading without running -------------------------------------------------------------------------------


class _Kept:
    """Stands for an object of a class that is not imported: keeps its state and does nothing."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Constant(_Kept):
    """chumpy.ch.Ch: an array."""


class _Selection(_Kept):
    """chumpy.reordering.Select: some entries of another array, in another shape."""


class _SparseColumns(_Kept):
    """scipy's csc_matrix, whose own methods trust the indices that they are given."""


def _made(kind: type, base: type, state: None) -> _Kept:
    """What copy_reg._reconstructor of the oldest protocols does, for our own classes alone."""
    if not (isinstance(kind, type) and issubclass(kind, _Kept) and base is object and state is None):
        raise pickle.UnpicklingError("it builds something else than chumpy's and scipy's arrays")
    return kind()


class _ManoUnpickler(_ArrayUnpickler):
    """Builds what an array unpickler builds, sets, and stand-ins for chumpy's and scipy's arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("chumpy.ch", "Ch"):
            return _Constant
        if (module, name) == ("chumpy.reordering", "Select"):
            return _Selection
        if module in ("scipy.sparse.csc", "scipy.sparse._csc") and name == "csc_matrix":
            return _SparseColumns
        if module in ("copy_reg", "copyreg") and name == "_reconstructor":
            return _made
        if module in ("__builtin__", "builtins") and name in ("object", "set"):
            return {"object": object, "set": set}[name]
        return super().find_class(module, name)


def _read(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content = _ManoUnpickler(file, encoding="latin1").load()  # latin1: arrays of Python 2 are texts
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing. {WHERE}.") from error
    except Exception as error:  # a broken pickle can raise anything
        raise DataError(f"{path} cannot be read as MANO's file ({error}): delete it. {WHERE}.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no hand model: another file than its name says. {WHERE}.")
    return content


def _array(path: Path, content: dict[str, Any], key: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return one array of the file as float64; DataError where it is missing, infinite or of another shape."""
    try:
        array = np.asarray(_value(content[key]), dtype=np.float64)
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
        MemoryError,
    ) as error:
        raise DataError(f"{path} has no array {key} ({error!r}): it is no MANO model. {WHERE}.") from error
    fits = array.ndim == len(shape) and all(
        want in (None, size) for want, size in zip(shape, array.shape, strict=True)
    )
    if not fits or array.size == 0 or not np.isfinite(array).all():
        wanted = ["any" if size is None else size for size in shape]
        raise DataError(
            f"{path}: {key} is {list(array.shape)}, expected {wanted} finite numbers: it is no MANO model. {WHERE}."
        )
    return array


def _value(kept: Any) -> Any:
    """Return the array that a stand-in's state describes, and anything else as it is."""
    if isinstance(kept, _Constant):
        return kept.state["x"]
    if isinstance(kept, _Selection):
        chosen = np.asarray(_value(kept.state["a"])).ravel()[np.asarray(kept.state["idxs"])]
        return chosen.reshape(kept.state.get("preferred_shape", chosen.shape))
    if isinstance(kept, _SparseColumns):
        parts = [np.asarray(kept.state[name]) for name in ("data", "indices", "indptr")]
        matrix = sparse.csc_matrix(tuple(parts), shape=kept.state["_shape"])
        matrix.check_format(full_check=True)  # before anything is looked up by indices out of a file
        return matrix.toarray()
    return kept
