"""The image encoders that chapter 5 compares: a picture of a hand to one vector (Komorowicz 2018, section 6.1)."""

from torch import Tensor, nn
from torch.nn import functional as F

from thesislib.networks.pose import PoseEncoder
from thesislib.runtime import import_torchvision

LIBRARY = ("resnet50", "densenet121", "inception_v3")  # torchvision's
INCEPTION_ZOOM = 299 / 224  # how much larger than the others' its pictures are, there and here


class HandEncoder(nn.Module):
    """A library's network without its classifier: pictures [B, 3, S, S] to features [B, num_features].

    ``zoom`` is by how much a picture grows before it enters, so that one data set serves all encoders.
    """

    def __init__(self, backbone: nn.Module, num_features: int, *, zoom: float = 1.0) -> None:
        super().__init__()
        self.backbone, self.num_features, self.zoom = backbone, num_features, zoom

    def forward(self, x: Tensor) -> Tensor:
        if self.zoom != 1:
            x = F.interpolate(x, size=round(self.zoom * x.shape[-1]), mode="bilinear", align_corners=False)
        return self.backbone(x)  # [B, 3, S, S] -> [B, num_features]


class SmallEncoder(nn.Module):
    """Chapter 2's encoder (Ignatiev 2019, figure 3.1), its maps laid end to end: [B, 3, S, S] to [B, num_features].

    Averaged over the picture, as the library's encoders do, 128 numbers would be left, too few to say which
    finger is where. ``size`` is the side S of the pictures it is made for.
    """

    def __init__(self, encoder: PoseEncoder, *, size: int = 64) -> None:
        super().__init__()
        self.encoder = encoder
        self.num_features = encoder.num_features * (size // encoder.stride) ** 2

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x).flatten(1)  # [B, 3, 64, 64] -> [B, 128, 4, 4] -> [B, 2048]


def library_encoder(name: str, *, imagenet: bool = False) -> HandEncoder:
    """Return an encoder of torchvision by name, untrained, or with ImageNet's weights, which are downloaded.

    ResNet-50 gives 2,048 features, DenseNet-121 1,024, Inception-v3 2,048 without its side classifier. Untrained,
    each block of ResNet-50 starts as its skip alone: with small batches it hardly learns otherwise.
    """
    models = import_torchvision().models
    if name == "resnet50":
        backbone = models.resnet50(
            weights="IMAGENET1K_V1" if imagenet else None, zero_init_residual=not imagenet
        )
        num_features, backbone.fc = backbone.fc.in_features, nn.Identity()
        return HandEncoder(backbone, num_features)
    if name == "densenet121":
        backbone = models.densenet121(weights="IMAGENET1K_V1" if imagenet else None)
        num_features, backbone.classifier = backbone.classifier.in_features, nn.Identity()
        return HandEncoder(backbone, num_features)
    if name == "inception_v3":
        if imagenet:  # its published weights have the side classifier and expect to scale pictures themselves
            backbone = models.inception_v3(weights="IMAGENET1K_V1", transform_input=False)
            backbone.aux_logits, backbone.AuxLogits = False, None
        else:
            backbone = models.inception_v3(weights=None, aux_logits=False, init_weights=True)
        num_features, backbone.fc = backbone.fc.in_features, nn.Identity()
        return HandEncoder(backbone, num_features, zoom=INCEPTION_ZOOM)
    raise ValueError(f"no encoder is called {name!r}; there are {', '.join(LIBRARY)}")
