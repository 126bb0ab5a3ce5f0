"""Commands for versions on machines: build, deploy and test them."""

from typing import Any

import click


@click.command()
@click.argument("url")
@click.option("--seconds", default=120.0, show_default=True, help="Seconds to wait until it is ready.")
def smoke(url: str, seconds: float) -> None:
    """Test the service at URL: does it predict the model's stored examples correctly?"""
    from assay.release.smoke import smoke as ask

    print(ask(url, seconds))


@click.command()
@click.argument("image")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--listen",
    envvar="DEPLOY_LISTEN",
    default="127.0.0.1:3000",
    show_default=True,
    help="The address for clients.",
)
@click.option("--backend", "command", type=click.Choice(["docker", "podman"]), default="docker", show_default=True)
@click.option("--seconds", default=120.0, show_default=True, help="Seconds to wait until it is ready.")
@click.option("--log", default="", help="A volume or a folder there for the prediction log; by default assay-PORT-log.")
@click.option("--nginx", help="The image of the reverse proxy; by default the official nginx.")
def deploy(image: str, options: tuple[str, ...], nginx: str | None, **about: Any) -> None:
    """Serve IMAGE to clients on this machine, or on DOCKER_HOST, once its smoke test passes.

    It also uses the two ports after that of --listen. All versions write to the same prediction log.
    OPTIONS after `--` are passed to `docker run` for the service.
    """
    from assay.release.machine import NGINX, Machine
    from assay.release.machine import deploy as switch_to

    print(switch_to(image, Machine(nginx=nginx or NGINX, options=options, **about)))


@click.command()
@click.option("--name", help="The image name; by default that of the Bento.")
@click.option("--backend", default="docker", show_default=True, help="The tool that builds it: docker, podman, ...")
def image(name: str | None, backend: str) -> None:
    """Build an image of the Bento, and list its packages in build/sbom.json."""
    from assay.release.image import make

    print(make(name, backend))


COMMANDS = (
    smoke,
    image,
    deploy,
)
