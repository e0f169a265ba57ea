"""Invented characters by invented writers: handwriting that needs no download and no font.

A character is two to six strokes. The strokes come from one small table, so characters share parts, as the
characters of real scripts do. A writer is a pen, a slant, a pace, and habits that bend every stroke of the
table in this writer's own way. An image is one attempt of one writer at one character.

Every random number is read at a fixed place of a counter-based generator (Salmon et al. 2011, "Parallel
random numbers: as easy as 1, 2, 3"), so a character depends only on (seed, class), a writer only on
(seed, writer), and an image only on (seed, class, writer, repetition): asking for less gives a part of the
same images.
"""

from dataclasses import dataclass

import numpy as np

from thesislib.synthetic.script import FIRST_OF_KIND, KINDS, LAYOUTS, MARKS, NUM_PARTS, POINTS, stroke_paths

IMAGE_SIZE = 28
STROKES = 6  # most strokes of a character; characters with fewer leave the last places empty
LIGATURE_POINTS = 14  # points along the pen's way from one stroke to the next
BATCH = 256  # images drawn at once: small enough for the cache, and no image depends on it


@dataclass(frozen=True)
class InventedCharacters:
    """Handwritten invented characters: image uint8 [N, 28, 28] (ink 255 on 0), label and writer int64 [N]."""

    image: np.ndarray
    label: np.ndarray
    writer: np.ndarray


def draw_characters(
    num_classes: int, images_per_class: int, *, seed: int, first_writer: int = 0, num_writers: int = 100
) -> InventedCharacters:
    """Draw images_per_class images of each class, sorted by label, the writers taking turns within a class.

    Image i of a class is repetition i // num_writers by writer first_writer + i % num_writers. Two calls with
    one seed and disjoint writers give the train and test parts of one script. Raises ValueError unless there
    is at least one class, image and writer, and first_writer and seed are whole numbers from 0.
    """
    for name, value, least in (
        ("num_classes", num_classes, 1),
        ("images_per_class", images_per_class, 1),
        ("num_writers", num_writers, 1),
        ("first_writer", first_writer, 0),
        ("seed", seed, 0),
    ):
        most = 2**64 if name == "seed" else 2**31
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value < most:
            raise ValueError(f"{name} must be a whole number from {least} to below {most}, got {value!r}")
    turn = np.arange(images_per_class)
    label = np.repeat(np.arange(num_classes), images_per_class)
    hand = np.tile(turn % num_writers, num_classes)
    repetition = np.tile(turn // num_writers, num_classes)

    characters = _Characters.invent(seed, num_classes)
    writers = _Writers.invent(seed, first_writer, min(num_writers, images_per_class))
    image = np.empty((len(label), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    for start in range(0, len(label), BATCH):
        batch = slice(start, start + BATCH)
        place = np.stack([label[batch], first_writer + hand[batch], repetition[batch]], axis=1)
        image[batch] = _draw(seed, characters, writers, hand[batch], place)
    return InventedCharacters(image, label, first_writer + hand)


@dataclass(frozen=True)
class _Characters:
    """Skeletons of C characters.

    part: int [C, S], the stroke's row in the table; used: bool [C, S]; box: float32 [C, S, 4], centre and
    half sizes; tilt: float32 [C, S], radians.
    """

    part: np.ndarray
    used: np.ndarray
    box: np.ndarray
    tilt: np.ndarray

    @classmethod
    def invent(cls, seed: int, num_classes: int) -> "_Characters":
        part = np.zeros((num_classes, STROKES), int)
        used = np.zeros((num_classes, STROKES), bool)
        box = np.zeros((num_classes, STROKES, 4), np.float32)
        tilt = np.zeros((num_classes, STROKES), np.float32)
        for k in range(num_classes):
            # Every fifth character is its neighbour with one stroke exchanged: scripts have pairs like these.
            neighbour = k % 5 == 4
            rng = _stream(seed, _CLASS, k - neighbour)
            slots = list(LAYOUTS[rng.integers(len(LAYOUTS))])
            marks = rng.choice(3, p=(0.5, 0.3, 0.2))  # up to two
            x, y = ((0.75, -0.7), (-0.75, -0.7), (0.75, 0.75))[rng.integers(3)]
            slots += [(MARKS, x - 0.3 * np.sign(x) * i, y, 0.16, 0.16) for i in range(marks)]
            kind = np.array([slot[0] for slot in slots])
            chosen = rng.integers(1 << 30, size=len(slots))
            chosen[kind == MARKS] = rng.integers(1 << 30)  # the marks of a character are alike
            n = len(slots)
            box[k, :n] = np.array(slots)[:, 1:]
            box[k, :n, :2] += 0.07 * rng.standard_normal((n, 2))
            box[k, :n, 2:] *= np.exp(0.1 * rng.standard_normal((n, 2)))
            tilt[k, :n] = 0.1 * rng.standard_normal(n)
            if neighbour:
                rng = _stream(seed, _CLASS, k)
                chosen[rng.integers((kind != MARKS).sum())] += 1 + rng.integers(5)
            part[k, :n] = FIRST_OF_KIND[kind] + chosen % np.array([len(strokes) for strokes in KINDS])[kind]
            used[k, :n] = True
        return cls(part, used, box, tilt)


@dataclass(frozen=True)
class _Writers:
    """Habits of H writers.

    trait: by name, float32 [H]; second_form: bool [H, parts]; bend: float32 [H, parts, 3, 2], this
    writer's own shape of each part; wave: float32 [H, 2, 4], how this writer distorts the page, by axis.
    """

    trait: dict[str, np.ndarray]
    second_form: np.ndarray
    bend: np.ndarray
    wave: np.ndarray

    @classmethod
    def invent(cls, seed: int, first_writer: int, count: int) -> "_Writers":
        rngs = [_stream(seed, _WRITER, first_writer + h) for h in range(count)]
        z = np.stack([rng.standard_normal(12, np.float32) for rng in rngs])
        u = np.stack([rng.random(12, np.float32) for rng in rngs])
        trait = {
            "slant": 0.25 * z[:, 0],
            "turn": 0.05 * z[:, 1],
            "aspect": 0.12 * z[:, 2],
            "size": 0.08 * z[:, 3],
            "x": 0.8 * z[:, 4],
            "y": 0.8 * z[:, 5],
            "pen": 0.28 * z[:, 6],
            "nib": np.pi * u[:, 0],
            "contrast": 0.6 * u[:, 1],
            "ink": 175 + 80 * u[:, 2],
            "dry": 0.5 * u[:, 3] ** 2,
            "pace": u[:, 4],
            "paper": 16 * u[:, 5] ** 2,
        }
        return cls(
            trait,
            np.stack([rng.random(NUM_PARTS) < 0.3 for rng in rngs]),
            np.stack([rng.standard_normal((NUM_PARTS, 3, 2), np.float32) for rng in rngs]),
            np.stack([rng.standard_normal((2, 4), np.float32) for rng in rngs]),
        )


_CLASS, _WRITER, _IMAGE = range(3)


def _stream(seed: int, what: int, *place: int) -> np.random.Generator:
    """The random numbers of one character, writer or image, by a counter that no other one reaches."""
    counter = np.zeros(4, np.uint64)
    counter[1 : 1 + len(place)] = place  # the first word counts the numbers drawn
    return np.random.Generator(np.random.Philox(key=np.array([seed, what], np.uint64), counter=counter))


# How a stroke can bend: three smooth displacements along it.
_ALONG = np.linspace(0, 1, POINTS, dtype=np.float32)
_BENDS = np.stack([np.cos(np.pi * mode * _ALONG) for mode in (1, 2, 3)])  # [3, POINTS]


# The normal numbers that make one attempt differ from the writer's next.
_CHANCE = {
    "whole": (8,),
    "bend": (STROKES, 3, 2),
    "place": (STROKES, 5),
    "dry": (STROKES, 8),
    "join": (STROKES - 1,),
    "wave": (2, 4),
}


def _draw(seed, characters, writers, hand, place) -> np.ndarray:
    """Images uint8 [N, 28, 28]; hand: rows of writers; place: int64 [N, 3], class, writer, repetition."""
    n, label = len(place), place[:, 0]
    rngs = [_stream(seed, _IMAGE, *where) for where in place.tolist()]
    numbers = sum(int(np.prod(shape)) for shape in _CHANCE.values())
    z = np.stack([rng.standard_normal(numbers, np.float32) for rng in rngs])
    pieces = np.split(z, np.cumsum([np.prod(shape) for shape in _CHANCE.values()])[:-1], axis=1)
    chance = {name: piece.reshape(n, *_CHANCE[name]) for name, piece in zip(_CHANCE, pieces, strict=True)}
    trait = {name: value[hand] for name, value in writers.trait.items()}
    used = characters.used[label]
    path = _pen_path(characters, writers, trait, label, hand, chance)
    x, y, radius, ink = _ink(path, used, trait, chance)
    grid = np.arange(IMAGE_SIZE, dtype=np.float32)
    # A stroke is a row of soft dots; a dot is the product of two bells, so one matrix product adds all.
    sharp = 0.5 / radius**2
    across = np.exp(-sharp[:, :, None] * (grid - x[:, :, None]) ** 2)  # [N, points, 28]
    down = np.exp(-sharp[:, None, :] * (grid[:, None] - y[:, None, :]) ** 2)  # [N, 28, points]
    down *= ink[:, None, :]
    wet = down @ across
    # The edge of a stroke lies one radius from its middle, where the bell has fallen to exp(-1/2).
    cover = np.clip(0.5 + 1.3 * (wet - np.exp(np.float32(-0.5))), 0, 1)
    grain = np.stack([rng.standard_normal((IMAGE_SIZE, IMAGE_SIZE), np.float32) for rng in rngs])
    ink_level = trait["ink"] + 8 * chance["whole"][:, 7]
    image = cover * ink_level[:, None, None] + grain * (2 + trait["paper"])[:, None, None]
    return np.clip(image, 0, 255).astype(np.uint8)


def _pen_path(characters, writers, trait, label, hand, chance) -> np.ndarray:
    """Where the pen goes, in pixels: float32 [N, STROKES, POINTS, 2]."""
    whole, place = chance["whole"], chance["place"]
    part = characters.part[label]  # [N, S]
    hand_of_stroke = hand[:, None]
    second = writers.second_form[hand_of_stroke, part].astype(int)
    pace = trait["pace"][:, None, None, None]
    strokes = stroke_paths()
    path = strokes[0, second, part] * (1 - pace) + strokes[1, second, part] * pace  # [N, S, POINTS, 2]
    bend = 0.095 * writers.bend[hand_of_stroke, part] + 0.05 * chance["bend"]
    for mode in range(3):
        path += bend[:, :, mode, None, :] * _BENDS[mode, :, None]

    # into its place in the character
    box = characters.box[label]
    angle = characters.tilt[label] + 0.09 * place[:, :, 4]
    size = np.maximum(box[:, :, 2:] * np.exp(0.08 * place[:, :, 2:4]), 0.12)
    path *= size[:, :, None, :]
    path = _turned(path, angle[:, :, None])
    path += (box[:, :, :2] + 0.05 * place[:, :, :2])[:, :, None, :]

    # the whole character: size, aspect, slant, turn; then two slow waves through the paper
    size = np.exp(trait["size"] + 0.05 * whole[:, 0])
    aspect = np.exp(trait["aspect"] + 0.05 * whole[:, 1])
    slant = trait["slant"] + 0.08 * whole[:, 2]
    path *= np.stack([size * aspect, size / aspect], axis=-1)[:, None, None, :]
    path[..., 0] -= slant[:, None, None] * path[..., 1]
    path = _turned(path, (trait["turn"] + 0.05 * whole[:, 3])[:, None, None])
    waves = writers.wave[hand] + 0.6 * chance["wave"]
    bent = path.copy()
    for wave in range(2):
        kx, ky, phase, amount = (waves[:, wave, i, None, None] for i in range(4))
        bent[..., wave] += 0.08 * amount * np.sin(1.5 * (kx * path[..., 0] + ky * path[..., 1]) + 3 * phase)
    path = bent * 10.6

    # keep the ink on the paper
    used = characters.used[label][:, :, None, None]
    low = np.where(used, path, np.inf).min(axis=(1, 2))
    high = np.where(used, path, -np.inf).max(axis=(1, 2))
    room = IMAGE_SIZE - 7.0
    path *= np.minimum(1, room / (high - low).max(axis=1))[:, None, None, None]
    low = np.where(used, path, np.inf).min(axis=(1, 2))
    high = np.where(used, path, -np.inf).max(axis=(1, 2))
    shift = np.stack([trait["x"], trait["y"]], axis=-1) + 1.4 * whole[:, 4:6]
    shift += (IMAGE_SIZE - 1) / 2 - (low + high) / 4  # nobody centres the ink quite
    path += np.clip(shift, 2.5 - low, IMAGE_SIZE - 3.5 - high)[:, None, None, :].astype(np.float32)
    return path


def _turned(path: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """The path turned by an angle in radians, one for each leading place."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = path[..., 0], path[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def _ink(path, used, trait, chance):
    """Dots of ink along strokes and ligatures: x, y, radius in pixels and amount, each float32 [N, dots]."""
    n, whole = len(path), chance["whole"]
    step = np.diff(path, axis=2)
    step = np.concatenate([step[:, :, :1], 0.5 * (step[:, :, 1:] + step[:, :, :-1]), step[:, :, -1:]], axis=2)
    spacing = np.sqrt((step**2).sum(-1)) + 1e-6  # [N, S, POINTS]
    nib = trait["nib"][:, None, None]
    crossing = (step[..., 0] * np.sin(nib) - step[..., 1] * np.cos(nib)) / spacing
    pen = (0.95 * np.exp(trait["pen"] + 0.08 * whole[:, 6]))[:, None, None]
    radius = pen * (1 - trait["contrast"][:, None, None] * (1 - crossing**2))
    # a hasty pen lifts early: the end of the stroke thins out
    radius = radius * (1 - 0.55 * trait["pace"][:, None, None] * _ALONG**3)
    radius = np.clip(radius, 0.5, 1.7)
    # a dry pen leaves gaps
    knots = chance["dry"]
    at = _ALONG * 7
    left = np.minimum(at.astype(int), 6)
    wetness = knots[:, :, left] * (left + 1 - at) + knots[:, :, left + 1] * (at - left)
    flow = 1 - trait["dry"][:, None, None] * np.clip(wetness, 0, 1.6)
    amount = flow * spacing / (np.sqrt(2 * np.pi) * radius)
    amount[:, :, [0, -1]] += 0.35  # round ends
    amount *= used[:, :, None]

    # ligatures: a hasty writer's pen stays on the paper between strokes
    t = np.linspace(0, 1, LIGATURE_POINTS, dtype=np.float32)[:, None]
    start, end = path[:, :-1, -1:], path[:, 1:, :1]
    middle = 0.5 * (start + end) + 2.4 * step[:, :-1, -1:]  # the hand swings on
    link = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
    joined = (chance["join"] < 3 * trait["pace"][:, None] - 2.7) & used[:, 1:]
    link_step = np.sqrt(((end - start) ** 2).sum(-1)) / LIGATURE_POINTS
    link_radius = np.broadcast_to(0.55 * pen + 0.15, link.shape[:-1])
    link_amount = 0.95 * joined[:, :, None] * link_step / (np.sqrt(2 * np.pi) * link_radius)

    def flat(stroke, ligature):
        return np.concatenate([stroke.reshape(n, -1), ligature.reshape(n, -1)], axis=1).astype(np.float32)

    return (
        flat(path[..., 0], link[..., 0]),
        flat(path[..., 1], link[..., 1]),
        flat(radius, link_radius),
        flat(amount, link_amount),
    )
