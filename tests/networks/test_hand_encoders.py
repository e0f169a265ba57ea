"""The encoders of chapter 5: what goes in, what comes out, and the weights they start with.

Networks that are only counted are made on torch's meta device, where shapes are known and nothing is computed.
"""

import pytest
import torch
from torch import Tensor, nn

from thesislib.networks.blocks import count_parameters
from thesislib.networks.hand_encoders import (
    INCEPTION_ZOOM,
    LIBRARY,
    HandEncoder,
    SmallEncoder,
    library_encoder,
)
from thesislib.networks.pose import PoseEncoder
from thesislib.runtime import import_torchvision

# What torchvision's table of weights prints as parameters, and what of it reads a thousand classes from features:
# C weights a class and a bias. Inception's side classifier has two convolutions with batch norm before its own.
PRINTED = {"resnet50": 25_557_032, "densenet121": 7_978_856, "inception_v3": 27_161_264}
CHANNELS = {"resnet50": 2048, "densenet121": 1024, "inception_v3": 2048}
SIDE = (768 * 128 + 2 * 128) + (128 * 768 * 5 * 5 + 2 * 768) + (768 + 1) * 1000


@pytest.fixture(scope="module", params=LIBRARY)
def named(request) -> tuple[str, HandEncoder]:
    with torch.device("meta"):
        return request.param, library_encoder(request.param)


# Torchvision's --------------------------------------------------------------------------------------------


def test_a_librarys_encoder_is_the_published_one_without_its_classifiers(named):
    name, encoder = named
    side = SIDE if name == "inception_v3" else 0
    without = PRINTED[name] - (CHANNELS[name] + 1) * 1000 - side
    assert count_parameters(encoder) == without
    known = {"resnet50": 23_508_032, "densenet121": 6_953_856, "inception_v3": 21_785_568}
    assert without == known[name]


def test_one_vector_comes_out_whether_it_learns_or_not(named):
    name, encoder = named
    assert encoder.num_features == CHANNELS[name]
    for learning, side in ((True, 64), (False, 224)):
        out = encoder.train(learning)(torch.empty(2, 3, side, side, device="meta"))
        assert isinstance(out, Tensor) and out.shape == (2, CHANNELS[name])


def test_inceptions_pictures_are_larger_by_as_much_as_where_it_was_published(named):
    name, encoder = named
    entering = HandEncoder(nn.Identity(), 1, zoom=encoder.zoom)
    for side, larger in ((224, 299), (64, 85)):
        wanted = larger if name == "inception_v3" else side
        assert entering(torch.zeros(1, 3, side, side)).shape == (1, 3, wanted, wanted)


def test_a_larger_picture_shows_the_same():
    side, larger = 64, 85
    encoder = HandEncoder(nn.Identity(), 1, zoom=INCEPTION_ZOOM)
    middles = torch.arange(side) + 0.5
    out = encoder(middles.expand(1, 3, side, side))  # brighter to the right
    expected = (torch.arange(larger) + 0.5) * side / larger
    inside = (expected > 0.5) & (expected < side - 0.5)  # beyond, the outermost pixels are repeated
    torch.testing.assert_close(out[0, 2, 7, inside], expected[inside], rtol=0, atol=1e-4)
    plain = torch.rand(1, 3, 9, 9)
    assert HandEncoder(nn.Identity(), 1)(plain) is plain


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="'resnet_50'; there are resnet50, densenet121, inception_v3"):
        library_encoder("resnet_50")


def test_an_untrained_resnet_starts_with_its_skips_alone():
    torch.manual_seed(0)
    encoder = library_encoder("resnet50").eval()
    x = torch.randn(2, 3, 32, 32)
    resnet = encoder.backbone
    with torch.inference_mode():
        x = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(x))))
        for stage in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4):
            for block in stage:
                skip = x if block.downsample is None else block.downsample(x)
                torch.testing.assert_close(x := block(x), skip.relu())


@pytest.mark.filterwarnings("ignore:The default weight initialization")
@pytest.mark.parametrize("name", LIBRARY)
def test_imagenets_weights_are_loaded_whole_and_their_classifiers_left(name, monkeypatch):
    """What would be downloaded is replaced by weights of the publisher's names and shapes that are all alike."""
    models = import_torchvision().models
    with torch.device("meta"):
        whole = getattr(models, name)(weights=None)
    asked = []

    def downloaded(url, **settings):
        asked.append(url)
        return {key: torch.full(t.shape, 0.25, dtype=t.dtype) for key, t in whole.state_dict().items()}

    monkeypatch.setattr(models._api, "load_state_dict_from_url", downloaded)
    for name_of_draw in ("kaiming_uniform_", "kaiming_normal_"):  # takes a second, and is overwritten
        monkeypatch.setattr(nn.init, name_of_draw, lambda tensor, **settings: tensor)
    encoder = library_encoder(name, imagenet=True)
    assert len(asked) == 1 and asked[0].startswith("https://download.pytorch.org/models/")
    assert all((value == torch.tensor(0.25).to(value)).all() for value in encoder.state_dict().values())
    with torch.device("meta"):
        plain = library_encoder(name)
    assert {k: v.shape for k, v in encoder.state_dict().items()} == {
        k: v.shape for k, v in plain.state_dict().items()
    }
    if name == "inception_v3":  # its side classifier spoke while it learned
        out = encoder.to("meta").train()(torch.empty(2, 3, 64, 64, device="meta"))
        assert isinstance(out, Tensor) and out.shape == (2, encoder.num_features)


# This project's own ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "stem_stride"), [(64, 2), (64, 4), (96, 2)])
def test_the_small_encoder_says_how_many_features_it_gives(size, stem_stride):
    encoder = SmallEncoder(PoseEncoder(width=0.25, depth=1, stem_stride=stem_stride), size=size)
    cells = size // (8 * stem_stride)
    assert encoder.num_features == 128 * cells**2
    assert encoder.eval()(torch.rand(2, 3, size, size)).shape == (2, encoder.num_features)


def test_the_small_encoder_keeps_places():
    """With the mean colour of each square of 16 pixels as maps, a spot in another square is another feature."""
    means = nn.AvgPool2d(16)  # its stride is that of the maps
    means.num_features = 3
    small = SmallEncoder(means, size=64)
    assert small.num_features == 3 * 4 * 4
    pictures = torch.zeros(16, 3, 64, 64)
    for cell in range(16):
        y, x = 16 * (cell // 4), 16 * (cell % 4)
        pictures[cell, 1, y + 5, x + 3] = 256.0
    features = small(pictures).view(16, 3, 16)  # of pictures, colours, cells
    assert torch.equal(features[:, 1], torch.eye(16)) and not features[:, [0, 2]].any()
