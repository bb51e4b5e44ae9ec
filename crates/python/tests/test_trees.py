"""Copies of trees, and archives."""

import gzip
import io
import os
import socket
import tarfile
import threading

import pytest

import drupe


@pytest.fixture
def host_tree(tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "file").write_text("contents")
    (tree / "sub" / "link").symlink_to("../file")
    os.link(tree / "file", tree / "hard")
    (tree / "file").chmod(0o640)
    os.utime(tree / "file", ns=(10**18, 10**18 + 5))
    return tree


def test_in_and_out(fs, host_tree, tmp_path):
    fs.copy_in(host_tree, "/copied")
    found = fs.stat("/copied/file")
    assert found.st_mode & 0o777 == 0o640 and found.st_mtime_ns == 10**18 + 5
    assert found.st_nlink == 2 and fs.readlink("/copied/sub/link") == "../file"
    fs.copy_out(fs / "copied", tmp_path / "out")
    assert (tmp_path / "out/file").read_text() == "contents"
    assert (tmp_path / "out/file").stat().st_mtime_ns == 10**18 + 5
    assert (tmp_path / "out/hard").samefile(tmp_path / "out/file")
    fs.copy("/copied", "/again")
    assert fs.read_text("/again/sub/link") == "contents"
    fs.copy_in(host_tree / "file", "/plain", archive=False)
    assert fs.stat("/plain").st_mtime_ns != 10**18 + 5


def test_what_cannot_be_copied(fs, host_tree, tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        fs.copy_out("/nowhere", tmp_path / "out")
    assert "/nowhere" in raised.value.filename
    with pytest.raises(FileNotFoundError):
        fs.copy_in(tmp_path / "nowhere", "/x")
    big = tmp_path / "big"
    with open(big, "wb") as file:
        file.write(os.urandom(80 << 20))
    with pytest.raises(OSError) as raised:
        fs.copy_in(big, "/big")
    assert raised.value.errno == 28


def test_some_cannot_be_copied(fs, host_tree):
    # FAT has no symbolic links.
    (host_tree / "two").symlink_to("file")
    with fs.kernel.mount_virtual("tmpfs", "nr_inodes=4") as small:
        with pytest.raises(OSError):
            small.copy_in(host_tree, "/copied")


def test_the_umask_is_the_threads(fs, host_tree, tmp_path):
    """A copy to the host needs a umask of its own; what others make meanwhile does not."""
    import threading

    fs.copy_in(host_tree, "/t")
    for number in range(200):
        fs.write_text(f"/t/{number}", "x")
    before = os.umask(0o077)
    try:
        done = threading.Event()
        modes = set()

        def make():
            while not done.is_set():
                os.close(os.open(tmp_path / "f", os.O_CREAT | os.O_WRONLY, 0o666))
                modes.add((tmp_path / "f").stat().st_mode & 0o777)
                (tmp_path / "f").unlink()

        thread = threading.Thread(target=make)
        thread.start()
        fs.copy_out("/t", tmp_path / "plain", archive=False)
        fs.copy_out("/t", tmp_path / "exact")
        done.set()
        thread.join()
    finally:
        os.umask(before)
    assert modes == {0o600}
    assert (tmp_path / "plain/sub").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "exact/file").stat().st_mode & 0o777 == 0o640


def names(stream, mode="r:*"):
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        return sorted(archive.getnames())


@pytest.mark.parametrize("compression", ["", "gz", "xz"])
def test_tar(fs, host_tree, compression):
    fs.copy_in(host_tree, "/t")
    stream = io.BytesIO()
    fs.tar("/t", stream, compression=compression, exclude=["hard"])
    stream.seek(0)
    assert names(stream) == [".", "./file", "./sub", "./sub/link"]
    stream.seek(0)
    fs.mkdir("/u")
    fs.untar(stream, "/u", exclude=["sub"])
    assert sorted(fs.listdir("/u")) == ["file"]
    assert fs.stat("/u/file").st_mtime_ns == 10**18 + 5


def test_tar_zstd(fs):
    fs.write_text("/f", "x")
    stream = io.BytesIO()
    fs.tar("/", stream, compression="zst")
    assert stream.getvalue()[:4] == b"\x28\xb5\x2f\xfd"
    fs.unlink("/f")
    fs.untar(stream.getvalue())
    assert fs.read_text("/f") == "x"
    with pytest.raises(ValueError, match='it can be ""'):
        fs.tar("/", stream, compression="bz2")


def test_untar_from_any_stream(fs, tmp_path):
    """A file, gzip, a socket, what returns little at a time, what returns no bytes."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for number in range(20):
            member = tarfile.TarInfo(f"top/{number}")
            member.size = 100_000
            archive.addfile(member, io.BytesIO(bytes([number]) * 100_000))
    data = data.getvalue()
    (tmp_path / "a.tar").write_bytes(data)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(data))

    class Slow:
        def __init__(self):
            self.data = io.BytesIO(data)

        def read(self, size):
            return memoryview(self.data.read(min(size, 1000)))

    one, other = socket.socketpair()

    def send():
        with one:
            one.sendall(data)

    sender = threading.Thread(target=send)
    sender.start()
    streams = [
        open(tmp_path / "a.tar", "rb"),
        gzip.open(tmp_path / "a.tar.gz"),
        open(tmp_path / "a.tar.gz", "rb"),
        Slow(),
        other.makefile("rb"),
    ]
    for number, stream in enumerate(streams):
        fs.mkdir(f"/{number}")
        fs.untar(stream, f"/{number}", strip_components=1)
        assert len(fs.listdir(f"/{number}")) == 20
        assert fs.read_bytes(f"/{number}/7") == b"\7" * 100_000
        fs.rmtree(f"/{number}")
    sender.join()
    for stream in (*streams[:3], streams[4], other):
        stream.close()


def test_tar_to_what_has_write(fs):
    fs.write_bytes("/f", os.urandom(300_000))

    class Little:
        def __init__(self):
            self.data = b""

        def write(self, data):
            self.data += data[:70_000]
            return len(data[:70_000])

    little = Little()
    fs.tar("/", little)
    assert "./f" in names(io.BytesIO(little.data))


def test_a_stream_that_fails(fs):
    class Failing:
        def read(self, size):
            raise LookupError("no more")

        def write(self, data):
            raise LookupError("no room")

    with pytest.raises(LookupError, match="no more"):
        fs.untar(Failing())
    with pytest.raises(LookupError, match="no room"):
        fs.tar("/", Failing())
    with pytest.raises(AttributeError):
        fs.untar(7)
    with pytest.raises(TypeError):
        fs.untar(io.StringIO("text"))
    # And it goes on.
    assert fs.listdir() == ["lost+found"]


def test_damaged_archives(fs):
    with pytest.raises(drupe.TreeError):
        fs.untar(b"no archive" * 1000)
    with pytest.raises(FileNotFoundError):
        fs.untar(b"", "/nowhere")
