"""Your own recordings: a folder signer/letter/*.jpg, with every mistake in it explained."""

import re
import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from thesislib.datasets.fingerspelling_layouts import Layout, LetterPicture
from thesislib.datasets.sources import DataError

SUFFIXES = (".jpg", ".jpeg", ".png")
NOT_YOURS = ("thumbs.db", "desktop.ini", "__macosx")  # what systems leave behind, beside hidden files
LEAST_PICTURES = 2  # of a letter: one to learn from, one to ask for
NAMED_AT_ONCE = 5  # faults of a kind
DECODED_PX = 1024  # a JPEG's decoder may halve a picture as long as its sides stay above this
LARGEST_PIXELS = 60_000_000  # a phone's largest picture; more is refused before it fills the memory


def own_letters(folder: Path) -> Layout:
    """Return the pictures in folder/<signer>/<letter>/*.jpg, .jpeg or .png.

    A picture is a hand that is cut out already; a letter is its folder's name, in lower case. A letter of a signer
    is a clip, and file names in natural order (2 before 10) are its frames. Hands count as right ones. Raises
    DataError, naming the place, where the folder is missing, holds files in place of folders or no folders, fewer
    than two signers, fewer than two letters, letters that not every signer has, a letter with fewer than two
    pictures, or a file that is no picture.
    """
    folder = Path(folder).expanduser().resolve()
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: expected one that holds signer/letter/*.jpg")
    signers = _folders(folder, "signer", f"{folder.name}/<signer>/<letter>/*.jpg")
    if len(signers) < 2:
        raise DataError(
            f"{folder} has one signer only ({next(iter(signers))}): to test on a person never seen takes two"
        )
    letters = {
        signer: _folders(path, "letter", f"{signer}/<letter>/*.jpg", lower=True)
        for signer, path in signers.items()
    }
    _refuse_differences(folder, letters)
    pictures, too_few = [], []
    for signer, places in letters.items():
        for letter, place in places.items():
            files = _files(place)
            if len(files) < LEAST_PICTURES:
                too_few.append(f"{signer}/{place.name} ({len(files)})")
            clip = f"{signer}/{letter}"
            pictures += [LetterPicture(path, letter, signer, clip, k) for k, path in enumerate(files)]
    if too_few:
        raise DataError(
            f"{folder}: every letter of a signer needs {LEAST_PICTURES} pictures or more; fewer are in "
            + _some(too_few)
        )
    names = tuple(next(iter(letters.values())))
    cut = "whole picture, black around"
    return Layout(pictures, names, cut, read=upright_picture)


def upright_picture(path: Path) -> np.ndarray:
    """Return a picture of your own as uint8 [H,W,3], upright as its camera noted; DataError where it is none."""
    try:
        with Image.open(path, formats=["JPEG", "PNG"]) as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise DataError(f"{path} is {image.width} x {image.height} pixels: shrink it")
            if image.mode.startswith(("I", "F")):
                raise DataError(
                    f"{path} has more than 8 bits a colour (is it a depth picture?): store it as 8"
                )
            image.draft("RGB", (DECODED_PX, DECODED_PX))
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is no readable picture ({error}): replace it or take it away") from error


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Return what to sort names by so that numbers in them count as numbers, before letters: img2 before img10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [(False, int(part), "") if part[0] in "0123456789" else (True, 0, part) for part in parts]


def _folders(place: Path, what: str, expected: str, *, lower: bool = False) -> dict[str, Path]:
    """Return the folders in a place by name, in natural order; DataError where there are files, or no folders."""
    found: dict[str, Path] = {}
    for path in _listed(place):
        if not path.is_dir():
            raise DataError(f"{path} lies where a {what}'s folder should be: expected {expected}")
        name = unicodedata.normalize("NFC", path.name)
        name = name.lower() if lower else name
        if name in found:
            raise DataError(f"{found[name]} and {path} are the same {what}: put them together")
        found[name] = path
    if not found:
        raise DataError(f"{place} holds no {what}'s folder: expected {expected}")
    return dict(sorted(found.items(), key=lambda item: natural(item[0])))


def _files(place: Path) -> list[Path]:
    files = _listed(place)
    for path in files:
        if path.suffix.lower() in SUFFIXES and path.is_file():
            continue
        what = "a folder" if path.is_dir() else "no picture" if path.exists() else "a link that leads nowhere"
        raise DataError(
            f"{path} is {what}: a letter's folder holds {', '.join(SUFFIXES)} files, nothing else"
        )
    return sorted(files, key=lambda path: (natural(path.name), path.name))


def _listed(place: Path) -> list[Path]:
    try:
        found = sorted(place.iterdir())
    except OSError as error:
        raise DataError(f"{place} cannot be listed ({error})") from error
    return [path for path in found if path.name[0] != "." and path.name.lower() not in NOT_YOURS]


def _refuse_differences(folder: Path, letters: dict[str, dict[str, Path]]) -> None:
    every = sorted(set().union(*letters.values()), key=natural)
    lacking = [
        f"{signer} lacks {', '.join(letter for letter in every if letter not in places)}"
        for signer, places in letters.items()
        if len(places) < len(every)
    ]
    if lacking:
        raise DataError(
            f"{folder}: every signer needs the same letters, or a score of one means less than that of "
            f"another; {_some(lacking, '; ')}"
        )
    if len(every) < 2:
        raise DataError(f"{folder} has one letter only ({every[0]}): there is nothing to tell it from")


def _some(faults: list[str], separator: str = ", ") -> str:
    more = len(faults) - NAMED_AT_ONCE
    return separator.join(faults[:NAMED_AT_ONCE]) + (f" and {more} more" if more > 0 else "")
