"""The book: run notebooks, show where numbers come from, write pages made from records, build and check."""

import contextlib
import html
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from IPython.display import Markdown

from thesislib import book_checks, book_scripts, paths, published, results
from thesislib.config import ConfigError, unknown
from thesislib.files import write_whole

# The tools whose versions decide how a page looks; the build status lists them.
TOOLS = ("jupyter-book", "sphinx", "sphinx-book-theme", "myst-nb", "papermill", "torch", "numpy")


class BookError(RuntimeError):
    """A notebook that failed, or a book that did not pass its checks."""


# On a notebook's page --------------------------------------------------------------------------------


def provenance(record: Mapping[str, Any], minutes_to_read: int) -> Markdown:
    """Return the box that opens a chapter: profile, seeds, data, split, commit, device, minutes to run again.

    A record whose code has changed since it was measured says so. Raises RecordError for an edited record.
    """
    state = results.state(record)
    if state == "edited":
        raise results.RecordError(
            f"the record {record['experiment']} {record['config_digest']} was edited: its configuration and "
            "its digest disagree. Delete it and run again."
        )
    config, environment = record["config"], record["environment"]
    commit = environment["commit"]
    if state == "code changed":
        code = f'<strong class="stale">measured at commit {html.escape(commit)}, code changed since</strong>'
    else:
        code = f"commit {html.escape(commit)}"
    minutes = record["wall_seconds"] / 60
    rerun = "less than a minute" if minutes < 1 else f"about {minutes:.0f} min"
    rows = {
        "Profile": f"<strong>{html.escape(config['profile_name'])}</strong>",
        "Seed": str(config["seed"]),
        "Data": html.escape(_data_line(record["data"])),
        "Split": html.escape(_split_line(record["split"])),
        "Code": code,
        "Measured on": html.escape(environment["device"]),
        "Time": f"{minutes_to_read} min to read, {rerun} to run again",
    }
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows.items() if value)
    return Markdown(f'<div class="provenance" role="note" aria-label="Provenance">\n<dl>{cells}</dl>\n</div>')


def _data_line(data: Mapping[str, Any]) -> str:
    checksum = f"sha256 {data['sha256'][:12]}…" if data.get("sha256") else ""
    parts = (data.get("title", data["name"]), data.get("version"), checksum)
    return ", ".join(str(part) for part in parts if part)


def _split_line(split: Mapping[str, Any]) -> str:
    """Return a split's name and how many classes, signers or clips each part lists.

    A part that says {"hands": n, "signers": [first, end]} is so many hands, or clips, by the signers of a range.
    """
    counts = [f"{len(v)} {k.replace('_', ' ')}" for k, v in split.items() if isinstance(v, list | tuple)]
    for part, numbers in split.items():
        if isinstance(numbers, Mapping):
            if "subjects" in numbers:  # listed one by one
                who = f"of {len(numbers['subjects']):,} people"
            else:
                first, end = numbers["signers"]
                who = f"by {end - first:,} signer" + "s" * (end - first != 1)
            what = "hands" if "hands" in numbers else "clips"
            counts.append(f"{part.replace('_', ' ')} {numbers[what]:,} {what} {who}")
    return ", ".join([str(split["name"]), *counts] if "name" in split else counts)


def stored_provenance(records: Sequence[Mapping[str, Any]]) -> Markdown:
    """Return one line on stored records: how many, at which commits, on what, and how many the code has left."""
    commits = sorted({record["environment"]["commit"] for record in records})
    devices = sorted({record["environment"]["device"] for record in records})
    changed = sum(results.state(record) == "code changed" for record in records)
    minutes = sum(record["wall_seconds"] for record in records) / 60
    line = (
        f"{len(records)} stored record{'s' * (len(records) != 1)}, measured at commit {', '.join(commits)} "
    )
    line += f"on {'; '.join(devices)}, "
    line += f"{minutes:.0f} minute{'s' * (round(minutes) != 1)} in all"
    mark = f', <strong class="stale">code changed since for {changed}</strong>' if changed else ""
    return Markdown(f'<div class="provenance" role="note">{line}{mark}</div>')


def glue_all(values: Mapping[str, object]) -> None:
    """Glue each value under its key, unseen, for sentences and figures anywhere in the book."""
    from myst_nb import glue

    for key, value in values.items():
        # A numpy number is glued as 'np.float64(0.5)', which no format takes; a plain one works.
        scalar = hasattr(value, "item") and getattr(value, "ndim", None) == 0
        glue(key, value.item() if scalar else value, display=False)


def refuse_unknown_parameters(names: Iterable[str], known: Collection[str]) -> None:
    """Raise ConfigError for a parameter that the notebook does not have; papermill itself would only log it.

    ``names`` are the notebook's variables right after the parameters were set.
    """
    session = {"In", "Out", "get_ipython", "exit", "quit", "open"}  # what IPython defines
    for name in names:
        if not name.startswith("_") and name not in session and name not in known:
            raise ConfigError(unknown("parameter", name, list(known)))


# Running notebooks -----------------------------------------------------------------------------------


def notebooks() -> list[Path]:
    """Return the chapters' notebooks, in the order of the book."""
    return sorted(paths.NOTEBOOKS.glob("[0-9]*.ipynb"))


def find_notebook(name: str) -> Path:
    """Return the notebook of this name, stem or path; raise ConfigError that names the ones there are."""
    for path in notebooks():
        if name in (path.stem, path.name) or Path(name).resolve() == path:
            return path
    raise ConfigError(unknown("notebook", name, [path.stem for path in notebooks()]))


def execute(notebook: Path, parameters: Mapping[str, Any], output: Path) -> None:
    """Run a notebook with this interpreter, in the repository's root, and store it with outputs.

    Raises ConfigError where the notebook has no such parameter, before anything runs, and BookError where a
    cell fails: the notebook as far as it ran is then kept beside ``output`` as ``<stem>.failed.ipynb``.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    if not notebook.exists():
        raise ConfigError(f"there is no notebook {notebook}")
    try:
        known = list(papermill.inspect_notebook(str(notebook)))
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise BookError(f"{notebook} is not a readable notebook ({error}); restore it from git") from None
    for name in parameters:
        if name not in known:
            raise ConfigError(unknown(f"parameter of {notebook.name}", name, known))

    output.parent.mkdir(parents=True, exist_ok=True)
    running = output.with_name(f".{output.stem}.{os.getpid()}.running.ipynb")
    failed = output.with_name(f"{output.stem}.failed.ipynb")
    failed.unlink(missing_ok=True)
    try:
        # Progress bars in a kernel are widgets: on a page they would be empty and load scripts from afar.
        with _environment(TQDM_DISABLE="1"):
            papermill.execute_notebook(
                str(notebook),
                str(running),
                dict(parameters),
                kernel_name="python3",
                cwd=str(paths.ROOT),
                progress_bar={"desc": notebook.stem, "disable": False},
                extra_arguments=["--log-level=CRITICAL"],  # else the kernel's own log lines mix with ours
            )
        nb = nbformat.read(running, as_version=4)
        _hide_injected_parameters(nb)
        nbformat.write(nb, running)
        os.replace(running, output)
    except papermill.PapermillExecutionError as error:
        os.replace(running, failed)
        first_line = next(iter(error.source.strip().splitlines()), "")
        raise BookError(
            f"{notebook.name} failed in cell [{error.exec_count}], which begins {first_line!r}: "
            f"{error.ename}: {error.evalue}\nThe notebook as far as it ran: {failed}"
        ) from None
    except DeadKernelError:
        raise BookError(
            f"{notebook.name}: the kernel died, most likely because memory ran out; try a smaller profile"
        ) from None
    finally:
        running.unlink(missing_ok=True)


def _hide_injected_parameters(nb: Any) -> None:
    """Tag papermill's cell so that the page leaves it out: Jupyter Book shows it whatever papermill says."""
    for cell in nb.cells:
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags and "remove-cell" not in tags:
            cell.metadata["tags"] = [*tags, "remove-cell"]


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set environment variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


# Pages made from records -----------------------------------------------------------------------------


def write_pages(executed: Path = paths.EXECUTED, generated: Path = paths.GENERATED) -> None:
    """Write the parts of the ledger and of the build status that come from records and executed notebooks."""
    generated.mkdir(parents=True, exist_ok=True)
    published.write_ledger(generated / "ledger_table.md", measured_numbers())
    _write_text(generated / "build_status_table.md", build_status(executed))


def measured_numbers() -> dict[str, list[float]]:
    """Return, for each printed number's key, what the committed records measured: one value a record.

    Only committed records count: a quick run on invented data does not answer a printed number.
    """
    measured: dict[str, list[float]] = {}
    for folder in sorted(paths.RESULTS.glob("*/")):
        for record in results.committed_records(folder.name):
            for key, value in record["published"].items():
                measured.setdefault(key, []).append(value)
    return measured


def build_status(executed: Path) -> str:
    """Return a Markdown table of the executed notebooks (profile, start, seconds) and one of the tools."""
    lines = ["| Notebook | Profile | Started (UTC) | Seconds | Python |", "|---|---|---|---:|---|"]
    there = (executed / notebook.name for notebook in notebooks())  # not what another branch has left
    for path in filter(Path.exists, there):
        nb = json.loads(path.read_text(encoding="utf8"))["metadata"]
        run = nb["papermill"]
        started = datetime.fromisoformat(run["start_time"]).strftime("%Y-%m-%d %H:%M")
        profile = run["parameters"].get("profile", "as stored")
        lines.append(
            f"| {{doc}}`executed/{path.stem}` | {profile} | {started} | {run['duration']:.0f} "
            f"| {nb['language_info']['version']} |"
        )
    lines += ["", "| Tool | Version |", "|---|---|"]
    lines += [f"| {name} | {metadata.version(name)} |" for name in TOOLS]
    return "\n".join(lines) + "\n"


def _write_text(path: Path, text: str) -> None:
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf8"))


# Building --------------------------------------------------------------------------------------------


def make(profile: str) -> Path:
    """Carry out the Snakefile's rule `book` on all cores, and return the path of the book's first page.

    Notebooks run two at a time, and only where they, the code or the records have changed since. Raises BookError
    where one fails or the book does.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile", "--cores", "all"]
    # what a run that was killed left half done is done again
    options = ["--rerun-incomplete", "--quiet", "host", "progress", "reason", "rules"]
    if subprocess.run(
        [*command, *options, "--config", f"profile={profile}"], cwd=paths.ROOT, check=False
    ).returncode:
        raise BookError("the book was not made; what stopped it stands above")
    return paths.BUILD / "book" / "index.html"


def build(root: Path = paths.ROOT, output: Path = paths.BUILD / "book") -> Path:
    """Build the HTML book of a checkout from its executed notebooks and return the path of its first page.

    The build is strict (a warning is an error) and the pages are checked. Raises BookError on any problem:
    the pages are then in ``<output>.failed``, and an earlier book stays as it was.
    """
    toc = root / "_toc.yml"
    problems = book_checks.notebook_problems(root / "book" / "executed", toc)
    if problems:
        raise BookError(_listed("the notebooks are not ready for the book", problems))
    book_scripts.copy_scripts(root / "book" / "_static" / "vendor")
    output.parent.mkdir(parents=True, exist_ok=True)
    failed = output.with_name(f"{output.name}.failed")
    shutil.rmtree(failed, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as scratch:
        # -W: a warning fails the build; -n: so does a reference to nowhere; --keep-going: name them all
        options = ["--path-output", scratch, "-W", "-n", "--keep-going", "-q"]
        run = "from jupyter_book.cli.main import main; main()"
        command = [sys.executable, "-c", run, "build", str(root), *options]
        # Warnings go straight to the reader; the tool's own banners do not.
        if subprocess.run(command, stdout=subprocess.PIPE, check=False).returncode:
            problems.append("the strict build gave the warnings above")
        pages = Path(scratch) / "_build" / "html"
        if not pages.exists():
            raise BookError(_listed("the book was not built", problems))
        problems += book_checks.page_problems(pages, toc)
        if problems:
            os.replace(pages, failed)
            raise BookError(_listed(f"the book is not right; the pages are in {failed}", problems))
        _put_in_place(pages, output)
    return output / "index.html"


def _put_in_place(pages: Path, output: Path) -> None:
    """Put new pages where an earlier book is, which comes back where they cannot be moved."""
    earlier = output.with_name(f"{output.name}.earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    if output.exists():
        os.replace(output, earlier)
    try:
        os.replace(pages, output)
    except OSError:
        if earlier.exists():
            os.replace(earlier, output)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


def _listed(title: str, problems: list[str]) -> str:
    return f"{title}:\n" + "\n".join(f"  - {problem}" for problem in problems)
