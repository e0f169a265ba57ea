"""Published sets of signs and gestures in their official layouts, split by signer as their publishers did.

None of them was at hand: the layouts are those that the publishers and several public loaders tell, and are tested
on small made-up files. Videos that a list names and the disk lacks are counted and named, never passed over in
silence: of MS-ASL, whose videos are addresses of a public site, many are gone.
"""

import json
import re
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from thesislib.datasets.own_letters import natural
from thesislib.datasets.sign_clips import SignClips
from thesislib.datasets.sign_videos import SignVideo, SignVideos, brief, decoded, find, first_words
from thesislib.datasets.sources import DataError
from thesislib.datasets.video_frames import SUFFIXES, Square

Part = Literal["train", "validation", "test", "all"]

ISOGD_GESTURES = 249
ISOGD_LISTS = {"train": "train_list.txt", "validation": "valid_list.txt", "test": "test_list.txt"}
ISOGD_FOLDERS = {"train": "train", "validation": "valid", "test": "test"}
ISOGD_LINE = re.compile(r"(train|valid|test)/(\d{3}/M_\d{5}\.avi)\s+\1/\d{3}/K_\d{5}\.avi(?:\s+(\d+))?")
MS_ASL_LISTS = {"train": "MSASL_train.json", "validation": "MSASL_val.json", "test": "MSASL_test.json"}
MS_ASL_WORDS = "MSASL_classes.json"
VIDEO_NAME = re.compile(r"(?:[?&]v=|youtu\.be/|/embed/|/v/)([\w-]{11})")
LEDASILA_LEAST = 18  # clips a word, of the 21 words that the notebook of 2018 used

WHERE = {
    "isogd": (
        "ask for ChaLearn LAP IsoGD at https://chalearnlap.cvc.uab.cat/dataset/21/description/ and unpack it so "
        "that the folder isogd holds IsoGD_phase_1/train_list.txt, IsoGD_phase_1/train/001/M_00001.avi and so on, "
        "and IsoGD_phase_2 beside it"
    ),
    "ms_asl": (
        "download MS-ASL from https://www.microsoft.com/en-us/download/details.aspx?id=100121 and unpack it so "
        "that the folder ms_asl holds MSASL_train.json, MSASL_val.json, MSASL_test.json and MSASL_classes.json; "
        "its videos are public ones whose addresses stand in them: bring them by hand, whole, as "
        "ms_asl/videos/<the 11 characters that name it in its url>.mp4"
    ),
    "ledasila": (
        "LedaSila (http://ledasila.aau.at) is no public download: ask the University of Klagenfurt, and put each "
        "video in the folder of its word, ledasila/<word>/*.mp4"
    ),
}


@dataclass(frozen=True)
class SignLayout:
    """A part of a published set: the signs whose videos are on the disk, and those whose videos are not."""

    found: SignVideos
    missing: tuple[SignVideo, ...]


def load(
    name: str,
    data_root: Path,
    part: Part,
    *,
    length: int,
    size: int,
    square: Square = "middle",
    num_words: int | None = None,
    skip_unreadable: bool = False,
) -> SignClips:
    """Return the clips of a part of the set with this name (one of NAMES), decoded once and kept.

    num_words: only the first words, which are the most frequent in MS-ASL (its subsets of 100, 200 and 500) and
    LedaSila. Labels are the same in all parts. Missing videos are counted and named in a warning. The rest is told
    in sign_videos.decoded. Raises DataError for an unknown name or part, missing or foreign files, and no video.
    """
    layout = read_layout(name, data_root, part, num_words)
    found, missing = layout.found, layout.missing
    present, listed = len(found.videos), len(found.videos) + len(missing)
    if not found.videos:
        raise DataError(f"{found.source}: none of {listed} videos is on the disk; {WHERE[name]}")
    if missing:
        names = brief(f"{video.path.parent.name}/{video.path.name} ({video.word})" for video in missing)
        warnings.warn(
            f"{found.source}: {len(missing)} of {listed} clips are not on the disk: {names}", stacklevel=2
        )
    clips = decoded(found, length=length, size=size, square=square, skip_unreadable=skip_unreadable)
    return replace(clips, source=f"{clips.source}, {present} of {listed} listed clips on the disk")


def read_layout(name: str, data_root: Path, part: Part, num_words: int | None = None) -> SignLayout:
    """Return what a part of a set lists, and what of it is on the disk; raises DataError as load() does."""
    if name not in LAYOUTS:
        raise DataError(f"no set of signs {name!r}; there are: {', '.join(NAMES)}")
    root = Path(data_root) / name
    if not root.is_dir():
        raise DataError(
            f"{root} is missing. How to get it: {WHERE[name]}; or let THESIS_DATA name another folder."
        )
    listed = LAYOUTS[name](root, part)
    if num_words is not None:
        listed = first_words(listed, num_words)
    found = tuple(video for video in listed.videos if video.path.is_file())
    missing = tuple(video for video in listed.videos if not video.path.is_file())
    return SignLayout(replace(listed, videos=found), missing)


def isogd(root: Path, part: Part) -> SignVideos:
    """ChaLearn LAP IsoGD (Wan et al. 2016): 249 gestures, 47,933 clips by 21 people, in colour and depth.

    Lists have lines "train/001/M_00001.avi train/001/K_00001.avi 26": colour, depth, gesture from 1. They lie
    beside the folders they name, in IsoGD_phase_1 (train, valid) and IsoGD_phase_2 (test). Only colour is read. The
    parts are of 17, 2 and 2 people, and nobody is in two, say the publishers; who signs which clip is not told.
    """
    path = _only(root, ISOGD_LISTS[_checked(part, "isogd")], "isogd")
    videos = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        named = ISOGD_LINE.fullmatch(line.strip())
        if not named:
            raise DataError(
                f"{path}, line {number}: expected train/001/M_00001.avi train/001/K_00001.avi 26, not {line!r}"
            )
        folder, name, gesture = named.groups()
        if gesture is None:
            raise DataError(
                f"{path} has no labels, as in the challenge of 2016: they were published after it. Put the list "
                "with labels in its place."
            )
        if folder != ISOGD_FOLDERS[part] or not 1 <= int(gesture) <= ISOGD_GESTURES:
            raise DataError(
                f"{path}, line {number}: expected videos in {ISOGD_FOLDERS[part]} and gestures 1 to "
                f"{ISOGD_GESTURES}, not {line!r}: is it the list of another part?"
            )
        videos.append(SignVideo(path.parent / folder / name, str(int(gesture))))
    words = tuple(str(number) for number in range(1, ISOGD_GESTURES + 1))
    return SignVideos(tuple(videos), words, (), f"isogd {part}")


def ms_asl(root: Path, part: Part) -> SignVideos:
    """MS-ASL (Vaezi Joze and Koller 2019): 1,000 American signs by more than 200 people, cut out of public videos.

    Each entry of MSASL_train.json, MSASL_val.json and MSASL_test.json names a video's url, the start_time and
    end_time of the sign in seconds, its label (from 0, in MSASL_classes.json, the most frequent word first), a
    signer_id, and a box of the signer: top, left, bottom, right as fractions. All three are read, for signers must
    not be in two parts: where some are, a warning says so.
    """
    _checked(part, "ms_asl")
    words = _json(root / MS_ASL_WORDS)
    if not all(isinstance(word, str) for word in words) or len(set(words)) != len(words):
        raise DataError(f"{root / MS_ASL_WORDS} is no list of different words")
    entries = {name: _json(root / file) for name, file in MS_ASL_LISTS.items()}
    files = {path.stem: path for path in (root / "videos").glob("*") if path.suffix.lower() in SUFFIXES}
    signs = {
        name: [
            _ms_asl_sign(root, MS_ASL_LISTS[name], k, entry, words, files) for k, entry in enumerate(listed)
        ]
        for name, listed in entries.items()
    }
    signers = {name: {sign.signer for sign in listed} for name, listed in signs.items()}
    for other in MS_ASL_LISTS:
        if other != part and (both := sorted(signers[part] & signers[other])):
            warnings.warn(
                f"ms_asl: {len(both)} of {len(signers[part])} signers of {part} are in {other} too: "
                + brief(map(str, both)),
                stacklevel=4,
            )
    return SignVideos(tuple(signs[part]), tuple(words), (), f"ms_asl {part}")


def ledasila(root: Path, part: Part) -> SignVideos:
    """LedaSila, the lexicon of Austrian signs of the University of Klagenfurt, as Schorr 2018 used it.

    Layout: ledasila/<word>/*.mp4. Of its 15,700 words, those with at least 18 clips are kept, the most frequent
    first: Schorr counts 440 clips of 21 words. There is no official split and nothing tells who signs, so the only
    part is "all": a random split may show one person on both sides. Where you know the signers,
    ledasila/<signer>/<word>/*.mp4 is read too.
    """
    if part != "all":
        raise DataError(
            f"ledasila has no part {part!r}: no split of it was published, and who signs is not told. Ask for "
            '"all", and split by signer where you know them: a random split may show one person on both sides.'
        )
    found = find(root)
    count = Counter(video.word for video in found.videos)
    frequent = [word for word in count if count[word] >= LEDASILA_LEAST]
    if len(frequent) < 2:
        raise DataError(
            f"{root}: {len(frequent)} of {len(count)} words have {LEDASILA_LEAST} clips or more, and at least two "
            "must. To use them all, load the folder as your own signs."
        )
    words = tuple(sorted(frequent, key=lambda word: (-count[word], natural(word))))
    videos = tuple(video for video in found.videos if count[video.word] >= LEDASILA_LEAST)
    return replace(found, words=words, videos=videos, source="ledasila all")


LAYOUTS: dict[str, Callable[[Path, Part], SignVideos]] = {
    "isogd": isogd,
    "ms_asl": ms_asl,
    "ledasila": ledasila,
}
NAMES = tuple(LAYOUTS)


def _ms_asl_sign(
    root: Path, file: str, place: int, entry: Any, words: list[str], files: dict[str, Path]
) -> SignVideo:
    """Return the sign of an entry; its path is that of the video on the disk, or where it is expected."""
    try:
        video = VIDEO_NAME.search(entry["url"])
        label, signer = int(entry["label"]), int(entry["signer_id"])
        seconds = (float(entry["start_time"]), float(entry["end_time"]))
        top, left, bottom, right = (min(max(float(side), 0.0), 1.0) for side in entry["box"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{root / file}, entry {place}: url, label, signer_id, start_time, end_time and a box of four are "
            f"expected ({error!r}): is it a file of MS-ASL?"
        ) from error
    if not video or not 0 <= label < len(words) or signer < 0:
        raise DataError(
            f"{root / file}, entry {place}: expected a url that names a video, a label below {len(words)} and a "
            f"signer from 0, not {entry['url']!r}, {label}, {signer}"
        )
    path = files.get(video.group(1), root / "videos" / f"{video.group(1)}.mp4")
    return SignVideo(path, words[label], signer, seconds, (left, top, right, bottom))


def _checked(part: str, name: str) -> str:
    if part not in ISOGD_LISTS:
        raise DataError(f"{name} has no part {part!r}; there are: {', '.join(ISOGD_LISTS)}")
    return part


def _only(root: Path, name: str, of: str) -> Path:
    """Return the one file of this name in a folder or in the two levels below it."""
    found = [path for depth in ("", "*/", "*/*/") for path in sorted(root.glob(depth + name))]
    if not found:
        raise DataError(f"{root} has no {name}, so nothing says which clip is in which part: {WHERE[of]}")
    if len(found) > 1:
        raise DataError(f"{root} has {name} more than once: {brief(map(str, found))}; keep one")
    return found[0]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf8")
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path} is no readable list ({error}): unpack it again") from error


def _json(path: Path) -> list:
    if not path.is_file():
        raise DataError(f"{path} is missing, and no split can be made without it: {WHERE['ms_asl']}")
    try:
        content = json.loads(_text(path))
    except ValueError as error:
        raise DataError(f"{path} is no readable JSON ({error}): unpack it again") from error
    if not isinstance(content, list) or not content:
        raise DataError(f"{path} is no list: is it a file of MS-ASL?")
    return content
