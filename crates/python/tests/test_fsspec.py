"""The filesystem of fsspec's, by fsspec's own abstract tests, and what those leave out."""

import os
import pickle
import shutil

import fsspec
import fsspec.tests.abstract as abstract
import pytest
from conftest import make_image

import drupe
from drupe.fsspec import DrupeFileSystem

try:
    from fsspec.tests.abstract.mv import AbstractMvTests
except ImportError:  # An older fsspec.

    class AbstractMvTests:
        pass


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One filesystem for all of fsspec's tests: each works in a directory of its own."""
    image = make_image(tmp_path_factory.mktemp("fsspec") / "disk.img", 256 << 20)
    fs = DrupeFileSystem(image, image_mode="r+")
    yield fs
    fs.close()


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, shared):
        return shared

    @pytest.fixture
    def fs_path(self, shared, request):
        path = f"/{abs(hash(request.node.nodeid))}"
        shared.makedirs(path)
        yield path
        shared.rm(path, recursive=True)


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass


class TestMv(AbstractMvTests, Fixtures):
    pass


@pytest.fixture
def url(image):
    with drupe.open(image, mode="r+") as fs:
        fs.makedirs("/etc")
        fs.write_text("/etc/os-release", "NAME=x\n")
        fs.symlink("os-release", "/etc/link")
    return f"drupe://{image}"


def test_the_protocol_is_known(url):
    assert "drupe" in fsspec.available_protocols()
    assert fsspec.get_filesystem_class("drupe") is DrupeFileSystem
    with fsspec.open(f"{url}:/etc/os-release", "rt") as file:
        assert file.read() == "NAME=x\n"
    fs, path = fsspec.url_to_fs(f"{url}@0:/etc")
    assert path == "/etc" and (fs.partition, fs.image) == ("0", url[len("drupe://") :])
    assert sorted(fs.ls(path, detail=False)) == ["/etc/link", "/etc/os-release"]
    assert fs.unstrip_protocol("/etc") == f"{url}@0:/etc"
    assert fs.glob("/etc/os-*") == ["/etc/os-release"]
    assert fs.find("/") == ["/etc/link", "/etc/os-release"]
    fs.close()


def test_info(url):
    fs = DrupeFileSystem(url[len("drupe://") :])
    info = fs.info("/etc/link")
    assert (info["type"], info["islink"], info["destination"]) == ("file", True, "os-release")
    assert info["size"] == 7 and info["mode"] & 0o777 == 0o644
    assert fs.modified("/etc").year >= 2024 and fs.created("/etc").tzinfo is not None
    assert [each["name"] for each in fs.ls("/etc/os-release")] == ["/etc/os-release"]
    assert fs.cat_file("/etc/os-release", 2, -2) == b"ME="
    with pytest.raises(FileNotFoundError):
        fs.info("/nowhere")
    with pytest.raises(OSError):
        fs.pipe_file("/etc/x", b"it is read-only")
    fs.close()


def test_a_transaction(image):
    fs = DrupeFileSystem(image, image_mode="r+", skip_instance_cache=True)
    with fs.transaction:
        with fs.open("/a", "wb") as file:
            file.write(b"x")
        assert not fs.exists("/a")
    assert fs.cat_file("/a") == b"x"
    with pytest.raises(LookupError), fs.transaction:
        with fs.open("/b", "wb") as file:
            file.write(b"x")
        raise LookupError
    assert sorted(fs.ls("/", detail=False)) == ["/a", "/lost+found"]
    fs.close()


def test_pickled_and_closed(image):
    fs = DrupeFileSystem(str(image), image_mode="r+", skip_instance_cache=True)
    fs.pipe_file("/a", b"x")
    fs.close()
    other = pickle.loads(pickle.dumps(fs))
    assert other.cat_file("/a") == b"x"
    other.close()
    # It opens the image again.
    assert fs.exists("/a")
    fs.close()


def test_between_two(image, tmp_path):
    """fsspec copies from any filesystem to any other."""
    fs = DrupeFileSystem(image, image_mode="r+", skip_instance_cache=True)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/f").write_text("x")
    fs.put(str(tmp_path / "tree"), "/t", recursive=True)
    mapper = fs.get_mapper("/t")
    assert dict(mapper) == {"f": b"x"}
    fs.get("/t", str(tmp_path / "out"), recursive=True)
    assert (tmp_path / "out/f").read_text() == "x"
    shutil.rmtree(tmp_path / "out")
    with fs.open("/t/text", "w") as file:
        file.write("ü")
    assert fs.tail("/t/text", 1) == "ü".encode()[-1:]
    assert fs.du("/t") == 3 and fs.checksum("/t/f") != fs.checksum("/t/text")
    fs.close()
    assert os.listdir(tmp_path / "tree") == ["f"]
