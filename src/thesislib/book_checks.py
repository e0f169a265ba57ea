"""What must hold before and after a build: notebooks ran, pages are there, and nothing on them is broken."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

SHORTEST_PAGE = 200  # characters of text; below this a page is taken for empty
# What a page shows where a glued value was never glued, or a directive was not understood.
BROKEN_TEXT = re.compile(r"\{glue:|\{\{|could not find|Traceback \(most recent call last\)", re.I)
SHOWN_ON_PAGES = ("text/", "image/", "application/javascript", "application/papermill.record/")  # or glued
FILE_AS_ALT = re.compile(r"(^|/)_images/|\.(png|svg|jpe?g)$")  # the build's stand-in for a missing alt


def toc_pages(toc: Path) -> list[str]:
    """Return the pages that a table of contents names, without suffix, relative to the book's root."""
    from sphinx_external_toc.parsing import parse_toc_yaml

    return [re.sub(r"\.(ipynb|md)$", "", name) for name in parse_toc_yaml(toc)]


def notebook_problems(executed: Path, toc: Path) -> list[str]:
    """Return what is wrong with the executed notebooks that the table of contents names, one line each."""
    problems = []
    for page in toc_pages(toc):
        if Path(page).parent.name != executed.name:
            continue
        path = executed / f"{Path(page).name}.ipynb"
        if not path.exists():
            problems.append(f"{path} is missing; run `thesis execute {path.stem}`")
            continue
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf8"))["cells"], start=1):
            for output in cell.get("outputs", []):
                if output["output_type"] == "error":
                    problems.append(f"{path.name}, cell {number}: {output['ename']}: {output['evalue']}")
                kinds = list(output.get("data", []))
                if kinds == ["text/plain"] and "".join(output["data"]["text/plain"]).startswith("<Figure"):
                    problems.append(f"{path.name}, cell {number}: a figure that was named but not drawn")
                if kinds and not any(kind.startswith(SHOWN_ON_PAGES) for kind in kinds):
                    problems.append(f"{path.name}, cell {number}: no page can show {', '.join(kinds)}")
    return problems


def page_problems(html: Path, toc: Path) -> list[str]:
    """Return what is wrong with the built pages: missing, empty, untitled, without alt text, with errors."""
    problems = [] if (html / "index.html").exists() else ["there is no index.html"]
    for page in toc_pages(toc):
        path = html / f"{page}.html"
        if path.exists():
            problems += [f"{page}: {problem}" for problem in _problems_of(path.read_text(encoding="utf8"))]
        else:
            problems.append(f"{page}: the page was not built")
    return problems


def _problems_of(text: str) -> Iterator[str]:
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(text, "html.parser")
    article = soup.select_one("article")
    if article is None or len(article.get_text(strip=True)) < SHORTEST_PAGE:
        yield "the page is empty"
        return
    if article.select_one("h1") is None:
        yield "the page has no title"
    for image in article.select("img"):
        alt = image.get("alt", "").strip()
        if not alt or FILE_AS_ALT.search(alt):
            yield f"an image has no alternative text: {image.get('src', '')[:80]}"
    for figure in article.select(".plotly-graph-div"):
        if not figure.find_parent(attrs={"role": "img", "aria-label": True}):
            yield "an interactive figure has no label; show it with thesislib.book_scripts.interactive"
    for output in article.select(".output.traceback"):
        yield f"a cell shows an error: {output.get_text(strip=True)[-120:]}"
    for listing in article.select("pre, code, script, style"):  # a listing may speak of anything
        listing.decompose()
    for match in BROKEN_TEXT.finditer(article.get_text(" ", strip=True)):
        around = match.string[max(match.start() - 40, 0) : match.end() + 40]
        yield f"unresolved or broken text: …{around}…"
