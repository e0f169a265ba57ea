"""Signs out of video files: any folder word/*.mp4, or signer/word/*.mp4 where it is known who signs.

Videos are decoded once: their frames are kept, memory-mapped, with a checksum, in a folder named after the files
they come from and how they were cut. A file that cannot be read stops the reading, or is left out with a warning
that names it, every time the set is loaded.
"""

import hashlib
import json
import shutil
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock
from tqdm.auto import tqdm

from thesislib import paths
from thesislib.datasets.arrays import read_npz, write_npz
from thesislib.datasets.hand_images import UNKNOWN
from thesislib.datasets.own_letters import NOT_YOURS, natural
from thesislib.datasets.sign_clips import SignClips
from thesislib.datasets.sources import DataError
from thesislib.datasets.video_frames import SUFFIXES, WHOLE, Box, Square, read_clip
from thesislib.files import write_whole

CUT = 1  # raised when frames come to be cut out in another way, so that none of the old are used
NAMED_AT_ONCE = 5
SPARE_BYTES = 64 << 20  # left free on the disk
LABELS = {"label": (np.int64, (None,)), "signer": (np.int64, (None,))}


@dataclass(frozen=True)
class SignVideo:
    """One sign in a video file, before it is decoded.

    signer: a number from 0, -1 where not known; seconds: from when to when it lasts; box: where in the frame the
    signer is, left, top, right, bottom as fractions of its sides, or None for what is asked of the whole set.
    """

    path: Path
    word: str
    signer: int = UNKNOWN
    seconds: tuple[float, float] = WHOLE
    box: Box | None = None


@dataclass(frozen=True)
class SignVideos:
    """The videos of a set; `signers` are the names of its signers by their numbers, where it has names."""

    videos: tuple[SignVideo, ...]
    words: tuple[str, ...]
    signers: tuple[str, ...]
    source: str


def load_folder(
    folder: Path, *, length: int, size: int, square: Square = "middle", skip_unreadable: bool = False
) -> SignClips:
    """Return the signs in folder/<word>/*.mp4 or folder/<signer>/<word>/*.mp4: see find() and decoded()."""
    return decoded(find(folder), length=length, size=size, square=square, skip_unreadable=skip_unreadable)


def find(folder: Path) -> SignVideos:
    """Return the videos in folder/<word>/ or folder/<signer>/<word>/, words and files in natural order.

    A word is its folder's name. There are signers where the folders in `folder` hold folders in their turn; not
    every signer needs every word. What is neither folder nor video is named in a warning and left out. Raises
    DataError, naming the place, for a missing folder, for none or only one word, a word without a video, a video
    beside folders, and folders of two depths.
    """
    folder = Path(folder).expanduser().resolve()
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: expected one that holds word/*.mp4 or signer/word/*.mp4")
    outer = _folders(folder)
    inner = {name: _folders(place) for name, place in outer.items() if _has_folders(place)}
    if inner and len(inner) < len(outer):
        raise DataError(
            f"{folder}: folders are in {brief(inner)} and not in {brief(n for n in outer if n not in inner)}: "
            "expected word/*.mp4 everywhere, or signer/word/*.mp4 everywhere"
        )
    videos = [
        SignVideo(path, word, signer)
        for signer, words in (enumerate(inner.values()) if inner else [(UNKNOWN, outer)])
        for word, place in words.items()
        for path in _videos(place)
    ]
    words = tuple(sorted({video.word for video in videos}, key=natural))
    if len(words) < 2:
        raise DataError(
            f"{folder} has one word only ({words[0]}): there is nothing to tell it from"
            if words
            else f"{folder} holds no word: expected word/*.mp4 or signer/word/*.mp4"
        )
    return SignVideos(tuple(videos), words, tuple(inner), folder.name)


def decoded(
    found: SignVideos, *, length: int, size: int, square: Square = "middle", skip_unreadable: bool = False
) -> SignClips:
    """Return the frames of these videos, `length` a clip and `size` pixels to a side, decoded once and kept.

    How frames are chosen and cut out is told in video_frames.read_clip. Unreadable files raise a DataError that
    names them, or, with skip_unreadable, are left out with a warning that does; a word that loses all its videos
    is an error all the same. Frames are kept under data/cache/videos. A file that has another size or
    date since then, or kept frames of another checksum, lead to decoding anew. Raises DataError for a full disk.
    """
    if not found.videos:
        raise DataError(f"{found.source}: no video of a sign is there")
    files = [(asdict(video), _stamp(video.path)) for video in found.videos]
    asked = (CUT, length, size, square, skip_unreadable, found.words, files)
    digest = hashlib.sha256(json.dumps(asked, default=str).encode()).hexdigest()[:12]
    place = paths.CACHE / "videos" / f"{found.source}-{length}x{size}-{digest}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / ".lock"):
            if (kept := _kept(place)) is None:
                kept = _keep(place, found, length, size, square, skip_unreadable)
    except OSError as error:
        raise DataError(f"cannot keep frames of videos in {place}: {error}. Is the disk full?") from error
    if kept["skipped"]:
        warnings.warn(
            f"{found.source}: {len(kept['skipped'])} of {len(found.videos)} videos left out: "
            + brief(kept["skipped"], "; "),
            stacklevel=2,
        )
    label, signer = read_npz(place / "labels.npz", LABELS)
    shape = (len(label), length, 3, size, size)
    return SignClips(
        frame=np.memmap(place / "frame.u8", np.uint8, "r", shape=shape),
        label=label,
        signer=signer,
        begin=np.zeros(len(label), np.int64),
        end=np.full(len(label), length),
        words=found.words,
        source=f"{found.source}, {length} frames a clip, {square} square",
    )


def first_words(found: SignVideos, count: int) -> SignVideos:
    """Return the videos of the first `count` words only; DataError where there are fewer words, or fewer than 2."""
    if not 2 <= count <= len(found.words):
        raise DataError(f"{found.source} has {len(found.words)} words: cannot take {count}")
    words = found.words[:count]
    chosen = set(words)
    return replace(found, words=words, videos=tuple(v for v in found.videos if v.word in chosen))


def brief(names: Iterable[str], separator: str = ", ") -> str:
    """Return the first few of these names as one text, and how many more there are."""
    names = list(names)
    more = len(names) - NAMED_AT_ONCE
    return separator.join(names[:NAMED_AT_ONCE]) + (f" and {more} more" if more > 0 else "")


def _keep(place: Path, found: SignVideos, length: int, size: int, square: Square, skip: bool) -> dict:
    """Decode every video into a folder and return its manifest, which is written last."""
    for leftover in place.glob(".frame.*"):  # of a run that was killed; nobody else writes under the lock
        leftover.unlink()
    needed, free = len(found.videos) * length * 3 * size**2 + SPARE_BYTES, shutil.disk_usage(place).free
    if free < needed:
        raise DataError(f"{place} needs {needed:,} bytes on its disk and {free:,} are free: make room first")
    number = {word: index for index, word in enumerate(found.words)}
    labels, signers, skipped = [], [], []

    def write(path: Path) -> None:
        with open(path, "wb") as file:
            for video in tqdm(found.videos, desc=f"decoding {found.source}", unit=" videos", leave=False):
                try:
                    clip = read_clip(
                        video.path,
                        length=length,
                        size=size,
                        square=square,
                        box=video.box,
                        seconds=video.seconds,
                    )
                except DataError as error:
                    skipped.append(str(error))
                    continue
                file.write(clip.tobytes())
                labels.append(number[video.word])
                signers.append(video.signer)
        _refuse_losses(found, set(labels), skipped, skip)

    write_whole(place / "frame.u8", write)
    write_npz(place / "labels.npz", label=np.array(labels, np.int64), signer=np.array(signers, np.int64))
    files = {name: _sha256(place / name) for name in ("frame.u8", "labels.npz")}
    manifest = {"source": found.source, "clips": len(labels), "skipped": skipped, "sha256": files}
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    write_whole(place / "manifest.json", lambda path: path.write_text(text, encoding="utf8"))
    return manifest


def _refuse_losses(found: SignVideos, left: set[int], skipped: Sequence[str], skip: bool) -> None:
    if not skipped:
        return
    message = (
        f"{found.source}: {len(skipped)} of {len(found.videos)} videos cannot be read: {brief(skipped, '; ')}"
    )
    if not skip:
        raise DataError(f"{message}. Mend them, take them away, or leave them out with skip_unreadable.")
    had = {video.word for video in found.videos}
    if lost := [w for index, w in enumerate(found.words) if w in had and index not in left]:
        raise DataError(f"{message}. Nothing is left of the words {brief(lost)}.")


def _kept(place: Path) -> dict | None:
    """Return the manifest of frames that are kept whole, None where there are none; warn where they are broken."""
    path = place / "manifest.json"
    if not path.exists():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf8"))
        if all(_sha256(place / name) == digest for name, digest in manifest["sha256"].items()):
            return manifest | {"skipped": list(manifest["skipped"])}
        fault = "the kept frames have another checksum than when they were written"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fault = f"the kept frames are not complete ({error})"
    warnings.warn(f"{place}: {fault}; decoding the videos again", stacklevel=3)
    path.unlink()
    return None


def _folders(place: Path) -> dict[str, Path]:
    """Return the folders in a place by name, in natural order; a video beside them is an error."""
    found: dict[str, Path] = {}
    for path in _listed(place):
        if path.is_dir():
            name = unicodedata.normalize("NFC", path.name)
            if name in found:
                raise DataError(f"{found[name]} and {path} have the same name: put them together")
            found[name] = path
        elif path.suffix.lower() in SUFFIXES:
            raise DataError(f"{path} lies beside folders: expected word/*.mp4 or signer/word/*.mp4")
        else:
            warnings.warn(f"{path} is no video: left out", stacklevel=4)
    return dict(sorted(found.items(), key=lambda item: natural(item[0])))


def _has_folders(place: Path) -> bool:
    return any(path.is_dir() for path in _listed(place))


def _videos(place: Path) -> list[Path]:
    """Return the videos of a word, in natural order."""
    files = _listed(place)
    videos = [path for path in files if path.suffix.lower() in SUFFIXES and not path.is_dir()]
    if others := [path.name for path in files if path not in videos]:
        warnings.warn(f"{place}: no videos, left out: {brief(others)}", stacklevel=4)
    if not videos:
        raise DataError(f"{place} holds no video ({', '.join(SUFFIXES)}): add one, or take the folder away")
    return sorted(videos, key=lambda path: (natural(path.name), path.name))


def _listed(place: Path) -> list[Path]:
    try:
        found = sorted(place.iterdir())
    except OSError as error:
        raise DataError(f"{place} cannot be listed ({error})") from error
    return [path for path in found if path.name[0] != "." and path.name.lower() not in NOT_YOURS]


def _stamp(path: Path) -> list[int] | None:
    """Return a file's bytes and date, by which a changed file is noticed; None where it is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
