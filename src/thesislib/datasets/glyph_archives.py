"""Kuzushiji-Kanji and Omniglot as 28 x 28 arrays: shrunk once from the official archives, then cached.

The caches lie beside the archives. Delete a cache to make it again.
"""

import io
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from tqdm import tqdm

from thesislib.datasets.archives import archive_files
from thesislib.datasets.arrays import read_npz, write_npz
from thesislib.datasets.sources import DataError

SIZE = 28  # pixels a side, as in Kuzushiji-49
KANJI_SIZE = 64
OMNIGLOT_SIZE = 105
OMNIGLOT_DRAWERS = 20
LEAST_INK = 0.25  # a shrunk Omniglot pixel is ink where ink covers this share: thin strokes stay connected


def kkanji_arrays(data_root: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return images uint8 [N,28,28] (bright ink), labels int64 [N] and the classes' code points ("U+4E00").

    The first call shrinks kkanji/kkanji.tar (or its unpacked folder kkanji/kkanji2) with a Lanczos filter
    and writes kkanji/kkanji_all_28.npz: classes sorted by name, images by file name within a class. Raises
    DataError.
    """
    folder = data_root / "kkanji"
    cache = folder / "kkanji_all_28.npz"
    if not cache.exists():
        archive = _first_there("kkanji", folder / "kkanji.tar", folder / "kkanji2")
        drawings = _read_drawings([archive], 2, _shrink_kanji)
        if odd := [name for name, _ in drawings if not re.fullmatch(r"U\+[0-9A-F]{4,6}", name)]:
            raise DataError(f"{archive} holds images in a folder {odd[0]!r}; expected names like U+4E00")
        classes, labels = np.unique([name for name, _ in drawings], return_inverse=True)
        images = np.stack([drawing for _, drawing in drawings])
        write_npz(cache, imgs=images, labels=labels.astype(np.uint16), classes=classes)
    images, labels, classes = read_npz(
        cache,
        {
            "imgs": (np.uint8, (None, SIZE, SIZE)),
            "labels": (np.integer, (None,)),
            "classes": (np.str_, (None,)),
        },
    )
    check_labels(cache, images, labels, len(classes))
    return images, labels.astype(np.int64), [str(name) for name in classes]


def omniglot_arrays(data_root: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return images uint8 [N,28,28] (ink 255 on 0), labels int64 [N] and class names ("Greek/character01").

    The images of a class follow each other by drawer, 1 to 20. The first call shrinks both official archives
    (zip or unpacked) and writes omniglot/omniglot_bits.npz: eight pixels a byte, bit 1 for background. Raises
    DataError.
    """
    folder = data_root / "omniglot"
    cache = folder / "omniglot_bits.npz"
    if not cache.exists():
        parts = [
            _first_there("omniglot", folder / f"{part}.zip", folder / part)
            for part in ("images_background", "images_evaluation")
        ]
        drawings = _read_drawings(parts, 3, _shrink_omniglot)
        background = np.stack([drawing for _, drawing in drawings]).reshape(len(drawings), -1)
        write_npz(cache, bits=np.packbits(background, axis=1), cls=np.array([name for name, _ in drawings]))
    bits, names = read_npz(cache, {"bits": (np.uint8, (None, SIZE * SIZE // 8)), "cls": (np.str_, (None,))})
    if len(bits) != len(names):
        raise DataError(
            f"{cache}: {len(bits)} images and {len(names)} class names: delete it to make it again"
        )
    image = (1 - np.unpackbits(bits, axis=1)) * np.uint8(255)  # [N, 784]
    classes, labels = np.unique(["/".join(name.split("/")[-2:]) for name in names], return_inverse=True)
    drawers = np.bincount(labels)
    if (drawers != OMNIGLOT_DRAWERS).any():
        odd = int(np.flatnonzero(drawers != OMNIGLOT_DRAWERS)[0])
        raise DataError(f"{cache}: {classes[odd]} has {drawers[odd]} drawings, expected {OMNIGLOT_DRAWERS}")
    return image.reshape(-1, SIZE, SIZE), labels.astype(np.int64), [str(name) for name in classes]


def check_labels(path: Path, images: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
    """Raise DataError where labels and images differ in number, there are none, or a label names no class."""
    if len(images) != len(labels) or not len(images):
        raise DataError(f"{path}: {len(images)} images and {len(labels)} labels do not belong together")
    if labels.min() < 0 or labels.max() >= num_classes:
        found = f"{labels.min()} to {labels.max()}"
        raise DataError(f"{path}: labels run from {found}, expected 0 to {num_classes - 1}")


def missing(source_name: str, *places: Path) -> DataError:
    """Return the error for a file that is in none of these places."""
    looked = " and ".join(str(place) for place in places)
    return DataError(
        f"{places[0].name} is missing: looked for {looked}. Run `thesis fetch {source_name}`, "
        "or let THESIS_DATA name a folder that has it."
    )


def _first_there(source_name: str, *places: Path) -> Path:
    for place in places:
        if place.exists():
            return place
    raise missing(source_name, *places)


def _read_drawings(
    archives: list[Path], depth: int, shrink: Callable[[Image.Image], np.ndarray]
) -> list[tuple[str, np.ndarray]]:
    """Return (class, shrunk drawing) of every PNG, sorted by class and file name.

    The class is named by the folders above the file, so that folders and file name make `depth` parts.
    """
    drawings = []
    for archive in archives:
        found = len(drawings)
        for name, content in tqdm(archive_files(archive), desc=f"shrinking {archive.name}", unit=" images"):
            parts = PurePosixPath(name).parts
            if not name.endswith(".png") or parts[-1].startswith(".") or len(parts) < depth:
                continue
            try:
                with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
                    drawing = shrink(image)
            except (OSError, SyntaxError, ValueError) as error:  # Pillow raises all three for a broken PNG
                raise DataError(f"{archive}: {name} is not an image of this data set ({error})") from error
            drawings.append(("/".join(parts[-depth:-1]), parts[-1], drawing))
        if len(drawings) == found:
            raise DataError(
                f"{archive} holds no image in a folder of this data set: delete it, fetch it again"
            )
    drawings.sort(key=lambda drawing: drawing[:2])
    return [(name, drawing) for name, _, drawing in drawings]


def _shrink_kanji(image: Image.Image) -> np.ndarray:
    """Return uint8 [28,28], bright ink as in the original."""
    _check_size(image, KANJI_SIZE)
    return np.asarray(image.convert("L").resize((SIZE, SIZE), Image.Resampling.LANCZOS))


def _shrink_omniglot(image: Image.Image) -> np.ndarray:
    """Return bool [28,28], true for background; the original is black ink on white."""
    _check_size(image, OMNIGLOT_SIZE)
    lightness = np.asarray(image.convert("L").resize((SIZE, SIZE), Image.Resampling.BOX))
    return lightness > 255 * (1 - LEAST_INK)


def _check_size(image: Image.Image, size: int) -> None:
    if image.size != (size, size):  # known from the header, before any pixel is decoded
        raise ValueError(f"{image.size[0]} x {image.size[1]} pixels, expected {size} x {size}")
