"""Threads, Ctrl-C, deadlines, forks, and the end of the program."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from conftest import copy_image

import drupe

#: A FIFO in the image that nobody writes to: who opens it waits.
FIFO = stat.S_IFIFO | 0o600

#: What Python says of forks beside threads, which each kernel has.
FORKING = "ignore:This process:DeprecationWarning"


def script(text, *arguments, status=0):
    """Runs a program of Python's that must end by itself; what it has printed."""
    done = subprocess.run(
        [sys.executable, "-W", FORKING, "-c", textwrap.dedent(text), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def test_any_thread_calls(fs):
    fs.write_bytes("/f", bytes(1 << 20))
    failures = []

    def work(number):
        try:
            for turn in range(50):
                path = f"/{number}.{turn}"
                fs.write_text(path, path)
                assert fs.read_text(path) == path
                assert len(fs.read_bytes("/f")) == 1 << 20
                fs.unlink(path)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and sorted(fs.listdir()) == ["f", "lost+found"]


def test_others_run_while_a_call_waits(fs):
    """The GIL is let go of: one thread waits in a call for what another one does."""
    fs.mknod("/fifo", FIFO)
    told = []

    def read():
        told.append(fs.read_text("/fifo"))

    reader = threading.Thread(target=read)
    reader.start()
    fs.write_text("/fifo", "hello")
    reader.join()
    assert told == ["hello"]


def test_a_file_in_many_threads(fs):
    """A raw file's position is the kernel's: no byte is read twice."""
    fs.write_bytes("/f", bytes(range(256)) * 256)
    with fs.open("/f", "rb", 0) as file:
        found = []

        def read():
            while piece := file.read(256):
                found.append(piece)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 256 and sum(map(len, found)) == 65536


def test_deadline(fs):
    fs.mknod("/fifo", FIFO)
    with pytest.raises(TimeoutError), drupe.deadline(0.3):
        fs.read_text("/fifo")
    with drupe.deadline(1000):
        with pytest.raises(TimeoutError), drupe.deadline(0.01):
            fs.open("/fifo")
        # The outer one is still there, and not over.
        assert fs.exists("/fifo")
    with drupe.deadline(0.01), pytest.raises(TimeoutError), drupe.deadline(1000):
        fs.open("/fifo")
    with pytest.raises(ValueError):
        with drupe.deadline(float("nan")):
            pass


@pytest.mark.parametrize(
    "call",
    [
        "fs.open('/fifo')",
        "fs.read_text('/fifo')",
        "fs.open('/fifo', 'r+b', 0).read(1)",
        # A stream that gives nothing, in a call that another thread makes.
        "fs.untar(os.fdopen(os.pipe()[0], 'rb'))",
        "fs.untar(Endless())",
        "fs.kernel.socket(type=2).recv(1)",
    ],
)
def test_ctrl_c_ends_a_call(image, call):
    with drupe.open(image, mode="r+") as fs:
        fs.mknod("/fifo", FIFO)
    text = f"""
        import os, signal, sys, tarfile, threading, time, drupe

        class Endless:
            def read(self, size):
                # The same file, again and again.
                return tarfile.TarInfo("file").tobuf() * 100

        # Shells start what is in the background with the signal ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        fs = drupe.open(sys.argv[1], mode="c")
        main = threading.main_thread().ident

        def press():
            # When the main thread has been at the same place of drupe's for a while.
            same, before = 0, None
            while same < 10:
                frame = sys._current_frames()[main]
                place = (frame.f_code.co_filename, frame.f_lasti)
                inside = "drupe" in place[0]
                same = same + 1 if inside and place == before or {"Endless" in call} else 0
                before = place
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=press).start()
        try:
            {call}
        except KeyboardInterrupt:
            print(True)
        # And it goes on.
        print(fs.exists("/fifo"))
        fs.close()
    """
    out, err = script(text, image)
    assert out == "True\nTrue\n", err


def test_a_handler_that_does_nothing(image):
    """A signal whose handler returns does not end a call: it goes on."""
    text = """
        import os, signal, sys, stat, threading, drupe
        signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
        seen = []
        fs = drupe.open(sys.argv[1], mode="c")
        fs.mknod("/fifo", stat.S_IFIFO | 0o600)

        def press():
            for _ in range(20):
                os.kill(os.getpid(), signal.SIGUSR1)
                threading.Event().wait(0.02)
            fs.write_text("/fifo", "hello")

        threading.Thread(target=press).start()
        print(fs.read_text("/fifo"), len(seen) > 1)
    """
    assert script(text, image)[0] == "hello True\n"


def test_the_end_of_a_program_writes_out(image):
    """Nothing is closed, in several orders of what goes first."""
    for text in (
        "fs = drupe.open(image, mode='r+'); fs.write_text('/f', 'x')",
        "fs = drupe.open(image, mode='r+'); f = fs.open('/f', 'w'); f.write('x')",
        "f = drupe.open(image, mode='r+').open('/f', 'w'); f.write('x')",
        "import builtins; builtins.f = drupe.open(image, mode='r+').open('/f', 'wb', 0); "
        "builtins.f.write(b'x')",
        "fs = drupe.open(image, mode='r+'); fs.write_text('/f', 'x'); fs.me = fs; "
        "fs.file = fs.open('/f'); fs.file.fs = fs; del fs",
        "fs = drupe.open(image, mode='r+'); fs.write_text('/f', 'x'); sys.exit()",
    ):
        _, err = script(f"import drupe, sys; image = sys.argv[1]; {text}", image)
        assert err == "", text
        with drupe.open(image, mode="r+") as fs:
            assert fs.read_text("/f") == "x", text
            fs.unlink("/f")


def test_the_end_of_a_program_with_a_thread_in_a_call(image):
    text = """
        import drupe, stat, sys, threading
        fs = drupe.open(sys.argv[1], mode="r+")
        fs.write_text("/f", "x")
        fs.mknod("/fifo", stat.S_IFIFO | 0o600)
        file = fs.open("/open", "w")
        begun = threading.Event()

        def work():
            begun.set()
            try:
                fs.read_text("/fifo")
            except OSError:
                pass

        def spin():
            while True:
                try:
                    fs.exists("/f")
                except (OSError, ValueError):
                    pass

        for target in (work, spin, spin):
            threading.Thread(target=target, daemon=True).start()
        begun.wait()
        print("end")
    """
    out, err = script(text, image)
    assert (out, err) == ("end\n", "")
    with drupe.open(image) as fs:
        assert fs.read_text("/f") == "x"


def test_garbage_in_any_order(image):
    import gc

    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]):
        fs = drupe.open(image, mode="r+")
        things = [fs, fs.open("/f", "w+b", 0), fs.kernel]
        things[1].write(b"x")
        del fs
        for index in order:
            things[index] = None
            gc.collect()
    with drupe.open(image) as fs:
        assert fs.read_text("/f") == "x"


def test_a_disk_of_pythons_is_let_go_of(image):
    """Unmounting writes to the disk, which needs the GIL that garbage collection has."""
    text = """
        import drupe, gc, io, sys, threading
        data = io.BytesIO(open(sys.argv[1], "rb").read())
        fs = drupe.open(data, mode="r+")
        fs.write_text("/f", "x" * 100_000)
        file = fs.open("/g", "wb", 0)
        file.write(b"y")
        # Others call meanwhile.
        other = drupe.open(sys.argv[1])
        done = threading.Event()

        def call():
            while not done.is_set():
                other.exists("/f")

        thread = threading.Thread(target=call)
        thread.start()
        fs.kernel._filesystems.clear()
        native, file_native = fs._native, file._native
        del fs, file
        gc.collect()
        del native
        gc.collect()
        del file_native
        done.set()
        thread.join()
        with drupe.open(data) as fs:
            print(len(fs.read_text("/f")), fs.read_text("/g"))
        # And at the end of the program.
        last = drupe.open(data, mode="r+")
        last.write_text("/h", "z")
    """
    assert script(text, image) == ("100000 y\n", "")


def test_a_log_that_is_read_as_it_is_written(image):
    """Who writes to the log waits for the GIL, whoever reads it meanwhile."""
    text = """
        import drupe, sys, threading
        told = []
        kernel = drupe.Kernel(log=told.append)
        done = threading.Event()

        def read():
            while not done.is_set():
                kernel.log()

        thread = threading.Thread(target=read)
        thread.start()
        for _ in range(20):
            drupe.open(sys.argv[1], mode="c", kernel=kernel).close()
        done.set()
        thread.join()
        print(b"EXT4-fs" in b"".join(told))
    """
    assert script(text, image) == ("True\n", "")


def test_a_child_of_fork(image):
    text = """
        import drupe, os, sys
        fs = drupe.open(sys.argv[1], mode="r+")
        file = fs.open("/f", "w")
        file.write("parent's")
        child = os.fork()
        if child == 0:
            told = []
            for call in (
                lambda: fs.read_text("/f"),
                lambda: fs.listdir(),
                lambda: fs.sync(),
                lambda: fs.kernel.release,
                lambda: fs.untar(b""),
                lambda: fs.close(),
            ):
                try:
                    call()
                except drupe.ForkedError as error:
                    told.append(error.errno)
            # It has kernels of its own.
            with drupe.open(sys.argv[2]) as other:
                told.append(other.listdir())
            print(told, flush=True)
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        file.close()
        print(fs.read_text("/f"))
    """
    other = copy_image(image, f"{image}.2")
    out, _ = script(text, image, other)
    assert out == f"{[116] * 6 + [['lost+found']]}\nparent's\n"


def test_a_child_of_fork_that_just_ends(image):
    text = """
        import drupe, os, sys
        fs = drupe.open(sys.argv[1], mode="r+")
        file = fs.open("/f", "w")
        file.write("parent's")
        if child := os.fork():
            assert os.waitpid(child, 0)[1] == 0
    """
    assert script(text, image) == ("", "")
    with drupe.open(image) as fs:
        assert fs.read_text("/f") == "parent's"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(image, method):
    text = """
        import drupe, multiprocessing, sys

        def work(image):
            with drupe.open(image) as fs:
                return fs.listdir()

        if __name__ == "__main__":
            fs = drupe.open(sys.argv[1])
            with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
                print(pool.map(work, [sys.argv[1]] * 3))
    """
    path = f"{image}.py"
    with open(path, "w") as file:
        file.write(textwrap.dedent(text))
    done = subprocess.run(
        [sys.executable, path, str(image), method], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == f"{[['lost+found']] * 3}\n", done.stderr


def test_a_kernel_that_was_halted(fs):
    file = fs.open("/f", "wb", 0)
    fs.kernel._native.halt()
    for call in (lambda: fs.listdir(), lambda: file.write(b"x"), lambda: fs.untar(b"")):
        with pytest.raises(drupe.KernelHalted):
            call()
    with pytest.raises(drupe.KernelHalted):
        fs.close()


def test_no_memory():
    with pytest.raises(drupe.BootError):
        drupe.Kernel(memory=1 << 20)


def test_signals_are_seen_in_a_long_loop(fs):
    """An interrupt handler of Python's that raises ends a large read between two calls."""
    fs.write_bytes("/f", bytes(40 << 20))

    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with pytest.raises(Stop):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            end = time.monotonic() + 30
            while time.monotonic() < end:
                fs.read_bytes("/f")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert fs.exists("/f") and os.getpid()
