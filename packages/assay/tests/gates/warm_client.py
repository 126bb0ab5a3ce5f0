"""Ask the server of `gates.warm` to run a command, as `python`, `assay` or `dvc` would; started in a few milliseconds.

The first line, which names the Python to run this by, is put in front by the server.
"""

import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path

# The folder may be known by another name, such as that of an environment.
command, arguments = Path(__file__).resolve(), sys.argv[1:]
here = command.parent
# `python SCRIPT`, as Python starts a command anew.
if command.name == "python" and arguments and Path(arguments[0]).resolve().parent == here:
    command, arguments = Path(arguments[0]).resolve(), arguments[1:]


def is_open(file: int) -> bool:
    """Say whether a file is open."""
    try:
        os.fstat(file)
    except OSError:
        return False
    return True


asks_for_python = not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-c", "-m"))
# What a load test measures is no fork of a process that has imported much.
is_measured = arguments[:2] in (["-m", "bentoml"], ["-m", "assay.load.driver"])
# Whoever shares more with it than the standard files, as a pool of processes does, needs a process of its own.
if (command.name == "python" and (asks_for_python or is_measured)) or any(map(is_open, range(3, 32))):
    own = Path(sys.executable) if command.name == "python" else Path(sys.executable).with_name(command.name)
    os.execv(own, [str(own), *arguments])  # noqa: S606
request = {
    "command": str(command),
    "arguments": arguments,
    "folder": str(Path.cwd()),
    "environment": dict(os.environ),
}
text = json.dumps(request).encode()
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(str(here.parent / "socket"))
    socket.send_fds(connection, [struct.pack("!I", len(text))], [0, 1, 2])
    connection.sendall(text)
    answer = connection.recv(4, socket.MSG_WAITALL)
if len(answer) < 4:
    sys.exit("warm: the server is gone")
(status,) = struct.unpack("!i", answer)
if status < 0:
    if status != -signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
