"""Commands for a copy of the template: adopt it, upgrade Assay, restore its source."""

import click

from assay.base.progress import say


@click.command()
@click.option("--name", help="The name of the project; by default the contract's, the repository's or the folder's.")
@click.option("--dry-run", is_flag=True, help="Show what would be written and removed, and change nothing.")
def adopt(name: str | None, dry_run: bool) -> None:
    """Make this copy of the template your own: replace the source and tests of Assay by a wheel in vendor/."""
    from assay.adoption.adopt import adoption, carry_out, is_adopted, no_overrides
    from assay.adoption.changes import described, different, require_clean

    if is_adopted():
        say("nothing to do: this copy is adopted already")
        return
    require_clean("assay adopt")
    changes = {**adoption(name), **no_overrides()}
    if dry_run:
        print("\n".join(described(different(changes))))
    else:
        carry_out(changes)


@click.command()
@click.argument("what", required=False, metavar="[VERSION|WHEEL|URL]")
@click.option("--no-commit", is_flag=True, help="Do not commit.")
def upgrade(what: str | None, no_commit: bool) -> None:
    """Install a newer Assay, by default the newest in pip's index, and commit it.

    Changes of the template's files are merged into yours. If both changed the same lines, your file stays and is
    listed.
    """
    from assay.adoption.changes import commit, require_clean
    from assay.adoption.upgrade import carry_out, current, described, wanted
    from assay.adoption.upgrade import upgrade as to
    from assay.project.history import head

    old = current()
    require_clean("assay upgrade", besides=what)
    new = wanted(what)
    if new.content == old.content:
        say(f"nothing changed: Assay {old.version} is installed already")
        return
    found = to(old, new)
    carry_out(found)
    print("\n".join([found.subject, *described(found)]))
    if head() is not None and not no_commit:
        commit(found.subject, found.changes)
        say("committed; next: run `make pr`")


@click.command()
def eject() -> None:
    """Restore the source of Assay in packages/assay, to change it; `assay adopt` builds a wheel from it again."""
    from assay.adoption.changes import require_clean
    from assay.adoption.eject import carry_out, ejection
    from assay.adoption.upgrade import current

    require_clean("assay eject")
    carry_out(ejection(current()))


COMMANDS = (adopt, upgrade, eject)
