"""Runs a command at a terminal of its own, and types when it asks.

Usage: prompt.py WHEN KEYS COMMAND...: once the command has printed WHEN, types KEYS
(with Python's escapes). Prints what the terminal showed, then "echo on" or "echo off",
then the exit code.
"""

import os, pty, sys, termios

when, keys, command = sys.argv[1].encode(), sys.argv[2], sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
shown, typed = b"", False
while True:
    if not typed and when in shown:
        os.write(terminal, keys.encode().decode("unicode_escape").encode())
        typed = True
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    shown += part
_, status = os.waitpid(pid, 0)
echo = termios.tcgetattr(terminal)[3] & termios.ECHO
sys.stdout.write(shown.decode(errors="replace").replace("\r", ""))
print("echo on" if echo else "echo off")
print(os.waitstatus_to_exitcode(status))
