"""Deploy an image on a machine with Docker or Podman, so that clients notice another version and nothing else.

Clients ask nginx, in a container of its own. Behind it are two places for the service, on the two ports of loopback
after the one that clients ask at. Which of them answers is said by a file in nginx's container, that it looks for with
each request: a switch is one step, that closes no connection as a reload would, and that a restart does not undo.
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
# Where to ask what listens at every address.
ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104
# The label that tells containers from those that would be made otherwise.
MARK = "assay.mark"
SWITCH = "/etc/nginx/second"
# A request is with the version that was chosen for it from its first byte on, or a slow one could come when that has
# ended; and no connection to a service is kept, which it could close just when the next request is sent. The service
# itself bounds what it takes.
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
# Asked within the container, which holds the examples of its own model, and may be on another machine.
SMOKE = ("python", "-m", "assay.release.smoke")
SOURCE = ("--workdir", "/home/bentoml/bento/src", "--env", "PYTHONPATH=src")
# What a service says in its log where it does not start.
REFUSED = "assay.base.errors.InputError: "


@dataclass(frozen=True)
class Machine:
    """Where to deploy: with which command, at which address clients ask, and how long a service may take to be ready.

    `options` are more options of `docker run` for the service.
    """

    command: str
    listen: str
    nginx: str
    seconds: float
    options: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Raise InputError for what is no address."""
        if not re.fullmatch(r"[\w.:\[\]-]+:\d+", self.listen):
            raise InputError(f"{self.listen!r}: is no address to ask at; one is written like 127.0.0.1:3000")

    @property
    def port(self) -> int:
        """The port that clients ask at."""
        return int(self.listen.rpartition(":")[2])

    @property
    def proxy(self) -> str:
        """The name of nginx's container."""
        return f"assay-{self.port}"

    def place(self, number: int) -> str:
        """Return the name of the container in a place, 0 or 1, whose ports follow that of nginx."""
        return f"{self.proxy}-{number + 1}"

    def port_of(self, number: int) -> int:
        """Return the port of loopback that a place is asked at."""
        return self.port + 1 + number

    def url(self) -> str:
        """Return what clients ask, as seen from this machine."""
        host = self.listen.rpartition(":")[0]
        return f"http://{ANY.get(host, host)}:{self.port}"


def deploy(image: str, machine: Machine) -> str:
    """Let an image answer the clients of a machine from now on, once it has shown that it answers well.

    Returns what was done; what runs already is left as it is. Raises InputError where the image does not start, is not
    ready in time, or does not answer as its model did when it was exported: then what ran before answers on, and
    nothing is left of the attempt. What an interrupted deployment left is tidied away by the next.
    """
    there = set(_docker(machine, "ps", "--all", "--format", "{{.Names}}").split())
    live = _live(machine) if machine.proxy in there else None
    for name in there & {machine.place(number) for number in {0, 1} - {live}}:
        _end(machine, name, 3)
    mark = _mark(machine, image)
    before = machine.place(live) if live is not None and machine.place(live) in there else None
    if before and _inspected(machine, before) == ["true", mark] and _is_well(machine, image, before):
        return f"{machine.url()} is {image} already"
    number = 0 if live is None else 1 - live
    name = machine.place(number)
    try:
        _start(machine, number, image, mark)
        _ask(machine, image, name, f"http://127.0.0.1:{machine.port_of(number)}")
        if live is None:
            _start_proxy(machine)
        _switch(machine, number)
        _ask(machine, image, name, machine.url())
    except BaseException:
        say(f"{image} is taken away again")
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
    return f"{machine.url()} is {image} now"


def _live(machine: Machine) -> int:
    """Return which place answers the clients."""
    if _inspected(machine, machine.proxy)[1:] != [_digest(_proxy_command(machine))]:
        again = f"{machine.command} rm --force {machine.proxy}"
        raise InputError(
            f"{machine.proxy}: runs with other settings; `{again}`, while nobody is answered, and try again"
        )
    _docker(machine, "start", machine.proxy)
    found = _docker(machine, "exec", machine.proxy, "sh", "-c", f"test -f {SWITCH} && echo 1 || echo 0")
    return int(found)


def _mark(machine: Machine, image: str) -> str:
    """Return what is another when an image, its options, or the variables that they hand on are others."""
    identify = ("image", "inspect", "--format", "{{.Id}}", image)
    try:
        identity = _docker(machine, *identify)
    except InputError:
        say(f"{image} is fetched")
        _docker(machine, "pull", "--quiet", image)
        identity = _docker(machine, *identify)
    return _digest([identity, *machine.options, *(os.environ.get(one, "") for one in machine.options)])


def _start(machine: Machine, number: int, image: str, mark: str) -> None:
    name, port = machine.place(number), machine.port_of(number)
    settings = {"BENTOML_HOST": "127.0.0.1", "BENTOML_PORT": port, "BENTOML_HOME": "/tmp/bentoml"}  # noqa: S108
    given = [word for key, value in settings.items() for word in ("--env", f"{key}={value}")]
    named = ("--name", name, "--label", f"{MARK}={mark}")
    _docker(machine, "run", *LASTING, "--read-only", *WITHOUT_RIGHTS, *named, *given, *machine.options, image)


def _start_proxy(machine: Machine) -> None:
    command = _proxy_command(machine)
    named = ("--name", machine.proxy, "--label", f"{MARK}={_digest(command)}")
    _docker(machine, "run", *LASTING, *named, *command)


def _proxy_command(machine: Machine) -> list[str]:
    config = CONFIG.format(listen=machine.listen, first=machine.port_of(0), second=machine.port_of(1), switch=SWITCH)
    begin = 'printf %s "$0" > /tmp/nginx.conf && exec nginx -e stderr -c /tmp/nginx.conf'
    return [*WITHOUT_RIGHTS, "--user", "65534:65534", "--entrypoint", "sh", machine.nginx, "-c", begin, config]


def _ask(machine: Machine, image: str, name: str, url: str) -> None:
    """Ask the examples of its model of what runs in a container; raises InputError with what is wrong."""
    try:
        _docker(machine, "exec", *SOURCE, name, *SMOKE, url, f"{machine.seconds:g}")
    except InputError as error:
        raise InputError(f"{image}: {_fault(str(error), _log(machine, name))}") from None


def _is_well(machine: Machine, image: str, name: str) -> bool:
    try:
        _ask(machine, image, name, machine.url())
    except InputError as error:
        say(f"{error}: it is started anew")
        return False
    return True


def _fault(asked: str, log: Sequence[str]) -> str:
    """Return what is wrong with a service: by its own log where it did not start, and else by what asked it."""
    refused = [line.removeprefix(REFUSED) for line in log if line.startswith(REFUSED)]
    if refused:
        return refused[-1]
    _, is_answer, said = asked.partition("assay: ")
    return said if is_answer else f"{asked}; its log ends with {log[-1] if log else ''!r}"


def _switch(machine: Machine, number: int) -> None:
    step = ("touch", SWITCH) if number else ("rm", "-f", SWITCH)
    _docker(machine, "exec", "--user", "0:0", machine.proxy, *step)


def _end(machine: Machine, name: str, seconds: int) -> None:
    """End a container, that has so many seconds to answer what it has accepted, and remove it, if it is there."""
    for step in (("stop", "-t", str(seconds)), ("rm", "--force")):
        with suppress(InputError):
            _docker(machine, *step, name)


def _log(machine: Machine, name: str) -> list[str]:
    done = subprocess.run([machine.command, "logs", name], stdout=PIPE, stderr=STDOUT, text=True, check=False)
    return done.stdout.splitlines()


def _inspected(machine: Machine, name: str) -> list[str]:
    """Return `true` or `false` for whether a container runs, and by what it was made."""
    told = f'{{{{.State.Running}}}} {{{{index .Config.Labels "{MARK}"}}}}'
    return _docker(machine, "container", "inspect", "--format", told, name).split()


def _digest(what: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _docker(machine: Machine, *arguments: str) -> str:
    return run(machine.command, *arguments).strip()
