"""The table of gates. Each gate checks one property of the candidate and returns an outcome."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from assay.base.outcomes import Outcome

if TYPE_CHECKING:
    from assay.gates.evidence import Evidence


@dataclass(frozen=True)
class Gate:
    """A gate; the module of the same name in this package implements it.

    `advice` is the next step that the report gives if the gate stops a change. An `on_model` gate checks predictions of
    the trained model, and does not judge without such a model. A REJECT of a `final` gate cannot be overridden.
    """

    name: str
    advice: str
    on_model: bool = True
    final: bool = False

    @property
    def judge(self) -> "Callable[[Evidence], Outcome]":
        """The function `judge` of the gate's module, imported on first use because reports do not need it."""
        found: Any = import_module(f"assay.gates.{self.name}")
        judge: Callable[[Evidence], Outcome] = found.judge
        return judge


# In the order of the report. A complete verdict has an outcome of each.
GATES = (
    Gate(
        "contract",
        "Check that the change of the data or of `contract.yaml` is intended.",
        on_model=False,
        # Nobody can accept data that breaks its contract, or a model that has seen the target.
        final=True,
    ),
    Gate("lock", "Run `dvc repro`, and commit `dvc.lock`, `dvc.yaml` and `metrics.json`.", on_model=False),
    Gate("limits", "If the new limits are intended, ask the model owner to accept them.", on_model=False),
    Gate(
        "leakage",
        "Find the column that gives the target away and exclude it: `contract.yaml` can ignore a column.",
        final=True,
    ),
    Gate("reproducibility", "Fix the seeds and train only on the training rows, or average over more models."),
    Gate("quality", "Look at the metrics and slices below. More test rows narrow the interval."),
    Gate("slices", "Look at the rows of the slices named below; wrong data there is a common cause."),
    Gate("calibration", "Set `train.calibrate: true` in `params.yaml`, or look at the reliability curve."),
    Gate("robustness", "Regularise the model, or look at the features that are most sensitive to perturbations."),
    Gate("dominance", "Look at the class shares and the threshold: one label is predicted for nearly every row."),
    Gate("fairness", "Look at the rates by group in `models/card.md`."),
    Gate("expectations", "Try the row below: either the model is wrong, or `src/model/expectations.py` is."),
    Gate("parity", "The served model must predict the same as the pipeline: see `reports/parity.json`."),
    Gate("service", "Look at `reports/loadtest.html`; `make loadtest` measures again.", on_model=False),
)
BY_NAME = {gate.name: gate for gate in GATES}
