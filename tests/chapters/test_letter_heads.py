import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from thesislib.chapters import letter_heads
from thesislib.chapters.letter_heads import (
    LetterAugmentation,
    feature_views,
    head_recipe,
    new_classifier,
    new_head,
    outputs,
    train_head,
)
from thesislib.hand_features import pixels
from thesislib.losses.metric import metric_loss
from thesislib.losses.pairwise import PairwiseCosineLoss
from thesislib.networks.blocks import LinearDualPath, count_parameters
from thesislib.transforms.hands import to_input

STILL = dict(rotation=0, zoom=(1, 1), shift=0, shear=0, jitter=0, hue=0, blur=0, noise=0, cutout=0)


def some_features(rows: int = 96, letters: int = 4, c: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Features in as many clouds as there are letters: x [N, c] and letter [N]."""
    random = np.random.default_rng(0)
    letter = np.arange(rows) % letters
    x = 2 * random.normal(size=(letters, c))[letter] + random.normal(size=(rows, c))
    return x.astype(np.float32), letter.astype(np.int64)


def nearest_mean_accuracy(x: np.ndarray, letter: np.ndarray) -> float:
    means = np.stack([x[letter == name].mean(axis=0) for name in np.unique(letter)])
    return float(((x @ normalize(torch.from_numpy(means), dim=1).numpy().T).argmax(axis=1) == letter).mean())


# Augmentation -------------------------------------------------------------------------------------------


def picture_of(row: slice, column: slice, count: int = 1) -> torch.Tensor:
    image = torch.zeros(count, 3, 64, 64, dtype=torch.uint8)
    image[:, :, row, column] = 255
    return image


def test_no_augmentation_leaves_pictures_as_they_are():
    image = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(LetterAugmentation(**STILL)(image), image)


@pytest.mark.parametrize(
    "change", ["rotation", "zoom", "shift", "shear", "jitter", "hue", "blur", "noise", "cutout"]
)
def test_each_knob_changes_pictures_and_each_picture_by_a_draw_of_its_own(change):
    value = getattr(LetterAugmentation(), change)
    torch.manual_seed(0)
    one = (
        torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    )
    found = LetterAugmentation(**STILL | {change: value})(one.repeat(2, 1, 1, 1))
    assert found.dtype == torch.uint8 and found.shape == (2, 3, 64, 64)
    assert (found[0] != one[0]).float().mean() > 0.01
    assert not torch.equal(found[0], found[1])


def test_the_hand_is_never_mirrored():
    """A dot above and one to the right of it keep their sense of turning under every draw."""
    torch.manual_seed(0)
    augmentation = LetterAugmentation(**STILL | dict(rotation=15, zoom=(0.8, 1.1), shift=0.05, shear=10))
    up, right, middle = (
        augmented_middles(augmentation, at) for at in ((12, 32), (32, 52), (32, 32))
    )  # the same draws each time
    a, b = up - middle, right - middle
    assert (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] > 0).all()
    turn = torch.rad2deg(torch.atan2(b[:, 1], b[:, 0]))  # the shear is along x and leaves it alone
    assert turn.abs().max() < 16.5 and turn.max() > 8 and turn.min() < -8
    zoom = b.norm(dim=1) / 20
    assert 0.77 < zoom.min() < 0.85 and 1.05 < zoom.max() < 1.13


def augmented_middles(augmentation: LetterAugmentation, at: tuple[int, int]) -> torch.Tensor:
    """Where a dot at (row, column) goes, x and y in pixels: [B, 2]."""
    torch.manual_seed(1)
    dot = picture_of(slice(at[0] - 2, at[0] + 2), slice(at[1] - 2, at[1] + 2), count=64)
    weight = augmentation(dot).float().mean(dim=1)
    place, total = torch.arange(64) + 0.5, weight.sum(dim=(1, 2))
    return (
        torch.stack([(weight.sum(1) * place).sum(1), (weight.sum(2) * place).sum(1)], dim=1) / total[:, None]
    )


def test_what_is_erased_is_zero_to_a_network():
    white = torch.full((1, 3, 64, 64), 255, dtype=torch.uint8)
    x = to_input(LetterAugmentation(**STILL | dict(cutout=16))(white))
    assert (x.abs() < 0.02).all(dim=1).sum() == 16 * 16


# Views --------------------------------------------------------------------------------------------------


def test_views_are_the_plain_picture_and_then_changed_ones():
    image = np.random.default_rng(0).integers(0, 256, (5, 3, 64, 64), dtype=np.uint8)
    found = feature_views(pixels, image, count=3, seed=4)
    assert found.shape == (3, 5, 256) and found.dtype == np.float32
    np.testing.assert_array_equal(found[0], pixels(image))
    assert not np.allclose(found[1], found[0]) and not np.allclose(found[1], found[2])
    np.testing.assert_array_equal(feature_views(pixels, image, count=3, seed=4), found)
    assert not np.allclose(feature_views(pixels, image, count=2, seed=5)[1], found[1])


# Heads --------------------------------------------------------------------------------------------------


def test_the_head_of_figure_3_19():
    """Eight layers of 16 channels on 128 features (Ignatiev 2019, figure 3.19, whose last row is the eighth)."""
    head, total = new_head(128, seed=0), 0
    rows = [layer for layer in head.layers if isinstance(layer, LinearDualPath)]
    x = torch.rand(2, 128)
    for layer, c_out in zip(rows, range(144, 257, 16), strict=True):
        c = x.shape[1]
        x = layer.eval()(x)
        assert x.shape[1] == c_out
        total += c * 4 * c + 4 * c + 2 * 4 * c + 4 * c * c_out + c_out  # linear, norm, linear
    assert len(rows) == 8
    assert count_parameters(head) == total + 256 * 10 + 10 == 2_368_842
    assert outputs(head, x[:, :128].detach().numpy()).shape == (2, 10)


def test_a_head_follows_from_its_seed_alone():
    torch.manual_seed(5)
    one = new_head(12, 4, seed=3)
    torch.manual_seed(6)
    same, other = new_head(12, 4, seed=3), new_head(12, 4, seed=4)
    x, _ = some_features()
    np.testing.assert_array_equal(outputs(one, x), outputs(same, x))
    assert not np.allclose(outputs(one, x), outputs(other, x))


@pytest.mark.parametrize("rows", [200, 1_000, 4_000, 20_000, 160_000])
def test_batches_are_neither_a_handful_nor_the_whole_set(rows):
    recipe = head_recipe(20, rows)
    assert 128 <= recipe.batch_size <= 512
    assert rows < 2048 or rows / recipe.batch_size >= 8
    assert (recipe.warmup_epochs, recipe.restarts, recipe.lr_max) == (5, (10,), 0.05)


@pytest.mark.parametrize(
    "loss", [PairwiseCosineLoss(), "supcon", "proxy_anchor"], ids=["pairwise", "supcon", "proxy_anchor"]
)
def test_a_head_learns_one_batch_by_heart(loss, tmp_path):
    if isinstance(loss, str):
        pytest.importorskip("pytorch_metric_learning")
        loss = metric_loss(loss, num_classes=4, f=6)
    random = np.random.default_rng(1)
    x, letter = random.normal(size=(32, 24)).astype(np.float32), np.arange(32) % 4  # nothing but noise
    views = x[None].repeat(8, axis=0)
    head = new_head(24, 6, seed=0, depth=2, layer_dropout=0.0, last_dropout=0.0)
    history = train_head(views, letter, head, loss, epochs=40, folder=tmp_path, seed=0)
    assert len(history) == 40 and history[-1]["loss"] < history[0]["loss"]
    found = outputs(head, x)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert nearest_mean_accuracy(found, letter) == 1
    assert nearest_mean_accuracy(x, letter) < 1


def test_a_classifier_learns_and_its_embedding_tells_letters_apart_too(tmp_path):
    x, letter = some_features()
    classifier = new_classifier(12, 5, 6, seed=0, depth=1)  # a fifth letter that nobody shows
    before = outputs(classifier, x)
    train_head(x[None], letter, classifier, nn.CrossEntropyLoss(), epochs=30, folder=tmp_path, seed=0)
    logits = outputs(classifier, x)
    assert logits.shape == (96, 5)
    assert (logits.argmax(axis=1) == letter).mean() > 0.95 > (before.argmax(axis=1) == letter).mean()
    assert nearest_mean_accuracy(outputs(classifier.head, x), letter) > 0.95


def test_a_standardised_head_sees_no_scale_and_no_offset(tmp_path):
    x, letter = some_features()
    x += 50  # features far from zero
    found = {}
    for name, views in (("plain", x[None]), ("other units", 1000 * x[None] - 7)):
        head = new_head(12, 4, seed=0, standardised=True, depth=1, layer_dropout=0.0, last_dropout=0.0)
        views = views.repeat(16, axis=0)  # steps enough for the running statistics to settle
        train_head(views, letter, head, PairwiseCosineLoss(), epochs=10, folder=tmp_path / name, seed=0)
        found[name] = outputs(head, views[0])
    np.testing.assert_allclose(found["plain"], found["other units"], atol=0.02)
    assert nearest_mean_accuracy(found["plain"], letter) > 0.95


def test_letters_go_with_their_pictures_in_every_view(tmp_path, monkeypatch):
    seen = {}

    def fit(head, loss, inputs, targets, recipe, **_):
        seen.update(inputs=inputs.cpu(), targets=targets.cpu(), recipe=recipe)
        return []

    monkeypatch.setattr(letter_heads, "fit", fit)
    letter = np.array([4, 0, 2, 2, 1])
    row, view = np.meshgrid(np.arange(5.0), np.arange(3.0))
    views = np.stack([row, view], axis=-1).astype(np.float32)  # [3, 5, 2]: each vector tells whose it is
    train_head(views, letter, new_head(2, 4, seed=0), nn.Identity(), epochs=8, folder=tmp_path, seed=0)
    rows, of_view = seen["inputs"].long().unbind(dim=1)
    assert (seen["targets"].numpy() == letter[rows]).all()
    assert torch.bincount(of_view).tolist() == [5, 5, 5] and torch.bincount(rows).tolist() == [3] * 5
    assert seen["recipe"] == head_recipe(8, 15)
