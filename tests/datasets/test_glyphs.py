import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from thesislib.datasets import glyphs
from thesislib.datasets.glyphs import GlyphDataset, GlyphImages, load
from thesislib.datasets.sources import DataError, find_source

HIRAGANA_49 = (
    "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわゐゑをんゝ"
)


def random_images(count: int, seed: int) -> np.ndarray:
    """Different images, dark on the whole, as bright ink on dark is."""
    return (np.random.RandomState(seed).rand(count, 28, 28) ** 4 * 255).astype(np.uint8)


def write_official(root: Path, name: str, num_classes: int, train: int, test: int) -> None:
    """Write the four .npz files of Kuzushiji-MNIST or -49 as published: one arr_0 each, labels uint8."""
    (root / name).mkdir(parents=True)
    for part, per_class, seed in (("train", train, 1), ("test", test, 2)):
        label = np.tile(np.arange(num_classes, dtype=np.uint8), per_class)
        np.savez_compressed(root / name / f"{name}-{part}-imgs.npz", random_images(len(label), seed))
        np.savez_compressed(root / name / f"{name}-{part}-labels.npz", label)


def write_k49(root: Path) -> None:
    write_official(root, "k49", 49, 4, 2)
    rows = [f"{index},U+{ord(kana):04X},{kana}" for index, kana in enumerate(HIRAGANA_49)]
    (root / "k49" / "k49_classmap.csv").write_text(
        "\n".join(["index,codepoint,char", *rows]), encoding="utf8"
    )


def write_kkanji(root: Path, counts: list[int]) -> np.ndarray:
    """Write the cache of a made-up Kuzushiji-Kanji with so many images of each class; return its images."""
    (root / "kkanji").mkdir(parents=True, exist_ok=True)
    images = random_images(sum(counts), 3)
    np.savez(
        root / "kkanji" / "kkanji_all_28.npz",
        imgs=images,
        labels=np.repeat(np.arange(len(counts)), counts).astype(np.uint16),
        classes=np.array([f"U+{0x4E00 + index:04X}" for index in range(len(counts))]),
    )
    return images


def as_set(images: GlyphImages) -> set[bytes]:
    return {image.tobytes() for image in images.image}


def test_kmnist_in_its_official_layout(tmp_path):
    write_official(tmp_path, "kmnist", 10, 6, 2)
    data = load("kmnist", tmp_path)
    assert "".join(data.classes) == "おきすつなはまやれを"
    assert (data.train.image == random_images(60, 1)).all() and (
        data.test.image == random_images(20, 2)
    ).all()
    assert (
        data.train.label.tolist() == list(range(10)) * 6 and data.test.label.tolist() == list(range(10)) * 2
    )
    assert data.licence == "CC BY-SA 4.0" and "CODH" in data.credit and data.note


def test_k49_in_its_official_layout(tmp_path):
    write_k49(tmp_path)
    data = load("k49", tmp_path)
    assert "".join(data.classes) == HIRAGANA_49
    assert Counter(data.train.label.tolist()) == dict.fromkeys(range(49), 4)
    assert Counter(data.test.label.tolist()) == dict.fromkeys(range(49), 2)
    assert load("k49", tmp_path, num_classes=49).sha256 == data.sha256


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n1,2\n",
        "index,codepoint,char\n0,U+3042,あ\n".encode(),
        b"\xff\xfe\x00",
        b"index,codepoint\n0\n",
    ],
)
def test_a_foreign_class_map_is_refused(tmp_path, content):
    write_k49(tmp_path)
    (tmp_path / "k49" / "k49_classmap.csv").write_bytes(content)
    with pytest.raises(DataError, match="k49_classmap.csv.*fetch it again"):
        load("k49", tmp_path)


def test_kanji_are_divided_every_sixth_image_of_a_class(tmp_path):
    images = write_kkanji(tmp_path, [13, 1, 5, 6])
    data = load("kkanji", tmp_path)
    assert data.classes == ("一", "丁", "丂", "七")
    assert (data.test.image == images[[5, 11, 13 + 1 + 5 + 5]]).all() and data.test.label.tolist() == [
        0,
        0,
        3,
    ]
    assert as_set(data.train) | as_set(data.test) == {image.tobytes() for image in images}
    assert Counter(data.train.label.tolist()) == {0: 11, 1: 1, 2: 5, 3: 5}
    assert "0 blank" in data.note and "0 test images that are also in train" in data.note


def test_blank_kanji_and_test_images_that_train_holds_are_left_out_and_counted(tmp_path):
    write_kkanji(tmp_path, [13, 12])
    path = tmp_path / "kkanji" / "kkanji_all_28.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["imgs"][12] = 0  # blank, last of class 0
    arrays["imgs"][5] = arrays["imgs"][20]  # a test image of class 0 that is also a train image of class 1
    np.savez(path, **arrays)
    data = load("kkanji", tmp_path)
    assert "1 blank images, 1 test images" in data.note
    assert Counter(data.train.label.tolist()) == {0: 10, 1: 10} and Counter(data.test.label.tolist()) == {
        0: 1,
        1: 2,
    }
    assert not as_set(data.train) & as_set(data.test)


def test_labels_need_not_be_sorted(tmp_path):
    images = write_kkanji(tmp_path, [12, 12])
    order = np.arange(24).reshape(2, 12).T.ravel()  # the classes take turns
    with np.load(tmp_path / "kkanji" / "kkanji_all_28.npz") as archive:
        arrays = {**archive, "imgs": images[order], "labels": archive["labels"][order]}
    np.savez(tmp_path / "kkanji" / "kkanji_all_28.npz", **arrays)
    assert as_set(load("kkanji", tmp_path).test) == {images[index].tobytes() for index in (5, 11, 17, 23)}


def test_the_stand_in_is_ten_kana_and_the_most_frequent_kanji(tmp_path):
    write_official(tmp_path, "kmnist", 10, 6, 2)
    counts = [6, 7] + [12] * 19 + [18] * 20  # 41 classes: the first two are too rare
    write_kkanji(tmp_path, counts)
    data = load("k49_stand_in", tmp_path)
    kanji = [chr(0x4E00 + index) for index in [*range(21, 41), *range(2, 21)]]
    assert data.classes == (*"おきすつなはまやれを", *kanji)
    assert Counter(data.train.label.tolist()) == {i: 6 if i < 10 else 15 if i < 30 else 10 for i in range(49)}
    assert Counter(data.test.label.tolist()) == {i: 2 if i < 10 else 3 if i < 30 else 2 for i in range(49)}
    alone = load("kkanji", tmp_path)
    for part, whole in ((data.train, alone.train), (data.test, alone.test)):
        for label in (10, 29, 30, 48):  # the same images of the same character as in the whole set
            same = whole.image[whole.label == alone.classes.index(data.classes[label])]
            assert (part.image[part.label == label] == same).all()
    assert "kana 2019-02-05" in data.version


def test_blank_images_do_not_make_a_kanji_frequent(tmp_path):
    write_official(tmp_path, "kmnist", 10, 6, 2)
    write_kkanji(tmp_path, [13, *[6] * 39])
    path = tmp_path / "kkanji" / "kkanji_all_28.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["imgs"][:8] = 0
    np.savez(path, **arrays)
    assert "一" not in load("k49_stand_in", tmp_path).classes


def test_the_stand_in_needs_39_kanji(tmp_path):
    write_official(tmp_path, "kmnist", 10, 6, 2)
    write_kkanji(tmp_path, [6] * 38)
    with pytest.raises(DataError, match="38 classes; the stand-in needs 39"):
        load("k49_stand_in", tmp_path)


def test_omniglot_is_divided_by_drawer(tmp_path):
    (tmp_path / "omniglot").mkdir()
    bits = np.packbits(random_images(40, 4).reshape(40, -1) < 200, axis=1)
    bits[25] = bits[3]  # drawer 6 of the second character drew what drawer 4 of the first did: both in train
    bits[30] = bits[4]  # drawer 11 of the second did too: this one leaves the test part
    names = np.repeat(["somewhere/Greek/character01", "somewhere/Latin/character02"], 20)
    np.savez(tmp_path / "omniglot" / "omniglot_bits.npz", bits=bits, cls=names)
    data = load("omniglot", tmp_path)
    assert data.classes == ("Greek/character01", "Latin/character02")
    expected = np.unpackbits(bits, axis=1).reshape(-1, 28, 28)
    train, test = [*range(10), *range(20, 30)], [*range(10, 20), *range(31, 40)]
    assert ((data.train.image == 0) == expected[train]).all() and (
        (data.test.image == 0) == expected[test]
    ).all()
    assert "1 test images left out" in data.note


def test_invented_characters_come_from_disjoint_writers(tmp_path, monkeypatch):
    drawn = []

    def remember(*args, **kwargs):
        drawn.append(draw_characters(*args, **kwargs))
        return drawn[-1]

    draw_characters = glyphs.draw_characters
    monkeypatch.setattr(glyphs, "draw_characters", remember)
    data = load("invented", tmp_path, num_classes=3, images_per_class=10, seed=7)
    train, test = drawn
    assert not set(train.writer) & set(test.writer)
    assert Counter(data.train.label.tolist()) == {0: 10, 1: 10, 2: 10} and len(data.test) == 6
    assert len(data.classes) == 3 and data.licence == "CC BY 4.0"
    assert (
        len(load("invented", tmp_path, num_classes=2, images_per_class=1, test_images_per_class=4).test) == 8
    )
    again = load("invented", tmp_path, num_classes=3, images_per_class=10, seed=7)
    assert again.sha256 == data.sha256
    assert load("invented", tmp_path, num_classes=3, images_per_class=10, seed=8).sha256 != data.sha256


def test_a_cap_is_proportional_deterministic_and_nested(tmp_path):
    write_kkanji(tmp_path, [60, 12, 3])
    whole, five, ten = (load("kkanji", tmp_path, images_per_class=n) for n in (None, 5, 10))
    assert Counter(whole.train.label.tolist()) == {0: 50, 1: 10, 2: 3} and len(whole.test) == 12
    assert Counter(ten.train.label.tolist()) == {0: 10, 1: 10, 2: 3} and Counter(ten.test.label.tolist()) == {
        0: 2,
        1: 2,
    }
    assert Counter(five.train.label.tolist()) == {0: 5, 1: 5, 2: 3} and Counter(five.test.label.tolist()) == {
        0: 1,
        1: 1,
    }
    one = load("kkanji", tmp_path, images_per_class=1)  # a fiftieth of 10 test images is less than one
    assert Counter(one.test.label.tolist()) == {0: 1, 1: 1}
    assert as_set(five.train) < as_set(ten.train) < as_set(whole.train)
    assert five.sha256 == load("kkanji", tmp_path, images_per_class=5, seed=3).sha256 != ten.sha256
    assert load("kkanji", tmp_path, images_per_class=99).sha256 == whole.sha256
    only_test = load("kkanji", tmp_path, test_images_per_class=1)
    assert Counter(only_test.test.label.tolist()) == {0: 1, 1: 1} and len(only_test.train) == 63


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(
        DataError, match="'mnist'; there are: invented, kmnist, k49, k49_stand_in, kkanji, omniglot"
    ):
        load("mnist", tmp_path)


@pytest.mark.parametrize("name", ["kmnist", "k49", "k49_stand_in", "kkanji", "omniglot"])
def test_a_missing_file_says_which_where_and_how_to_get_it(tmp_path, name):
    with pytest.raises(DataError) as caught:
        load(name, tmp_path)
    message = str(caught.value)
    fetched = {"k49_stand_in": "kmnist"}.get(name, name)
    assert "is missing: looked for" in message and f"`thesis fetch {fetched}`" in message
    assert str(tmp_path / fetched) in message and "THESIS_DATA" in message
    assert message.split(" is missing")[0] in [Path(file.path).name for file in find_source(fetched).files]


@pytest.mark.parametrize(
    ("file", "array", "message"),
    [
        ("imgs", np.zeros((20, 28, 28), np.float32), "expected uint8"),
        ("imgs", np.zeros((20, 784), np.uint8), "expected uint8"),
        ("imgs", np.zeros((19, 28, 28), np.uint8), "19 images and 20 labels"),
        ("labels", np.full(20, 10, np.uint8), "labels run from 10 to 10, expected 0 to 9"),
        ("labels", np.full(20, -1, np.int64), "labels run from -1"),
        ("labels", np.zeros(20), "expected integer"),
        ("labels", np.array([None] * 20), "not a readable .npz file of plain arrays"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, file, array, message):
    write_official(tmp_path, "kmnist", 10, 6, 2)
    np.savez(tmp_path / "kmnist" / f"kmnist-test-{file}.npz", array)
    with pytest.raises(DataError, match=message) as caught:
        load("kmnist", tmp_path)
    assert "kmnist-test-" in str(caught.value)


def test_a_truncated_file_is_refused(tmp_path):
    write_official(tmp_path, "kmnist", 10, 6, 2)
    path = tmp_path / "kmnist" / "kmnist-train-imgs.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="kmnist-train-imgs.npz is not a readable.*fetch it again"):
        load("kmnist", tmp_path)


def test_dark_ink_on_bright_is_refused(tmp_path):
    write_official(tmp_path, "kmnist", 10, 6, 2)
    np.savez(tmp_path / "kmnist" / "kmnist-train-imgs.npz", 255 - random_images(60, 1))
    with pytest.raises(DataError, match="bright ink on dark"):
        load("kmnist", tmp_path)


def test_a_wrong_number_of_classes_is_refused(tmp_path):
    write_official(tmp_path, "kmnist", 10, 6, 2)
    with pytest.raises(DataError, match="kmnist has 10 classes, not 49"):
        load("kmnist", tmp_path, num_classes=49)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        (np.zeros((2, 4, 4)), np.zeros(2, np.int64)),
        (np.zeros((2, 4, 5), np.uint8), np.zeros(2, np.int64)),
        (np.zeros((2, 16), np.uint8), np.zeros(2, np.int64)),
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.uint8)),
        (np.zeros((2, 4, 4), np.uint8), np.zeros(3, np.int64)),
        (np.zeros((2, 4, 4), np.uint8), np.array([0, -1])),
    ],
)
def test_images_and_labels_must_fit(image, label):
    with pytest.raises(ValueError, match="image must|label must|labels are"):
        GlyphImages(image, label)


def test_a_label_without_a_class_is_refused():
    images = GlyphImages(np.zeros((2, 4, 4), np.uint8), np.array([0, 2]))
    with pytest.raises(ValueError, match="label 2 names none of the 2 classes"):
        GlyphDataset("x", "x", "1", "CC0", "x", "x", ("a", "b"), images, images)


def real(name: str) -> GlyphDataset:
    root = os.environ.get("THESIS_DATA")
    if not root:
        pytest.skip("THESIS_DATA names no folder of real data")
    try:
        return load(name, Path(root))
    except DataError as error:
        if "is missing" not in str(error):
            raise
        pytest.skip(str(error))


REAL_COUNTS = {
    "kmnist": (10, 60_000, 10_000),
    "k49": (49, 232_365, 38_547),
    "kkanji": (3_832, 118_437, 140_424 - 28 - 118_437),
    "omniglot": (1_623, 16_230, 16_230 - 6),
    "k49_stand_in": (49, 89_361, 15_855),
}


@pytest.mark.parametrize("name", REAL_COUNTS)
def test_real_sets_have_the_published_size(name):
    data = real(name)
    assert (len(data.classes), len(data.train), len(data.test)) == REAL_COUNTS[name]
    if name != "k49":  # its official parts are used as they are
        assert not as_set(data.train) & as_set(data.test)


def test_kana_and_kanji_of_the_stand_in_look_alike():
    data = real("k49_stand_in")
    kana, kanji = data.train.image[data.train.label < 10], data.train.image[data.train.label >= 10]
    assert kana.mean() == pytest.approx(kanji.mean(), rel=0.05)
    assert (kana > 127).mean() == pytest.approx((kanji > 127).mean(), rel=0.05)
