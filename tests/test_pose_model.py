"""A trained pose network in a user's hands: files in, joints out, and clear words for what is no model or hand."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from thesislib import paths, pose_model, results
from thesislib.chapters import finding_joints
from thesislib.chapters.finding_joints import Config
from thesislib.chapters.hand_sets import data_entry
from thesislib.datasets.hand_images import HandImages
from thesislib.pose_model import ModelError, PoseModel, load, predict
from thesislib.transforms.hands import to_input

CONFIG = Config(width=0.25, depth=1, stem_stride=4, train_hands=12_345, loss="spatial_cross_entropy", seed=7)


def made_record(config: Config) -> dict:
    """A record as finding_joints writes it, of random predictions."""
    random = np.random.default_rng(0)
    hands = HandImages(
        image=np.zeros((5, 3, 64, 64), np.uint8),
        keypoints=random.uniform(10, 50, (5, 21, 2)).astype(np.float32),
        visible=random.random((5, 21)) < 0.8,
        left=np.zeros(5, bool),
        signer=np.zeros(5, np.int64),
        letter=np.zeros(5, np.int64),
        source="random",
    )
    score = finding_joints.score(hands, torch.from_numpy(hands.keypoints + 5))
    over_box = finding_joints.over_box(hands, torch.from_numpy(hands.keypoints + 5))
    metrics = {"output": "heatmaps", "decoder": "dark", "parameters": 4321, "multiply_adds": 987_654}
    metrics |= {"unseen_signers_dark": score, "unseen_signers_mean_pose": score}
    metrics["real"] = {"asl7_given_box": {"network": over_box, "mean_pose": over_box}}
    return results.make_record(
        finding_joints.EXPERIMENT,
        config,
        module=finding_joints.__name__,
        data=data_entry("0" * 64, "flat 100%"),
        split={},
        metrics=metrics,
        published={},
        environment={"commit": "12345abcde"},
        wall_seconds=1.0,
    )


@pytest.fixture(scope="module")
def model() -> PoseModel:
    network = finding_joints.build(CONFIG).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return PoseModel(network, CONFIG, "thesis-a-run", pose_model.facts_of(made_record(CONFIG)))


def same(one: PoseModel, other: PoseModel) -> bool:
    x = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        return torch.equal(one.network(x), other.network(x))


# Files --------------------------------------------------------------------------------------------------


def test_a_saved_model_comes_back_whole(model, tmp_path):
    pose_model.save(model, tmp_path / "pose.safetensors")
    for place in (tmp_path, tmp_path / "pose.safetensors"):
        back = load(place)
        assert same(back, model) and not back.network.training
        assert (back.config, back.record, back.facts) == (CONFIG, model.record, model.facts)


def test_the_folder_of_a_run_is_a_model_with_its_record(model, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    folder = finding_joints.run_folder(CONFIG)
    folder.mkdir(parents=True)
    weights = {f"network.{name}": value for name, value in model.network.state_dict().items()}
    save_file(weights | {"loss.steps": torch.ones(1)}, folder / "weights.safetensors")
    with pytest.raises(ModelError, match="has no record .*`thesis run finding_joints`"):
        load(folder)
    results.write_json(finding_joints.record_path(CONFIG), made_record(CONFIG))
    found = load(folder)
    assert same(found, model) and found.config == CONFIG and found.facts == model.facts
    assert found.record == finding_joints.record_path(CONFIG).stem
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path / "none")
    with pytest.raises(ModelError, match=f"`thesis run finding_joints`.*--weights, {folder}"):
        pose_model.default_model()


def test_weights_of_one_code_are_not_given_the_errors_of_another(model, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "committed")
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    folder = finding_joints.run_folder(CONFIG)
    folder.mkdir(parents=True)
    weights = {f"network.{name}": value for name, value in model.network.state_dict().items()}
    save_file(weights, folder / "weights.safetensors")
    name, own = finding_joints.record_path(CONFIG).stem, made_record(CONFIG)
    committed = results.record_path(finding_joints.EXPERIMENT, name, committed=True)
    other_data = own["data"] | {"generator": "0123456789abcdef"}
    for other in ({"source_hash": "0123456789abcdef"}, {"data": other_data}):
        results.write_json(committed, own | other)
        with pytest.raises(ModelError, match=f"trained by code {own['source_hash'][:8]}.*or on other hands"):
            load(folder)
    results.write_json(results.record_path(finding_joints.EXPERIMENT, name, committed=False), own)
    assert load(folder).facts == model.facts  # the one of the two records that is these weights'


def test_the_default_is_the_one_stored_model(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path)
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    with pytest.raises(ModelError, match="no trained pose network"):
        pose_model.default_model()
    for name in ("pose-a.safetensors", "glyphs-a.safetensors"):
        (tmp_path / name).touch()
    assert pose_model.default_model() == tmp_path / "pose-a.safetensors"
    (tmp_path / "pose-b.safetensors").touch()
    with pytest.raises(ModelError, match="several pose networks"):
        pose_model.default_model()


def test_missing_damaged_and_foreign_files_are_told_apart(model, tmp_path):
    file = tmp_path / "pose.safetensors"
    with pytest.raises(ModelError, match="there is no file"):
        load(file)
    with pytest.raises(ModelError, match="no exported model, and no finished run"):
        load(tmp_path)
    pose_model.save(model, file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load(file)
    torch.save(model.network.state_dict(), file)  # a pickle
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load(file)
    save_file({"embedding": torch.zeros(3)}, file)
    with pytest.raises(ModelError, match="other weights than a pose network's"):
        load(file)


@pytest.mark.parametrize(
    ("described", "says"),
    [
        ("{", "description is damaged"),
        ("[]", "description is damaged"),
        ('{"config": {}}', "description is damaged"),
        ('{"config": {"wings": 2}, "record": "r", "facts": {}}', "does not fit the code"),
        ('{"config": {"width": "wide"}, "record": "r", "facts": {}}', "does not fit the code"),
        ('{"config": {"width": 0.5}, "record": "r", "facts": {}}', "does not fit the code.*Missing key"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(model, tmp_path, described, says):
    file = tmp_path / "pose.safetensors"
    save_file(model.network.state_dict(), file, {"format": pose_model.FORMAT, "model": described})
    with pytest.raises(ModelError, match=says):
        load(file)


# Export -------------------------------------------------------------------------------------------------


def test_an_export_is_the_same_network_with_a_card(model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    written = pose_model.export(model, tmp_path / "out")
    assert sorted(written) == sorted((tmp_path / "out").iterdir())
    pictures = to_input(torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8))
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "pose.onnx"))
    with torch.inference_mode():
        expected = model.network(pictures).numpy()
    found = session.run(["output"], {"image": pictures.numpy()})[0]
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    assert same(load(tmp_path / "out"), model)
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text(encoding="utf8")
    score = model.facts["unseen_signers"]
    for text in (
        "12,345 pictures",
        "thesis-a-run",
        "12345abcde",
        f"{score['epe_px_at_256']:.1f} px of 256",
        f"{model.facts['real']['asl7_given_box']['network']['error_over_box']:.3f} of the hand's box",
        "0.485, 0.456, 0.406",
        "softmax",
        "20 little tip",
        "MIT",
    ):
        assert text in card, text
    assert "{" not in card and "by_joint" not in card


def test_a_card_says_which_network_it_is(model):
    def first_words(**choices) -> str:
        card = pose_model.model_card(Config(**choices), "a-run", model.facts)
        return card.split("\n\n")[1].split(": 4,321 parameters")[0]

    usual = "The thesis's network for hand joints (Ignatiev 2019, section 3.1)"
    assert first_words() == f"{usual}, width 1 of figure 3.1's channels, stem of stride 2"
    half = first_words(width=0.5, stem_stride=4, decoder_width=0.25, depth=2, literal=True)
    assert half.startswith(f"{usual}, width 0.5 of figure 3.1's channels, stem of stride 4")
    assert "decoder of width 0.25, depth 2" in half and "literally" in half
    rival = first_words(network="resnet34", width=0.5)
    assert rival.startswith("`resnet34`, a rival") and "Ignatiev" not in rival and "width" not in rival


def test_an_export_that_differs_leaves_nothing(model, tmp_path, monkeypatch):
    def differs(network, images, path):
        path.write_bytes(b"wrong")
        raise RuntimeError("ONNX Runtime's output differs from PyTorch's by 3")

    monkeypatch.setattr(pose_model, "onnx_call", differs)
    with pytest.raises(ModelError, match="differs from PyTorch's by 3"):
        pose_model.export(model, tmp_path)
    assert not list(tmp_path.iterdir())


# Prediction ---------------------------------------------------------------------------------------------


class Brightest(nn.Module):
    """A network that finds the bright spot, so that what it should answer is known."""

    output = "heatmaps"

    def forward(self, x):
        return 4 * x.mean(dim=1, keepdim=True).expand(-1, 21, -1, -1)


SPOT = PoseModel(Brightest(), CONFIG, "spot", {})


def spot(width: int, height: int, x: float, y: float, sigma: float) -> np.ndarray:
    """A dark picture with a Gaussian spot about (x, y), pixel centres at +0.5."""
    across = np.exp(-((np.arange(width) + 0.5 - x) ** 2) / (2 * sigma**2))
    down = np.exp(-((np.arange(height) + 0.5 - y) ** 2) / (2 * sigma**2))
    return np.round(255 * down[:, None, None] * across[None, :, None]).repeat(3, axis=2).astype(np.uint8)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(40, 300),
    st.integers(40, 300),
    st.floats(0.2, 0.8),
    st.floats(0.2, 0.8),
    st.one_of(st.none(), st.tuples(*[st.floats(0, 0.18)] * 4)),
)
def test_joints_come_back_in_the_pictures_own_pixels(width, height, x, y, edges):
    box, side = None, max(width, height)
    if edges is not None:
        left, top, right, bottom = edges
        box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
        side = 1.25 * max(box[2] - box[0], box[3] - box[1])
    scale = side / 64  # picture's pixels to one of the network's
    picture = spot(width, height, x * width, y * height, sigma=2.5 * scale)
    joints = predict(SPOT, picture, box)
    assert joints.shape == (21, 2)
    np.testing.assert_allclose(joints, [[x * width, y * height]] * 21, atol=0.35 * scale + 0.1)


@pytest.mark.parametrize(
    ("picture", "box", "says"),
    [
        (np.zeros((15, 99, 3), np.uint8), None, "99 x 15 pixels is too small"),
        (np.zeros((50, 50), np.uint8), None, "uint8 .H, W, 3."),
        (np.zeros((50, 50, 3), np.float32), None, "not float32"),
        (np.zeros((50, 60, 3), np.uint8), (10, 10, 61, 40), r"\(10, 10, 61, 40\) lies outside .* 60 x 50"),
        (np.zeros((50, 60, 3), np.uint8), (-1, 10, 30, 40), "lies outside"),
        (np.zeros((50, 60, 3), np.uint8), (30, 10, 20, 40), "left, top, right and bottom"),
        (np.zeros((50, 60, 3), np.uint8), (float("nan"), 10, 20, 40), "left, top, right and bottom"),
        (np.zeros((50, 60, 3), np.uint8), (10, 10, 15, 17.9), "too small for a hand"),
    ],
)
def test_what_cannot_be_a_hand_is_refused(picture, box, says):
    with pytest.raises(ModelError, match=says):
        predict(SPOT, picture, box)


def test_drawing_leaves_the_rest_of_the_picture_alone():
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (90, 160, 3), dtype=np.uint8)
    joints = random.uniform((20, 20), (70, 70), (21, 2))
    drawn = pose_model.draw(picture, joints)
    assert drawn.shape == picture.shape and drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn[:, 80:], picture[:, 80:])
    np.testing.assert_array_equal(drawn[:12], picture[:12])
    changed = (drawn != picture).any(axis=2)
    assert all(changed[int(y), int(x)] for x, y in joints)


# Picture files --------------------------------------------------------------------------------------------


def test_pictures_stand_upright_and_are_rgb(tmp_path):
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 20:] = 255
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=turned, quality=95)
    upright = pose_model.open_picture(tmp_path / "turned.jpg")
    assert upright.shape == (40, 20, 3)
    assert upright[:15].mean() < 10 and upright[25:].mean() > 245
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(pose_model.open_picture(tmp_path / "grey.png"), pixels)


def test_files_that_are_no_pictures_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"there is no file .*gone\.png"):
        pose_model.open_picture(tmp_path / "gone.png")
    (tmp_path / "text.jpg").write_text("a letter, not a picture")
    with pytest.raises(ModelError, match=r"text\.jpg is not a whole picture"):
        pose_model.open_picture(tmp_path / "text.jpg")
    with pytest.raises(ModelError, match="not a whole picture"):
        pose_model.open_picture(tmp_path)
    Image.fromarray(spot(99, 99, 50, 50, 9)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:-300])
    with pytest.raises(ModelError, match="not a whole picture"):
        pose_model.open_picture(tmp_path / "cut.png")


def test_a_prediction_is_a_drawing_and_numbers(tmp_path):
    Image.fromarray(spot(120, 80, 70, 30, 6)).save(tmp_path / "hand.png")
    written = pose_model.predict_file(SPOT, tmp_path / "hand.png", tmp_path / "out", (20, 0, 100, 70))
    assert [path.name for path in written] == ["hand.joints.png", "hand.joints.json"]
    assert sorted(written) == sorted((tmp_path / "out").iterdir())
    with Image.open(written[0]) as drawn:
        assert drawn.size == (120, 80)
    found = json.loads(written[1].read_text())
    assert (found["width"], found["height"], found["box"]) == (120, 80, [20, 0, 100, 70])
    assert len(found["joints_px"]) == 21 and found["joints_px"]["wrist"] == pytest.approx([70, 30], abs=0.6)


def test_weights_of_a_run_are_named_as_training_saves_them(tmp_path):
    """The prefix that `load` strips is the one under which `training.fit` keeps the network."""
    from thesislib.training import Recipe, fit

    fit(
        nn.Linear(2, 1),
        nn.MSELoss(),
        torch.rand(4, 2),
        torch.rand(4, 1),
        Recipe(epochs=1, batch_size=2, warmup_epochs=0, restarts=()),
        folder=tmp_path,
        seed=0,
    )
    assert set(load_file(tmp_path / "weights.safetensors")) == {"network.weight", "network.bias"}
