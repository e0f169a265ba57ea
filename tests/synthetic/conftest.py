"""Handshapes without waiting: those of the table, or solved for two signers at a time in a temporary folder."""

import pytest
import torch

from thesislib.synthetic import contacts, signing
from thesislib.synthetic.handshapes import alphabet
from thesislib.synthetic.sign_parts import ALPHABET


@pytest.fixture(scope="module")
def table_hands():
    """Everybody has the handshapes of the table: solving them for each signer is tested elsewhere, and slow."""
    shapes = torch.tensor([shape.angles for shape in alphabet(ALPHABET).values()])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signing, "signer_handshapes", lambda name, who, spread: shapes.expand(len(who), -1, -1))
        yield


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
