"""Each example of docs/python.md, as it stands there."""

import io
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile

import pytest
from conftest import run

import drupe

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "python.md"
README = pathlib.Path(__file__).parents[1] / "README.md"


def examples():
    """The blocks of Python, by their headings."""
    for page in (PAGE, README):
        heading = page.stem
        for part in re.split(r"^(#.*)$", page.read_text(), flags=re.MULTILINE):
            if part.startswith("#"):
                heading = part.lstrip("# ")
            for block in re.findall(r"^```python\n(.*?)^```$", part, re.DOTALL | re.MULTILINE):
                yield pytest.param(block, id=heading.replace(" ", "_"))


@pytest.fixture
def place(image, disk_with_partitions, tmp_path):
    """A directory with what the examples use."""
    with drupe.open(image, mode="r+") as fs:
        fill(fs)
    raw = disk_with_partitions
    with drupe.open(raw, 1, mode="r+") as fs:
        fill(fs)
    run("qemu-img", "convert", "-O", "qcow2", raw, tmp_path / "disk.qcow2")
    (tmp_path / "build/rootfs/bin").mkdir(parents=True)
    (tmp_path / "build/rootfs/bin/sh").write_text("#!")
    shutil.make_archive(str(tmp_path / "rootfs"), "gztar", tmp_path / "build/rootfs")
    (tmp_path / "notes.txt").write_text("These are notes.\n" * 100)
    return tmp_path


def fill(fs):
    fs.makedirs("/etc/ssh")
    fs.makedirs("/var/log")
    fs.makedirs("/app")
    fs.write_text("/etc/os-release", "NAME=Example\n")
    fs.write_text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    fs.write_text("/etc/hosts", "127.0.0.1 localhost\n")
    fs.write_text("/etc/ssh/sshd.conf", "")
    database = sqlite3.connect(":memory:")
    database.execute("create table users (id, name)")
    database.commit()
    fs.write_bytes("/app/data.db", database.serialize())
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("member"))
    fs.write_bytes("/app/data.tar", stream.getvalue())


@pytest.mark.skipif(not PAGE.exists(), reason="not in a checkout")
@pytest.mark.parametrize("example", [*examples()] if PAGE.exists() else [])
def test_example(example, place):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    # Each prints something, or leaves something.
    assert done.stdout or "mode=\"r+\"" in example


def test_there_are_examples():
    if PAGE.exists():
        assert len(list(examples())) >= 13


def test_everything_public_is_documented():
    import inspect

    missing = []
    for module in (drupe, drupe.net, drupe.aio):
        for name, thing in vars(module).items():
            if name.startswith("_") or not (inspect.isclass(thing) or inspect.isfunction(thing)):
                continue
            if not thing.__module__.startswith("drupe"):
                continue
            if not inspect.getdoc(thing):
                missing.append(name)
            for member, value in vars(thing).items() if inspect.isclass(thing) else ():
                if not member.startswith("_") and callable(value) and not inspect.getdoc(value):
                    missing.append(f"{name}.{member}")
    assert missing == []


def test_what_is_not_used_is_not_imported():
    text = "import drupe, sys; print('asyncio' in sys.modules, drupe.aio, drupe.net)"
    assert run(sys.executable, "-c", text).startswith("False <module 'drupe.aio'")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        drupe.nothing


def test_the_command_is_there():
    program = pathlib.Path(sys.executable).with_name("drupe")
    if not program.exists():
        pytest.skip("the wheel is not installed")
    assert run(program, "--version").startswith("drupe ")
