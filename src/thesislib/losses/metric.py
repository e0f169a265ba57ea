"""Today's metric losses beside the thesis's own: which of pytorch-metric-learning, and for how many classes."""

from typing import Literal, get_args

from torch import nn

MetricLoss = Literal["supcon", "multi_similarity", "proxy_anchor", "arcface", "cosface", "normalised_softmax"]
METRIC_LOSSES: tuple[MetricLoss, ...] = get_args(MetricLoss)


def metric_loss(name: MetricLoss, num_classes: int, f: int) -> nn.Module:
    """Return a loss of embeddings [B, f] and labels [B] below ``num_classes``, its settings the library's own.

    'supcon' (Khosla et al. 2020) and 'multi_similarity' (Wang et al. 2019) compare the pictures of a batch;
    'proxy_anchor' (Kim et al. 2020), 'arcface' (Deng et al. 2019), 'cosface' (Wang et al. 2018) and
    'normalised_softmax' (Zhai and Wu 2019: cross entropy of cosines) own a vector a class, which `training.fit`
    trains along. Raises ValueError for another name.
    """
    from pytorch_metric_learning import losses  # imported here: it comes with the extra "book"

    match name:
        case "supcon":
            return losses.SupConLoss()
        case "multi_similarity":
            return losses.MultiSimilarityLoss()
        case "proxy_anchor":
            return losses.ProxyAnchorLoss(num_classes, f)
        case "arcface":
            return losses.ArcFaceLoss(num_classes, f)
        case "cosface":
            return losses.CosFaceLoss(num_classes, f)
        case "normalised_softmax":
            return losses.NormalizedSoftmaxLoss(num_classes, f)
    raise ValueError(f"unknown metric loss {name!r}; known: {', '.join(METRIC_LOSSES)}")
