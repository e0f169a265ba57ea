import pytest

from thesislib.datasets.hand_layouts import LAYOUTS
from thesislib.datasets.hand_sources import HAND_SOURCES, find_hand_source
from thesislib.datasets.sources import SOURCES, DataError


@pytest.mark.parametrize("source", HAND_SOURCES, ids=lambda source: source.name)
def test_every_source_says_whose_it_is_and_how_to_get_it(source):
    assert all((source.licence, source.credit, source.when_gone, source.citation_key, source.version))
    assert source.homepage.startswith("http")
    for file in source.files:
        assert file.path == f"{source.name}/{file.url.rsplit('/', 1)[1]}" and file.unpack
    assert source.files or source.name in source.when_gone or "repository" in source.when_gone


def test_every_layout_has_a_source_and_no_name_is_taken_twice():
    names = [source.name for source in (*SOURCES, *HAND_SOURCES)]
    assert len(set(names)) == len(names)
    assert set(LAYOUTS) - {"ganerated_with_object"} <= {source.name for source in HAND_SOURCES}
    assert find_hand_source("rhd").files[0].bytes == 7_080_690_299
    with pytest.raises(DataError, match="there are: ganerated"):
        find_hand_source("mnist")
