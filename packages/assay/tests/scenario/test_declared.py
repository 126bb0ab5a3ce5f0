"""What a stage reads is among its deps in dvc.yaml, and what it writes among its outs: watched while it runs."""

import json
import re
from pathlib import PurePath
from typing import Any

from ruamel.yaml import YAML

from scenario.project import STAGES, Project

# Arrow opens the files of the split and of the data by itself, so these are not seen.
WATCH = """
import json, os, sys
from importlib import import_module

opened = {stage: [[], []] for stage in sys.argv[1:]}
running = None

def watch(event, args):
    if event == "open" and running and isinstance(args[0], str):
        opened[running][bool(args[2] & (os.O_WRONLY | os.O_RDWR))].append(os.path.relpath(args[0]))

sys.addaudithook(watch)
for stage in sys.argv[1:]:
    module = import_module(f"assay.stages.{stage}")
    running = stage
    module.main()
    running = None
print(json.dumps(opened))
"""


def test_a_stage_opens_only_what_dvc_knows_of(finished: Project) -> None:
    opened = json.loads(finished.ok("python", "-c", WATCH, *STAGES))
    for name, stage in YAML(typ="safe").load(finished.root / "dvc.yaml")["stages"].items():
        outs = paths(stage.get("outs", [])) | paths(stage.get("metrics", []))
        read, written = (in_project(files) for files in opened[name])
        assert written or name == "prepare", f"{name} wrote nothing that was seen"
        assert "params.yaml" in read
        unknown = {file for file in read if not lies_in(file, {*stage["deps"], "params.yaml"} | outs)}
        assert not unknown, f"dvc.yaml: {name}: add to deps: {sorted(unknown)}"
        stray = {file for file in written if not lies_in(file, outs)}
        assert not stray, f"dvc.yaml: {name}: add to outs: {sorted(stray)}"


def in_project(files: list[str]) -> set[str]:
    """Return the files of the project that are no code, by the names that they have when they are whole."""
    named = {re.sub(r"(^|/)\.([^/]+)\.\d+\.tmp$", r"\1\2", file) for file in files}
    return {file for file in named if not file.startswith(("..", "/", "src/"))}


def paths(entries: list[Any]) -> set[str]:
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def lies_in(file: str, places: set[str]) -> bool:
    return any(PurePath(file).is_relative_to(place) for place in places)
