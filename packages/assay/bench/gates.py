"""How surely the gates catch bad changes, how often they stop harmless ones, and what each takes: `make gate-bench`.

Every change is made in a real clone, once for each seed: those of `tests/gates/catalogue.py` to the sample, those of
`tests/gates/tables.py` to projects that `assay init` set up for other tables. A seed draws what is random about the
change, which rows the champion is trained and tested on, and which it does not get to see.
"""

import argparse
import json
import re
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

# In the place of this folder, in which `gates` would be this file.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from gates import catalogue, tables
from gates.catalogue import Case
from gates.changing import CHAMPIONS, judge, make_champion
from gates.warm import server
from scenario.project import Project, make_template

MOST_FALSE_ALARMS = 0.05

Record = dict[str, Any]


class Subject(NamedTuple):
    """A project of the bench: its name, its table, what makes it with a champion, and the changes to judge."""

    name: str
    table: str
    make: Callable[[Project, Path, int], None]
    cases: list[Case]


def measure(champion: Project, subject: Subject, case: Case, seed: int, folder: Path) -> Record:
    """Make a change and return what became of it."""
    project = champion.copy(folder / f"{subject.name}-{case.name}-{seed}")
    record: Record = {"seed": seed, "table": subject.table, "case": case.name, "bad": bool(case.gate)}
    try:
        found = judge(project, case.change, seed, case.work)
    # A change that cannot be made or judged is a result too, and the others are to be measured all the same.
    except Exception as error:
        return record | {"error": f"{type(error).__name__}: {error}"[-2000:]}
    finally:
        shutil.rmtree(project.root, ignore_errors=True)
    stopped = found.stopped_by()
    return record | {
        "verdict": found.verdict["verdict"],
        "status": found.status,
        "expected": bool(re.search(case.reason, stopped[case.gate])) if case.gate in stopped else False,
        "stopped_by": stopped,
        "reasons": {outcome["gate"]: outcome["reason"] for outcome in found.verdict["outcomes"]},
        "pipeline": found.pipeline_seconds,
        "gates": found.gate_seconds,
    }


def run(folder: Path, subjects: list[Subject], seeds: Iterable[int], jobs: int) -> list[Record]:
    """Measure all that the results in a folder lack yet; return all results of these projects and seeds."""
    seeds = list(seeds)
    results = folder / "results.jsonl"
    records = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = {(record["seed"], record["table"], record["case"]) for record in records}
    (folder / "home").mkdir(parents=True, exist_ok=True)
    with server(folder / "warm") as commands, ThreadPoolExecutor(jobs) as pool, results.open("a") as file:
        template = Project(folder / "template", folder / "home", commands)
        if not template.root.exists():
            make_template(template)
        for seed in seeds:
            for subject in subjects:
                waiting = [case for case in subject.cases if (seed, subject.table, case.name) not in done]
                if not waiting:
                    continue
                champion = Project(folder / f"{subject.name}-{seed}", template.home, commands)
                for part in (champion.root, champion.root.with_name(f"{champion.root.name}-origin")):
                    shutil.rmtree(part, ignore_errors=True)
                subject.make(template, champion.root, seed)
                asked = [pool.submit(measure, champion, subject, case, seed, folder) for case in waiting]
                for future in asked:
                    record = future.result()
                    records.append(record)
                    file.write(json.dumps(record) + "\n")
                    file.flush()
                    said = record.get("error") or f"{record['verdict']} ({', '.join(record['stopped_by'])})"
                    told = f"{subject.table}, seed {seed}: {record['case']}: {said[-300:]}"
                    print(told, file=sys.stderr, flush=True)
                for part in (champion.root, champion.root.with_name(f"{champion.root.name}-origin")):
                    shutil.rmtree(part, ignore_errors=True)
    wanted = {(subject.table, case.name) for subject in subjects for case in subject.cases}
    return [r for r in records if (r["table"], r["case"]) in wanted and r["seed"] in seeds]


def show(records: list[Record], cases: list[Case]) -> bool:
    """Print the tables; return whether every bad change was caught, and few enough harmless ones were."""
    by_case: dict[str, list[Record]] = {case.name: [] for case in cases}
    for record in records:
        by_case[record["case"]].append(record)
    by_case = {name: found for name, found in by_case.items() if found}
    bad = {case.name: case for case in cases if case.gate and case.name in by_case}
    print(f"\n{'bad change':<48}{'caught':>9}{'as expected':>13}  {'by':<14}{'median s':>9}  by which gates")
    for name, case in bad.items():
        found = by_case[name]
        caught, expected = (sum(test(record) for record in found) for test in (_stopped, _as_expected))
        print(
            f"{name:<48}{caught:>4} of {len(found):<2}{expected:>8} of {len(found):<2}  {case.gate:<14}"
            f"{_median_seconds(found):>9.1f}  {_gates(found)}"
        )
    print(f"\n{'harmless change':<48}{'stopped':>9}{'median s':>24}  by which gates")
    for name, found in by_case.items():
        if name not in bad:
            stopped = sum(map(_alarming, found))
            print(f"{name:<48}{stopped:>4} of {len(found):<2}{_median_seconds(found):>24.1f}  {_gates(found)}")
    missed = [record for record in records if record["bad"] and not _stopped(record)]
    unexpected = [record for record in records if record["bad"] and _stopped(record) and not _as_expected(record)]
    alarms = [record for record in records if not record["bad"] and _alarming(record)]
    bad_count, harmless = sum(record["bad"] for record in records), sum(not record["bad"] for record in records)
    print(f"\nbad changes caught: {bad_count - len(missed)} of {bad_count}", end="")
    print(f", {len(unexpected)} of them by another gate or for another reason than expected")
    print(f"false alarms: {len(alarms)} of {harmless} ({len(alarms) / max(harmless, 1):.1%})")
    for record in [*missed, *unexpected, *alarms]:
        reasons = "; ".join(f"{gate}: {reason[:300]}" for gate, reason in record.get("stopped_by", {}).items())
        print(f"  seed {record['seed']}: {record['case']}: {record.get('error') or reasons or record['verdict']}")
    _show_seconds(records)
    return not missed and len(alarms) <= MOST_FALSE_ALARMS * harmless


def _show_seconds(records: list[Record]) -> None:
    """Print what each gate took; of the first, with finding the champion, of the first of the model, with asking it."""
    seconds: dict[str, list[float]] = {}
    for record in records:
        # Where the pipeline did not get through, there was nothing to judge.
        if "quality" in record.get("gates", {}) and record["stopped_by"].get("parity", "")[:10] != "not judged":
            for gate, took in record["gates"].items():
                seconds.setdefault(gate, []).append(took)
    print(f"\n{'gate':<18}{'median s':>9}{'most s':>9}")
    for gate, took in seconds.items():
        print(f"{gate:<18}{statistics.median(took):>9.2f}{max(took):>9.2f}")


def _stopped(record: Record) -> bool:
    return record.get("status") in (1, 3)


def _as_expected(record: Record) -> bool:
    return _stopped(record) and bool(record["expected"])


def _alarming(record: Record) -> bool:
    return record.get("status") != 0


def _median_seconds(records: list[Record]) -> float:
    took = [record["pipeline"] + sum(record["gates"].values()) for record in records if "gates" in record]
    return statistics.median(took) if took else 0.0


def _gates(records: list[Record]) -> str:
    counts = Counter(gate for record in records for gate in record.get("stopped_by", {"no verdict": ""}))
    return ", ".join(f"{gate} {count}" for gate, count in counts.most_common())


def about_the_sample(params: dict[str, object], wanted: Callable[[Case], bool]) -> list[Subject]:
    """Return the sample with each kind of champion."""

    def maker(kind: str) -> Callable[[Project, Path, int], None]:
        return lambda template, root, seed: make_champion(template, root, kind, seed, **params)

    cases = [case for case in [*catalogue.BAD, *catalogue.HARMLESS] if wanted(case)]
    return [
        Subject(kind, "sample", maker(kind), [case for case in cases if case.champion == kind]) for kind in CHAMPIONS
    ]


def about(name: str, table: tables.Table, params: dict[str, object], wanted: Callable[[Case], bool]) -> Subject:
    """Return a project that `assay init` sets up for a table."""

    def make(template: Project, root: Path, seed: int) -> None:
        tables.make_table_champion(template, root, name, table, seed, params)

    return Subject(name, name, make, [case for case in [*tables.BAD, *tables.HARMLESS] if wanted(case)])


def main() -> int:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="how many changes are judged at once")
    parser.add_argument("--folder", type=Path, help="keep the results here, and go on with those that are there")
    parser.add_argument("--examples", type=int, help="examples of the gates that try some, if not those of params.yaml")
    parser.add_argument("--only", nargs="+", help="the changes to measure, by name")
    names = ("sample", *tables.TABLES)
    parser.add_argument("--tables", nargs="+", choices=names, default=names, help="the tables of the projects")
    parser.add_argument("--file", type=Path, help="a CSV file of your own, in the place of these tables")
    parser.add_argument("--target", help="the target of that file")
    parser.add_argument("--ordered", action="store_true", help="the rows of that file are in the order of time")
    arguments = parser.parse_args()
    if (arguments.file is None) != (arguments.target is None):
        parser.error("--file needs --target, and --target needs --file")
    examples = {f"gates__{gate}__examples": arguments.examples for gate in ("expectations", "parity")}
    params: dict[str, object] = dict(examples) if arguments.examples else {}

    def wanted(case: Case) -> bool:
        return arguments.only is None or case.change.__name__ in arguments.only

    if arguments.file:
        table = tables.from_file(arguments.file, arguments.target, ordered=arguments.ordered)
        subjects = [about(arguments.file.stem, table, params, wanted)]
    else:
        subjects = about_the_sample(params, wanted) if "sample" in arguments.tables else []
        subjects += [about(n, table, params, wanted) for n, table in tables.TABLES.items() if n in arguments.tables]
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    with nullcontext(arguments.folder) if arguments.folder else tempfile.TemporaryDirectory() as folder:
        records = run(Path(folder), subjects, seeds, arguments.jobs)
    fine = True
    for table_name in dict.fromkeys(subject.table for subject in subjects):
        cases = [case for subject in subjects if subject.table == table_name for case in subject.cases]
        print(f"\n== {table_name}")
        fine &= show([record for record in records if record["table"] == table_name], cases)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
