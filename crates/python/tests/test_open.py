"""From an image to a filesystem: partitions, formats, volumes, what is wrong with it."""

import errno
import io

import pytest
from conftest import make_image, run

import drupe


def test_picks_a_partition(disk_with_partitions):
    with drupe.open(disk_with_partitions, partition=1) as fs:
        assert fs.info().label == "root" and fs.info().device == "vda1"
    with drupe.open(disk_with_partitions, partition="3") as fs:
        assert fs.info().type == "btrfs"
    # By the filesystem's label, by the partition's name, by a UUID.
    for name in ("data", "third", fs_uuid(disk_with_partitions)):
        with drupe.open(disk_with_partitions, partition=name) as fs:
            assert fs.info().type == "btrfs"
    with pytest.raises(drupe.NoPartition, match="say which with partition=: 1, 3"):
        drupe.open(disk_with_partitions)
    with pytest.raises(drupe.NoPartition, match="no partition 7; there are: 1, 2, 3"):
        drupe.open(disk_with_partitions, partition=7)
    with pytest.raises(drupe.NoPartition, match='no volume "x"'):
        drupe.open(disk_with_partitions, partition="x")
    with pytest.raises(drupe.NoFilesystem, match="swap"):
        drupe.open(disk_with_partitions, partition=2)


def fs_uuid(image):
    return drupe.info(image).filesystems[1].uuid


def test_info(disk_with_partitions):
    info = drupe.info(disk_with_partitions)
    assert (info.format, info.size, info.block_size, info.table) == ("raw", 256 << 20, 512, "gpt")
    assert info.damage is None
    assert [(volume.id, volume.kind, volume.type) for volume in info.volumes] == [
        ("0", "disk", None),
        ("1", "partition", "ext4"),
        ("2", "partition", "swap"),
        ("3", "partition", "btrfs"),
    ]
    first = info.partitions[0]
    assert (first.start, first.size, first.label) == (1 << 20, 32 << 20, "root")
    assert first.partition_name == "first" and first.partition_type == "Linux filesystem"
    assert first.parents == ("0",) and first.mountable and first.trouble is None
    assert [volume.id for volume in info.filesystems] == ["1", "3"]


def test_formats(image, tmp_path):
    with drupe.open(image, mode="r+") as fs:
        fs.write_text("/f", "x")
    for name in ("qcow2", "vmdk", "vhdx", "vdi"):
        other = tmp_path / f"disk.{name}"
        run("qemu-img", "convert", "-O", name, image, other)
        with drupe.open(other) as fs:
            assert fs.read_text("/f") == "x"
        assert drupe.info(other).format == name
    # Whoever says what it is isn't asked.
    with pytest.raises(drupe.NoFilesystem):
        drupe.open(tmp_path / "disk.qcow2", format="raw")
    with pytest.raises(OSError, match="is not one of: raw, qcow2"):
        drupe.open(image, format="iso")
    overlay = tmp_path / "overlay.qcow2"
    run("qemu-img", "create", "-f", "qcow2", "-b", image, "-F", "raw", overlay)
    with pytest.raises(drupe.ImageError) as raised:
        drupe.open(overlay)
    assert raised.value.filename == str(overlay)
    with drupe.open(overlay, backing=True) as fs:
        assert fs.read_text("/f") == "x"


def test_what_is_wrong(image, tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        drupe.open(tmp_path / "nowhere.img")
    assert raised.value.filename == str(tmp_path / "nowhere.img")
    zeroes = tmp_path / "zeroes"
    zeroes.write_bytes(bytes(1 << 20))
    with pytest.raises(drupe.NoFilesystem) as raised:
        drupe.open(zeroes)
    assert isinstance(raised.value, OSError) and raised.value.errno == errno.EMEDIUMTYPE
    with pytest.raises(ValueError, match='it can be "r"'):
        drupe.open(image, mode="w")
    with pytest.raises(TypeError, match="partition is the number"):
        drupe.open(image, partition=1.5)
    with pytest.raises(TypeError):
        drupe.open(7)
    with drupe.open(image, mode="r+"), pytest.raises(drupe.ImageInUse):
        drupe.open(image, mode="r+")
    with pytest.raises(drupe.MountError) as raised:
        drupe.open(image, options="nonsense")
    assert "nonsense" in raised.value.strerror


def test_a_journal_is_replayed_in_memory(image):
    with drupe.open(image, mode="r+") as fs:
        fs.write_text("/f", "x")
        fs.sync()
        dirty = image.read_bytes()
    image.write_bytes(dirty)
    with pytest.raises(drupe.JournalReplay, match='mode="c"'):
        drupe.open(image)
    with drupe.open(image, mode="c") as fs:
        assert fs.read_text("/f") == "x"
    assert image.read_bytes() == dirty


def test_one_kernel_for_several(image, disk_with_partitions, tmp_path):
    with drupe.Kernel() as kernel:
        with drupe.open(image, mode="r+", kernel=kernel) as one:
            with drupe.open(disk_with_partitions, 1, mode="r+", kernel=kernel) as two:
                one.write_text("/f", "x")
                one.copy("/f", "/g", to=two)
                assert two.read_text("/g") == "x"
        assert not kernel.closed
        assert kernel.release.startswith(drupe.LINUX_VERSION)
        assert "EXT4-fs" in kernel.log()
    with pytest.raises(ValueError, match="closed"):
        kernel.log()


def test_a_kernel_closes_its_filesystems(image):
    with drupe.Kernel() as kernel:
        fs = drupe.open(image, mode="r+", kernel=kernel)
        file = fs.open("/f", "w")
        file.write("buffered")
    assert fs.closed and file.closed
    fs.close()
    with drupe.open(image) as fs:
        assert fs.read_text("/f") == "buffered"


def test_log(image):
    told = []
    with drupe.Kernel(log=told.append, cold_boot=True):
        pass
    assert b"Linux version" in b"".join(told)


def test_luks(tmp_path):
    path = tmp_path / "luks.img"
    with open(path, "wb") as file:
        file.truncate(48 << 20)
    how = ["--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]
    run("cryptsetup", "luksFormat", "--batch-mode", *how, path, "-", input="secret")
    with pytest.raises(drupe.Locked, match="passphrase="):
        drupe.open(path)
    with pytest.raises(drupe.WrongPassphrase):
        drupe.open(path, passphrase="wrong")
    asked = []

    def ask(volume, wrong):
        asked.append((volume, wrong))
        return ["wrong", b"secret"][wrong]

    # There is nothing in it yet, as the error says.
    with pytest.raises(drupe.NoFilesystem):
        drupe.open(path, passphrase=ask)
    assert asked == [("0", 0), ("0", 1)]
    info = drupe.info(path, passphrase="secret")
    assert [(volume.id, volume.kind) for volume in info.volumes] == [
        ("0", "disk"),
        ("0/luks", "luks"),
    ]
    assert "passphrase" in drupe.info(path).volumes[0].trouble

    def bad(volume, wrong):
        raise LookupError("no keyring")

    with pytest.raises(LookupError, match="no keyring"):
        drupe.open(path, passphrase=bad)


def test_btrfs_on_two(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        with open(path, "wb") as file:
            file.truncate(128 << 20)
    run("mkfs.btrfs", "-q", "-f", one, two)
    with pytest.raises(drupe.MissingDevice, match="extra="):
        drupe.open(one)
    with drupe.open(one, extra=[two], mode="r+") as fs:
        fs.write_text("/f", "x")
    with drupe.open(two, extra=[one]) as fs:
        assert fs.read_text("/f") == "x"


def test_an_object_as_a_disk(image):
    data = io.BytesIO(image.read_bytes())
    with drupe.open(data, mode="r+") as fs:
        fs.write_text("/f", "x" * 100_000)
    with drupe.open(data) as fs:
        assert fs.read_text("/f") == "x" * 100_000
    with open(image, "rb") as file, drupe.open(file) as fs:
        assert fs.listdir() == ["lost+found"]


def test_an_object_that_fails(image):
    class Failing(io.BytesIO):
        fails = None

        def read(self, size=-1):
            if self.fails:
                raise self.fails
            return super().read(size)

    data = Failing(image.read_bytes())
    with drupe.open(data) as fs:
        data.fails = OSError(errno.EIO, "broken")
        with pytest.raises(OSError) as raised:
            fs.listdir("/lost+found")
        assert raised.value.errno == errno.EIO
        data.fails = None


def test_close_says_what_was_not_written(image):
    class Full(io.BytesIO):
        full = False

        def write(self, data):
            if self.full:
                raise OSError(errno.ENOSPC, "full")
            return super().write(data)

    data = Full(image.read_bytes())
    fs = drupe.open(data, mode="r+")
    data.full = True
    fs.write_text("/f", "x")
    with pytest.raises(OSError) as raised:
        fs.close()
    assert raised.value.errno == errno.ENOSPC
    assert fs.closed


def test_virtual():
    with drupe.Kernel() as kernel, kernel.mount_virtual("tmpfs", "size=1M") as fs:
        fs.write_text("/f", "x")
        assert fs.info().type is None and fs.info().device is None
        with pytest.raises(OSError) as raised:
            fs.write_bytes("/g", bytes(2 << 20))
        assert raised.value.errno == errno.ENOSPC and raised.value.filename == "/g"


def test_statvfs(fs):
    found, info = fs.statvfs(), fs.info()
    assert found.f_bsize * found.f_blocks == info.size and found.f_namemax == 255
    assert found.f_bavail * found.f_bsize == info.available
    assert info.files == found.f_files == 16384 and not info.read_only
    assert fs.trim() > 0


def test_locations(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_image("disk.img", 8 << 20)
    for odd in ("odd@7", "a:b"):
        (tmp_path / odd).touch()
    parse = drupe.Location.parse
    assert parse("disk.img") == ("disk.img", None, "/")
    assert parse("disk.img:") == ("disk.img", None, "/")
    assert parse("disk.img@1:/etc/a:b") == ("disk.img", "1", "/etc/a:b")
    assert parse("disk.img@vg/root:/x") == ("disk.img", "vg/root", "/x")
    assert parse("odd@7:/x") == ("odd@7", None, "/x")
    assert parse("odd@7@1:/x") == ("odd@7", "1", "/x")
    assert parse("a:b") == ("a:b", None, "/")
    assert parse("missing.img@3:/x") == ("missing.img", "3", "/x")
    assert parse("missing@x:/") == ("missing@x", None, "/")
    assert parse("nbd://h:1/e@1:/etc:/a") == ("nbd://h:1/e", "1", "/etc:/a")
    assert parse("nbd://h/e") == ("nbd://h/e", None, "/")
