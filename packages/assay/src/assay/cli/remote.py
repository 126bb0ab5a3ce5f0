"""The DVC remote."""

import click


@click.group()
def remote() -> None:
    """The DVC storage of data and models."""


@remote.command("push")
def remote_push() -> None:
    """Push data and models to the default remote; the embedded one must stay below its limit."""
    from assay.project.params import load_params
    from assay.project.remote import push

    push(load_params().remote.embedded_limit_mb)


@remote.command("check")
def remote_check() -> None:
    """Fail if the embedded remote exceeds its limit in params.yaml."""
    from assay.project.params import load_params
    from assay.project.remote import EMBEDDED, require_room, size_mb

    limit = load_params().remote.embedded_limit_mb
    require_room(limit)
    print(f"{EMBEDDED}: {size_mb():.1f} MB of {limit:g} MB")


@remote.command("use")
@click.argument("url")
def remote_use(url: str) -> None:
    """Make URL (s3://, gs://, azure://, ssh:// or a folder) the default remote."""
    from assay.project.remote import use

    print(use(url))


COMMANDS = (remote,)
