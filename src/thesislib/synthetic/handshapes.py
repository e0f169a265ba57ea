"""The static handshapes of finger alphabets: angles, contacts between fingers, and where the hand faces.

The table is handshapes.json. Three alphabets use it: the 24 static letters of the American manual alphabet
(J and Z move), the 30 static handshapes of the German one as in the RWTH fingerspelling set (A to Y without
J, SCH, the numbers 1 to 5), and the ten American digits.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import torch
from torch import Tensor

from thesislib.synthetic.hand import ANGLES, FINGERS, LIMITS

TABLE = "handshapes.json"


@dataclass(frozen=True)
class Contact:
    """A place on one finger that meets a place on another.

    Fingers count from the thumb, 0; places run from 0 at the base over the joints to 3 at the tip. offset
    points from the second place to the first, in the hand frame and in units of the sum of both radii; None
    means that they just touch, from whatever side.
    """

    finger: int
    place: float
    on_finger: int
    on_place: float
    offset: tuple[float, float, float] | None


@dataclass(frozen=True)
class Handshape:
    """One handshape: 21 angles in degrees (the order of hand.ANGLES), contacts, and two directions.

    finger_direction is where straight fingers point and palm_normal what the palm faces, in camera axes: x to
    the right of a viewer who faces the signer, y up, z to the viewer.
    """

    name: str
    angles: tuple[float, ...]
    contacts: tuple[Contact, ...]
    finger_direction: tuple[float, float, float]
    palm_normal: tuple[float, float, float]

    def orientation(self) -> Tensor:
        """Return [3, 3], the turn from the hand frame to camera axes."""
        along = torch.tensor(self.finger_direction, dtype=torch.float64)
        along = along / along.norm()
        normal = torch.tensor(self.palm_normal, dtype=torch.float64)
        normal = normal - (normal @ along) * along
        normal = normal / normal.norm()
        return torch.stack([torch.linalg.cross(along, normal), along, normal], dim=1).float()


def handshape(name: str) -> Handshape:
    """Return a handshape by its name in the table; raises ValueError, with the names that exist, otherwise."""
    shapes, _ = _load()
    if name not in shapes:
        raise ValueError(f"there is no handshape {name!r}; there are {', '.join(shapes)}")
    return shapes[name]


def alphabet(name: str) -> dict[str, Handshape]:
    """Return an alphabet as label -> handshape, in the order of the class index; raises ValueError."""
    shapes, alphabets = _load()
    if name not in alphabets:
        raise ValueError(f"there is no alphabet {name!r}; there are {', '.join(alphabets)}")
    return {label: shapes[shape] for label, shape in alphabets[name].items()}


def letter(name: str, label: str) -> Handshape:
    """Return the handshape of a label of an alphabet; raises ValueError, with a hint, where there is none."""
    shapes = alphabet(name)
    if label not in shapes:
        moving = " J and Z, and the German Ä, Ö and Ü, are motions." if label.lower() in "jzäöü" else ""
        raise ValueError(f"{name} has no label {label!r}; it has {', '.join(shapes)}.{moving}")
    return shapes[label]


def parse(text: str) -> tuple[dict[str, Handshape], dict[str, dict[str, str]]]:
    """Read a table: handshapes by name, and alphabets as label -> name. Raises ValueError on any fault."""
    try:
        table = json.loads(text)
        entries, alphabets = table["handshapes"], table["alphabets"]
        shapes = {name: _handshape(name, entries) for name in entries}
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as fault:
        raise ValueError(f"the handshape table cannot be read: {fault!r}") from fault
    for name, labels in alphabets.items():
        if missing := sorted(set(labels.values()) - set(shapes)):
            raise ValueError(f"alphabet {name!r} names handshapes that the table lacks: {', '.join(missing)}")
    return shapes, alphabets


@cache
def _load() -> tuple[dict[str, Handshape], dict[str, dict[str, str]]]:
    return parse(files(__package__).joinpath(TABLE).read_text(encoding="utf-8"))


def _handshape(name: str, entries: dict) -> Handshape:
    """Build one handshape, completed by the one it is like, and check it."""
    entry = entries[name]
    if "like" in entry:
        entry = {**entries[entry["like"]], **entry}
    shape = Handshape(
        name,
        tuple(float(angle) for finger in FINGERS for angle in entry[finger]),
        tuple(_contact(name, contact) for contact in entry["contacts"]),
        tuple(map(float, entry["fingers point"])),
        tuple(map(float, entry["palm faces"])),
    )
    if len(shape.angles) != len(ANGLES):
        raise ValueError(f"handshape {name!r} has {len(shape.angles)} angles, not {len(ANGLES)}")
    for angle, value, low, high in zip(ANGLES, shape.angles, *LIMITS.tolist(), strict=True):
        if not low <= value <= high:
            raise ValueError(f"handshape {name!r}: {angle} is {value}, outside {low} to {high} degrees")
    if not torch.isfinite(shape.orientation()).all():
        raise ValueError(f"handshape {name!r}: fingers and palm must have two different directions")
    return shape


def _contact(name: str, entry: dict) -> Contact:
    (finger, place), (on_finger, on_place) = entry["place"], entry["on"]
    if finger == on_finger or not {finger, on_finger} <= set(FINGERS):
        raise ValueError(f"handshape {name!r}: a contact is between two of {', '.join(FINGERS)}: {entry}")
    if not (0 <= place <= 3 and 0 <= on_place <= 3):
        raise ValueError(f"handshape {name!r}: places on a finger run from 0 to 3: {entry}")
    offset = tuple(map(float, entry["offset"])) if "offset" in entry else None
    if offset is not None and len(offset) != 3:
        raise ValueError(f"handshape {name!r}: an offset has three numbers: {entry}")
    return Contact(FINGERS.index(finger), float(place), FINGERS.index(on_finger), float(on_place), offset)
