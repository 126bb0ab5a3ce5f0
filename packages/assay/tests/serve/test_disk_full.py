"""The service on a disk that is full, for real: what is answered is in the log, or counted, and no part of an entry."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scenario.test_disk_full import REFUSAL, UNSHARE

pytestmark = pytest.mark.skipif(bool(REFUSAL), reason=f"a file system cannot be mounted here: {REFUSAL}")

# Requests of a row and of many, until the disk has been full for a while, and again when there is room.
SERVICE = """
import json, os, sys
from pathlib import Path
root, log, tests = map(Path, sys.argv[1:])
sys.path.insert(0, str(tests))
os.environ["ASSAY_LOG"] = str(log)
from assay.predictions.read import LogCounts, predictions
from assay.serve.refusal import Refused
from assay.serve.serving import Call
from serve.conftest import counted, load_project

filler = log / "filler"
filler.write_bytes(bytes(60_000))
serving = load_project(root)
bodies = [json.dumps({"rows": (serving.package.examples * 5)[:rows]}).encode() for rows in (1, 40)]
answered, refused = [], []

def ask(times):
    for number in range(times):
        try:
            told = json.loads(serving.predict(Call(bodies[number % 2], {}))[1])
            answered.extend(one["prediction_id"] for one in told["predictions"])
        except Refused as error:
            refused.append([error.status, error.error])

ask(60)
refused_first = len(refused)
filler.unlink()
ask(10)
version = serving.package.version
unlogged = counted(serving, "assay_unlogged_predictions_total", version=version)
serving.close()
counts = LogCounts()
logged = [one for batch in predictions(log, counts) for one in batch["prediction_id"].to_pylist()]
broken = [counts.torn, counts.foreign, counts.doubled]
print(json.dumps([refused_first, answered, refused, logged, unlogged, broken]))
"""


@pytest.mark.parametrize("unlogged", ["refuse", "answer"])
def test_on_a_full_disk_nothing_is_answered_that_is_neither_logged_nor_counted(
    projects: Callable[..., Path], tmp_path: Path, unlogged: str
) -> None:
    root, log = tmp_path / "project", tmp_path / "log"
    subprocess.run(["cp", "-r", projects(), root], check=True)
    log.mkdir()
    packed = json.loads((root / "models/service.json").read_text())
    packed["serve"] |= {"log": "safe", "unlogged": unlogged}
    (root / "models/service.json").write_text(json.dumps(packed))
    mounted = 'mount -t tmpfs -o size=128k none "$2" && exec "$0" -c "$4" "$1" "$2" "$3"'
    command = [sys.executable, str(root), str(log), str(Path(__file__).parents[1]), SERVICE]
    done = subprocess.run([*UNSHARE, "sh", "-c", mounted, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    refused_first, answered, refused, logged, counted, broken = json.loads(done.stdout)
    assert broken == [0, 0, 0]
    # There was room at first, then none, and then there was some again.
    assert answered[0] in logged
    assert answered[-1] in logged
    # Requests of 1 row and of 40, in turns.
    assert counted == 35 * 41 - len(logged) > 40
    if unlogged == "refuse":
        assert set(answered) == set(logged)
        assert refused == [[503, "the prediction cannot be logged; try again"]] * refused_first
        assert refused_first > 20
    else:
        assert set(logged) < set(answered)
        assert (len(answered), refused) == (35 * 41, [])
