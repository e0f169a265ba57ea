"""The map in ARCHITECTURE.md names every module of the package, and no other."""

import re

from thesislib import paths

ELSEWHERE = {"__init__.py"}  # in every folder, and nothing to say of it


def test_the_map_names_every_module_and_no_other():
    text = (paths.ROOT / "ARCHITECTURE.md").read_text(encoding="utf8")
    drawn = text[text.index("## Map") : text.index("## Contracts")]
    named = set(re.findall(r"\w+\.py\b", drawn))
    modules = {path.name for path in (paths.ROOT / "src" / "thesislib").rglob("*.py")} - ELSEWHERE
    assert modules - named == set(), "not in the map"
    assert named - modules == set(), "in the map, and not there"
