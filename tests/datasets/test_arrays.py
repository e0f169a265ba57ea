import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thesislib.datasets.arrays import array_digest, read_npz, write_npz
from thesislib.datasets.sources import DataError

IMAGES = np.arange(5 * 9, dtype=np.uint8).reshape(5, 3, 3)
LAYOUT = {"arr_0": (np.uint8, (None, 3, 3))}


def npz_bytes(**arrays) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def test_written_arrays_come_back_and_nothing_else_stays(tmp_path):
    path = tmp_path / "new" / "a.npz"
    write_npz(path, arr_0=IMAGES, names=np.array(["x"]))
    write_npz(path, arr_0=IMAGES + 1, names=np.array(["あ", "U+4E00"]))
    images, names = read_npz(path, {**LAYOUT, "names": (np.str_, (None,))})
    assert (images == IMAGES + 1).all() and names.tolist() == ["あ", "U+4E00"]
    assert [file.name for file in path.parent.iterdir()] == ["a.npz"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    write_npz(path, arr_0=IMAGES)

    def half_then_full_disk(path, **arrays):
        path.write_bytes(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", half_then_full_disk)
    with pytest.raises(DataError, match="No space left.*Make room"):
        write_npz(path, arr_0=IMAGES + 1)
    assert (read_npz(path, LAYOUT)[0] == IMAGES).all()
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": IMAGES}, "no array 'arr_0', only \\['other'\\]"),
        ({"arr_0": IMAGES.astype(np.float32)}, "float32 .5, 3, 3., expected uint8"),
        ({"arr_0": IMAGES[:, :2]}, "expected uint8 .'any', 3, 3."),
        ({"arr_0": IMAGES[0]}, "expected uint8"),
    ],
)
def test_a_foreign_array_is_named(tmp_path, arrays, message):
    path = tmp_path / "a.npz"
    path.write_bytes(npz_bytes(**arrays))
    with pytest.raises(DataError, match=message):
        read_npz(path, LAYOUT)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_pickled_objects_are_never_loaded(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz_bytes(arr_0=np.array([Bomb()], dtype=object)))
    np.save(tmp_path / "b.npz.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    (tmp_path / "b.npz.npy").rename(tmp_path / "b.npz")
    for name in ("a.npz", "b.npz"):
        with pytest.raises(DataError, match=f"{name} is not a readable .npz"):
            read_npz(tmp_path / name, LAYOUT)


@pytest.mark.parametrize("content", [b"", b"PK", b"<html>404</html>", b"\x80\x04N.", b"\x93NUMPY\x01\x00"])
def test_files_that_are_no_npz(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match="not a readable .npz"):
        read_npz(tmp_path / "a.npz", LAYOUT)


def test_a_bare_npy_and_a_missing_file(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES)
    for name in ("a.npy", "nothing.npz"):
        with pytest.raises(DataError, match=name):
            read_npz(tmp_path / name, LAYOUT)


WHOLE = npz_bytes(arr_0=IMAGES)


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255), st.booleans())
def test_damage_is_an_error_or_harmless(tmp_path_factory, place, flip, cut):
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(
        WHOLE[:place] if cut else WHOLE[:place] + bytes([WHOLE[place] ^ flip]) + WHOLE[place + 1 :]
    )
    try:
        (images,) = read_npz(path, LAYOUT)
    except DataError:
        return
    assert (images == IMAGES).all() and not cut


def test_the_digest_knows_values_shape_and_dtype_but_not_the_memory_layout():
    base = array_digest(IMAGES)
    others = [IMAGES + 1, IMAGES.reshape(5, 9), IMAGES.astype(np.int16), IMAGES[:4]]
    assert len({base, *map(array_digest, others), array_digest(IMAGES, IMAGES)}) == 6
    assert array_digest(np.asfortranarray(IMAGES)) == base
    assert array_digest(IMAGES.astype(">i4")) == array_digest(IMAGES.astype("<i4"))
    assert array_digest(IMAGES[:0]) != array_digest()
