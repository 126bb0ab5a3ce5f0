"""What production says."""

import json
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.base.errors import InputError
from assay.project.layout import LOG

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.contract.spec import Contract

STATUS = {"WELL": 0, "ALARM": 1, "HOLD": 3}
DAYS = 90.0
MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.command()
@click.argument("log", required=False, type=click.Path(path_type=Path))
@click.option(
    "--models", default="models", show_default=True, type=click.Path(path_type=Path), help="The model in use."
)
@click.option("--days", default=DAYS, show_default=True, type=click.FloatRange(0, 3650), help="Days to look back.")
@click.option("--until", type=MOMENT, help="The end of the period, in UTC; by default now.")
@click.option("--delay", type=click.FloatRange(0), help="Days until an outcome is due; by default as params.yaml says.")
@click.option("--host", metavar="USER@HOST", help="Run it there over SSH, where LOG and models/ are.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--prometheus",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Look at no log: write alert rules for Prometheus and a dashboard for Grafana to FOLDER.",
)
def monitor(log: Path | None, host: str | None, as_json: bool, prometheus: Path | None, **about: Any) -> int:
    """Watch the model in use through its prediction LOG; exit status 0 well, 1 alarm, 3 not enough to tell.

    LOG is the folder that the service writes; by default ASSAY_LOG, or monitoring/. It needs models/ and the log, and
    writes reports/monitor.json, .md and .html. With --host, only the result comes from there. With --prometheus, it
    writes rules.yml and dashboard.json with the limits of params.yaml, for the metrics that the service has at
    /metrics.
    """
    from assay.production.run import watch, watch_on

    if prometheus:
        from assay.production.prometheus import write

        print("\n".join(map(str, write(prometheus))))
        return 0
    if host:
        until = about["until"]
        given = {**about, "until": until and f"{until:%Y-%m-%dT%H:%M:%S}"}
        options = [word for name, one in sorted(given.items()) if one is not None for word in (f"--{name}", str(one))]
        found = watch_on(host, [*options, *([str(log)] if log else [])])
    else:
        found = watch(_folder(log), **about)
    lines = [f"{one['verdict']:5} {one['check']}: {one['reason']}" for one in found["outcomes"]]
    print(json.dumps(found, indent=2) if as_json else "\n".join([found["verdict"], *lines]))
    return STATUS[found["verdict"]]


class _FileOrCommand(click.Group):
    """A group whose first argument may also be a file."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["file", *args]
        return super().parse_args(context, args)


@click.group(cls=_FileOrCommand)
def feedback() -> None:
    """Outcomes: `assay feedback FILE` records those of a file, and `assay feedback collect` makes rows of them.

    A file that is called collect or file is given with its folder.
    """


@feedback.command("file")
@click.argument("source", metavar="FILE")
@click.option("--table", help="The table of a database, the sheet of a workbook or the file of an archive.")
@click.option(
    "--log", type=click.Path(path_type=Path), help="The prediction log; by default ASSAY_LOG, or monitoring/."
)
@click.option(
    "--models", default="models", show_default=True, type=click.Path(path_type=Path), help="The model in use."
)
def feedback_file(source: str, table: str | None, log: Path | None, models: Path) -> None:
    """Record the outcomes in FILE: a CSV or Parquet file, or a database or anything else that `assay init` reads.

    It has the columns prediction_id and outcome. Or it has the id columns of the contract, time (in UTC) and outcome:
    then an outcome is that of the last prediction for a row with these ids up to that time. The word `file` may be left
    out.

    The latest outcome of a prediction counts. Outcomes of predictions that are not in the log are counted and skipped,
    and so are rows without an id, a time, or a value that the contract allows the target.
    """
    from assay.base.words import public
    from assay.predictions.reported import outcomes_of, record
    from assay.project.settings import load_packed_contract

    folder, contract = _folder(log), load_packed_contract(models)
    outcomes, wrong = outcomes_of(_outcomes_in(source, table, contract), public(source), contract)
    written, unknown = record(folder, outcomes, contract)
    print(
        f"{written} outcomes recorded, {unknown} skipped because their predictions are not in the log, {wrong} because "
        "they lack an id, a time, or a value that the contract allows the target"
    )


def _outcomes_in(source: str, table: str | None, contract: "Contract") -> "pa.Table":
    """Return the table of outcomes in a file, or in anything else that `assay init` reads."""
    from assay.base.progress import say
    from assay.data.reading import read_table, typed
    from assay.init.files import Source, read
    from assay.predictions.reported import OUTCOME, table_contract

    wanted, path = table_contract(contract), Path(source)
    is_one_table = table is None and "://" not in source
    if not contract.clean and is_one_table and path.suffix.lower() in (".csv", ".parquet"):
        # A table of another form, with semicolons for example, is read as `assay init` does.
        with suppress(InputError):
            plain = read_table(path, wanted)[0]
            if OUTCOME in plain.column_names:
                return plain
    found, notes = read(Source(source, OUTCOME, table, as_text=tuple(wanted.ids)))
    for note in notes:
        say(note)
    return typed(found, wanted)[0]


@feedback.command("collect")
@click.option(
    "--log", type=click.Path(path_type=Path), help="The prediction log; by default ASSAY_LOG, or monitoring/."
)
@click.option("--until", type=MOMENT, help="Outcomes due by this time, in UTC; by default now.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def feedback_collect(log: Path | None, until: datetime | None, as_json: bool) -> None:
    """Make new rows of the data from predictions whose outcome is due and known.

    No prediction becomes a row twice, and a corrected outcome corrects its row. Rows are left out if they break the
    contract, repeat or contradict others, come from clients whose outcomes nobody else confirms, or are above the
    limits in `collect` of params.yaml; reports/collect.json names them. It writes the data file and, beside it,
    collected.json, which says what came from where.
    """
    from assay.production.collect import told
    from assay.production.home import bring_home

    result = bring_home(_folder(log), until)
    print(json.dumps(result, indent=2) if as_json else "\n".join(told(result)))


@click.command()
@click.argument("key", required=False)
@click.option(
    "--log", type=click.Path(path_type=Path), help="The prediction log; by default ASSAY_LOG, or monitoring/."
)
@click.option(
    "--receipt",
    type=click.Path(path_type=Path),
    help="Instead of KEY: remove the rows of the client of this receipt from the data of the project.",
)
def forget(key: str | None, log: Path | None, receipt: Path | None) -> None:
    """Remove the rows of the client with KEY, and their outcomes, from the prediction log; leave a receipt there.

    KEY is what the client sends in the header of traffic.yaml, x-client-id if it names none. A KEY that is not ASCII is
    looked for in UTF-8 and in Latin-1, with a receipt for each. With --receipt, rows that
    `assay feedback collect` made of its predictions leave the data file, and data.dvc changes: commit it, train, and
    open a pull request. Versions of the data from before still have them.
    """
    # An empty KEY is a variable without a value.
    if bool(key) == bool(receipt):
        raise InputError("give either KEY or --receipt")
    if receipt:
        from assay.production.unlearn import unlearn

        removed, missing = unlearn(receipt)
        print(f"{removed} rows of the client removed from the data, {missing} were no longer there")
        return
    from assay.predictions.keys import key_forms

    forms = key_forms(str(key))
    for encoding, form in forms.items():
        _forget(_folder(log), form, f"KEY in {encoding}: " * (len(forms) > 1))


def _forget(folder: Path, key: bytes, which: str) -> None:
    from assay.predictions.forget import forget as remove

    gone, path = remove(folder, key)
    print(f"{which}{gone.predictions} predictions and {gone.outcomes} outcomes removed; the receipt is {path}")
    if gone.learnt:
        print(
            f"{gone.learnt[0]['rows']} rows of the client were collected into {gone.learnt[0]['data']}/: "
            f"`assay forget --receipt {path}` removes them; then train again. The receipt names the versions "
            "that learnt from them"
        )
    if gone.unreadable:
        print(f"unreadable lines that name the client, removed as a whole: {gone.unreadable}")


def _folder(log: Path | None) -> Path:
    folder = log or Path(os.environ.get("ASSAY_LOG") or LOG)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; name that of the prediction log, or set ASSAY_LOG")
    return folder


@click.group()
def log() -> None:
    """The prediction log."""


@log.command("export")
@click.argument("url")
@click.option(
    "--log", type=click.Path(path_type=Path), help="The prediction log; by default ASSAY_LOG, or monitoring/."
)
@click.option("--table", default="predictions", show_default=True, help="The table to copy it to.")
def log_export(url: str, log: Path | None, table: str) -> None:
    """Copy the prediction log and its outcomes to a table of the database at URL.

    Run it as often as you like: it copies the hours that are new or have changed, each in one transaction. The table
    has a row for each prediction and model that answered it. Rows stay there after their segments are deleted.
    """
    from assay.predictions.export import export

    done = export(_folder(log), url, table)
    print(f"{done.rows:,} rows of {done.hours:,} hours copied; {done.unchanged:,} hours have not changed")


COMMANDS = (monitor, feedback, forget, log)
