"""What all tests share: groups for workers, plot settings, and the smoke book, built once a test session."""

import shutil
import subprocess
from pathlib import Path

import matplotlib
import pytest

from thesislib import book, paths

# What pages may refer to, beside book/ itself; data and build folders can be large and are left out.
LINKED = ("src", "notebooks", "workflow", "pyproject.toml", "CITATION.cff", "LICENSE", "Makefile")


@pytest.fixture(autouse=True)
def own_plot_settings():
    """What a test sets for its figures, style.use_style() for one, is gone when it ends."""
    with matplotlib.rc_context():
        yield


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker, and all that needs the smoke book on one worker, after the rest."""
    for item in items:
        needs_book = "executed_notebooks" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("book" if needs_book else item.path.stem))
    items.sort(key=lambda item: "executed_notebooks" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def book_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout's book, so that tests never touch the pages that `make book` made."""
    root = tmp_path_factory.mktemp("checkout")
    made = shutil.ignore_patterns("executed", "generated", "vendor", ".ipynb_checkpoints")
    shutil.copytree(paths.BOOK, root / "book", ignore=made)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copyfile(paths.ROOT / name, root / name)
    for name in LINKED:
        if (paths.ROOT / name).exists():
            (root / name).symlink_to(paths.ROOT / name)
    return root


@pytest.fixture(scope="session")
def executed_notebooks(book_root: Path) -> dict[str, Path]:
    """Every notebook, executed in the profile smoke by the book's own runner: stem -> executed file."""
    executed = {}
    for notebook in book.notebooks():
        executed[notebook.stem] = book_root / "book" / "executed" / notebook.name
        book.execute(notebook, {"profile": "smoke"}, executed[notebook.stem])
    return executed


@pytest.fixture(scope="session")
def smoke_pages(book_root: Path, executed_notebooks: dict[str, Path]) -> Path:
    """The folder of HTML pages, built strictly and checked, from the smoke notebooks."""
    book.write_pages(book_root / "book" / "executed", book_root / "book" / "generated")
    return book.build(book_root, book_root / "build" / "book").parent


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of an installed Chromium or Chrome that starts; without one the test is skipped."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path and subprocess.run([path, "--version"], capture_output=True).returncode == 0:
            return path
    pytest.skip(
        "no Chromium on this machine; install it (apt-get install chromium) to test the pages in a browser"
    )
