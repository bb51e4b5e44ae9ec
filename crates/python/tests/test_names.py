"""Names, directories and attributes; the path class."""

import errno
import os
import pathlib
import stat

import pytest

import drupe


def test_errors_are_pythons_own(fs):
    with pytest.raises(FileNotFoundError) as raised:
        fs.read_text("/no/where")
    error = raised.value
    assert (error.errno, error.strerror) == (errno.ENOENT, "No such file or directory")
    assert error.filename == "/no/where" and type(error) is FileNotFoundError
    with pytest.raises(FileNotFoundError) as raised:
        fs.rename("/no", "/else")
    assert (raised.value.filename, raised.value.filename2) == ("/no", "/else")
    fs.mkdir("/d")
    with pytest.raises(FileExistsError):
        fs.mkdir("/d")
    fs.touch("/d/f")
    with pytest.raises(OSError) as raised:
        fs.rmdir("/d")
    assert raised.value.errno == errno.ENOTEMPTY
    with pytest.raises(NotADirectoryError):
        fs.listdir("/d/f")


def test_bad_names(fs):
    with pytest.raises(OSError) as raised:
        fs.read_text("/a\0b")
    assert raised.value.errno == errno.EINVAL
    with pytest.raises(TypeError):
        fs.read_text(7)


def test_names_that_are_no_utf8(fs):
    fs.write_text(b"/\xff", "x")
    (name,) = set(fs.listdir()) - {"lost+found"}
    assert os.fsencode(name) == b"\xff"
    assert fs.read_text(name) == "x" and (fs / name).read_text() == "x"


def test_stat(fs):
    fs.write_text("/f", "12345", perm=0o600)
    fs.chown("/f", 1000, 2000)
    fs.utime("/f", ns=(1_500_000_000_123_456_789, -1))
    found = fs.stat("/f")
    assert isinstance(found, os.stat_result)
    assert stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o600
    assert (found.st_uid, found.st_gid, found.st_size, found.st_nlink) == (1000, 2000, 5, 1)
    assert found.st_atime_ns == 1_500_000_000_123_456_789 and found.st_mtime_ns == -1
    assert found.st_blksize == 1024 and found.st_blocks == 2
    assert fs.birth_time("/f") > 1_600_000_000
    fs.chown("/f", gid=7)
    assert (fs.stat("/f").st_uid, fs.stat("/f").st_gid) == (1000, 7)
    fs.chmod("/f", 0o4755)
    assert fs.stat("/f").st_mode & 0o7777 == 0o4755
    fs.truncate("/f", 2)
    assert fs.read_text("/f") == "12"
    with fs.open("/f") as file:
        assert file.buffer.raw.stat().st_ino == found.st_ino


def test_links(fs):
    fs.write_text("/f", "x")
    fs.symlink("f", "/s")
    fs.link("/f", "/h")
    fs.symlink("nowhere", "/dangling")
    assert fs.readlink("/s") == "f" and fs.realpath("/s") == "/f"
    assert fs.is_symlink("/s") and fs.is_file("/s") and fs.lstat("/s").st_size == 1
    assert fs.stat("/h").st_nlink == 2 and (fs / "h").samefile("/f")
    assert not fs.exists("/dangling") and fs.lexists("/dangling")
    # A link never leads out of the image.
    fs.symlink("/../../../../etc/passwd", "/out")
    assert not fs.exists("/out")
    fs.mkdir("/etc")
    fs.write_text("/etc/passwd", "the image's own")
    assert fs.read_text("/out") == "the image's own"


def test_special_files(fs):
    fs.mknod("/null", stat.S_IFCHR | 0o666, os.makedev(1, 300))
    fs.mknod("/fifo", stat.S_IFIFO | 0o600)
    found = fs.stat("/null")
    assert (os.major(found.st_rdev), os.minor(found.st_rdev)) == (1, 300)
    assert (fs / "null").is_char_device() and (fs / "fifo").is_fifo()
    assert not (fs / "fifo").is_socket() and not (fs / "fifo").is_block_device()


def test_xattrs(fs):
    fs.touch("/f")
    fs.setxattr("/f", "user.a", b"\0value")
    assert fs.listxattr("/f") == ["user.a"] and fs.getxattr("/f", "user.a") == b"\0value"
    fs.removexattr("/f", "user.a")
    with pytest.raises(OSError) as raised:
        fs.getxattr("/f", "user.a")
    assert raised.value.errno == errno.ENODATA and raised.value.filename == "/f"


def tree(fs):
    for name in ("a/b/one.txt", "a/two.txt", "a/.hidden/three.txt", "c/four.py"):
        fs.makedirs(os.path.dirname(f"/{name}"))
        fs.write_text(name, name)
    fs.symlink("../a", "/c/loop")


def host_tree(path):
    for name in ("a/b/one.txt", "a/two.txt", "a/.hidden/three.txt", "c/four.py"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    (path / "c/loop").symlink_to("../a")
    (path / "lost+found").mkdir()


@pytest.mark.parametrize("topdown", [True, False])
@pytest.mark.parametrize("follow", [True, False])
def test_walk_is_that_of_os(fs, tmp_path, topdown, follow):
    host = tmp_path / "host"
    tree(fs)
    host_tree(host)

    def told(walk, root):
        return sorted(
            ("/" + os.path.relpath(base, root), sorted(dirs), sorted(files))
            for base, dirs, files in walk
        )

    expected = told(os.walk(host, topdown, followlinks=follow), host)
    assert told(fs.walk("/", topdown, followlinks=follow), "/") == expected
    order = [base for base, _, _ in fs.walk("/", topdown)]
    assert order[0 if topdown else -1] == "/"


def test_walk_can_be_pruned_and_tells_errors(fs):
    tree(fs)
    seen = []
    for base, dirs, _ in fs.walk("/"):
        dirs[:] = [name for name in dirs if name != "a"]
        seen.append(base)
    assert "/a" not in seen and "/c" in seen
    errors = []
    assert list(fs.walk("/nowhere", onerror=errors.append)) == []
    assert isinstance(errors[0], FileNotFoundError)


@pytest.mark.parametrize(
    "pattern", ["*", "**/*.txt", "**/**/*.txt", "a/*", "**/one.txt", "a/**/*.txt", "c/loop/*", "?/four.*", "x", "a"]
)
def test_glob_is_that_of_glob(fs, tmp_path, pattern):
    import glob

    host = tmp_path / "host"
    tree(fs)
    host_tree(host)
    expected = glob.glob(str(host / pattern), recursive=True)
    # Python's goes through links to directories in "**"; pathlib's does not.
    expected = {found[len(str(host)) :] for found in expected}
    expected = {found for found in expected if "**" not in pattern or "/loop/" not in found}
    assert set(fs.glob(pattern)) == expected
    paths = {str(path) for path in fs.path("/").glob(pattern)}
    assert paths >= expected and len(paths) == len(list(fs.path("/").glob(pattern)))


def test_scandir(fs):
    tree(fs)
    entries = {entry.name: entry for entry in fs.scandir("/c")}
    assert entries["four.py"].is_file() and entries["four.py"].path == "/c/four.py"
    loop = entries["loop"]
    assert loop.is_symlink() and loop.is_dir() and not loop.is_dir(follow_symlinks=False)
    assert loop.inode() == loop.stat(follow_symlinks=False).st_ino


def test_path_is_that_of_pathlib(fs):
    tree(fs)
    path = fs / "a" / "b" / "one.txt"
    pure = pathlib.PurePosixPath("/a/b/one.txt")
    for name in ("name", "stem", "suffix", "suffixes", "parts", "root", "anchor"):
        assert getattr(path, name) == getattr(pure, name), name
    assert str(path) == str(pure) and str(path.parent) == str(pure.parent)
    assert [*map(str, path.parents)] == [*map(str, pure.parents)]
    assert path.relative_to("/a") == pure.relative_to("/a")
    assert path.is_relative_to("/a") and not path.is_relative_to("/c")
    assert path.match("*.txt") and str(path.with_suffix(".md")) == "/a/b/one.md"
    assert str(path.with_name("x")) == "/a/b/x" and str(path.with_stem("x")) == "/a/b/x.txt"
    assert path == fs.path("a/b/one.txt") and hash(path) == hash(fs.path("/a/b/one.txt"))
    assert path != pure and fs.path("/a") < fs.path("/b")
    assert path.absolute() is path and path.is_absolute() and path.as_posix() == str(pure)
    assert "disk.img:/a/b/one.txt" in repr(path)
    # The host has no such file.
    with pytest.raises(TypeError):
        os.fspath(path)


def test_path_does(fs):
    path = fs / "d" / "e"
    with pytest.raises(FileNotFoundError):
        path.mkdir()
    path.mkdir(parents=True)
    path.mkdir(parents=True, exist_ok=True)
    with pytest.raises(FileExistsError):
        path.mkdir()
    file = path / "f"
    assert file.write_text("x") == 1 and file.read_text() == "x" and file.read_bytes() == b"x"
    with file.open("a") as handle:
        handle.write("y")
    moved = file.rename(path / "g")
    assert moved.read_text() == "xy" and not file.exists()
    (path / "s").symlink_to("g")
    (path / "h").hardlink_to(moved)
    assert (path / "s").readlink() == pathlib.PurePosixPath("g")
    assert (path / "s").resolve() == moved and (path / "new" / "x").resolve() == path / "new" / "x"
    assert sorted(found.name for found in path.iterdir()) == ["g", "h", "s"]
    (path / "t").touch()
    with pytest.raises(FileExistsError):
        (path / "t").touch(exist_ok=False)
    (path / "t").unlink()
    (path / "t").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (path / "t").unlink()
    moved.chmod(0o600)
    moved.chown(5, 6)
    assert moved.stat().st_uid == 5 and moved.lstat().st_mode & 0o777 == 0o600
    (fs / "etc").mkdir()
    fs.write_text("/etc/passwd", "x:x:0:0\nher:x:5:6:::\n")
    fs.write_text("/etc/group", "hers:x:6:\n")
    assert moved.owner() == "her" and moved.group() == "hers"
    fs.rmtree("/d")
    assert not path.exists()


def test_a_path_is_of_its_filesystem(image, tmp_path):
    with drupe.open(image) as one, drupe.open(image) as two:
        assert one / "a" != two / "a"
        assert (one / "a").filesystem is one
