"""Where things are: every path of the project, absolute, in one place."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # the checkout: thesislib is installed in editable mode

BOOK = ROOT / "book"
NOTEBOOKS = ROOT / "notebooks"
EXECUTED = BOOK / "executed"  # notebooks with outputs, made by the papermill runner
GENERATED = BOOK / "generated"  # pages and tables made from records

DATA = ROOT / "data"
SPLITS = DATA / "splits"  # committed: which classes or signers are left out
RESULTS = DATA / "results"  # committed: records of full-profile runs
WEIGHTS = DATA / "weights"  # committed: trained networks that later chapters and users need
CACHE = DATA / "cache"  # ignored: what is drawn or solved once and can be made again

BUILD = ROOT / "build"  # ignored
RUNS = BUILD / "runs"  # checkpoints, histories and arrays of runs, one folder a record
QUICK_RESULTS = BUILD / "results"  # records of smoke and quick runs


def raw_data() -> Path:
    """Return the folder of fetched data sets: the environment variable THESIS_DATA, or data/raw."""
    return Path(os.environ.get("THESIS_DATA") or DATA / "raw").expanduser().resolve()
