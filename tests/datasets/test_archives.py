import io
import tarfile
import zipfile

import pytest

from thesislib.datasets.archives import archive_files, unpack
from thesislib.datasets.sources import DataError

FILES = {"top/a.txt": b"first", "top/sub/b.bin": b"\0" * 2000, "top/sub/empty": b""}


def make_tar(path, files=FILES, mode="w", extra=()):
    with tarfile.open(path, mode) as tar:
        folder = tarfile.TarInfo("top")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra:
            tar.addfile(member)
    return path


def make_zip(path, files=FILES):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("top")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_folder(path, files=FILES):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def make_tar_gz(path, files=FILES):
    return make_tar(path, files, "w:gz")


def link(kind, name="top/link", target="/etc/passwd"):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize("make", [make_tar, make_tar_gz, make_zip, make_folder])
def test_every_kind_gives_the_same_files(tmp_path, make):
    assert dict(archive_files(make(tmp_path / "archive"))) == FILES


@pytest.mark.parametrize("make", [make_tar, make_tar_gz, make_zip])
def test_unpacking_strips_a_single_top_folder_and_leaves_nothing_else(tmp_path, make):
    unpack(make(tmp_path / "archive"), tmp_path / "out")
    found = {
        p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*.*")
    }
    assert found == {"a.txt": b"first", "sub/b.bin": b"\0" * 2000}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive", "out"]
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def test_unpacking_keeps_several_top_folders(tmp_path):
    unpack(make_zip(tmp_path / "archive", {"a/x": b"1", "b/x": b"2"}), tmp_path / "out")
    assert (tmp_path / "out" / "a" / "x").read_bytes() == b"1"
    with pytest.raises(DataError, match="exists already"):
        unpack(tmp_path / "archive", tmp_path / "out")


@pytest.mark.parametrize("name", ["../evil", "top/../../evil", "/tmp/evil", "..\\evil", "C:\\evil", "C:evil"])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_path_that_leads_out_is_refused(tmp_path, make, name):
    folder = tmp_path / "inner"
    folder.mkdir()
    archive = make(folder / "archive", {"top/good": b"1", name: b"2"})
    with pytest.raises(DataError, match="leads out of it"):
        unpack(archive, folder / "out")
    assert [p.name for p in tmp_path.rglob("*")] == ["inner", "archive"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    archive = make_tar(tmp_path / "archive", extra=[link(kind)])
    with pytest.raises(DataError, match="link or a device"):
        unpack(archive, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["archive"]


def test_links_in_a_zip_are_refused(tmp_path):
    member = zipfile.ZipInfo("top/link")
    member.external_attr = 0o120777 << 16  # the Unix mode of a symbolic link
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match="link or a device"):
        unpack(tmp_path / "archive", tmp_path / "out")


@pytest.mark.parametrize("make", [make_tar, make_tar_gz, make_zip])
def test_too_much_content_is_refused(tmp_path, make):
    archive = make(tmp_path / "archive")
    with pytest.raises(DataError, match="more than 2,004 bytes"):
        unpack(archive, tmp_path / "out", most_bytes=2004)
    unpack(archive, tmp_path / "out", most_bytes=2005)


@pytest.mark.parametrize("make", [make_tar, make_tar_gz, make_zip])
def test_a_truncated_archive_is_noticed_wherever_it_was_cut(tmp_path, make):
    whole = make(tmp_path / "archive").read_bytes()
    used = (
        len(whole) if make is not make_tar else whole.rindex(b"ustar") + 255
    )  # the rest of a tar is padding
    for length in range(0, used, 101):
        (tmp_path / "archive").write_bytes(whole[:length])
        with pytest.raises(DataError, match="archive is broken or truncated"):
            unpack(tmp_path / "archive", tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["archive"]


def test_a_damaged_header_in_the_middle_of_a_tar_is_noticed(tmp_path):
    path = make_tar(tmp_path / "archive")
    content = bytearray(path.read_bytes())
    place = content.index(b"top/sub/b.bin")
    content[place : place + 3] = b"XXX"  # the checksum of the header is wrong now
    path.write_bytes(content)
    with pytest.raises(DataError, match="broken"):
        list(archive_files(path))


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "archive")

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(DataError, match="No space left.*disk full"):
        unpack(archive, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["archive"]
