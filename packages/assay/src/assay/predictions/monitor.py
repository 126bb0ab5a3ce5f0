"""The log of who sends predictions elsewhere by BentoML's configuration of monitoring: to OpenTelemetry, say."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import bentoml
import msgspec

from assay.contract.spec import Contract, Integer, Number
from assay.data.columns import Columns
from assay.inference.predictor import PredictionBatch
from assay.predictions.write import Layout, features


class MonitorLog:
    """Hands predictions and outcomes to the configured monitor, row by row and value by value."""

    def __init__(self, contract: Contract) -> None:
        """Take the contract of the model."""
        self._kinds = {
            name: "numerical" if isinstance(column, Number | Integer) else "categorical"
            for name, column in contract.features.items()
            if column.log == "keep"
        }
        self._layout = Layout(contract)

    def predictions(
        self,
        version: str,
        arm: str,
        batch: PredictionBatch,
        data: Columns,
        *,
        keys: Sequence[tuple[bytes, int]] = (),  # noqa: ARG002 - a monitor gets no keys
    ) -> None:
        """Hand over predictions; raises what the monitor raises."""
        time = datetime.now(UTC).isoformat()
        columns = features(self._layout, data)
        for row, answer in enumerate(batch.rows()):
            with bentoml.monitor("predictions") as monitor:
                for name, kind in self._kinds.items():
                    monitor.log(columns[name][row], name, "feature", kind)
                for name, given in msgspec.to_builtins(answer).items():
                    value: Any = self._layout.discreet(given) if name == "warnings" else given
                    role = name if name in ("prediction_id", "warnings") else "prediction"
                    monitor.log(value, name, role, "categorical")
                for name, text in {"version": version, "arm": arm, "time": time}.items():
                    monitor.log(text, name, name, "categorical")

    def outcomes(
        self,
        outcomes: Sequence[Mapping[str, Any]],
        key: bytes = b"",  # noqa: ARG002 - a monitor gets no keys
    ) -> tuple[int, int]:
        """Hand over outcomes; return how many, and that none has an unknown id."""
        for one in outcomes:
            with bentoml.monitor("outcomes") as monitor:
                monitor.log(one["prediction_id"], "prediction_id", "prediction_id", "categorical")
                monitor.log(one["outcome"], "outcome", "target", "categorical")
                monitor.log(datetime.now(UTC).isoformat(), "time", "time", "categorical")
        return len(outcomes), 0

    def close(self) -> None:
        """Do nothing: BentoML closes its monitors."""
