"""Retraining from nothing but the files that training may read, with the same seed and with others.

`python -m assay.gates.retraining SEEDS` runs stage train in the current folder, and then again with SEEDS other seeds.
"""

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from assay.base.errors import InputError
from assay.base.files import read_json, write_json
from assay.contract.spec import CONTRACT
from assay.modelling.store import load_pipeline
from assay.project.champion import run_with_own_code
from assay.project.layout import CHOICE, PIPELINE, SOURCE, SPLIT, THRESHOLD, read_choice
from assay.project.params import load_params
from assay.project.room import load_room
from assay.project.settings import PARAMS
from assay.stages import train

ROWS = [SPLIT / "train.parquet", SPLIT / "validation.parquet"]


@dataclass(frozen=True)
class Retrained:
    """Retrained pipelines and thresholds, the first with the same seed, the rest with others; or why it failed."""

    models: list[tuple[Any, float | None]]
    failure: str


def retrain(seeds: int) -> Retrained:
    """Retrain in a temporary folder with only the code, the choice of model and the training and validation rows.

    Training code that reads the data file or the test rows fails there, or gives another model.
    """
    params = load_params()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / SPLIT).mkdir(parents=True)
        # Workers of a cluster do not see this folder; they follow the links.
        for path in (SOURCE, *ROWS):
            (folder / path).symlink_to(path.resolve())
        for path in (CONTRACT, PARAMS):
            shutil.copyfile(path, folder / path)
        choice = read_choice() if params.tune.search else params.model
        write_json(folder / CHOICE, choice.model_dump())
        try:
            run_with_own_code(folder, "-m", "assay.gates.retraining", str(seeds))
        except InputError as error:
            return Retrained([], str(error))
        room = load_room()
        kept = [folder / str(number) for number in range(seeds + 1)]
        return Retrained([(load_pipeline(k / PIPELINE.name, room), read_json(k / THRESHOLD.name)) for k in kept], "")


def main(seeds: int) -> None:
    """Train with the seed of params.yaml, then with the following `seeds` seeds."""
    first = load_params().seed
    for number in range(seeds + 1):
        if number:
            yaml = YAML()
            content = yaml.load(PARAMS.read_text(encoding="utf-8"))
            content["seed"] = first + number
            with PARAMS.open("w", encoding="utf-8") as file:
                yaml.dump(content, file)
        train.main()
        shutil.move(PIPELINE.parent, str(number))


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except InputError as error:
        sys.exit(str(error))
