"""Accept or reject what a detector found, one key a picture, in two passes; decisions outlive a crash.

Komorowicz 2018, section 5.2: somebody looks at every picture with its joints and presses y or n (figure 5.3). A
first pass looks at the wrist and at the picture, quickly; a second, slower one looks at the fingers of what is
left. The machine is a pure function, `press`; `Sitting` joins it to a file of decisions; `supervision_terminal` and
`supervision_notebook` show the pictures. `synthetic.supervisor` simulates a person where the truth is known.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from thesislib.datasets.sources import DataError

PASSES = ("wrist and quality", "fingers")
KEYS = {"y": "keep", "n": "reject", "b": "back", "q": "quit"}
PAUSE_S = 60.0  # a longer decision is a pause and counts as so much


# The machine --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Desk:
    """Where one pass stands: the pictures in the order they are shown, and what was said of the first of them."""

    pictures: tuple[str, ...]
    kept: tuple[bool, ...] = ()
    left: bool = False  # the person has gone

    @property
    def picture(self) -> str | None:
        """The picture that waits for a key, or None where none does."""
        return None if self.done else self.pictures[len(self.kept)]

    @property
    def done(self) -> bool:
        """Whether no key counts any more: the person has gone, or every picture is decided."""
        return self.left or len(self.kept) == len(self.pictures)


def press(desk: Desk, key: str) -> Desk:
    """Return the desk after a key: y keeps, n rejects, b takes the last decision back, q leaves; others nothing.

    The state machine of Komorowicz 2018, figure 5.3, and back, which it has not.
    """
    if desk.done:
        return desk
    match key:
        case "y" | "n":
            return replace(desk, kept=(*desk.kept, key == "y"))
        case "b":
            return replace(desk, kept=desk.kept[:-1])
        case "q":
            return replace(desk, left=True)
    return desk


# The file ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decision:
    """One key of a person: keep, reject, or (None) take back what was said of a picture in a pass, 1 or 2."""

    picture: str
    in_pass: int
    keep: bool | None
    seconds: float  # from the picture's appearance to the key
    at: str = ""  # when, in UTC


def read_decisions(path: Path) -> tuple[Decision, ...]:
    """Return the decisions of a file, none where there is no file; a torn last line does not count.

    Raises DataError, naming the line, for a file that this tool did not write.
    """
    try:
        text = Path(path).read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error})") from error
    whole = text[: text.rfind(b"\n") + 1]
    return tuple(_decision(path, number, line) for number, line in enumerate(whole.splitlines(), start=1))


def _decision(path: Path, number: int, line: bytes) -> Decision:
    try:
        decision = Decision(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}, line {number}, is no decision ({error}): is it another file?") from error
    if not (
        isinstance(decision.picture, str)
        and decision.in_pass in range(1, len(PASSES) + 1)
        and decision.keep in (True, False, None)
        and isinstance(decision.seconds, int | float)
        and decision.seconds >= 0
    ):
        raise DataError(f"{path}, line {number}, is no decision: {decision}")
    return decision


def verdicts(decisions: Iterable[Decision]) -> tuple[dict[str, bool], ...]:
    """Return what holds in the end, a pass each: picture -> kept, in the order of the deciding."""
    found: tuple[dict[str, bool], ...] = tuple({} for _ in PASSES)
    for decision in decisions:
        said = found[decision.in_pass - 1]
        said.pop(decision.picture, None)
        if decision.keep is not None:
            said[decision.picture] = decision.keep
    return found


def accepted(path: Path, pictures: Sequence[str]) -> list[str]:
    """Return the pictures that every pass has kept, in the order given; one that is not decided is not kept.

    Raises DataError where the file is missing, broken, or decides on a picture that is not among these.
    """
    if not Path(path).exists():
        raise DataError(f"there are no decisions in {path}: make them with `thesis supervise`")
    said = verdicts(read_decisions(path))
    _refuse_strangers(path, said, pictures)
    return [picture for picture in pictures if all(of_pass.get(picture) for of_pass in said)]


def _refuse_strangers(path: Path, said: tuple[dict[str, bool], ...], pictures: Sequence[str]) -> None:
    strangers = set().union(*said) - set(pictures)
    if strangers:
        raise DataError(
            f"{path} decides on {min(strangers)}, which is not among the {len(pictures)} pictures: "
            "do the decisions belong to another folder?"
        )


class Sitting:
    """One sitting of a supervision: keys go in, decisions are on the disk before the next picture shows.

    pictures: names, in the order to show them; path: the file of decisions, which is made or gone on with. A pass
    begins where the last sitting stopped, and the second one begins when the first has seen every picture. Use it
    in a `with`. Raises DataError where the file belongs to other pictures, somebody else is deciding into it, or
    it cannot be written.
    """

    def __init__(self, pictures: Sequence[str], path: Path, *, clock: Callable[[], float] = time.monotonic):
        if not pictures or len(set(pictures)) < len(pictures):
            raise DataError("a supervision needs pictures, each once")
        self.pictures, self.path, self._clock = tuple(pictures), Path(path), clock
        self._lock = FileLock(self.path.with_name(self.path.name + ".lock"))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise DataError(f"somebody else is deciding into {self.path} now: close the other one") from error
        except OSError as error:
            raise DataError(f"{self.path} cannot be written ({error})") from error
        try:
            self._decisions = list(read_decisions(self.path))
            _refuse_strangers(self.path, verdicts(self._decisions), self.pictures)
            self._file = self._opened()
        except BaseException:
            self._lock.release()
            raise
        self._open_pass()

    def __enter__(self) -> "Sitting":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; nothing is left to be written."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._lock.release()

    @property
    def picture(self) -> str | None:
        """The picture that waits for a key; None after the last one, and after q."""
        return self.desk.picture

    @property
    def stages(self) -> tuple["Stage", ...]:
        """How many pictures are left after each stage so far."""
        return stages(self._decisions, self.pictures)

    def press(self, key: str) -> None:
        """Take a key; what it decides is on the disk when this returns. DataError where that cannot be."""
        before, after = self.desk, press(self.desk, key)
        if len(after.kept) > len(before.kept):
            self._write(before.picture, after.kept[-1])
        elif len(after.kept) < len(before.kept):
            self._write(after.picture, None)
        self.desk, self._shown = after, self._clock()
        if after.done and not after.left and self.in_pass < len(PASSES):
            self._open_pass()

    def _open_pass(self) -> None:
        """Lay out the first pass that is not finished, what is decided first, or the last one."""
        said, shown = verdicts(self._decisions), self.pictures
        for number, of_pass in enumerate(said, start=1):
            here = set(shown)
            decided = [picture for picture in of_pass if picture in here]
            waiting = [picture for picture in shown if picture not in of_pass]
            self.in_pass = number
            self.desk = Desk((*decided, *waiting), tuple(of_pass[picture] for picture in decided))
            if waiting:
                break
            shown = [picture for picture in shown if of_pass[picture]]
        self._shown = self._clock()

    def _opened(self) -> int:
        """Open the file to append to, without the torn line that a crash may have left at its end."""
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            text = self.path.read_bytes()
            if not text.endswith(b"\n"):
                os.ftruncate(file, text.rfind(b"\n") + 1)
            return file
        except OSError as error:
            raise DataError(f"{self.path} cannot be written ({error})") from error

    def _write(self, picture: str, keep: bool | None) -> None:
        seconds = round(self._clock() - self._shown, 2)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        decision = Decision(picture, self.in_pass, keep, seconds, at)
        line = (json.dumps(asdict(decision)) + "\n").encode()
        length = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) < len(line):
                raise OSError("only a part of it")
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, length)
            raise DataError(f"a decision could not be written to {self.path}: {error}; make room") from error
        self._decisions.append(decision)


# What is left -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """How many pictures are left after a stage, and how many hours of a person it took, None where unknown."""

    name: str
    images: int
    hours: float | None = None


def stages(decisions: Iterable[Decision], pictures: Sequence[str]) -> tuple[Stage, ...]:
    """Return what each stage left: all pictures, then a stage for each pass; the rows of table 5.1."""
    decisions = list(decisions)
    left, found = set(pictures), [Stage("detected", len(pictures))]
    for number, (name, said) in enumerate(zip(PASSES, verdicts(decisions), strict=True), start=1):
        left = {picture for picture in left if said.get(picture)}
        seconds = (min(d.seconds, PAUSE_S) for d in decisions if d.in_pass == number)
        found.append(Stage(name, len(left), sum(seconds) / 3600))
    return tuple(found)
