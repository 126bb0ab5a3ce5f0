"""A copy of one's own, a newer Assay, and its source back."""

import click


@click.command()
@click.option("--name", help="The name of the project; by default the contract's, the repository's or the folder's.")
@click.option("--dry-run", is_flag=True, help="Show what would be written and removed, and change nothing.")
def adopt(name: str | None, dry_run: bool) -> None:
    """Make this copy of the template your own: Assay becomes a wheel in vendor/, and its source and tests go."""
    from assay.adoption.adopt import adoption, carry_out, is_adopted, no_overrides
    from assay.adoption.changes import described, different, require_clean

    if is_adopted():
        print("adopted already: there is no source of Assay here")
        return
    require_clean("assay adopt")
    changes = {**adoption(name), **no_overrides()}
    if dry_run:
        print("\n".join(described(different(changes))))
    else:
        carry_out(changes)


COMMANDS = (adopt,)
