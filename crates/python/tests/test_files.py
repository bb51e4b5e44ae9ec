"""Files: modes, buffers, positions, and what the standard library does with them."""

import io
import os
import sqlite3
import tarfile
import zipfile

import pytest

import drupe


def test_text_and_bytes(fs):
    assert fs.write_text("/a", "häß\n") == 4
    assert fs.read_text("a") == "häß\n"
    assert fs.read_bytes(b"/a") == "häß\n".encode()
    assert fs.write_bytes("/b", memoryview(b"abc")) == 3
    assert fs.read_bytes("/b") == b"abc"
    with fs.open("/a", encoding="latin-1") as file:
        assert file.read() == "hÃ¤Ã\x9f\n"
        assert file.mode == "r" and file.name == "/a"


@pytest.mark.parametrize("mode", ["rb", "r+b", "wb", "w+b", "ab", "a+b", "xb", "x+b"])
def test_modes_are_those_of_open(fs, tmp_path, mode):
    def use(open):
        told = []
        path = "f" if "x" not in mode else "new"
        with open(path, mode) as file:
            told.append((file.readable(), file.writable(), file.seekable(), file.tell()))
            for do in (lambda: file.read(2), lambda: file.write(b"xy"), lambda: file.tell()):
                try:
                    told.append(do())
                except io.UnsupportedOperation:
                    told.append("unsupported")
        with open(path, "rb") as file:
            told.append(file.read())
        return told

    fs.write_bytes("/f", b"12345")
    (tmp_path / "f").write_bytes(b"12345")
    host = use(lambda name, mode: open(tmp_path / name, mode))
    assert use(lambda name, mode: fs.open(name, mode)) == host


@pytest.mark.parametrize("mode", ["", "rw", "rr", "bt", "rbt", "U", "r+w"])
def test_bad_modes(fs, mode):
    with pytest.raises(ValueError):
        fs.open("/f", mode)


def test_exclusive(fs):
    fs.open("/f", "x").close()
    with pytest.raises(FileExistsError):
        fs.open("/f", "x")


def test_perm(fs):
    with fs.open("/f", "w", perm=0o640):
        pass
    assert fs.stat("/f").st_mode & 0o7777 == 0o640


def test_unbuffered(fs):
    with fs.open("/f", "w+b", buffering=0) as file:
        assert isinstance(file, drupe.RawFile)
        assert file.write(b"0123456789") == 10
        assert file.pwrite(b"ab", 2) == 2 and file.tell() == 10
        assert file.seek(-4, os.SEEK_END) == 6
        assert file.readall() == b"6789"
        room = bytearray(4)
        assert file.pread_into(room, 1) == 4 and room == b"1ab4"
        assert file.truncate(3) == 3
        file.sync()
        assert file.stat().st_size == 3
        with pytest.raises(io.UnsupportedOperation):
            file.fileno()
        with pytest.raises(ValueError):
            file.seek(-1)
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def test_readinto_what_is_there(fs):
    fs.write_bytes("/f", b"0123456789")
    with fs.open("/f", "rb", buffering=0) as file:
        import array

        numbers = array.array("I", [0, 0])
        assert file.readinto(numbers) == 8 and numbers.tobytes() == b"01234567"
        with pytest.raises(BufferError):
            file.readinto(b"readonly")
        with pytest.raises(BufferError):
            file.readinto(memoryview(bytearray(8))[::2])
        with pytest.raises(TypeError):
            file.readinto("text")
        assert file.readinto(bytearray()) == 0


def test_large(fs):
    data = os.urandom(1 << 20) * 40
    assert fs.write_bytes("/f", data) == len(data)
    assert fs.read_bytes("/f") == data
    with fs.open("/f", "rb") as file:
        file.seek(10)
        assert file.read() == data[10:]
        file.seek(5)
        assert file.read(1 << 20) == data[5 : (1 << 20) + 5]


def test_no_size(fs):
    with fs.kernel.mount_virtual("proc") as proc:
        assert b"ext4" in proc.read_bytes("/filesystems")
        with proc.open("/filesystems") as file:
            assert "ext4" in file.read()
    assert b"Linux" in fs.kernel.read_file("/proc/version")


def test_not_a_directory(fs):
    for mode in ("r", "rb", "w"):
        with pytest.raises(IsADirectoryError) as raised:
            fs.open("/lost+found", mode)
        assert raised.value.filename == "/lost+found"


def test_zipfile(fs):
    with fs.open("/z.zip", "w+b") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/b", "contents")
    with fs.open("/z.zip", "rb") as file, zipfile.ZipFile(file) as archive:
        assert archive.read("a/b") == b"contents"


def test_tarfile(fs):
    with fs.open("/t.tar", "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("a")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    with fs.open("/t.tar", "rb") as file, tarfile.open(fileobj=file) as archive:
        assert archive.extractfile("a").read() == b"abc"


def test_sqlite(fs):
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (n)")
    connection.execute("insert into t values (7)")
    connection.commit()
    fs.write_bytes("/db", connection.serialize())
    other = sqlite3.connect(":memory:")
    other.deserialize(fs.read_bytes("/db"))
    assert other.execute("select n from t").fetchone() == (7,)


def test_closing_the_filesystem_closes_files(image):
    with drupe.open(image, mode="r+") as fs:
        file = fs.open("/f", "w")
        file.write("buffered")
    assert file.closed and fs.closed
    with drupe.open(image) as fs:
        assert fs.read_text("/f") == "buffered"
    with pytest.raises(ValueError, match="closed"):
        fs.read_text("/f")


def test_read_only_does_not_change_the_image(image):
    before = image.read_bytes()
    with drupe.open(image) as fs:
        with pytest.raises(OSError) as raised:
            fs.write_text("/f", "x")
        assert raised.value.errno == 30 and raised.value.filename == "/f"
    with drupe.open(image, mode="c") as fs:
        fs.write_text("/f", "x")
        assert fs.read_text("/f") == "x"
    assert image.read_bytes() == before
