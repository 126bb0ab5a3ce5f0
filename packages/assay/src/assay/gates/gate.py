"""The gates as a table: each holds the candidate to one thing, and returns an outcome."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from assay.base.outcomes import Outcome

if TYPE_CHECKING:
    from assay.gates.evidence import Evidence


@dataclass(frozen=True)
class Gate:
    """A gate: the module of its name in this package judges.

    `advice` is what the report says to do where it stops a change. `on_model` gates look at what the trained model
    answers, and do not judge where there is no such model. A REJECT of a `final` gate cannot be overridden.
    """

    name: str
    advice: str
    on_model: bool = True
    final: bool = False

    @property
    def judge(self) -> "Callable[[Evidence], Outcome]":
        """What judges: `judge` of the gate's module, imported when asked, for a report needs none of them."""
        found: Any = import_module(f"assay.gates.{self.name}")
        judge: Callable[[Evidence], Outcome] = found.judge
        return judge


# In the order of the report. A verdict without one of them is not whole.
GATES = (
    Gate(
        "contract",
        "Check that the change of the data or of `contract.yaml` is intended.",
        on_model=False,
        # Nobody can accept data that is not what it claims to be, or a model that knows the answers.
        final=True,
    ),
    Gate("lock", "Run `dvc repro`, and commit `dvc.lock`, `dvc.yaml` and `metrics.json`.", on_model=False),
    Gate("limits", "If the new limits are intended, the model owner accepts them.", on_model=False),
    Gate(
        "leakage",
        "Find out what tells the model the answer, and take it out: `contract.yaml` can ignore a column.",
        final=True,
    ),
    Gate("reproducibility", "Fix the seeds, and train on the training rows alone; or average over more models."),
    Gate("quality", "Look at the metrics and slices below. More test rows narrow the interval."),
    Gate("slices", "Look at the rows of the slices named below; wrong data there is a common cause."),
    Gate("calibration", "Set `train.calibrate: true` in `params.yaml`, or look at the reliability curve."),
    Gate("robustness", "Regularise the model, or look at the features that perturbations move most."),
    Gate("dominance", "Look at class shares and threshold: one label is predicted for nearly everything."),
    Gate("fairness", "Look at the rates by group in `models/card.md`."),
    Gate("expectations", "Try the row below: either the model is wrong, or `src/model/expectations.py` is."),
    Gate("parity", "The served model must answer as the pipeline does: see `reports/parity.json`."),
    Gate("service", "Look at `reports/loadtest.html`; `make loadtest` measures again.", on_model=False),
)
BY_NAME = {gate.name: gate for gate in GATES}
