import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from thesislib.datasets.archives import unpack
from thesislib.datasets.glyph_archives import kkanji_arrays, omniglot_arrays
from thesislib.datasets.sources import DataError

RANDOM = np.random.RandomState(0)


def png(pixels: np.ndarray, mode: str = "L") -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(content, "PNG")
    return content.getvalue()


def kanji_png(row: int, column: int) -> bytes:
    """A grey 64 x 64 drawing on black: one bright square of 16 pixels with its corner here."""
    pixels = np.zeros((64, 64), np.uint8)
    pixels[row : row + 16, column : column + 16] = 200
    return png(pixels)


def write_tar(path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


KANJI = {
    "kkanji2/U+4E8C/ffff.png": kanji_png(0, 48),  # stored last in its class, whatever the order in the tar
    "kkanji2/U+4E00/0a.png": kanji_png(48, 0),
    "kkanji2/U+4E8C/00aa.png": kanji_png(0, 0),
    "kkanji2/U+4E8C/._00aa.png": b"what macOS leaves in archives",
    "kkanji2/readme.txt": b"no image",
}


def test_kanji_are_shrunk_sorted_and_cached(tmp_path):
    write_tar(tmp_path / "kkanji" / "kkanji.tar", KANJI)
    images, labels, classes = kkanji_arrays(tmp_path)
    assert images.shape == (3, 28, 28) and images.dtype == np.uint8
    assert classes == ["U+4E00", "U+4E8C"] and labels.tolist() == [0, 1, 1] and labels.dtype == np.int64
    brightest_corner = [
        int(np.argmax([i[:7, :7].mean(), i[:7, 21:].mean(), i[21:, :7].mean()])) for i in images
    ]
    assert brightest_corner == [2, 0, 1]
    assert images.mean(axis=(1, 2)) == pytest.approx(200 / 16, rel=0.03)  # a sixteenth of the area is 200
    assert sorted(p.name for p in (tmp_path / "kkanji").iterdir()) == ["kkanji.tar", "kkanji_all_28.npz"]

    (tmp_path / "kkanji" / "kkanji.tar").unlink()
    again = kkanji_arrays(tmp_path)
    assert (again[0] == images).all() and (again[1] == labels).all() and again[2] == classes


def test_shrinking_averages_thin_strokes_and_loses_none(tmp_path):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200
    write_tar(tmp_path / "kkanji" / "kkanji.tar", {"kkanji2/U+4E00/a.png": png(stripes)})
    inner = kkanji_arrays(tmp_path)[0][0, 2:-2, 2:-2].astype(float)
    assert abs(inner - 100).max() < 10


def test_the_unpacked_kanji_folder_gives_the_same(tmp_path):
    for name, content in KANJI.items():
        (tmp_path / "kkanji" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kkanji" / name).write_bytes(content)
    write_tar(tmp_path / "other" / "kkanji" / "kkanji.tar", KANJI)
    assert (kkanji_arrays(tmp_path)[0] == kkanji_arrays(tmp_path / "other")[0]).all()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"kkanji2/U+4E00/a.png": png(np.zeros((32, 64), np.uint8))}, "a.png is not.*64 x 32 pixels"),
        ({"kkanji2/U+4E00/a.png": kanji_png(0, 0)[:-60]}, "a.png is not an image"),
        ({"kkanji2/U+4E00/a.png": b"GIF89a"}, "a.png is not an image"),
        ({"kkanji2/one/a.png": kanji_png(0, 0)}, "folder 'one'; expected names like U\\+4E00"),
        ({"notes.txt": b"nothing"}, "no image in a folder"),
        ({"../U+4E00/a.png": kanji_png(0, 0)}, "leads out"),
    ],
)
def test_a_foreign_tar_is_refused_and_no_cache_is_left(tmp_path, files, message):
    write_tar(tmp_path / "kkanji" / "kkanji.tar", files)
    with pytest.raises(DataError, match=message):
        kkanji_arrays(tmp_path)
    assert [p.name for p in (tmp_path / "kkanji").iterdir()] == ["kkanji.tar"]


def test_a_truncated_tar_is_refused(tmp_path):
    path = tmp_path / "kkanji" / "kkanji.tar"
    write_tar(path, KANJI)
    path.write_bytes(path.read_bytes()[:1536])  # ends cleanly after the first image
    with pytest.raises(DataError, match="truncated"):
        kkanji_arrays(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([0, 1, 2], np.uint16)}, "labels run from 0 to 2, expected 0 to 1"),
        ({"labels": np.array([0, 1], np.uint16)}, "3 images and 2 labels"),
        ({"imgs": np.zeros((0, 28, 28), np.uint8), "labels": np.zeros(0, np.uint16)}, "0 images"),
        ({"imgs": np.zeros((3, 64, 64), np.uint8)}, "expected uint8"),
        ({"classes": np.array([1, 2])}, "expected str_"),
    ],
)
def test_a_broken_kanji_cache_is_named(tmp_path, change, message):
    arrays = {
        "imgs": np.zeros((3, 28, 28), np.uint8),
        "labels": np.array([0, 1, 1], np.uint16),
        "classes": np.array(["U+4E00", "U+4E8C"]),
    }
    (tmp_path / "kkanji").mkdir()
    np.savez(tmp_path / "kkanji" / "kkanji_all_28.npz", **{**arrays, **change})
    with pytest.raises(DataError, match=message):
        kkanji_arrays(tmp_path)


def omniglot_png(drawer: int, at: int) -> bytes:
    """A 1-bit drawing, black on white: one vertical stroke of 2 pixels, and a dot that tells the drawer."""
    pixels = np.full((105, 105), 255, np.uint8)
    pixels[20:90, at : at + 2] = 0
    pixels[4:8, 4 * drawer : 4 * drawer + 4] = 0
    return png(pixels, "1")


def write_omniglot(
    root, background=("Greek/character01", "Greek/character02"), evaluation=("Atlantean/character01",)
):
    (root / "omniglot").mkdir(parents=True)
    for part, characters in (("images_background", background), ("images_evaluation", evaluation)):
        with zipfile.ZipFile(root / "omniglot" / f"{part}.zip", "w") as archive:
            for number, character in enumerate(characters):
                for drawer in range(20, 0, -1):
                    name = f"{part}/{character}/{number:04d}_{drawer:02d}.png"
                    archive.writestr(name, omniglot_png(drawer, at=30 + 20 * number))


def test_omniglot_becomes_bright_ink_in_drawer_order(tmp_path):
    write_omniglot(tmp_path)
    images, labels, classes = omniglot_arrays(tmp_path)
    assert classes == ["Atlantean/character01", "Greek/character01", "Greek/character02"]
    assert images.shape == (60, 28, 28) and set(np.unique(images)) == {0, 255}
    assert labels.tolist() == [0] * 20 + [1] * 20 + [2] * 20
    assert (images[:, 7:23] == 255).any(axis=2).all(), "a stroke of 2 pixels is broken"
    assert 0 < images.mean() < 30
    stroke = images[:, 10:20].mean(axis=(0, 1)) > 0  # the strokes of both numbers, and nothing beside them
    assert set(np.flatnonzero(stroke)) <= {7, 8, 13, 14}
    dot = np.argmax(images[:, 1], axis=1) * 105 / 28 / 4  # the drawer that each image tells, 1 to 20
    assert (np.diff(dot.reshape(3, 20), axis=1) >= 0).all() and dot.min() < 2 and dot.max() > 19
    assert "omniglot_bits.npz" in [p.name for p in (tmp_path / "omniglot").iterdir()]


def test_omniglot_zips_folders_and_cache_agree(tmp_path):
    write_omniglot(tmp_path)
    from_zips = omniglot_arrays(tmp_path)
    folder = tmp_path / "omniglot"
    from_cache = omniglot_arrays(tmp_path)
    for part in ("images_background", "images_evaluation"):
        unpack(folder / f"{part}.zip", folder / part)
        (folder / f"{part}.zip").unlink()
    (folder / "omniglot_bits.npz").unlink()
    from_folders = omniglot_arrays(tmp_path)
    for other in (from_cache, from_folders):
        assert (
            (other[0] == from_zips[0]).all() and (other[1] == from_zips[1]).all() and other[2] == from_zips[2]
        )


def test_half_of_omniglot_is_not_omniglot(tmp_path):
    write_omniglot(tmp_path)
    (tmp_path / "omniglot" / "images_evaluation.zip").unlink()
    with pytest.raises(DataError, match="images_evaluation.zip is missing.*thesis fetch omniglot"):
        omniglot_arrays(tmp_path)


def test_a_missing_drawer_is_named(tmp_path):
    write_omniglot(tmp_path)
    folder = tmp_path / "omniglot"
    unpack(folder / "images_background.zip", folder / "images_background")
    (folder / "images_background.zip").unlink()
    (folder / "images_background" / "Greek" / "character02" / "0001_07.png").unlink()
    with pytest.raises(DataError, match="Greek/character02 has 19 drawings, expected 20"):
        omniglot_arrays(tmp_path)


def test_a_read_only_folder_says_so(tmp_path, monkeypatch):
    write_tar(tmp_path / "kkanji" / "kkanji.tar", KANJI)

    def read_only(file, **arrays):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(np, "savez_compressed", read_only)
    with pytest.raises(DataError, match="Read-only file system.*make the folder writable"):
        kkanji_arrays(tmp_path)
