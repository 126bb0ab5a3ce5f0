"""Versions on machines: deploy one, ask it."""

import click


@click.command()
@click.argument("url")
@click.option("--seconds", default=120.0, show_default=True, help="How long to wait until it is ready.")
def smoke(url: str, seconds: float) -> None:
    """Ask the service at URL the examples of the model here: does it answer as the model does?"""
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
    help="The address that clients ask at.",
)
@click.option("--backend", type=click.Choice(["docker", "podman"]), default="docker", show_default=True)
@click.option("--seconds", default=120.0, show_default=True, help="How long to wait until it is ready.")
@click.option("--nginx", help="The image of the proxy in front; by default nginx's own.")
def deploy(image: str, options: tuple[str, ...], listen: str, backend: str, seconds: float, nginx: str | None) -> None:
    """Let IMAGE answer the clients of this machine, or of that in DOCKER_HOST, once it was seen to answer well.

    The two ports after that of --listen are taken too. OPTIONS after `--` are handed to `docker run` for the service.
    """
    from assay.release.machine import NGINX, Machine
    from assay.release.machine import deploy as switch_to

    print(switch_to(image, Machine(backend, listen, nginx or NGINX, seconds, options)))


@click.command()
@click.option("--name", help="The name of the image; by default that of the Bento.")
@click.option("--backend", default="docker", show_default=True, help="What builds it: docker, podman, ...")
def image(name: str | None, backend: str) -> None:
    """Pack the Bento as an image, and list what is in it in build/sbom.json."""
    from assay.release.image import make

    print(make(name, backend))


COMMANDS = (
    smoke,
    image,
    deploy,
)
