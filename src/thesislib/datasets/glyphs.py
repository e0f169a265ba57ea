"""Handwritten characters in one form: images, labels, class names, licence, and a fixed train and test part.

Kuzushiji-MNIST and Kuzushiji-49 come with their own test part. For the others it is defined here. Of the
kanji, every sixth image of a class in stored order is test; the files do not say which book an image is
from, so a book can be in both parts. Of Omniglot, drawers 1 to 10 are train and 11 to 20 test. A kanji
image without any ink is left out, and so is a test image whose exact pixels are also in train.
`GlyphDataset.note` says how many.
"""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from thesislib.datasets.arrays import array_digest, read_npz
from thesislib.datasets.glyph_archives import (
    OMNIGLOT_DRAWERS,
    SIZE,
    check_labels,
    kkanji_arrays,
    missing,
    omniglot_arrays,
)
from thesislib.datasets.sources import DataError, Source, find_source
from thesislib.datasets.splits import cap_per_class
from thesislib.synthetic.glyphs import draw_characters

NAMES = ("invented", "kmnist", "k49", "k49_stand_in", "kkanji", "omniglot")
KMNIST_KANA = tuple("おきすつなはまやれを")  # kmnist_classmap.csv
STAND_IN_KANJI = 39  # with the 10 kana: 49 classes, as many as Kuzushiji-49
KANJI_TEST_EVERY = 6
INVENTED_WRITERS = 100  # of the train part; as many others write the test part
BRIGHTEST_MEAN = 127  # bright ink covers less than half of an image


@dataclass(frozen=True)
class GlyphImages:
    """Images uint8 [N,S,S], ink bright on dark, and label int64 [N]; ValueError for other arrays."""

    image: np.ndarray
    label: np.ndarray

    def __post_init__(self) -> None:
        image, label = self.image, self.label
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[1] != image.shape[2]:
            raise ValueError(f"image must be uint8 [N,S,S], not {image.dtype} {list(image.shape)}")
        if label.dtype != np.int64 or label.shape != image.shape[:1]:
            raise ValueError(f"label must be int64 [{len(image)}], not {label.dtype} {list(label.shape)}")
        if len(label) and label.min() < 0:
            raise ValueError(f"labels are indices from 0, not {label.min()}")

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class GlyphDataset:
    """A data set of characters; labels index `classes`, and `note` tells how train and test were divided.

    `sha256` is the digest of the arrays used (train and test, image and label), after any cap.
    """

    name: str
    title: str
    version: str
    licence: str
    credit: str
    note: str
    classes: tuple[str, ...]
    train: GlyphImages
    test: GlyphImages

    def __post_init__(self) -> None:
        for part in (self.train, self.test):
            if len(part) and part.label.max() >= len(self.classes):
                raise ValueError(f"label {part.label.max()} names none of the {len(self.classes)} classes")

    @property
    def sha256(self) -> str:
        return array_digest(self.train.image, self.train.label, self.test.image, self.test.label)

    def described(self) -> dict[str, str]:
        """Return what a record says of its data: name, version, checksum, licence, credit and division."""
        fields = ("name", "title", "version", "sha256", "licence", "credit", "note")
        return {field: getattr(self, field) for field in fields}


def load(
    name: str,
    data_root: Path,
    *,
    images_per_class: int | None = None,
    test_images_per_class: int | None = None,
    num_classes: int | None = None,
    seed: int = 0,
) -> GlyphDataset:
    """Return the data set with this name (one of NAMES), read from data_root.

    `images_per_class` keeps at most so many train images of a class, always the same ones, and the same
    share of its test images (at least one) unless `test_images_per_class` says how many. `num_classes` (49
    if not given) and `seed` are for "invented", whose characters are drawn and not read: 100 train images
    of a class if `images_per_class` does not say, and a fifth as many test images. Raises DataError for an
    unknown name, a missing file (with the command that fetches it), and a broken or foreign one.
    """
    if name == "invented":
        return _invented(
            49 if num_classes is None else num_classes,
            100 if images_per_class is None else images_per_class,
            test_images_per_class,
            seed,
        )
    readers = {
        "kmnist": _kmnist,
        "k49": _k49,
        "k49_stand_in": _k49_stand_in,
        "kkanji": _kkanji,
        "omniglot": _omniglot,
    }
    if name not in readers:
        raise DataError(f"no data set of characters {name!r}; there are: {', '.join(NAMES)}")
    classes, train, test, note = readers[name](Path(data_root))
    if num_classes not in (None, len(classes)):
        raise DataError(
            f"{name} has {len(classes)} classes, not {num_classes}; only 'invented' has any number"
        )
    if train.image.mean() > BRIGHTEST_MEAN:
        raise DataError(f"{name}: the images are bright with dark ink; expected bright ink on dark")
    train, test = _capped(train, test, len(classes), images_per_class, test_images_per_class)
    source = _stand_in_source() if name == "k49_stand_in" else find_source(name)
    return GlyphDataset(
        name=name,
        title=source.title,
        version=source.version,
        licence=source.licence,
        credit=source.credit,
        note=note,
        classes=classes,
        train=train,
        test=test,
    )


_Parts = tuple[tuple[str, ...], GlyphImages, GlyphImages, str]  # classes, train, test, note


def _invented(num_classes: int, images_per_class: int, test_per_class: int | None, seed: int) -> GlyphDataset:
    if test_per_class is None:
        test_per_class = max(1, images_per_class // 5)
    writers = INVENTED_WRITERS
    train = draw_characters(num_classes, images_per_class, seed=seed, num_writers=writers)
    test = draw_characters(num_classes, test_per_class, seed=seed, first_writer=writers, num_writers=writers)
    return GlyphDataset(
        name="invented",
        title="Invented characters",
        version=f"script {seed}",
        licence="CC BY 4.0",
        credit="Invented characters by invented writers (hand2vec)",
        note=f"train by {writers} writers, test by {writers} others",
        classes=tuple(f"invented {index}" for index in range(num_classes)),
        train=GlyphImages(train.image, train.label),
        test=GlyphImages(test.image, test.label),
    )


def _kmnist(data_root: Path) -> _Parts:
    train, test = (_official_part(data_root, "kmnist", part, len(KMNIST_KANA)) for part in ("train", "test"))
    return KMNIST_KANA, train, test, "official train and test parts"


def _k49(data_root: Path) -> _Parts:
    path = data_root / "k49" / "k49_classmap.csv"
    if not path.exists():
        raise missing("k49", path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        classes = tuple(chr(int(row["codepoint"].removeprefix("U+"), 16)) for row in rows)
        in_order = [int(row["index"]) for row in rows] == list(range(len(rows)))
    except (KeyError, ValueError, AttributeError, csv.Error) as error:
        raise DataError(f"{path} is not a class map ({error}): delete it, fetch it again") from error
    if not in_order or len(set(classes)) != 49:
        raise DataError(f"{path} lists {len(rows)} classes, expected 49 in order: delete it, fetch it again")
    train, test = (_official_part(data_root, "k49", part, len(classes)) for part in ("train", "test"))
    return classes, train, test, "official train and test parts"


def _kkanji(data_root: Path) -> _Parts:
    image, label, code_points = kkanji_arrays(data_root)
    train, test, note = _divided_kanji(image, label)
    return tuple(map(_character, code_points)), train, test, note


def _k49_stand_in(data_root: Path) -> _Parts:
    kana, kana_train, kana_test, _ = _kmnist(data_root)
    image, label, code_points = kkanji_arrays(data_root)
    counts = np.bincount(label[_has_ink(image)], minlength=len(code_points))
    frequent = np.argsort(-counts, kind="stable")[:STAND_IN_KANJI]
    new_label = np.full(len(code_points), -1)
    new_label[frequent] = len(kana) + np.arange(len(frequent))
    chosen = new_label[label] >= 0
    kanji_train, kanji_test, note = _divided_kanji(image[chosen], new_label[label[chosen]])
    classes = kana + tuple(_character(code_points[index]) for index in frequent)
    if len(classes) != len(kana) + STAND_IN_KANJI:
        raise DataError(f"the kanji have {len(frequent)} classes; the stand-in needs {STAND_IN_KANJI}")
    train, test = _joined(kana_train, kanji_train), _joined(kana_test, kanji_test)
    return classes, train, test, f"kana: official train and test parts; kanji: {note}"


def _stand_in_source() -> Source:
    kana, kanji = find_source("kmnist"), find_source("kkanji")
    title = f"Stand-in for Kuzushiji-49: the 10 kana of {kana.title} and 39 kanji of {kanji.title}"
    return replace(kanji, title=title, version=f"kana {kana.version}, kanji {kanji.version}")


def _omniglot(data_root: Path) -> _Parts:
    image, label, classes = omniglot_arrays(data_root)
    is_test = _place_in_class(label) >= OMNIGLOT_DRAWERS // 2
    train, test, repeated = _divided(image, label, is_test)
    note = f"drawers 1 to 10 train, 11 to 20 test; {repeated} test images left out that are also in train"
    return tuple(classes), train, test, note


def _official_part(data_root: Path, name: str, part: str, num_classes: int) -> GlyphImages:
    arrays = []
    for kind, dtype, shape in (("imgs", np.uint8, (None, SIZE, SIZE)), ("labels", np.integer, (None,))):
        path = data_root / name / f"{name}-{part}-{kind}.npz"
        if not path.exists():
            raise missing(name, path)
        arrays += read_npz(path, {"arr_0": (dtype, shape)})
    image, label = arrays
    check_labels(path, image, label, num_classes)
    return GlyphImages(image, label.astype(np.int64))


def _divided_kanji(image: np.ndarray, label: np.ndarray) -> tuple[GlyphImages, GlyphImages, str]:
    inked = _has_ink(image)
    image, label = image[inked], label[inked]
    is_test = _place_in_class(label) % KANJI_TEST_EVERY == KANJI_TEST_EVERY - 1
    train, test, repeated = _divided(image, label, is_test)
    blank = int((~inked).sum())
    note = (
        f"every {KANJI_TEST_EVERY}th image of a class is test; left out: {blank} blank images, "
        f"{repeated} test images that are also in train"
    )
    return train, test, note


def _divided(
    image: np.ndarray, label: np.ndarray, is_test: np.ndarray
) -> tuple[GlyphImages, GlyphImages, int]:
    """Return train, test and the number of test images dropped because their exact pixels are in train."""
    test_rows = np.flatnonzero(is_test)
    pixels = [image[row].tobytes() for row in test_rows]
    wanted = set(pixels)  # and then without those that train holds
    for row in np.flatnonzero(~is_test):
        wanted.discard(image[row].tobytes())
    kept = test_rows[np.array([content in wanted for content in pixels], dtype=bool)]
    train = GlyphImages(image[~is_test], label[~is_test])
    return train, GlyphImages(image[kept], label[kept]), len(test_rows) - len(kept)


def _capped(
    train: GlyphImages,
    test: GlyphImages,
    num_classes: int,
    images_per_class: int | None,
    test_per_class: int | None,
) -> tuple[GlyphImages, GlyphImages]:
    if images_per_class is not None:
        had = np.bincount(train.label, minlength=num_classes)
        train = cap_per_class(train, images_per_class, seed=0)
        share = np.minimum(had, images_per_class) / np.maximum(had, 1)  # [C]
        if test_per_class is None:
            kept = np.rint(share * np.bincount(test.label, minlength=num_classes)).astype(int)
            test = cap_per_class(test, np.maximum(kept, 1), seed=0)
    if test_per_class is not None:
        test = cap_per_class(test, test_per_class, seed=0)
    return train, test


def _place_in_class(label: np.ndarray) -> np.ndarray:
    """Return int [N]: how many images of the same class are stored before each image."""
    order = np.argsort(label, kind="stable")
    counts = np.bincount(label)
    place = np.empty(len(label), int)
    place[order] = np.arange(len(label)) - np.repeat(np.cumsum(counts) - counts, counts)
    return place


def _has_ink(image: np.ndarray) -> np.ndarray:
    return image.reshape(len(image), -1).any(axis=1)


def _joined(first: GlyphImages, second: GlyphImages) -> GlyphImages:
    image = np.concatenate([first.image, second.image])
    return GlyphImages(image, np.concatenate([first.label, second.label]))


def _character(code_point: str) -> str:
    return chr(int(code_point.removeprefix("U+"), 16))
