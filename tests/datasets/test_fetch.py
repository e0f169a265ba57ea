import errno
import functools
import hashlib
import http.client
import http.server
import io
import os
import shutil
import threading
import urllib.error
import zipfile
from pathlib import Path

import numpy as np
import pytest

from thesislib.datasets import fetch as fetch_module
from thesislib.datasets.arrays import array_digest
from thesislib.datasets.fetch import difference, fetch
from thesislib.datasets.sources import SOURCES, DataError, RemoteFile, Source

CONTENT = bytes(range(256)) * 9000  # more than two chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


def source(**facts) -> Source:
    file = RemoteFile(**{"url": "http://host.invalid/a.bin", "path": "set/a.bin", "sha256": SHA256, **facts})
    return Source(
        name="set",
        title="A set",
        version="1",
        files=(file,),
        licence="CC0",
        credit="nobody",
        citation_key="nobody2000",
        homepage="https://host.invalid",
        when_gone="Ask the mirror.",
    )


class Response(io.BytesIO):
    def __init__(self, content: bytes, announced: int | None = None):
        super().__init__(content)
        self.headers = {} if announced is None else {"Content-Length": str(announced)}


def answering(content: bytes = CONTENT, announced: int | None = None):
    """An opener that answers each request with the same content, and counts the requests."""

    def opener(request, timeout):
        opener.requests.append(request.full_url)
        return Response(content, announced)

    opener.requests = []
    return opener


def files_under(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    "facts",
    [{}, {"bytes": len(CONTENT)}, {"md5": MD5}, {"sha256": None, "md5": MD5}],
    ids=["sha256", "size", "both", "md5"],
)
@pytest.mark.parametrize("announced", [None, len(CONTENT)])
def test_a_file_arrives_once(tmp_path, facts, announced):
    opener = answering(announced=announced)
    for _ in range(2):
        assert fetch(source(**facts), tmp_path, opener=opener) == [tmp_path / "set" / "a.bin"]
    assert (tmp_path / "set" / "a.bin").read_bytes() == CONTENT
    assert files_under(tmp_path) == ["set/a.bin"] and opener.requests == ["http://host.invalid/a.bin"]


def test_a_file_arrives_over_http(tmp_path):
    served, raw = tmp_path / "served", tmp_path / "raw"
    served.mkdir()
    (served / "a.bin").write_bytes(CONTENT)
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=served))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        fetch(source(url=f"{address}/a.bin"), raw)
        with pytest.raises(DataError, match="404.*Ask the mirror"):
            fetch(source(url=f"{address}/b.bin", path="set/b.bin"), raw)
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(DataError, match="cannot reach.*refused.*Ask the mirror"):
        fetch(source(url=f"{address}/c.bin", path="set/c.bin"), raw)
    assert files_under(raw) == ["set/a.bin"]


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("Name or service not known"),
        urllib.error.HTTPError("http://host.invalid/a.bin", 503, "Service Unavailable", None, None),
        TimeoutError("timed out"),
        ConnectionResetError("reset"),
        http.client.RemoteDisconnected("closed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_host_that_is_gone_says_what_to_do(tmp_path, error):
    def opener(request, timeout):
        raise error

    with pytest.raises(DataError, match="cannot reach http://host.invalid/a.bin.*Ask the mirror.") as caught:
        fetch(source(), tmp_path, opener=opener)
    assert str(tmp_path / "set" / "a.bin") in str(caught.value)
    assert files_under(tmp_path) == []


def test_a_wrong_checksum_names_both_and_keeps_nothing(tmp_path):
    wrong = b"<html>captive portal</html>"
    with pytest.raises(
        DataError, match=f"expected sha256 {SHA256}, found {hashlib.sha256(wrong).hexdigest()}"
    ):
        fetch(source(), tmp_path, opener=answering(wrong))
    with pytest.raises(DataError, match=f"expected md5 {MD5}, found {hashlib.md5(wrong).hexdigest()}"):
        fetch(source(sha256=None, md5=MD5), tmp_path, opener=answering(wrong))
    assert files_under(tmp_path) == []


@pytest.mark.parametrize("facts", [{"bytes": len(CONTENT)}, {}])
@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:1000], b"", CONTENT + b"x"])
def test_a_truncated_or_overlong_download_keeps_nothing(tmp_path, facts, content):
    message = f"gave {len(content):,} bytes instead of {len(CONTENT):,}.*thesis fetch set"
    with pytest.raises(DataError, match=message):
        fetch(source(**facts), tmp_path, opener=answering(content, announced=len(CONTENT)))
    assert files_under(tmp_path) == []


class BreakingResponse(Response):
    def read(self, size):
        if self.tell():
            raise self.error
        return super().read(size)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionResetError("reset"), "cannot reach"),
        (http.client.IncompleteRead(b""), "cannot reach"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk filled up"),
        (OSError(errno.EIO, "Input/output error"), "cannot write"),
    ],
)
def test_a_download_that_breaks_half_way_keeps_nothing(tmp_path, error, message):
    def opener(request, timeout):
        response = BreakingResponse(CONTENT)
        response.error = error
        return response

    with pytest.raises(DataError, match=message):
        fetch(source(), tmp_path, opener=opener)
    assert files_under(tmp_path) == []


def test_an_interrupt_keeps_nothing(tmp_path):
    def opener(request, timeout):
        response = BreakingResponse(CONTENT)
        response.error = KeyboardInterrupt()
        return response

    with pytest.raises(KeyboardInterrupt):
        fetch(source(), tmp_path, opener=opener)
    assert files_under(tmp_path) == []


def test_a_full_disk_is_known_before_the_first_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(DataError, match="1,000,000 are free: make room"):
        fetch(source(), tmp_path, opener=answering(announced=len(CONTENT)))
    assert files_under(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="cannot write"):
        fetch(source(), tmp_path, opener=answering())
    tmp_path.chmod(0o700)


def test_a_foreign_file_in_the_place_is_not_overwritten(tmp_path):
    path = tmp_path / "set" / "a.bin"
    path.parent.mkdir()
    path.write_bytes(b"my own notes")
    opener = answering()
    with pytest.raises(DataError, match="is not the published file.*Move it away and run `thesis fetch set`"):
        fetch(source(), tmp_path, opener=opener)
    assert path.read_bytes() == b"my own notes" and not opener.requests


def test_a_repacked_npz_is_known_by_its_arrays(tmp_path):
    images = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    np.savez(tmp_path / "a.npz", images)
    file = RemoteFile("http://host.invalid/a.npz", "a.npz", md5=MD5, array_sha256=array_digest(images))
    assert difference(tmp_path / "a.npz", file) is None
    np.savez(tmp_path / "a.npz", images[::-1])
    assert "expected md5" in difference(tmp_path / "a.npz", file)
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 broken")
    assert "expected md5" in difference(tmp_path / "a.npz", file)


def zip_of(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return content.getvalue()


def test_an_archive_is_unpacked_beside_itself(tmp_path):
    content = zip_of(pictures__one=b"1", pictures__two=b"2")
    zipped = source(path="set/a.zip", sha256=hashlib.sha256(content).hexdigest(), unpack=True)
    fetch(zipped, tmp_path, opener=answering(content))
    assert files_under(tmp_path) == ["set/a.zip", "set/a/one", "set/a/two"]
    shutil.rmtree(tmp_path / "set" / "a")
    fetch(zipped, tmp_path, opener=None)  # unpacks again without a download
    assert files_under(tmp_path) == ["set/a.zip", "set/a/one", "set/a/two"]


def test_an_unchecked_archive_is_never_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_module, "unpack", lambda *_: pytest.fail("unpacked before it was checked"))
    with pytest.raises(DataError, match="expected sha256"):
        fetch(source(path="set/a.zip", unpack=True), tmp_path, opener=answering(zip_of(a=b"1")))


def test_the_files_at_hand_are_the_published_ones():
    root = os.environ.get("THESIS_DATA")
    if not root:
        pytest.skip("THESIS_DATA names no folder of real data")
    present = [file for s in SOURCES for file in s.files if (Path(root) / file.path).exists()]
    if not present:
        pytest.skip(f"{root} holds none of the published character files")
    assert {file.path: difference(Path(root) / file.path, file) for file in present} == {
        file.path: None for file in present
    }
