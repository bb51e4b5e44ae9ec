"""What the tests share: images, made by each filesystem's own tools."""

import pathlib
import subprocess

import pytest

import drupe


def run(*command, **more):
    """Runs a program that must succeed; what it has printed."""
    done = subprocess.run(
        [*map(str, command)], check=True, capture_output=True, text=True, **more
    )
    return done.stdout


def make_image(path, size=64 << 20, fstype="ext4", *options):
    """An image with an empty filesystem."""
    with open(path, "wb") as file:
        file.truncate(size)
    quiet = {"ext4": ["-q", "-F"], "btrfs": ["-q", "-f"], "xfs": ["-q", "-f"]}
    run(f"mkfs.{fstype}", *quiet.get(fstype, []), *options, path)
    return path


def copy_image(image, path):
    """A copy with the holes that the image has: there are hundreds of them."""
    run("cp", "--sparse=always", image, path)
    return pathlib.Path(path)


@pytest.fixture(scope="session")
def empty_image(tmp_path_factory):
    """An empty ext4, not to be changed."""
    return make_image(tmp_path_factory.mktemp("images") / "empty.img")


@pytest.fixture
def image(empty_image, tmp_path):
    """An ext4 of the test's own."""
    return copy_image(empty_image, tmp_path / "disk.img")


@pytest.fixture
def fs(image):
    """A writable filesystem."""
    with drupe.open(image, mode="r+") as fs:
        yield fs


@pytest.fixture
def disk_with_partitions(tmp_path):
    """A GPT with an ext4, a swap area and a btrfs."""
    path = tmp_path / "parts.img"
    with open(path, "wb") as file:
        file.truncate(256 << 20)
    table = "label: gpt\nsize=32M, name=first\nsize=8M\nsize=128M, name=third\n"
    run("sfdisk", "-q", path, input=table)
    for number, (fstype, size, start) in enumerate(
        [("ext4", 32, 1), ("swap", 8, 33), ("btrfs", 128, 41)], 1
    ):
        part = tmp_path / f"part{number}"
        with open(part, "wb") as file:
            file.truncate(size << 20)
        match fstype:
            case "ext4":
                run("mkfs.ext4", "-q", "-F", "-L", "root", part)
            case "swap":
                run("mkswap", part)
            case "btrfs":
                run("mkfs.btrfs", "-q", "-f", "-L", "data", part)
        place = ["conv=notrunc,sparse", "bs=1M", f"seek={start}"]
        run("dd", f"if={part}", f"of={path}", *place)
        part.unlink()
    return path
