"""A real PostgreSQL on a Unix socket, for a module of tests."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from machine import lacks

# Debian keeps the programs of the server out of the way.
PLACES = [os.environ["PATH"], *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
# Nothing has to outlast a crash here.
FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "listen_addresses=")


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a server with an empty database until the block ends; yield its URL."""
    initdb, server = (shutil.which(name, path=os.pathsep.join(PLACES)) for name in ("initdb", "postgres"))
    if initdb is None or server is None:
        lacks("postgresql is not here")
    if find_spec("psycopg") is None:
        lacks("psycopg, the driver of postgresql, is not here")
    # The path of a socket may be no longer than 107 bytes.
    with TemporaryDirectory(prefix="assay-pg-", dir="/tmp") as folder:
        options: dict[str, Any] = {"cwd": folder, "env": {**os.environ, "LC_ALL": "C"}}
        if os.geteuid() == 0:
            # It refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            options |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        make = [initdb, "--pgdata=data", "--username=tests", "--auth=trust", "--no-sync", "--encoding=UTF8"]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, **options)
        command = [server, "-D", "data", "-k", folder, *(word for one in FAST for word in ("-c", one))]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options) as running:
            assert running.stderr is not None
            said: list[str] = []
            for line in running.stderr:
                said.append(line)
                if "ready to accept connections" in line:
                    break
            else:
                raise AssertionError("".join(said))
            try:
                yield f"postgresql+psycopg://tests@/postgres?host={folder}"
            finally:
                # SIGTERM would wait for all connections to end.
                running.send_signal(signal.SIGINT)
