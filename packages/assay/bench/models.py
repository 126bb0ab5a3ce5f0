"""How good the models are that Assay finds, beside AutoML tools on the same rows: `make bench-models`.

Each table becomes a project of its own, with `assay init --yes`, whose split the tools get: they are fitted on train
and validation rows, with the same features and as many seconds as Assay's search and training took, and judged on the
test rows. The tables are those that packages bring, and the CSV files of a folder, with the target as the last column.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assay.base.files import read_json, sha256, sha256_of_all, write_json
from assay.statistics.losses import row_losses

PEERS = Path(__file__).parent / "peers"
ROOT = Path(__file__).parents[3]
TOOLS = ("LightGBM tuned", "CatBoost", "FLAML", "AutoGluon")
STAGES = ("validate", "prepare", "tune", "train")
CODE = ("packages/assay/src", "src")
RESAMPLES = 2000

# In the project: the rows for the tools, and what Assay's model and its variants predict.
INSIDE = """
import json, sys
import numpy as np, pandas as pd, pyarrow as pa
from pathlib import Path
from assay.contract.spec import load_contract
from assay.data.columns import columns, target
from assay.modelling.fitting import build, build_dummy, fit, scores, with_rounds
from assay.modelling.store import load_pipeline
from assay.project.layout import PIPELINE, TRIALS, read_choice, read_split
from assay.project.params import load_params
from assay.project.room import load_room
from assay.project.trials import choice_of, read_trials
folder, ablation = Path(sys.argv[1]), bool(int(sys.argv[2]))
contract, room, params = load_contract(), load_room(), load_params()
train, validation, test = map(read_split, ("train", "validation", "test"))
whole = pa.concat_tables([train, validation])
for name, table in {"train": whole, "test": test}.items():
    made = {one: values for one, values in columns(table, contract).items()}
    pd.DataFrame({**made, "target": target(table, contract)}).to_parquet(folder / f"{name}.parquet")
rows = columns(test, contract)
def judged(choice, table):
    if table is whole:
        choice = with_rounds(choice, whole.num_rows / train.num_rows, contract, room)
    model = build(choice, contract, params.seed, room=room)
    return scores(fit(model, columns(table, contract), target(table, contract), contract, room), rows, contract, room)
dummy = fit(build_dummy(contract), columns(whole, contract), target(whole, contract), contract)
found = {"Assay": scores(load_pipeline(PIPELINE, room), rows, contract, room), "dummy": scores(dummy, rows, contract)}
if ablation:
    trials = read_trials(TRIALS.read_text())[1:]
    singles = [row for row in trials if row["state"] == "complete" and row["family"] != "mean"]
    singles.sort(key=lambda row: float(row["score"]))
    first = {}
    for row in trials:
        first.setdefault(row["family"], row)
    defaults = [row for row in singles if row is first[row["family"]]]
    others = [row for row in singles if row["family"] != "lightgbm"]
    best = choice_of(singles[0])
    fixed = {name: 100 if name in ("max_iter", "n_estimators") else value for name, value in best.parameters.items()}
    found["without refit"] = judged(read_choice(), train)
    found["without mean"] = judged(best, whole)
    found["without mean, with 100 rounds"] = judged(best.model_copy(update={"parameters": fixed}), whole)
    found["without mean and search"] = judged(choice_of(defaults[0]), whole) if defaults else found["without mean"]
    found["without mean and LightGBM"] = judged(choice_of(others[0]), whole) if others else found["without mean"]
np.savez(folder / "ours.npz", truth=target(test, contract), **found)
print(json.dumps({"task": contract.task, "rows": whole.num_rows, "choice": read_choice().words}))
"""


def run(command: list[str], folder: Path, **environment: str) -> str:
    """Run a command in a folder and return what it prints; its failure is an error with its last words."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:80]}: exit {done.returncode}: {(done.stderr or done.stdout)[-500:]}")
    return done.stdout


def make_project(folder: Path, table: Path, target: str, seconds: float | None) -> float:
    """Make a project of a table and run its search and training; return the seconds that these two took."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT).splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    run(["git", "init", "--quiet", "--initial-branch", "main"], folder)
    run(["assay", "init", str(table), "--target", target, "--yes", "--no-run", "--no-adopt"], folder)
    params = (folder / "params.yaml").read_text(encoding="utf-8").replace("  search: false", "  search: true")
    if seconds is not None:
        params = params.replace("  search: true", f"  search: true\n  seconds: {seconds:g}")
    (folder / "params.yaml").write_text(params, encoding="utf-8")
    took = 0.0
    for stage in STAGES:
        start = time.perf_counter()
        run(["assay", "stage", stage], folder)
        took += time.perf_counter() - start if stage in ("tune", "train") else 0
    return took


def origin(table: Path, seconds: float | None) -> dict[str, Any]:
    """Return what a model is made of: hashes of the code and parameters, and of the data, and the most seconds."""
    code = [ROOT / "params.yaml", *(file for part in CODE for file in (ROOT / part).rglob("*.py"))]
    return {
        "code": sha256_of_all(code, ROOT),
        "data": sha256(table),
        "seconds": seconds,
    }


def seconds_taken(project: Path, table: Path, target: str, seconds: float | None) -> float:
    """Make a project of a table, unless it is there, and return the seconds of its search and training.

    Raises RuntimeError if it is there with a model that was made otherwise.
    """
    made, wanted = project / "build/bench/seconds.json", origin(table, seconds)
    if not made.exists():
        took = make_project(project, table, target, seconds)
        made.parent.mkdir(parents=True)
        write_json(made, {"of": wanted, "took": took})
    found: dict[str, Any] = read_json(made)
    if others := [name for name, value in wanted.items() if found["of"][name] != value]:
        raise RuntimeError(f"{project}: made with other {', '.join(others)}; remove it, or name another --folder")
    return float(found["took"])


def measure(folder: Path, table: Path, target: str, how: argparse.Namespace) -> dict[str, Any]:
    """Return the losses of all models on the test rows of a table; what the folder has of it is not made again."""
    project = folder / table.stem
    rows = project / "build" / "bench"
    took = seconds_taken(project, table, target, how.seconds)
    about = json.loads(run([sys.executable, "-c", INSIDE, str(rows), str(int(how.ablation))], project).splitlines()[-1])
    with np.load(rows / "ours.npz") as found:
        scores = {name: found[name] for name in found.files}
    truth, seconds, failed = scores.pop("truth"), {"Assay": took}, {}
    for tool in how.tools:
        command = [
            str(how.peers / "bin" / "python"),
            str(PEERS / "automl.py"),
            tool,
            str(rows),
            str(max(took, 5)),
        ]
        try:
            if not (rows / f"{tool}.npz").exists():
                run(command, rows, HOME=str(folder))
            with np.load(rows / f"{tool}.npz") as found:
                scores[tool], seconds[tool] = found["scores"], float(found["seconds"])
        # A tool that fails on a table is a result too.
        except RuntimeError as error:
            failed[tool] = str(error)
            print(f"{table.stem}: {tool} failed: {error}", file=sys.stderr)
    losses = {
        name: row_losses(truth, given if given.ndim == 1 else wide(given, scores["dummy"].shape[1]), squared=True)
        for name, given in scores.items()
    }
    return {"table": table.stem, **about, "seconds": seconds, "failed": failed, **judged(losses, about["task"])}


def wide(scores: np.ndarray, classes: int) -> np.ndarray:
    """Return probabilities of all classes; those after the last one that a tool knows are 0."""
    return np.pad(scores, ((0, 0), (0, classes - scores.shape[1])))


def judged(losses: Mapping[str, np.ndarray], task: str) -> dict[str, Any]:
    """Return the loss of each model, and the bootstrap interval of how much larger Assay's is."""
    rng = np.random.default_rng(0)
    ours = losses["Assay"]
    drawn = rng.multinomial(len(ours), np.full(len(ours), 1 / len(ours)), RESAMPLES) / len(ours)

    def whole(mean: np.ndarray) -> np.ndarray:
        return np.sqrt(mean) if task == "regression" else mean

    loss = {name: float(whole(rows.mean())) for name, rows in losses.items()}
    more = {
        name: [float(end) for end in np.quantile(whole(drawn @ ours) - whole(drawn @ rows), [0.025, 0.975])]
        for name, rows in losses.items()
        if name not in ("Assay", "dummy")
    }
    return {"loss": loss, "more": more}


def gap(result: Mapping[str, Any], names: list[str]) -> float:
    """Return Assay's loss beyond that of the best of these models, as a share of what that gains on the dummy."""
    loss = result["loss"]
    best = min((loss[name] for name in names if name in loss), default=loss["Assay"])
    gained = loss["dummy"] - best
    return max(0.0, (loss["Assay"] - best) / gained) if gained > 0 else 0.0


def verdict(result: Mapping[str, Any], name: str) -> str:
    """Say whether Assay is surely worse or better than a model, whose difference has an interval."""
    if name not in result["more"]:
        return ""
    low, high = result["more"][name]
    return "worse" if low > 0 else "better" if high < 0 else "level"


def show(results: list[dict[str, Any]], names: list[str]) -> None:
    """Print the results as tables in Markdown."""
    print("\nLoss on the test rows (log loss, RMSE), and Assay beside it: the 95 % interval of the difference.\n")
    print(f"| table | rows | seconds | dummy | Assay | {' | '.join(names)} |\n|{'---|' * (5 + len(names))}")
    for one in results:
        cells = []
        for name in names:
            low, high = one["more"].get(name, (0, 0))
            said = (
                f"{one['loss'][name]:.4g}, {verdict(one, name)} ({low:.2g} to {high:.2g})"
                if name in one["loss"]
                else "-"
            )
            cells.append(said)
        first = [
            one["table"],
            one["rows"],
            f"{one['seconds']['Assay']:.0f}",
            *(f"{one['loss'][n]:.4g}" for n in ("dummy", "Assay")),
        ]
        print(f"| {' | '.join(map(str, [*first, *cells]))} |")
    print("\n| beside | surely worse | surely better | of | mean error gap |\n|---|---|---|---|---|")
    for name in names:
        said = [verdict(one, name) for one in results if name in one["loss"]]
        gaps = [gap(one, [name]) for one in results if name in one["loss"]]
        if gaps:
            print(f"| {name} | {said.count('worse')} | {said.count('better')} | {len(said)} | {np.mean(gaps):.1%} |")
    tools = [name for name in names if name in TOOLS]
    if tools:
        print(f"\nMean error gap to the best of the tools: {np.mean([gap(one, tools) for one in results]):.1%}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=Path, required=True, help="the environment of the tools")
    parser.add_argument("--data", type=Path, help="a folder of CSV files to measure too; the last column is the target")
    parser.add_argument("--tables", nargs="*", help="only these tables")
    parser.add_argument("--tools", nargs="*", choices=TOOLS, default=TOOLS, help="only these tools")
    parser.add_argument(
        "--seconds",
        type=float,
        help="the most seconds of a search; by default as params.yaml says",
    )
    parser.add_argument("--ablation", action="store_true", help="measure also what the parts of the search brought")
    parser.add_argument("--folder", type=Path, help="keep projects and predictions here, and do not make them again")
    parser.add_argument("--output", type=Path, default=ROOT / "packages/assay/build/models.json")
    how = parser.parse_args()
    how.peers = how.peers.absolute()
    with tempfile.TemporaryDirectory() as made:
        folder = how.folder.absolute() if how.folder else Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        run([str(how.peers / "bin" / "python"), str(PEERS / "tables.py"), str(folder / "tables")], folder)
        targets = json.loads((folder / "tables" / "targets.json").read_text())
        found = {folder / "tables" / f"{name}.csv": target for name, target in targets.items()}
        for table in sorted(how.data.absolute().glob("*.csv")) if how.data else []:
            if table.stem in targets:
                print(f"{table}: left out, since a table of the packages has its name", file=sys.stderr)
                continue
            with table.open(encoding="utf-8") as file:
                found[table] = file.readline().strip().split(",")[-1].strip('"')
        results: list[dict[str, Any]] = []
        for table, target in found.items():
            if how.tables and table.stem not in how.tables:
                continue
            try:
                results.append(measure(folder, table, target, how))
            # One table that cannot be measured must not lose the others.
            except RuntimeError as error:
                print(f"{table.stem}: {error}", file=sys.stderr)
                continue
            print(f"{table.stem}: {results[-1]['choice']}: {results[-1]['loss']}", file=sys.stderr, flush=True)
            how.output.parent.mkdir(parents=True, exist_ok=True)
            how.output.write_text(json.dumps(results, indent=1))
    parts = [
        name for name in dict.fromkeys(name for one in results for name in one["loss"]) if name.startswith("without")
    ]
    show(results, [*how.tools, *parts])


if __name__ == "__main__":
    main()
