"""How surely the service gate catches faults, and how often it stops what is the same: `make load-bench`.

One Bento of this project is built. It is loaded beside a copy of itself, again and again, and then beside a copy with
each fault of `tests/load/faults.py`; all at the length that params.yaml sets.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

# In the place of this folder, in which `load` would be this file.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from assay.base.outcomes import Outcome
from assay.gates.service import compare
from assay.load.bento import build
from assay.load.run import load
from assay.project.params import load_params
from load.faults import FAULTS
from loads import loadtest


def judged(candidate: Path, champion: Path) -> Outcome:
    """Load two Bentos, and return what the gate says of the first."""
    limits = load_params().gates.service
    sides = load({"candidate": candidate, "champion": champion}, limits, long=False)
    return compare(loadtest(sides["candidate"], sides.get("champion")), limits)


def told(name: str, outcome: Outcome, began: float) -> None:
    """Print a run in lines."""
    print(f"{name}: {outcome.verdict} after {time.monotonic() - began:.0f} s", flush=True)
    for check, found in outcome.measured.items():
        if found["verdict"] != "PROMOTE" or check in ("throughput", "cpu", "median"):
            print(f"    {check}: {found['verdict']}: {found['reason']}", flush=True)


def main() -> None:
    """Load the same beside itself, and each fault beside what has none."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=20, help="of the same Bento against itself")
    options.add_argument("faults", nargs="*", default=list(FAULTS), help="to plant; by default each")
    chosen = options.parse_args()
    counts: Counter[str] = Counter()
    caught = 0
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as made:
        built = build(Path(), Path(made, "built"))
        place = built.relative_to(Path(made, "built"))

        def another(name: str) -> Path:
            # A service that was run has written its log beside its code.
            return Path(shutil.copytree(Path(made, "built"), Path(made, name.replace(" ", "-")))) / place

        for number in range(chosen.runs):
            began = time.monotonic()
            outcome = judged(another(f"candidate {number}"), another(f"champion {number}"))
            counts[outcome.verdict] += 1
            told(f"the same, run {number + 1}", outcome, began)
        for name in chosen.faults:
            began = time.monotonic()
            candidate = another(name)
            FAULTS[name].plant(candidate / "src")
            outcome = judged(candidate, another(f"beside {name}"))
            found = outcome.measured.get(FAULTS[name].check, {}).get("verdict") in ("HOLD", "REJECT")
            caught += found
            told(f"{name} ({'caught for its reason' if found else 'NOT CAUGHT'})", outcome, began)
    print(f"the same Bento: {dict(counts)} of {chosen.runs}; faults caught: {caught} of {len(chosen.faults)}")
    if counts["PROMOTE"] < chosen.runs or caught < len(chosen.faults):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
