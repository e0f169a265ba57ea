"""Arrays in .npz files: read without unpickling, written whole or not at all, and known by their digest."""

import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from thesislib.datasets.sources import DataError
from thesislib.files import write_whole

# key -> numpy scalar kind, and the shape with None for any size (or None for any shape)
Layout = dict[str, tuple[type, tuple[int | None, ...] | None]]

# What numpy and zipfile raise for files that are no .npz: a bare .npy gives TypeError, for it is no context
# manager, and an encrypted archive gives RuntimeError.
UNREADABLE = (OSError, ValueError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)


def read_npz(path: Path, layout: Layout) -> tuple[np.ndarray, ...]:
    """Return the arrays that `layout` names, in its order.

    Raises DataError, naming the file and what to do, where it is truncated, corrupt, no .npz at all or holds
    pickled objects, and where a key is missing or an array has another dtype or shape.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in layout if key in archive.files}
            found = list(archive.files)
    except UNREADABLE as error:
        raise DataError(
            f"{path} is not a readable .npz file of plain arrays ({error}). It may be truncated: "
            "delete it and fetch it again."
        ) from error
    for key, (kind, shape) in layout.items():
        if key not in arrays:
            raise DataError(
                f"{path} has no array {key!r}, only {found}: it is another file than its name says"
            )
        array = arrays[key]
        if not np.issubdtype(array.dtype, kind) or not _fits(array.shape, shape):
            wanted = "" if shape is None else tuple("any" if size is None else size for size in shape)
            raise DataError(
                f"{path}: array {key!r} is {array.dtype} {array.shape}, expected {kind.__name__} {wanted}: "
                "it is another file than its name says"
            )
    return tuple(arrays[key] for key in layout)


def _fits(found: tuple[int, ...], wanted: tuple[int | None, ...] | None) -> bool:
    if wanted is None:
        return True
    return len(found) == len(wanted) and all(w in (None, f) for f, w in zip(found, wanted, strict=True))


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write compressed arrays whole or not at all; raise DataError where they cannot be written."""
    try:
        write_whole(path, lambda temporary: np.savez_compressed(temporary, **arrays))
    except OSError as error:
        raise DataError(f"cannot write {path}: {error}. Make room, or make the folder writable.") from error


def array_digest(*arrays: np.ndarray) -> str:
    """Return the sha256 over dtype, shape and values (C order, little endian) of the arrays in turn."""
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(memoryview(array).cast("B") if array.size else b"")
    return digest.hexdigest()
