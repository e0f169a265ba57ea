"""The numbers that the five documents print, as data, and the tables that set ours beside them."""

import csv
import difflib
import functools
import importlib.resources
import io
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from thesislib.files import write_whole

# Keys of book/references.bib, in the order of the ledger; 'later' holds results of others, named in `where`.
DOCUMENTS = {
    "ignatiev2019": "Ignatiev 2019, the thesis",
    "tishchenko2018": "Tishchenko and Vänskä 2018",
    "komorowicz2018": "Komorowicz 2018",
    "schorr2018": "Schorr 2018, the LedaSila notebook",
    "izutov2020": "Izutov 2020",
    "later": "Results of others, for orientation",
}
CHAPTERS = {
    1: "Hands out of numbers",
    2: "Finding the joints, fast",
    3: "Learning to compare",
    4: "Across signers",
    5: "A hand model from one picture",
    6: "Signs in motion",
}
# unit -> what follows the number on a page
UNITS = {
    "percent": " %",
    "percentage points": " points",
    "fraction": "",
    "px": " px",
    "mm": " mm",
    "ms": " ms",
    "s": " s",
    "min": " min",
    "h": " h",
    "s/epoch": " s per epoch",
    "min/epoch": " min per epoch",
    "iterations/s": " iterations/s",
    "loss": "",
    "score": "",
    "number": "",
    "count": "",
    "images": " images",
    "thousand": " thousand",
    "million": " million",
    "GFlops": " GFlops",
}
ORIGINS = ("own", "quoted")
CLOSE = 0.01  # of a printed number, to say that ours matches it
READINGS = ("matches", "above", "below", "not comparable", "not run yet")
BEFORE_THE_NUMBER = ("about", "above", "almost", "at most", "under", "up to")  # other qualifiers follow it


@dataclass(frozen=True)
class PublishedNumber:
    """One number as one of the documents prints it.

    ``value`` is in ``unit``; ``decimals`` is how many digits stood after the point. ``chapter`` is the
    chapter of this book that answers it. ``origin`` says whether the document measured or quotes it.
    """

    key: str
    document: str
    where: str
    chapter: int
    system: str
    metric: str
    value: float
    unit: str
    qualifier: str
    protocol: str
    origin: str
    remark: str
    decimals: int

    @property
    def what(self) -> str:
        """The system and the quantity, in words."""
        return f"{self.system}: {self.metric}"

    @property
    def printed(self) -> str:
        """The number as a page shows it: qualifier, digits as printed, unit, and whether it is quoted."""
        number = f"{self.value:.{self.decimals}f}{UNITS[self.unit]}"
        if self.qualifier in BEFORE_THE_NUMBER:
            number = f"{self.qualifier} {number}"
        elif self.qualifier:
            number = f"{number} ({self.qualifier})"
        return f"{number}, quoted" if self.origin == "quoted" else number


COLUMNS = tuple(field.name for field in fields(PublishedNumber) if field.name != "decimals")
REQUIRED = ("where", "system", "metric", "protocol")


@functools.cache
def load() -> tuple[PublishedNumber, ...]:
    """Return every printed number, in the order of published.csv; raise ValueError where a row is wrong."""
    return parse((importlib.resources.files("thesislib") / "published.csv").read_text(encoding="utf8"))


def parse(text: str) -> tuple[PublishedNumber, ...]:
    """Return the numbers of a CSV text; raise ValueError naming the line and the column that is wrong."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ValueError(f"published.csv must have the columns {', '.join(COLUMNS)}, not {reader.fieldnames}")
    numbers: dict[str, PublishedNumber] = {}
    for row in reader:
        try:
            number = _parse_row(row)
        except ValueError as error:
            raise ValueError(f"published.csv, line {reader.line_num} ({row['key']}): {error}") from None
        if number.key in numbers:
            raise ValueError(f"published.csv, line {reader.line_num}: the key {number.key} is there twice")
        numbers[number.key] = number
    return tuple(numbers.values())


def _parse_row(row: Mapping[str | None, str | None]) -> PublishedNumber:
    if None in row or None in row.values():
        raise ValueError(f"has more or fewer than {len(COLUMNS)} cells; quote a cell that holds a comma")
    if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", row["key"]):
        raise ValueError("the key is not in snake_case")
    for column, known in (("document", DOCUMENTS), ("unit", UNITS), ("origin", ORIGINS)):
        if row[column] not in known:
            raise ValueError(f"unknown {column} {row[column]!r}; known: {', '.join(known)}")
    if not row["key"].startswith(row["document"] + "_"):
        raise ValueError(f"the key does not start with its document, {row['document']}_")
    if row["chapter"] not in map(str, CHAPTERS):
        raise ValueError(f"chapter {row['chapter']!r} is not one of {', '.join(map(str, CHAPTERS))}")
    for column in REQUIRED:
        if not row[column].strip():
            raise ValueError(f"the column {column} is empty")
    # Plain decimals only: they keep their printed digits, and infinities and NaN cannot be spelled.
    if not re.fullmatch(r"-?\d+(\.\d+)?", row["value"]):
        raise ValueError(f"the value {row['value']!r} is not a plain decimal number")
    digits = row["value"].partition(".")[2]
    typed = {"chapter": int(row["chapter"]), "value": float(row["value"]), "decimals": len(digits)}
    return PublishedNumber(**(row | typed))


@functools.cache
def _index() -> dict[str, PublishedNumber]:
    return {number.key: number for number in load()}


def by_key(key: str) -> PublishedNumber:
    """Return the number with this key; raise KeyError that names the closest keys."""
    try:
        return _index()[key]
    except KeyError:
        close = difflib.get_close_matches(key, _index(), n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(close)}?" if close else "the keys are in thesislib/published.csv"
        raise KeyError(f"no printed number has the key {key!r}; {hint}") from None


def for_chapter(chapter: int) -> tuple[PublishedNumber, ...]:
    """Return the numbers that one chapter answers; raise ValueError where the book has no such chapter."""
    if chapter not in CHAPTERS:
        raise ValueError(f"there is no chapter {chapter}; chapters are {', '.join(map(str, CHAPTERS))}")
    return tuple(number for number in load() if number.chapter == chapter)


# Tables ----------------------------------------------------------------------------------------------


def comparison_table(pairs: Iterable[tuple[str, Sequence[float] | None, str, str]]) -> pd.DataFrame:
    """Return one row for each (key, measured values or None, our protocol, reading), rounded for display.

    Measured values are in the printed unit, one for each seed or fold. Readings: 'matches', 'above', 'below'
    (our number is larger, smaller), 'not comparable', 'not run yet'. Raises KeyError for an unknown key,
    ValueError for an unknown reading or one that the numbers contradict, TypeError or ValueError for values
    that are not finite numbers.
    """
    rows = []
    for key, measured, protocol, reading in pairs:
        number = by_key(key)
        values = None if measured is None else _finite(key, measured)
        _check_reading(number, values, reading)
        rows.append(
            {
                "what": number.what,
                "printed there": number.printed,
                "where": _source(number),
                "measured here": _here(number, values, own=reading == "not run yet"),
                "protocol": protocol,
                "reading": reading,
            }
        )
    columns = ["what", "printed there", "where", "measured here", "protocol", "reading"]
    return pd.DataFrame(rows, columns=columns)


def _check_reading(number: PublishedNumber, values: Sequence[float] | None, reading: str) -> None:
    if reading not in READINGS:
        raise ValueError(f"{number.key}: unknown reading {reading!r}; known: {', '.join(READINGS)}")
    if values is None:
        if reading not in ("not run yet", "not comparable"):
            raise ValueError(f"{number.key}: the reading {reading!r} needs measured values")
        return
    mean = statistics.fmean(values)
    if reading == "not run yet":
        raise ValueError(f"{number.key}: the reading is 'not run yet', but there are measured values")
    if reading == "matches" and abs(mean - number.value) > CLOSE * abs(number.value):
        raise ValueError(f"{number.key}: {mean:g} measured does not match {number.value:g} printed")
    if (reading == "above" and mean <= number.value) or (reading == "below" and mean >= number.value):
        raise ValueError(f"{number.key}: {mean:g} measured is not {reading} {number.value:g} printed")


def _finite(key: str, measured: Sequence[float]) -> list[float]:
    """Return measured values as floats; raise TypeError or ValueError where they are not finite numbers."""
    if isinstance(measured, str) or not isinstance(measured, Iterable):
        raise TypeError(f"{key}: measured values must be a sequence of numbers, not {measured!r}")
    try:
        values = [float(value) for value in measured]
    except (TypeError, ValueError):
        raise TypeError(f"{key}: measured values must be numbers, not {list(measured)!r}") from None
    if not values or not all(map(math.isfinite, values)):
        raise ValueError(f"{key}: measured values must be finite numbers, at least one; got {values}")
    return values


def _here(number: PublishedNumber, values: Sequence[float] | None, *, own: bool) -> str:
    """Return the cell of our own column: the measured values, where to look instead, or a dash."""
    if values is not None:
        return _summary(number, values)
    return f"see chapter {number.chapter}" if own else "—"


def _summary(number: PublishedNumber, values: Sequence[float]) -> str:
    """Return 'mean ± sample standard deviation unit (n = ...)', or the one value, rounded for display."""
    mean = statistics.fmean(values)
    places = number.decimals
    if len(values) > 1 or not mean.is_integer():
        # one digit after the point at least, and two significant digits of a small number
        leading = math.floor(math.log10(abs(mean))) if mean else 0
        places = max(places, 1, 1 - leading)
    unit = UNITS[number.unit]
    if len(values) == 1:
        return f"{mean:.{places}f}{unit}"
    return f"{mean:.{places}f} ± {statistics.stdev(values):.{places}f}{unit} (n = {len(values)})"


def _source(number: PublishedNumber) -> str:
    """Return the document and the place in it; a later result names its own source."""
    title = DOCUMENTS[number.document].partition(",")[0]
    return number.where if number.document == "later" else f"{title}, {number.where}"


def ledger_table(measured: Mapping[str, Sequence[float]]) -> str:
    """Return the ledger as Markdown: a section for each document, a table for each chapter that answers it.

    ``measured`` maps keys to our values in the printed unit, one for each seed or fold. Where nothing is
    measured on a document's own data, its own numbers name the chapter and those it quotes show a dash. Raises
    KeyError for an unknown key, TypeError or ValueError for values that are not finite numbers.
    """
    ours = {by_key(key).key: _finite(key, values) for key, values in measured.items()}
    parts = ["% Made by thesislib.published.write_ledger from published.csv and the records."]
    for document, title in DOCUMENTS.items():
        numbers = [number for number in load() if number.document == document]
        parts.append(f"(ledger-{document})=\n## {title}")
        parts.append(_count(document, numbers))
        for chapter, name in CHAPTERS.items():
            of_chapter = [number for number in numbers if number.chapter == chapter]
            if of_chapter:
                # The blank lines let Markdown read the table inside the HTML element.
                table = _markdown_table(of_chapter, ours)
                parts.append(f"**Chapter {chapter}: {name}**")
                parts.append(f'<div class="wide-table">\n\n{table}\n\n</div>')
    return "\n\n".join(parts) + "\n"


def _count(document: str, numbers: Sequence[PublishedNumber]) -> str:
    if document == "later":
        return f"{len(numbers)} numbers that none of the five documents prints; each row names its source."
    quoted = sum(number.origin == "quoted" for number in numbers)
    return f"{len(numbers)} numbers from {{cite:t}}`{document}`, {quoted} of them quoted from other work."


def _markdown_table(numbers: Sequence[PublishedNumber], ours: Mapping[str, Sequence[float]]) -> str:
    rows = [("What", "Printed there", "Where", "Measured here", "Protocol there", "Remark")]
    rows.append(("---",) * len(rows[0]))
    for number in numbers:
        # Other people's systems are run here only where a chapter says so; the rest is not looked for there.
        here = _here(number, ours.get(number.key), own=number.origin == "own")
        cells = (number.what, number.printed, number.where, here, number.protocol, number.remark)
        rows.append(tuple(map(_escape, cells)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line, inside a table cell."""
    return re.sub(r"([\\`*_|$<\[\]{}])", r"\\\1", " ".join(text.split()))


def write_ledger(path: Path, measured: Mapping[str, Sequence[float]]) -> None:
    """Write ``ledger_table(measured)`` to a file, through a temporary file and a rename."""
    text = ledger_table(measured)
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf8"))
