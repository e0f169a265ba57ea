"""Each chapter's notebook: how it is stored, and that all of it runs in the smoke profile."""

import ast
from pathlib import Path

import nbformat
import pytest

from thesislib import book, book_checks, paths, results

NOTEBOOKS = book.notebooks()
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    nb = nbformat.read(path, as_version=4)
    nbformat.validate(nb)
    return nb


def code_cells(nb: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def test_the_table_of_contents_lists_exactly_the_notebooks():
    pages = [Path(page) for page in book_checks.toc_pages(paths.ROOT / "_toc.yml")]
    listed = [page.name for page in pages if page.parent.name == paths.EXECUTED.name]
    assert sorted(listed) == [path.stem for path in NOTEBOOKS]
    assert listed


def test_figures_have_names_of_their_own_in_the_whole_book():
    cells = [cell for notebook in NOTEBOOKS for cell in read(notebook).cells]
    named = [
        cell.metadata["mystnb"]["figure"]["name"]
        for cell in cells
        if "figure" in cell.metadata.get("mystnb", {})
    ]
    assert len(named) > len(NOTEBOOKS)
    assert sorted(named) == sorted(set(named))


@each_notebook
def test_stored_without_outputs(notebook: Path):
    for cell in code_cells(read(notebook)):
        assert cell.outputs == [] and cell.execution_count is None, cell.source
    assert "papermill" not in read(notebook).metadata


@each_notebook
def test_one_parameters_cell_of_at_most_eight_explained_literals(notebook: Path):
    (cell,) = [cell for cell in code_cells(read(notebook)) if "parameters" in tags(cell)]
    statements = ast.parse(cell.source).body
    assert 1 <= len(statements) <= 8
    for statement in statements:
        assert isinstance(statement, ast.Assign | ast.AnnAssign), ast.unparse(statement)
        ast.literal_eval(statement.value)  # a literal, so that papermill can replace it
        assert "#" in cell.source.splitlines()[statement.end_lineno - 1], "say what the parameter is for"
    assert "profile" in [ast.unparse(s.targets[0]) for s in statements if isinstance(s, ast.Assign)]


@each_notebook
def test_tells_a_story_and_defines_nothing_long(notebook: Path):
    for cell in code_cells(read(notebook)):
        visible = not {"remove-cell", "remove-input", "hide-input", "hide-cell"} & set(tags(cell))
        assert not visible or len(cell.source.splitlines()) <= 12, cell.source
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.ClassDef), node.name
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 5, node.name


@pytest.mark.notebook
@each_notebook
def test_every_cell_runs_in_the_smoke_profile(notebook: Path, executed_notebooks: dict[str, Path]):
    nb = read(executed_notebooks[notebook.stem])
    assert all(cell.execution_count for cell in code_cells(nb) if cell.source.strip())
    assert not [o for cell in code_cells(nb) for o in cell.outputs if o.output_type == "error"]
    (injected,) = [cell for cell in code_cells(nb) if "injected-parameters" in tags(cell)]
    assert "smoke" in injected.source and "remove-cell" in tags(injected)


@each_notebook
def test_at_full_size_a_page_begins_with_what_is_stored(notebook: Path, monkeypatch):
    """`make book PROFILE=full` shows stored runs: nothing is trained, and what figures draw is there."""

    def stored(path: Path, config, *_) -> dict:
        assert paths.RESULTS in path.parents, f"{path} is not a committed record"
        record = results.read_record(path)
        assert record["config_digest"] == config.digest()
        return record

    monkeypatch.setattr(results, "cached", stored)
    page: dict = {}
    for cell in code_cells(read(notebook)):
        exec(compile(cell.source, notebook.name, "exec"), page)
        if "parameters" in tags(cell):
            page["profile"] = "full"
        if "book.provenance(" in cell.source:
            break
    assert page["record"]["config"]["profile_name"] == "full"
