"""Ask the server of `gates.warm` to run a command, as `python`, `assay` or `dvc` would; started in a few milliseconds.

The first line, which names the Python to run this by, is put in front by the server.
"""

import json
import os
import signal
import socket
import struct
import sys

here = os.path.dirname(os.path.abspath(__file__))
real = sys.executable
command, arguments = os.path.abspath(__file__), sys.argv[1:]
# `python SCRIPT`, as Python starts a command anew.
if os.path.basename(command) == "python" and arguments and os.path.dirname(arguments[0]) == here:
    command, *arguments = arguments
if os.path.basename(command) == "python" and (not arguments or arguments[0] not in ("-c", "-m") and arguments[0][:1] == "-"):
    os.execv(real, [real, *arguments])
request = {
    "command": command,
    "arguments": arguments,
    "bin": here,
    "folder": os.getcwd(),
    "environment": dict(os.environ),
}
text = json.dumps(request).encode()
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(os.path.join(os.path.dirname(here), "socket"))
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
