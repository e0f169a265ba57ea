import re

import pytest

from thesislib.datasets.sources import SOURCES, DataError, find_source

FILES = [pytest.param(file, id=file.path) for source in SOURCES for file in source.files]


@pytest.mark.parametrize("file", FILES)
def test_every_file_can_be_checked(file):
    assert file.sha256 or file.md5
    for digest, digits in ((file.sha256, 64), (file.md5, 32), (file.array_sha256, 64)):
        assert digest is None or re.fullmatch(f"[0-9a-f]{{{digits}}}", digest)


@pytest.mark.parametrize("file", FILES)
def test_every_file_keeps_its_published_name_inside_the_data_root(file):
    assert file.url.rsplit("/", 1)[1] == file.path.rsplit("/", 1)[1]
    assert not file.path.startswith("/") and ".." not in file.path.split("/")
    assert re.match(r"https?://(codh\.rois\.ac\.jp|raw\.githubusercontent\.com/brendenlake)/", file.url)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_source_has_its_own_folder_licence_credit_and_way_out(source):
    assert all(file.path.startswith(f"{source.name}/") for file in source.files)
    assert all((source.licence, source.credit, source.when_gone, source.citation_key, source.version))
    assert source.homepage.startswith("https://")


def test_no_two_files_share_a_path_or_a_checksum():
    files = [file for source in SOURCES for file in source.files]
    for values in (
        [file.path for file in files],
        [file.sha256 for file in files if file.sha256],
        [file.array_sha256 for file in files if file.array_sha256],
    ):
        assert len(set(values)) == len(values)


def test_find_source():
    assert all(find_source(source.name) is source for source in SOURCES)
    with pytest.raises(DataError, match="'cifar'.*kmnist, k49, kkanji, omniglot"):
        find_source("cifar")
