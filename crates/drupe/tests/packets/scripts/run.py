"""Runs a scenario: run.py finished|unfinished MODULE NAME. It passes unless it
raises. Scenarios are the functions of `kernel` and `wire`, and nothing else.

run.py --list prints all scenarios.
"""

import importlib
import inspect
import pathlib
import signal
import sys

TOOLS = ("run", "wire", "kernel", "tcp", "alive", "soak")
# Longer than any scenario takes.
PATIENCE = 60


def scenarios(name):
    module = importlib.import_module(name)
    for name, function in inspect.getmembers(module, inspect.isfunction):
        own = function.__module__ == module.__name__ and not name.startswith("_")
        if own and list(inspect.signature(function).parameters) == ["kernel", "wire"]:
            yield name, function


def main():
    if sys.argv[1:] == ["--list"]:
        names = [path.stem for path in pathlib.Path(__file__).parent.glob("*.py")]
        names = [name for name in names if name not in TOOLS]
        listed = [f"{name}.{function}" for name in names for function, _ in scenarios(name)]
        print(*sorted(listed), sep="\n")
        return
    offloads, module, name = sys.argv[1:]
    # Standard output is the stream of requests: what is printed goes elsewhere.
    sys.stdout = sys.stderr
    signal.alarm(PATIENCE)
    scenario = dict(scenarios(module))[name]
    from kernel import Kernel
    from wire import Wire

    wire = Wire(offloads == "unfinished")
    kernel = Kernel(wire)
    kernel.configure()
    scenario(kernel, wire)


main()
