"""What is refused before any machine is asked; the rest is tried with containers in scenario/test_image.py."""

import pytest

from assay.base.errors import InputError
from assay.release.machine import NGINX, Machine, _start


@pytest.mark.parametrize("listen", ["3000", "host:", "127.0.0.1:http", "a b:3000", "127.0.0.1:3000;\n"])
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(InputError, match="not an address; write it like 127"):
        Machine("docker", listen, NGINX, 120)


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::]:80", "http://[::1]:80"),
        ("model.internal:80", "http://model.internal:80"),
    ],
)
def test_it_is_asked_where_clients_ask(listen: str, url: str) -> None:
    assert Machine("docker", listen, NGINX, 120).url() == url


@pytest.mark.parametrize("log", ["", "log-of.flats_1", "/srv/assay/monitoring"])
def test_all_versions_of_a_machine_share_a_log(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr("assay.release.machine.run", lambda *words: asked.append(words) or "")
    made = Machine("docker", "127.0.0.1:3000", NGINX, 120, (), log)
    for number in (0, 1):
        _start(made, number, "image", "mark")
    mounts = {words[words.index("--volume") + 1] for words in asked}
    assert mounts == {f"{log or 'assay-3000-log'}:/home/bentoml/monitoring"}


@pytest.mark.parametrize(
    "options",
    [
        ("--volume", "mine:/home/bentoml/monitoring"),
        ("-v", "/srv/log:/home/bentoml/monitoring:Z"),
        ("--mount=type=volume,src=mine,dst=/home/bentoml/monitoring,volume-nocopy",),
    ],
)
def test_a_log_that_options_mount_is_not_mounted_twice(options: tuple[str, ...], monkeypatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr("assay.release.machine.run", lambda *words: asked.append(words) or "")
    _start(Machine("docker", "127.0.0.1:3000", NGINX, 120, options), 0, "image", "mark")
    assert sum("/home/bentoml/monitoring" in word for word in asked[0]) == 1


@pytest.mark.parametrize("log", ["srv/log", "log:ro", "/srv/log:/etc", "--privileged", "a b"])
def test_what_is_no_volume_is_refused(log: str) -> None:
    with pytest.raises(InputError, match="not a volume; write its name, or the whole path of a folder"):
        Machine("docker", "127.0.0.1:3000", NGINX, 120, (), log)


def test_machines_at_neighbouring_ports_share_no_container() -> None:
    machines = [Machine("docker", f"127.0.0.1:{port}", NGINX, 120) for port in (3000, 3001, 3002)]
    names = [name for machine in machines for name in (machine.proxy, machine.slot(0), machine.slot(1))]
    assert len(set(names)) == len(names)
