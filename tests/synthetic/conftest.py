"""Solved handshapes of two signers at a time, stored in a temporary folder: fast, and apart from data/cache."""

import pytest

from thesislib.synthetic import contacts


@pytest.fixture(scope="module")
def solved_apart(tmp_path_factory):
    """The folder of solved handshapes, empty at first; blocks hold two signers."""
    folder = tmp_path_factory.mktemp("handshapes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contacts, "cache_folder", lambda: folder)
        patch.setattr(contacts, "BLOCK", 2)
        contacts._block.cache_clear()
        yield folder
    contacts._block.cache_clear()
