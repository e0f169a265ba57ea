"""Records: what a run measured, under which configuration, data and code, as one JSON file."""

import ast
import functools
import hashlib
import json
import math
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from thesislib import paths
from thesislib.config import ExperimentConfig, digest
from thesislib.files import write_whole

Config = TypeVar("Config", bound=ExperimentConfig)

FORMAT = 1
NEEDED = {"experiment", "module", "config", "config_digest", "source_hash", "data", "metrics", "published"}
PACKAGE = Path(__file__).resolve().parent

# Changing these cannot change a measured number, so they do not make a record stale.
BOOKKEEPING = frozenset(f"{PACKAGE.name}.{name}" for name in ("paths", "results", "published")) | {
    PACKAGE.name
}


class RecordError(RuntimeError):
    """A record that is missing, unreadable, or does not belong to the configuration that asks for it."""


def record_name(config: ExperimentConfig, label: str) -> str:
    """Return the file stem of a record: a readable label and the configuration's digest."""
    return f"{label}-{config.digest()}"


def record_path(experiment: str, name: str, *, committed: bool) -> Path:
    """Return where a record lives: data/results for full-profile runs, build/results for the rest."""
    return (paths.RESULTS if committed else paths.QUICK_RESULTS) / experiment / f"{name}.json"


def write_json(path: Path, value: Any) -> None:
    """Write JSON through a temporary file and a rename, so that a killed run leaves no half file."""
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf8"))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays that figures draw, compressed, through a temporary file and a rename."""
    write_whole(path, lambda temporary: np.savez_compressed(temporary, **arrays))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays beside a record; raise RecordError where they are missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RecordError(
            f"cannot read the arrays {path} ({error}); delete the record beside it and run again"
        ) from None


def read_record(path: Path) -> dict[str, Any]:
    """Return a record; raise RecordError where the file is missing, is not JSON, or has another format."""
    try:
        record = json.loads(path.read_text(encoding="utf8"))
    except FileNotFoundError:
        raise RecordError(f"no record at {path}; make it with `thesis run`") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} is not a readable record ({error}); delete it and run again") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT or not record.keys() >= NEEDED:
        raise RecordError(f"{path} is not a record of format {FORMAT}; delete it and run again")
    return record


def make_record(
    experiment: str,
    config: ExperimentConfig,
    *,
    module: str,
    data: Mapping[str, Any],
    split: Mapping[str, Any],
    metrics: Mapping[str, Any],
    published: Mapping[str, Any],
    environment: Mapping[str, str],
    wall_seconds: float,
) -> dict[str, Any]:
    """Return a record; raise RecordError where a metric is not finite.

    ``metrics`` maps names (split, quantity, protocol) to numbers or to lists and mappings of them, unrounded.
    ``published`` maps keys of the printed numbers to the measured value that answers each.
    """
    for name, value in leaves(metrics):
        if isinstance(value, float) and not math.isfinite(value):
            raise RecordError(f"metric {name} is {value}; a record holds finite numbers only")
    return {
        "format": FORMAT,
        "experiment": experiment,
        "module": module,
        "config": config.as_dict(),
        "config_digest": config.digest(),
        "source_hash": source_hash(module),
        "data": dict(data),
        "split": dict(split),
        "environment": dict(environment),
        "wall_seconds": wall_seconds,
        "metrics": dict(metrics),
        "published": dict(published),
    }


def cached(
    path: Path,
    config: ExperimentConfig,
    module: str,
    measure: Callable[[], dict[str, Any]],
    data_sha256: Callable[[], str | None],
) -> dict[str, Any]:
    """Return the stored record of this configuration, or measure and store it.

    Under data/results a record stays valid when code changes (`thesis check` marks it); under build/results
    it is measured again, so that quick results are always fresh. ``data_sha256`` tells what the data are now, or
    None where they are not on this machine; RecordError where the stored record was measured on other data, or
    was edited.
    """
    committed = paths.RESULTS in path.parents
    if path.exists():
        record = _unedited(path)
        if record["config_digest"] == config.digest() and (
            committed or record["source_hash"] == source_hash(module)
        ):
            now = data_sha256()
            if now not in (None, record["data"]["sha256"]):
                raise RecordError(
                    f"{path} was measured on other data ({record['data']['sha256'][:12]}) than are here now "
                    f"({now[:12]}); move the record away to measure these, or restore the data"
                )
            return record
    record = measure()
    write_json(path, record)
    return record


def committed_records(experiment: str) -> list[dict[str, Any]]:
    """Return every committed record of an experiment, by file name; raise RecordError for an edited one."""
    return [_unedited(path) for path in sorted((paths.RESULTS / experiment).glob("*.json"))]


def stored_config(experiment: str, kind: type[Config], **wanted: Any) -> Config | None:
    """Return the configuration of the committed record whose fields have these values, None without one.

    Raises RecordError where more than one has them: which is meant would hang on the names of their files.
    """
    found = [
        kind(**record["config"])
        for record in committed_records(experiment)
        if all(record["config"].get(name) == value for name, value in wanted.items())
    ]
    if len(found) > 1:
        raise RecordError(
            f"{len(found)} stored records of {experiment} have {wanted}; name a value that tells them apart"
        )
    return found[0] if found else None


def state(record: Mapping[str, Any]) -> str:
    """Return 'fresh', 'code changed' (the page says so) or 'edited' (refused: config and digest disagree)."""
    if _edited(record):
        return "edited"
    return "fresh" if record["source_hash"] == source_hash(record["module"]) else "code changed"


def _edited(record: Mapping[str, Any]) -> bool:
    config = {k: v for k, v in record["config"].items() if k != "profile_name"}
    return digest(config) != record["config_digest"]


def _unedited(path: Path) -> dict[str, Any]:
    record = read_record(path)
    if _edited(record):
        raise RecordError(
            f"{path} was edited: its configuration and its digest disagree. Restore it from git, or delete it "
            "and run again."
        )
    return record


# Source hashes: a record names the code that made it -------------------------------------------------


def source_hash(module: str) -> str:
    """Return 16 hex digits over the syntax trees of a module and all it imports from thesislib.

    Docstrings, comments and formatting do not count. Raises RecordError where the module does not exist.
    """
    parts = [f"{name}:{_tree(name)}" for name in sorted(_imported({module}))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _module_file(module: str) -> Path | None:
    stem = PACKAGE.parent.joinpath(*module.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.exists():
            return path
    return None


@functools.cache
def _tree(module: str) -> str:
    tree = ast.parse(_module_file(module).read_text(encoding="utf8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if (
                node.body
                and isinstance(node.body[0], ast.Expr)
                and isinstance(node.body[0].value, ast.Constant)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return _dump(tree)


def _dump(node: Any) -> str:
    """Return a syntax tree as text that is the same under every Python version (ast.dump is not)."""
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={_dump(value)}" for name, value in ast.iter_fields(node) if value not in (None, [])
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    return f"[{','.join(map(_dump, node))}]" if isinstance(node, list) else repr(node)


def _imported(modules: Iterable[str]) -> set[str]:
    """Return the modules and, transitively, everything they import from this package."""
    seen: set[str] = set()
    todo = list(modules)
    while todo:
        module = todo.pop()
        if module in seen or module in BOOKKEEPING:
            continue
        path = _module_file(module)
        if path is None:
            raise RecordError(f"module {module} of a record does not exist; the record cannot be checked")
        seen.add(module)
        todo += _imports(path)
    return seen


@functools.cache
def _imports(path: Path) -> tuple[str, ...]:
    """Return the modules of this package that a file imports itself."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [n for n in names if n.split(".")[0] == PACKAGE.name and _module_file(n)]
    return tuple(found)


def leaves(value: Any, name: str = "") -> Iterable[tuple[str, Any]]:
    """Yield each value inside nested mappings and lists with the way to it: `real.asl7.n_images`, `loss[3]`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{name}[{index}]")
    else:
        yield name, value
