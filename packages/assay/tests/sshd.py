"""An SSH server on loopback, for one test."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.load.bento import free_port
from machine import lacks

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")


@contextmanager
def ssh_server(folder: Path, keys: Path, options: str = "") -> Iterator[str]:
    """Run a server until the block ends, which takes a key that is made in `keys`; yield ssh://USER@HOST:PORT.

    `options` are those of the key, as in a line of authorized_keys.
    """
    if SSHD is None:
        lacks("sshd is not installed (openssh-server)")
    server = folder / "sshd"
    for one in (server, keys):
        one.mkdir(parents=True, mode=0o700)
    for key in (server / "host_key", keys / "id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    authorized = server / "authorized_keys"
    authorized.write_text(f"{options} {(keys / 'id_ed25519.pub').read_text()}".lstrip())
    port = free_port()
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": server / "host_key",
        "AuthorizedKeysFile": authorized,
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "Subsystem": "sftp internal-sftp",
    }
    config = server / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.geteuid() == 0:
        # Where the server, as root, keeps its helper process away from everything.
        Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([SSHD, "-D", "-e", "-f", config], stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        said = running.stderr.readline()
        assert "Server listening" in said, said + running.stderr.read()
        yield f"ssh://{getpass.getuser()}@127.0.0.1:{port}"
        running.terminate()
