"""Files inside .tar and .zip archives, read and unpacked without trusting the archive."""

import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from thesislib.datasets.sources import DataError

MOST_BYTES = 8 * 2**30  # no archive of this project holds more than a few GiB


def archive_files(path: Path, *, most_bytes: int = MOST_BYTES) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each regular file in a .tar or .zip archive, or under a folder.

    Raises DataError for an archive that is broken, truncated or larger than most_bytes inside, and for a
    member that is a link or a device or whose name leads out of the archive.
    """
    if path.is_dir():
        members = _folder_files(path)
    elif zipfile.is_zipfile(path):
        members = _zip_files(path)
    else:
        members = _tar_files(path)
    total_bytes = 0
    try:
        for name, size, read in members:
            if _leads_out(name):
                raise DataError(f"{path} holds {name!r}, a path that leads out of it: not used")
            total_bytes += size  # as declared: neither tarfile nor zipfile reads more than that
            if total_bytes > most_bytes:
                raise DataError(f"{path} holds more than {most_bytes:,} bytes: not a file of this data set")
            yield name, read()
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(f"{path} is broken or truncated ({error}): delete it and fetch it again") from error


def unpack(archive: Path, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
    """Unpack an archive into a new folder, whole or not at all.

    An archive that holds a single top folder gives that folder itself. Raises DataError as `archive_files`
    does, for a full disk, and where `folder` exists already.
    """
    if folder.exists():
        raise DataError(f"{folder} exists already: move it away to unpack {archive.name} again")
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, content in archive_files(archive, most_bytes=most_bytes):
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        top = list(temporary.iterdir())
        unpacked = top[0] if len(top) == 1 and top[0].is_dir() else temporary
        unpacked.chmod(0o755)  # mkdtemp makes folders that only their owner can read
        unpacked.rename(folder)
    except OSError as error:
        raise DataError(f"cannot unpack {archive} into {folder}: {error}. Is the disk full?") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _tar_files(path: Path):
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isdir():
                continue
            if not member.isreg():
                raise DataError(f"{path} holds {member.name!r}, a link or a device: not used")
            yield member.name, member.size, lambda member=member: tar.extractfile(member).read()
            tar.members = []  # tarfile remembers every member it has seen: a leak with 140,424 images
        # A broken or missing header ends tarfile's loop like the end mark does, so look for the mark itself.
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("its end is missing")


def _zip_files(path: Path):
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)  # 0 where the packer stored no Unix mode
            if kind not in (0, stat.S_IFREG):
                raise DataError(f"{path} holds {member.filename!r}, a link or a device: not used")
            if member.flag_bits & 1:
                raise DataError(f"{path} is encrypted: not the published file")
            yield member.filename, member.file_size, lambda member=member: archive.read(member)


def _folder_files(path: Path):
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield file.relative_to(path).as_posix(), file.stat().st_size, file.read_bytes


def _leads_out(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return not parts or parts[0] == "/" or ".." in parts or ":" in parts[0]
