"""Deploy an image on a machine with Docker or Podman, without clients noticing anything but the new version.

Clients connect to nginx, which has its own container. Behind it are two slots for the service, on the two loopback
ports after that of nginx. A file in nginx's container, checked with each request, selects the slot: a switch is one
step that closes no connections, as a reload would, and that survives a restart.
"""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from subprocess import PIPE, STDOUT

from assay.base.errors import InputError
from assay.base.process import run
from assay.base.progress import say

NGINX = "docker.io/library/nginx:1.28-alpine"
# The loopback address for a service that listens on all addresses.
ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104
# The label with a hash of the settings that a container was started with.
MARK = "assay.mark"
SWITCH = "/etc/nginx/second"
# A request goes to its version from the first byte on: a slow one, if buffered, could arrive after that version has
# stopped. Connections to a service are not reused: it could close one just as the next request is sent. The service
# itself limits the size of bodies.
CONFIG = """\
daemon off;
pid /tmp/nginx.pid;
error_log stderr;
worker_processes auto;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    server_tokens off;
    client_max_body_size 0;
    client_body_temp_path /tmp/body;
    fastcgi_temp_path /tmp/fastcgi;
    proxy_temp_path /tmp/proxy;
    scgi_temp_path /tmp/scgi;
    uwsgi_temp_path /tmp/uwsgi;
    server {{
        listen {listen};
        set $place 127.0.0.1:{first};
        if (-f {switch}) {{ set $place 127.0.0.1:{second}; }}
        location / {{
            proxy_pass http://$place;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""
LASTING = ("--detach", "--network", "host", "--restart", "unless-stopped")
WITHOUT_RIGHTS = ("--tmpfs", "/tmp", "--cap-drop", "all", "--security-opt", "no-new-privileges")  # noqa: S108
# Run inside the container, which has the examples of its own model and may be on another machine.
SMOKE = ("python", "-m", "assay.release.smoke")
SOURCE = ("--workdir", "/home/bentoml/bento/src", "--env", "PYTHONPATH=src")
# Where a service in an image writes its prediction log, unless ASSAY_LOG says otherwise.
LOG = "/home/bentoml/monitoring"
# The prefix in the log of a service that does not start.
REFUSED = "assay.base.errors.InputError: "


@dataclass(frozen=True)
class Machine:
    """Where to deploy: the container command, the address for clients, the image of nginx, and the seconds to be ready.

    `options` are additional options of `docker run` for the service, and `log` is the volume or folder for its log.
    """

    command: str
    listen: str
    nginx: str
    seconds: float
    options: Sequence[str] = ()
    log: str = ""

    def __post_init__(self) -> None:
        """Raise InputError for an invalid address or volume."""
        # A colon would begin where to mount it, and how.
        if self.log and not re.fullmatch(r"/[^:,]*|[A-Za-z0-9][\w.-]*", self.log):
            raise InputError(f"{self.log!r}: not a volume; write its name, or the whole path of a folder")
        if not re.fullmatch(r"[\w.:\[\]-]+:\d+", self.listen):
            raise InputError(f"{self.listen!r}: not an address; write it like 127.0.0.1:3000")

    @property
    def port(self) -> int:
        """The port for clients."""
        return int(self.listen.rpartition(":")[2])

    @property
    def proxy(self) -> str:
        """The name of nginx's container."""
        return f"assay-{self.port}"

    @property
    def volume(self) -> str:
        """Return the volume or folder of the prediction log, which all versions share."""
        return self.log or f"{self.proxy}-log"

    def slot(self, number: int) -> str:
        """Return the name of the container in slot 0 or 1."""
        return f"{self.proxy}-{number + 1}"

    def port_of(self, number: int) -> int:
        """Return the loopback port of a slot; the ports of the slots follow that of nginx."""
        return self.port + 1 + number

    def url(self) -> str:
        """Return the URL for clients, as seen from this machine."""
        host = self.listen.rpartition(":")[0]
        return f"http://{ANY.get(host, host)}:{self.port}"


def deploy(image: str, machine: Machine) -> str:
    """Switch the clients of a machine to an image, after checking that it answers correctly.

    Returns what was done; an image that already runs is left as it is. Raises InputError if the image does not start,
    is not ready in time, or does not predict as recorded at export: then the previous version keeps answering, and the
    new container is removed. The next deployment cleans up after an interrupted one.
    """
    there = set(_docker(machine, "ps", "--all", "--format", "{{.Names}}").split())
    live = _live(machine) if machine.proxy in there else None
    for name in there & {machine.slot(number) for number in {0, 1} - {live}}:
        _end(machine, name, 3)
    mark = _mark(machine, image)
    before = machine.slot(live) if live is not None and machine.slot(live) in there else None
    if before and _inspected(machine, before) == ["true", mark] and _is_well(machine, image, before):
        return f"{machine.url()} already runs {image}"
    number = 0 if live is None else 1 - live
    name = machine.slot(number)
    try:
        _start(machine, number, image, mark)
        _check(machine, image, name, f"http://127.0.0.1:{machine.port_of(number)}")
        if live is None:
            _start_proxy(machine)
        _switch(machine, number)
        _check(machine, image, name, machine.url())
    except BaseException:
        say(f"{image} failed: removing it again")
        if live is None:
            _end(machine, machine.proxy, 3)
            _end(machine, name, 3)
        else:
            with suppress(InputError):
                _switch(machine, live)
                _end(machine, name, 3)
        raise
    if before:
        _end(machine, before, 60)
    return f"{machine.url()} now runs {image}"


def _live(machine: Machine) -> int:
    """Return the slot that answers clients."""
    if _inspected(machine, machine.proxy)[1:] != [_digest(_proxy_command(machine))]:
        again = f"{machine.command} rm --force {machine.proxy}"
        raise InputError(
            f"{machine.proxy}: runs with other settings; run `{again}`, which stops answering clients, and try again"
        )
    _docker(machine, "start", machine.proxy)
    found = _docker(machine, "exec", machine.proxy, "sh", "-c", f"test -f {SWITCH} && echo 1 || echo 0")
    return int(found)


def _mark(machine: Machine, image: str) -> str:
    """Return a hash of an image, its log, its options, and the environment variables that these pass on."""
    identify = ("image", "inspect", "--format", "{{.Id}}", image)
    try:
        identity = _docker(machine, *identify)
    except InputError:
        say(f"pulling {image}")
        _docker(machine, "pull", "--quiet", image)
        identity = _docker(machine, *identify)
    return _digest([identity, machine.volume, *machine.options, *(os.environ.get(one, "") for one in machine.options)])


def _start(machine: Machine, number: int, image: str, mark: str) -> None:
    name, port = machine.slot(number), machine.port_of(number)
    settings = {"BENTOML_HOST": "127.0.0.1", "BENTOML_PORT": port, "BENTOML_HOME": "/tmp/bentoml"}  # noqa: S108
    given = [word for key, value in settings.items() for word in ("--env", f"{key}={value}")]
    named = ("--name", name, "--label", f"{MARK}={mark}")
    # Docker refuses to mount two things in one place, and the options decide.
    is_given = any(re.search(rf"[:=]{LOG}(?=[:,]|$)", one) for one in machine.options)
    kept = () if is_given else ("--volume", f"{machine.volume}:{LOG}")
    _docker(machine, "run", *LASTING, "--read-only", *WITHOUT_RIGHTS, *named, *kept, *given, *machine.options, image)


def _start_proxy(machine: Machine) -> None:
    command = _proxy_command(machine)
    named = ("--name", machine.proxy, "--label", f"{MARK}={_digest(command)}")
    _docker(machine, "run", *LASTING, *named, *command)


def _proxy_command(machine: Machine) -> list[str]:
    config = CONFIG.format(listen=machine.listen, first=machine.port_of(0), second=machine.port_of(1), switch=SWITCH)
    begin = 'printf %s "$0" > /tmp/nginx.conf && exec nginx -e stderr -c /tmp/nginx.conf'
    return [*WITHOUT_RIGHTS, "--user", "65534:65534", "--entrypoint", "sh", machine.nginx, "-c", begin, config]


def _check(machine: Machine, image: str, name: str, url: str) -> None:
    """Check the service in a container with the examples of its model; raises InputError with what is wrong."""
    try:
        _docker(machine, "exec", *SOURCE, name, *SMOKE, url, f"{machine.seconds:g}")
    except InputError as error:
        raise InputError(f"{image}: {_fault(str(error), _log(machine, name))}") from None


def _is_well(machine: Machine, image: str, name: str) -> bool:
    try:
        _check(machine, image, name, machine.url())
    except InputError as error:
        say(f"{error}: restarting it")
        return False
    return True


def _fault(asked: str, log: Sequence[str]) -> str:
    """Return what is wrong with a service: from its log if it did not start, otherwise from the smoke test."""
    refused = [line.removeprefix(REFUSED) for line in log if line.startswith(REFUSED)]
    if refused:
        return refused[-1]
    _, is_answer, message = asked.partition("assay: ")
    return message if is_answer else f"{asked}; its log ends with {log[-1] if log else ''!r}"


def _switch(machine: Machine, number: int) -> None:
    step = ("touch", SWITCH) if number else ("rm", "-f", SWITCH)
    _docker(machine, "exec", "--user", "0:0", machine.proxy, *step)


def _end(machine: Machine, name: str, seconds: int) -> None:
    """Stop and remove a container, if it exists; it has `seconds` to finish accepted requests."""
    for step in (("stop", "-t", str(seconds)), ("rm", "--force")):
        with suppress(InputError):
            _docker(machine, *step, name)


def _log(machine: Machine, name: str) -> list[str]:
    done = subprocess.run([machine.command, "logs", name], stdout=PIPE, stderr=STDOUT, text=True, check=False)
    return done.stdout.splitlines()


def _inspected(machine: Machine, name: str) -> list[str]:
    """Return whether a container runs (`true` or `false`), and its label."""
    template = f'{{{{.State.Running}}}} {{{{index .Config.Labels "{MARK}"}}}}'
    return _docker(machine, "container", "inspect", "--format", template, name).split()


def _digest(what: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _docker(machine: Machine, *arguments: str) -> str:
    return run(machine.command, *arguments).strip()
