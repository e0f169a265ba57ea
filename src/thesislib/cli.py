"""The command `thesis`: fetch data, run a chapter, make the book, check the records."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from thesislib.config import PROFILES, ConfigError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 for a failure, 2 for a request that cannot be met."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except KeyboardInterrupt:
        print("thesis: stopped; a run goes on from its last checkpoint when started again", file=sys.stderr)
        return 130
    except Exception as error:
        status = _expected(error)
        if status is None or options.traceback:
            raise
        print(f"thesis: {error}", file=sys.stderr)
        return status


def _expected(error: Exception) -> int | None:
    """Return the exit status for an error that its message explains, or None for one that is our mistake."""
    if isinstance(error, ConfigError):
        return 2
    from thesislib.book import BookError
    from thesislib.datasets.sources import DataError
    from thesislib.results import RecordError
    from thesislib.training import TrainingDiverged

    if isinstance(error, BookError | DataError | RecordError | TrainingDiverged | OSError):
        return 1
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="thesis", description=__doc__)
    parser.add_argument("--traceback", action="store_true", help="show where in the code an error arose")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, description: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=description, description=description)
        added.set_defaults(command=function)
        return added

    def profile(added: argparse.ArgumentParser) -> None:
        added.add_argument("--profile", choices=PROFILES, default="quick", help="size of the run")

    def parameters(added: argparse.ArgumentParser) -> None:
        text = "set a parameter; VALUE is JSON, or else text. May be repeated"
        added.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help=text)

    added = command(
        "fetch", _fetch, "download a data set, verify it, and store it in data/raw or THESIS_DATA"
    )
    added.add_argument("name", metavar="NAME", help="kmnist, k49, kkanji, omniglot")

    added = command("run", _run, "run a chapter's experiment, or show its record where there is one")
    added.add_argument("chapter", metavar="CHAPTER", help="a module of thesislib.chapters")
    profile(added)
    parameters(added)

    added = command("execute", _execute, "run one notebook into book/executed")
    added.add_argument("notebook", metavar="NOTEBOOK", help="name or path of a notebook")
    profile(added)
    parameters(added)

    command("build", _build, "build the book from the executed notebooks, and check its pages")
    profile(command("book", _book, "run every notebook, then build and check the book"))
    command("check", _check, "list the committed records and say which no longer belong to the code")
    return parser


def values(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return parameters as typed values: JSON where it reads as JSON, else the text itself."""
    values = {}
    for name, text in pairs:
        try:
            values[name] = json.loads(text)
        except json.JSONDecodeError:
            values[name] = text
    return values


def _fetch(options: argparse.Namespace) -> None:
    from thesislib import paths
    from thesislib.datasets.fetch import fetch
    from thesislib.datasets.sources import find_source

    fetch(find_source(options.name), paths.raw_data())
    print(f"{options.name} is in {paths.raw_data()}")


def _run(options: argparse.Namespace) -> None:
    import importlib
    import pkgutil

    from thesislib import chapters
    from thesislib.results import state

    names = [module.name for module in pkgutil.iter_modules(chapters.__path__)]
    if options.chapter not in names:
        raise ConfigError(f"there is no chapter {options.chapter!r}; look among {', '.join(names)}")
    chapter = importlib.import_module(f"thesislib.chapters.{options.chapter}")
    if not hasattr(chapter, "run"):
        raise ConfigError(f"{options.chapter!r} is a part of a chapter and does not run by itself")
    config = chapter.Config.profile(options.profile, **values(options.p))
    record = chapter.run(config)
    for name, value in record["metrics"].items():
        if isinstance(value, int | float):
            print(f"{name}  {value:.6g}")
    for name, metrics in record["metrics"].get("embeddings", {}).items():
        for metric, value in metrics.items():
            if metric.startswith("unseen_balanced_accuracy") and metric.endswith("_max_rule"):
                print(f"{name} {metric}  {value['mean']:.4f} ± {value['sd']:.4f}")
    print(f"measured in {record['wall_seconds']:.0f} s at commit {record['environment']['commit']}")
    print(f"record: {os.path.relpath(chapter.record_path(config))} ({state(record)})")


def _execute(options: argparse.Namespace) -> None:
    from thesislib import book, paths

    notebook = book.find_notebook(options.notebook)
    print(f"running {notebook.name}, profile {options.profile}", flush=True)
    parameters = {"profile": options.profile, **values(options.p)}
    book.execute(notebook, parameters, paths.EXECUTED / notebook.name)


def _build(options: argparse.Namespace) -> None:
    from thesislib import book

    print("building the book", flush=True)
    book.write_pages()
    print(f"built and checked: {book.build()}")


def _book(options: argparse.Namespace) -> None:
    from thesislib import book

    for notebook in book.notebooks():
        _execute(argparse.Namespace(notebook=str(notebook), profile=options.profile, p=[]))
    _build(options)


def _check(options: argparse.Namespace) -> int:
    from thesislib import paths
    from thesislib.results import RecordError, read_record, state

    refused = 0
    records = sorted(paths.RESULTS.rglob("*.json"))
    for path in records:
        try:
            found = state(read_record(path))
        except RecordError as error:
            found = f"unreadable: {error}"
        except KeyError as error:
            found = f"unreadable: it has no {error}"
        refused += found not in ("fresh", "code changed")
        print(f"{os.path.relpath(path, paths.ROOT)}  {found}")
    print(f"{len(records)} records, {refused} refused")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
