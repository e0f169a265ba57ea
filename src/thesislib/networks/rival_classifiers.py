"""The two backbones the thesis compared its character classifier with (Ignatiev 2019, section 3.2.1)."""

from torch import Tensor, nn

from thesislib.runtime import import_torchvision


class RivalEncoder(nn.Module):
    """A library backbone as an encoder: [B, 1, 28, 28] to pooled features [B, features]."""

    def __init__(self, backbone: nn.Module, features: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        return self.backbone(x)  # [B, 1, 28, 28] -> [B, features]


def resnet18_encoder() -> RivalEncoder:
    """Return torchvision's ResNet-18 for 28-pixel grey images: a 3x3 first layer of stride 2, 512 features."""
    backbone = import_torchvision().models.resnet18(weights=None)
    backbone.conv1 = nn.Conv2d(1, 64, 3, stride=2, padding=1, bias=False)
    backbone.fc = nn.Identity()
    return RivalEncoder(backbone, 512)


def dual_path_encoder() -> RivalEncoder:
    """Return timm's smallest dual-path network for grey images; the thesis does not say which one it used."""
    import_torchvision()
    import timm

    backbone = timm.create_model("dpn48b", pretrained=False, in_chans=1, num_classes=0)
    return RivalEncoder(backbone, backbone.num_features)
