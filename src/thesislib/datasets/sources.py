"""Where the real data sets come from: addresses, checksums, licences, and what to do if a host is gone.

Where the checksums come from. The publishers give none. The sha256 values were computed from files with the
official name and content. The md5 values of Kuzushiji-49 are printed by several independent public loaders;
those of its label files and of Kuzushiji-MNIST's agree with files checked here. The md5 of KMNIST's
training images and the sha256 of kkanji.tar are each printed by one public project whose other checksums
proved right. Omniglot: md5 as in torchvision, sha256 and sizes as in TensorFlow Datasets.
"""

from dataclasses import dataclass


class DataError(RuntimeError):
    """A data set is missing, broken, foreign or could not be fetched; the message says what to do."""


@dataclass(frozen=True)
class RemoteFile:
    """One published file: its address, its path under the data root, and what is known of its content.

    `array_sha256` is `arrays.array_digest` of the arrays inside an .npz: a repacked copy has another md5,
    but the same arrays, and is accepted. `unpack` says that `fetch` also unpacks the archive beside itself.
    """

    url: str
    path: str
    bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    array_sha256: str | None = None
    unpack: bool = False


@dataclass(frozen=True)
class Source:
    """A data set as its publisher offers it; `when_gone` says where to look when the host does not answer."""

    name: str
    title: str
    version: str
    files: tuple[RemoteFile, ...]
    licence: str
    credit: str
    citation_key: str
    homepage: str
    when_gone: str


CODH = "http://codh.rois.ac.jp/kmnist/dataset"
CODH_CREDIT = (
    '"KMNIST Dataset" (created by CODH), adapted from "Kuzushiji Dataset" (created by NIJL and others), '
    "doi:10.20676/00000341"
)
CODH_GONE = (
    "The host codh.rois.ac.jp has been unreachable before (https://github.com/rois-codh/kmnist/issues/29). "
    "Try again later, or look for the same file name in a copy, such as "
    "https://www.kaggle.com/datasets/anokas/kuzushiji or https://web.archive.org."
)
OMNIGLOT = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"

SOURCES = (
    Source(
        name="kmnist",
        title="Kuzushiji-MNIST",
        version="2019-02-05",  # the publisher corrected the images on this day
        files=(
            RemoteFile(
                url=f"{CODH}/kmnist/kmnist-train-imgs.npz",
                path="kmnist/kmnist-train-imgs.npz",
                md5="a183fbc01ed9a345513b145673d3d0bb",
                array_sha256="ee8b32de731fcf516e5062614d85d58d8a0ad4f3039badbff686a33cd7d0f232",
            ),
            RemoteFile(
                url=f"{CODH}/kmnist/kmnist-train-labels.npz",
                path="kmnist/kmnist-train-labels.npz",
                bytes=29_700,
                sha256="a325c877035602cb9b9ba54f4194a2a1b5f718026a463db5b5e0cdc124c03720",
                array_sha256="132582b40f33b7884e030ff6ee7b7eb08d5f618b1c6686cbac3897d3909e69ca",
            ),
            RemoteFile(
                url=f"{CODH}/kmnist/kmnist-test-imgs.npz",
                path="kmnist/kmnist-test-imgs.npz",
                bytes=3_079_479,
                sha256="692d824896bec8f3c357ebf7a0fe904ed67ac632ce953d0b58f7fbef7bb27d87",
                array_sha256="0580a1a983f5261bb9b9073661ecef3e339dc4a1f7853bb63b293568ebf1853a",
            ),
            RemoteFile(
                url=f"{CODH}/kmnist/kmnist-test-labels.npz",
                path="kmnist/kmnist-test-labels.npz",
                bytes=5_304,
                sha256="660f13a4705431ea2a6391c41ecbe384cd0d932c595a101ec4f3b8989e785046",
                array_sha256="1cb8d9fe12eaa47fdfc598877ddb344b4b0bc5a3ee7cecc0d87fb89594e116d4",
            ),
        ),
        licence="CC BY-SA 4.0",
        credit=CODH_CREDIT,
        citation_key="clanuwat2018",
        homepage="https://github.com/rois-codh/kmnist",
        when_gone=CODH_GONE,
    ),
    Source(
        name="k49",
        title="Kuzushiji-49",
        version="2019-02-05",
        files=(
            RemoteFile(
                url=f"{CODH}/k49/k49-train-imgs.npz",
                path="k49/k49-train-imgs.npz",
                md5="7ac088b20481cf51dcd01ceaab89d821",
            ),
            RemoteFile(
                url=f"{CODH}/k49/k49-train-labels.npz",
                path="k49/k49-train-labels.npz",
                bytes=164_485,
                sha256="fbfef4750ce9aa70b6072f0bca7daa9e80e2d79b379d5ae923265a63396260e4",
                array_sha256="bd04d911275536efa97e257d298e1f7896c8db03d397b5ea64086e31ed612162",
            ),
            RemoteFile(
                url=f"{CODH}/k49/k49-test-imgs.npz",
                path="k49/k49-test-imgs.npz",
                md5="d352e201d846ce6b94f42c990966f374",
            ),
            RemoteFile(
                url=f"{CODH}/k49/k49-test-labels.npz",
                path="k49/k49-test-labels.npz",
                bytes=27_450,
                sha256="299be30ea32c2cc69318f5a5a579ffbffb0a6a1ccff134fb0ca834cd525ad6af",
                array_sha256="949ac94f25d93a6d30eff7ad1224a24d0da5bb7fb9a04ee481b9af25b160e48b",
            ),
            RemoteFile(
                url=f"{CODH}/k49/k49_classmap.csv",
                path="k49/k49_classmap.csv",
                bytes=697,
                sha256="95f5a2cfbfba1721f566059cf77c22808898b63044a5f9a08de9d8a2950eed84",
            ),
        ),
        licence="CC BY-SA 4.0",
        credit=CODH_CREDIT,
        citation_key="clanuwat2018",
        homepage="https://github.com/rois-codh/kmnist",
        when_gone=CODH_GONE,
    ),
    Source(
        name="kkanji",
        title="Kuzushiji-Kanji",
        version="140,424 images",  # an earlier edition had 140,426
        files=(
            RemoteFile(
                url=f"{CODH}/kkanji/kkanji.tar",
                path="kkanji/kkanji.tar",
                sha256="6c65024b7b79de6661a049c89decfddae8bb908f71fcd7fdf1bd9a7f220a1cda",
            ),
        ),
        licence="CC BY-SA 4.0",
        credit=CODH_CREDIT,
        citation_key="clanuwat2018",
        homepage="https://github.com/rois-codh/kmnist",
        when_gone=CODH_GONE,
    ),
    Source(
        name="omniglot",
        title="Omniglot",
        version="python edition, 1,623 characters",
        files=(
            RemoteFile(
                url=f"{OMNIGLOT}/images_background.zip",
                path="omniglot/images_background.zip",
                bytes=9_464_212,
                sha256="ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
                md5="68d2efa1b9178cc56df9314c21c6e718",
                unpack=True,
            ),
            RemoteFile(
                url=f"{OMNIGLOT}/images_evaluation.zip",
                path="omniglot/images_evaluation.zip",
                bytes=6_462_886,
                sha256="1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
                md5="6b91aef0f799c5bb55b94e3f2daec811",
                unpack=True,
            ),
        ),
        licence="MIT",
        credit="Omniglot (Brenden M. Lake, Ruslan Salakhutdinov and Joshua B. Tenenbaum, 2015)",
        citation_key="lake2015",
        homepage="https://github.com/brendenlake/omniglot",
        when_gone="Look for a copy of that repository; the two files lie in its folder python.",
    ),
)


def find_source(name: str) -> Source:
    """Return the source with this name; DataError names the ones that exist."""
    for source in SOURCES:
        if source.name == name:
            return source
    raise DataError(f"no data set {name!r} to fetch; there are: {', '.join(s.name for s in SOURCES)}")
