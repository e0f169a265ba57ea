"""Sets of synthetic hands, rendered once and kept as memory-mapped files with a checksum.

A set is a folder of three files: image.npy (uint8 [N,3,S,S], mapped and not loaded), labels.npz (every other
array the generator gave) and manifest.json (what was asked for, and checksums), which is written last. While
a set is being made, image.part.npy and one labels file a chunk stand in their place, so that a killed run goes
on where it stopped: a sample depends on its seed and index alone, never on the chunk it is drawn in.
"""

import dataclasses
import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from tqdm.auto import tqdm

from thesislib.datasets.arrays import array_digest, read_npz, write_npz
from thesislib.datasets.hand_images import NUM_JOINTS, HandImages
from thesislib.datasets.sources import DataError
from thesislib.files import write_whole

CHUNK = 512  # hands; a killed run loses at most so many
SPARE_BYTES = 64 << 20  # left free on the disk
LABELS = {
    "keypoints": (np.float32, (None, NUM_JOINTS, 2)),
    "visible": (np.bool_, (None, NUM_JOINTS)),
    "left": (np.bool_, (None,)),
    "signer": (np.int64, (None,)),
    "letter": (np.int64, (None,)),
}

Generate = Callable[..., Mapping[str, Tensor]]


def rendered(
    kind: str,
    seed: int,
    count: int,
    *,
    folder: Path,
    generate: Generate,
    size: int = 64,
    code: str = "",
    chunk: int = CHUNK,
    **settings: Any,
) -> HandImages:
    """Return hands 0 to count-1 of this seed from the set in `folder`, rendering what is not there yet.

    `generate(kind, seed, index, size=size, **settings)` draws the hands of an int64 index [B] on the CPU, as
    `synthetic.scene.generate` does; it may move the index to another device first. `settings` are numbers,
    texts, ranges, lists or dataclasses; they, `kind`, `seed`, `count`, `size` and `code` (for example a source
    hash of the generator) name the set: change one and another set is made beside this one. A set that is
    truncated or fails its checksum is reported with a warning and rendered again. Several processes may ask at
    once; one renders, the others wait. Raises DataError for a full disk and for a generator that gives other
    arrays than agreed.
    """
    if count < 1 or chunk < 1:
        raise DataError(f"need at least one hand, asked for {count} in chunks of {chunk}")
    asked = {"kind": kind, "seed": seed, "count": count, "size": size, "code": code, "settings": settings}
    asked = json.loads(json.dumps(asked, default=_plain, sort_keys=True))
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
    place = Path(folder) / f"{kind}-{seed}-{count}x{size}-{digest}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / ".lock"):
            if fault := _fault(place, asked):
                if (place / "manifest.json").exists():
                    warnings.warn(f"{place}: {fault}; rendering it again", stacklevel=2)
                    _clear(place)
                _render(place, asked, chunk, lambda index: generate(kind, seed, index, size=size, **settings))
            for leftover in place.glob("*.part.*"):  # of this run, or of one killed with the set finished
                leftover.unlink()
    except OSError as error:
        raise DataError(f"cannot keep rendered hands in {place}: {error}. Is the disk full?") from error
    image = np.load(place / "image.npy", mmap_mode="r", allow_pickle=False)
    labels = dict(zip(LABELS, read_npz(place / "labels.npz", LABELS), strict=True))
    return HandImages(image=image, **labels, source=f"synthetic {kind}, seed {seed}")


def _fault(place: Path, asked: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a finished set, or None."""
    try:
        manifest = json.loads((place / "manifest.json").read_text(encoding="utf8"))
        for name, expected in manifest["files"].items():
            path = place / name
            if (found := path.stat().st_size) != expected["bytes"]:
                return f"{name} has {found:,} bytes instead of {expected['bytes']:,}"
            if _sha256(path) != expected["sha256"]:
                return f"{name} has another checksum than when it was written"
        return None if manifest["asked"] == asked else "its manifest names another set"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"it is not complete ({error})"


def _render(place: Path, asked: Mapping[str, Any], chunk: int, draw: Callable[[Tensor], Mapping]) -> None:
    count, size = asked["count"], asked["size"]
    shape, row_bytes = (count, 3, size, size), 3 * size * size
    pixels, finished = place / "image.part.npy", place / "image.npy"
    if finished.exists():  # killed while the checksums were made: the chunks are all there
        finished.replace(pixels)
    offset = _prepare(pixels, shape)
    starts = range(0, count, chunk)
    parts = [place / f"labels-{start}-{min(start + chunk, count)}.part.npz" for start in starts]
    progress = tqdm(total=count, desc=f"rendering {asked['kind']}", unit=" hands")
    with progress, open(pixels, "r+b") as file:
        for start, part in zip(starts, parts, strict=True):
            stop = min(start + chunk, count)
            file.seek(offset + start * row_bytes)
            if not _is_done(part, file, (stop - start) * row_bytes):
                made = {name: value.cpu().numpy() for name, value in draw(torch.arange(start, stop)).items()}
                image = made.pop("image")
                _check(image, made, (stop - start, *shape[1:]))
                file.seek(offset + start * row_bytes)
                file.write(np.ascontiguousarray(image).tobytes())  # a full disk is an error here, not a crash
                file.flush()
                write_npz(part, digest=np.array(array_digest(image.reshape(-1))), **made)
            progress.update(stop - start)
    with np.load(parts[0], allow_pickle=False) as first:
        names = [name for name in first.files if name != "digest"]
    rows = [read_npz(part, {name: (np.generic, None) for name in names}) for part in parts]
    labels = {
        name: np.concatenate(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }
    write_npz(place / "labels.npz", **labels)
    pixels.replace(finished)
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in (finished, place / "labels.npz")
    }
    text = json.dumps({"asked": asked, "files": files}, indent=1) + "\n"
    write_whole(place / "manifest.json", lambda path: path.write_text(text, encoding="utf8"))


def _prepare(pixels: Path, shape: tuple[int, ...]) -> int:
    """Make the file of pixels, or keep one of an interrupted run, and return where its first pixel stands."""
    try:
        kept = np.load(pixels, mmap_mode="r", allow_pickle=False)
        if kept.shape == shape and kept.dtype == np.uint8 and kept.flags.c_contiguous:
            return kept.offset
    except (OSError, ValueError, EOFError, AttributeError):
        pass  # none there, or one cut short: made anew
    needed, free = int(np.prod(shape)) + SPARE_BYTES, shutil.disk_usage(pixels.parent).free
    if free < needed:
        raise DataError(f"{pixels} needs {needed:,} bytes on its disk and {free:,} are free: make room first")
    return np.lib.format.open_memmap(pixels, mode="w+", dtype=np.uint8, shape=shape).offset


def _is_done(part: Path, pixels, num_bytes: int) -> bool:
    """Tell whether a chunk's labels are there and the pixels at the file's position are the ones they belong to."""
    if not part.exists():
        return False
    try:
        (digest,) = read_npz(part, {"digest": (np.str_, ())})
    except DataError:
        return False
    return array_digest(np.frombuffer(pixels.read(num_bytes), np.uint8)) == str(digest)


def _check(image: np.ndarray, labels: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> None:
    if image.dtype != np.uint8 or image.shape != shape:
        found = f"{image.dtype} {list(image.shape)}"
        raise DataError(f"the generator gave images of {found}, expected uint8 {list(shape)}")
    if missing := [name for name in LABELS if name not in labels]:
        raise DataError(f"the generator gave no {', '.join(missing)}; it gave {', '.join(labels)}")
    HandImages(image=image, **{name: labels[name] for name in LABELS}, source="the generator")


def _clear(place: Path) -> None:
    for name in ("manifest.json", "image.npy", "labels.npz"):  # the manifest first: without it nothing counts
        (place / name).unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, range):
        return [value.start, value.stop, value.step]
    raise DataError(f"a set's setting must be a number, text, list, range or dataclass, not {value!r}")
