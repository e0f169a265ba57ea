"""Download the published files of a data set: checked before they get their name, never half a file."""

import errno
import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from thesislib.datasets.archives import unpack
from thesislib.datasets.arrays import array_digest, read_npz
from thesislib.datasets.sources import DataError, RemoteFile, Source

CHUNK_BYTES = 1 << 20
SPARE_BYTES = 64 << 20  # left free on the disk after a download
UNPACKED_RATIO = 12  # room for an unpacked archive of small images, each of which fills whole disk blocks
TIMEOUT_S = 60


def fetch(source: Source, data_root: Path, *, opener: Callable = urllib.request.urlopen) -> list[Path]:
    """Download what is missing of a data set into data_root and return the paths of its files.

    A file that is there and right is kept. A file that is there and wrong is never overwritten: DataError
    says so. DataError is also raised where the host is gone, the download is truncated or has another
    checksum, the disk is full, or an archive is unsafe to unpack; whatever was half done is removed.
    `opener` is called as opener(request, timeout=seconds) and gives a response with `headers` and `read`.
    """
    paths = []
    for file in source.files:
        path = data_root / file.path
        if path.exists():
            if fault := difference(path, file):
                raise DataError(
                    f"{path} is there but is not the published file: {fault}. "
                    f"Move it away and run `thesis fetch {source.name}` again."
                )
        else:
            _download(source, file, path, opener)
        unpacked = path.with_suffix("")
        if file.unpack and not unpacked.exists():
            unpack(path, unpacked)
        paths.append(path)
    return paths


def difference(path: Path, file: RemoteFile) -> str | None:
    """Say how a local file differs from the published one (expected and found), or None where it does not.

    A repacked .npz has another checksum; it is accepted where the arrays inside are the published ones.
    """
    fault = _container_difference(path, file)
    if fault and file.array_sha256 and _array_sha256(path) == file.array_sha256:
        return None
    return fault


def _container_difference(path: Path, file: RemoteFile) -> str | None:
    found_bytes = path.stat().st_size
    if file.bytes is not None and found_bytes != file.bytes:
        return f"expected {file.bytes:,} bytes, found {found_bytes:,}"
    for kind, expected in (("sha256", file.sha256), ("md5", file.md5)):
        if expected is not None:
            with open(path, "rb") as content:
                found = hashlib.file_digest(content, kind).hexdigest()
            if found != expected:
                return f"expected {kind} {expected}, found {found}"
    return None


def _array_sha256(path: Path) -> str | None:
    try:
        return array_digest(*read_npz(path, {"arr_0": (np.generic, None)}))
    except DataError:
        return None


def _download(source: Source, file: RemoteFile, path: Path, opener: Callable) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    by_hand = f"{source.when_gone} A file put at {path} by hand works as well."
    request = urllib.request.Request(file.url, headers={"User-Agent": "thesislib"})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with opener(request, timeout=TIMEOUT_S) as response:
            expected_bytes = file.bytes or int(response.headers.get("Content-Length") or 0) or None
            _need_room(path, expected_bytes, UNPACKED_RATIO if file.unpack else 1)
            found_bytes = _copy(response, temporary, expected_bytes, path.name)
        if expected_bytes is not None and found_bytes != expected_bytes:
            raise DataError(
                f"{file.url}: the download gave {found_bytes:,} bytes instead of {expected_bytes:,}; "
                f"run `thesis fetch {source.name}` again. {by_hand}"
            )
        if fault := difference(temporary, file):
            raise DataError(f"{file.url} is not the published file: {fault}; it was removed. {by_hand}")
        os.replace(temporary, path)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise DataError(f"cannot reach {file.url} ({error}). {by_hand}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"the disk filled up while writing {path}: make room and fetch again") from error
        raise DataError(f"cannot write {path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _copy(response, temporary: Path, expected_bytes: int | None, name: str) -> int:
    found_bytes = 0
    with (
        open(temporary, "wb") as copy,
        tqdm(total=expected_bytes, desc=name, unit="B", unit_scale=True, unit_divisor=1024) as progress,
    ):
        while chunk := response.read(CHUNK_BYTES):
            copy.write(chunk)
            found_bytes += len(chunk)
            progress.update(len(chunk))
            if expected_bytes is not None and found_bytes > expected_bytes:
                break  # longer than announced: no reason to read on
    return found_bytes


def _need_room(path: Path, file_bytes: int | None, ratio: int) -> None:
    needed = (file_bytes or 0) * ratio + SPARE_BYTES
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise DataError(f"{path} needs {needed:,} bytes on its disk and {free:,} are free: make room first")
