"""Contract: the data satisfies contract.yaml and is similar to the champion's training data."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from assay.base.config import flat
from assay.base.outcomes import Outcome, Verdict, combined
from assay.base.rounding import significant
from assay.base.words import decimal
from assay.contract.spec import Column, Contract, Id, Ignored
from assay.data.columns import target
from assay.data.leakage import class_shares as shares_of_classes
from assay.data.leakage import duplicates
from assay.data.one_sided import OneSided, one_sided, one_sided_removal
from assay.data.versions import Changes, Shift, Version, changes, class_shares, new_rows, shifts
from assay.evaluation.metrics import Metric, ScoredRows, estimate
from assay.gates.comparing import interval_options, rounded, with_interval
from assay.gates.evidence import Answered, Evidence, ModelEvidence
from assay.gates.findings import (
    CONTRACT_CHANGES,
    PREVIOUS_VERSION,
    ColumnDrift,
    ContractChanges,
    PreviousVersion,
    RowCounts,
)
from assay.project.params import ContractGate
from assay.statistics.bootstrap import Estimate, Weights
from assay.statistics.losses import row_losses

NAMED = 3
LISTED = 50
SMALLEST_P = 1e-12
# Of what the champion explains of its own test rows, it has to explain this share of the added ones.
LEAST_EXPLAINED = 0.5
HARDLY_EXPLAINED = 0.05
# Groups, or rows of rarer classes, below which an interval is too narrow.
FEWEST_UNITS = 15
# Texts for people and file locations do not matter; columns are compared one by one.
NOT_OF_THE_DATA: Any = {
    **dict.fromkeys(("name", "description", "about", "data", "columns"), True),
    "target": {"description"},
}
OTHER_PROBLEM = Outcome(
    CONTRACT_CHANGES,
    "HOLD",
    "contract.yaml describes a new problem (other target, other columns), and this is its first model; "
    "needs the project owner's approval",
)


class Shares(NamedTuple):
    """The share of a class among all previous rows, all current rows and the new rows."""

    before: float
    now: float
    new: float


def judge(evidence: Evidence) -> Outcome:
    """Judge the data on its own and against the champion's data."""
    contract, champion = evidence.contract, evidence.champion
    checks = [evidence.held]
    # Other checks mean little for data that violates the contract.
    if evidence.held.verdict == "PROMOTE":
        checks += [look(evidence.data, contract, evidence.params.validate_) for look in (duplicates, shares_of_classes)]
    if evidence.change.is_new_problem:
        checks.append(OTHER_PROBLEM)
    before = None if champion is None else Version(champion.rows, champion.contract)
    checks += _fit_of_added_rows(evidence)
    return compare(checks, before, Version(evidence.data, contract), evidence.params.gates.contract, evidence.changes)


def compare(
    checks: Sequence[Outcome],
    before: Version | None,
    now: Version,
    limits: ContractGate,
    found: Changes | None = None,
) -> Outcome:
    """Return the outcome of the gate.

    `checks` are other outcomes (violations, duplicates, class shares), included unchanged. `before` is the champion's
    training data, None without a champion. `found` are the changes between the two, if they are known already. The
    measurements are under "previous version": numbers of rows, rewritten values, drift by column (the worst first) and
    class shares.
    """
    given = list(checks) or [Outcome("contract", "HOLD", "the data was not checked")]
    if before is None:
        nothing = Outcome(PREVIOUS_VERSION, "SKIP", "there is no previous version of the data to compare with")
        return combined("contract", [*given, nothing])
    limit: dict[str, float] = dict(limits)
    unset = [name for name, value in limit.items() if value is None]
    if unset:
        unknown = Outcome(PREVIOUS_VERSION, "HOLD", f"gates.contract.{unset[0]} is not set in params.yaml")
        return combined("contract", [*given, unknown])
    found = found or changes(before, now)
    new = new_rows(found)
    moved = shifts(before, now, new)
    # Added rows are a sample and may differ by chance; changes by hand are not chance.
    chance = bool(found.added.any())
    who = _counted(len(new), "current rows") if new.all() else _counted(int(new.sum()), "added rows")
    drift = _drift_table(moved, now.contract, limit)
    classes = _class_table(before, now, new)
    q_of_target = next((shift.q for shift in moved if shift.column == now.contract.target.name), 1.0)
    return combined(
        "contract",
        [
            *given,
            _previous_version(found, drift, classes),
            _contract_changes(before.contract, now.contract),
            _rewritten(found, before.contract, now.contract, limit["rewritten"]),
            _one_sided(
                one_sided(before, now, found, limit=limit["rewritten"], significance=limit["significance"]),
                found.kept,
                limit["significance"],
            ),
            _removed(found, limit["removed"]),
            _removed_in_one_place(before, now, found, limit),
            _drift(drift, who, limit),
            _classes(classes, q_of_target, who, limit, chance=chance),
            _missing(moved, who, limit, chance=chance),
        ],
    )


def _fit_of_added_rows(evidence: Evidence) -> list[Outcome]:
    """Hold added rows whose target the champion explains far worse than that of its own test rows.

    What a model explains is R2 for numbers (squared error) and McFadden's R2 for classes (log loss), each beside a
    constant: the mean or the class shares of the champion's data. No outcome if no rows to compare were predicted.
    """
    gate = "targets of added rows"
    if not isinstance(evidence, ModelEvidence) or evidence.champion is None:
        return []
    added, own_test = evidence.added, evidence.champion_test
    if added is None or own_test is None:
        return []
    if few := _too_few(added):
        return [Outcome(gate, "SKIP", f"too few added rows to compare their targets with predictions: {few}")]
    constant = _constant(target(evidence.champion.rows, evidence.contract), evidence.contract)
    usual = _explained(own_test, constant, evidence)
    if usual.low <= HARDLY_EXPLAINED:
        return [Outcome(gate, "SKIP", "the champion explains hardly anything of the target")]
    now = _explained(added, constant, evidence)
    what = "R2" if evidence.contract.task == "regression" else "McFadden's R2"
    reason = (
        f"the champion's {what} on the added rows is {with_interval(now)}, on its own test rows {decimal(usual.value)}"
    )
    measured = {"added": rounded(now), "own test rows": rounded(usual)}
    limit = {"explained": significant(LEAST_EXPLAINED * usual.value)}
    if now.high < limit["explained"]:
        reason += ": their targets are wrong, or the world has changed; needs the data owner's approval"
        return [Outcome(gate, "HOLD", reason, measured, limit)]
    return [Outcome(gate, "PROMOTE", reason, measured, limit)]


def _too_few(answered: Answered) -> str:
    """Say of what rows have too few for an interval: groups, or rows that are not of the most frequent class."""
    units = len(answered.rows.target) if answered.units is None else len(np.unique(answered.units))
    if units < FEWEST_UNITS:
        return f"{units} independent ones, {FEWEST_UNITS} needed"
    others = len(answered.rows.target) - max(np.unique(answered.rows.target, return_counts=True)[1])
    if answered.rows.scores.ndim == 2 and others < FEWEST_UNITS:
        return f"{others} are not of the most frequent class, {FEWEST_UNITS} needed"
    return ""


def _constant(known: np.ndarray, contract: Contract) -> np.ndarray:
    """Return the best constant scores, shape () for regression, else (classes,)."""
    if contract.task == "regression":
        return np.asarray(known.mean())
    return np.bincount(known, minlength=len(contract.classes)) / len(known)


def _explained(answered: Answered, constant: np.ndarray, evidence: ModelEvidence) -> Estimate:
    """Return the share of a constant's loss that a model saves, with its interval."""

    def saved(rows: ScoredRows, weights: Weights) -> np.ndarray:
        always = np.broadcast_to(constant, rows.scores.shape)
        model, other = (weights @ row_losses(rows.target, each, squared=True) for each in (rows.scores, always))
        return np.asarray(1 - model / np.maximum(other, 1e-300))

    options = interval_options(evidence) | {"units": answered.units}
    return estimate(answered.rows, [Metric("explained", True, saved)], **options)["explained"]


def differences(before: Contract, now: Contract) -> list[str]:
    """Return the differences between two contracts, each in a few words.

    Descriptions, the file location, and the order of columns, values and lists are ignored.
    """
    said = [*_field_differences("", *(flat(made.model_dump(exclude=NOT_OF_THE_DATA)) for made in (before, now)))]
    for name in {**now.columns, **before.columns}:
        old, new = before.columns.get(name), now.columns.get(name)
        if old is None or new is None:
            said.append(f"column {name} {'added' if old is None else 'removed'}")
        elif old.kind != new.kind:
            said.append(f"column {name}: kind {old.kind} -> {new.kind}")
        else:
            fields = (_fields(old, before), _fields(new, now))
            said += _field_differences(f"column {name}: ", *fields)
    return said


def _fields(column: Column, made: Contract) -> dict[str, Any]:
    """Return what a contract says of the data of a column; how it is cleaned only where that is not as usual."""
    said = column.model_dump(exclude={"description", "reason", "cleaning"})
    cleaning = None if isinstance(column, Id | Ignored) else column.cleaning
    if cleaning is not None:
        said |= flat({"cleaning": cleaning.model_dump(exclude_defaults=True)})
        said["cleaned"] = None if made.clean else True
    return said


def _field_differences(where: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in {**now, **before}:
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        if isinstance(old, tuple) and isinstance(new, tuple) and not key.endswith("range"):
            changed = [(entry, "added") for entry in new if entry not in old]
            changed += [(entry, "removed") for entry in old if entry not in new]
            yield from (f"{where}{key}: {_text(entry)} {what}" for entry, what in changed)
        else:
            yield f"{where}{key} {_text(old)} -> {_text(new)}"


def _text(value: Any) -> str:
    match value:
        case None:
            return "none"
        case {"column": column, "edges": edges}:
            return f"{column} {_text(edges)}" if edges else str(column)
        case tuple():
            return f"[{', '.join(map(_text, value))}]"
        case float():
            return str(value).removesuffix(".0")
        case str() if value.strip() != value or not value:
            return repr(value)
        case _:
            return str(value)


def _contract_changes(before: Contract, now: Contract) -> Outcome:
    said = differences(before, now)
    if not said:
        return Outcome(CONTRACT_CHANGES, "PROMOTE", "contract.yaml describes the data as before")
    reason = f"contract.yaml changed: {_listed(said)}; needs the data owner's approval"
    return Outcome(CONTRACT_CHANGES, "HOLD", reason, asdict(ContractChanges(said[:LISTED])))


def _previous_version(found: Changes, drift: list[ColumnDrift], classes: Mapping[str, Shares]) -> Outcome:
    rows = RowCounts(
        before=len(found.removed),
        now=len(found.added),
        kept=found.kept,
        added=int(found.added.sum()),
        removed=int(found.removed.sum()),
    )
    reason = (
        f"{rows.before} rows before and {rows.now} now: {rows.kept} kept, {rows.added} added, {rows.removed} removed"
    )
    details = PreviousVersion(
        rows=rows,
        rewritten=dict(list(found.rewritten.items())[:LISTED]),
        drift=drift[:LISTED],
        classes={label: [share.before, share.now] for label, share in list(classes.items())[:LISTED]},
    )
    return Outcome(PREVIOUS_VERSION, "PROMOTE", reason, asdict(details))


def _rewritten(found: Changes, before: Contract, now: Contract, limit: float) -> Outcome:
    alike = "with the same id" if found.by_id else "that are otherwise the same"
    target = now.target.name
    # If the classes changed, labels may have a new meaning; then the owner decides (HOLD).
    same_labels = now.task != "regression" and set(before.target.classes) == set(now.target.classes)

    def said(name: str) -> str:
        what = "is relabelled" if name == target and now.task != "regression" else "has another value"
        count = found.rewritten[name]
        return f"{name} {what} in {count} of {found.kept} rows {alike} ({count / found.kept:.1%}, limit {limit:.1%})"

    measured = {"rewritten": dict(list(found.rewritten.items())[:LISTED])}
    held_to = {"rewritten": limit}
    over = [name for name, count in found.rewritten.items() if count > limit * found.kept]
    if over:
        over.sort(key=lambda name: name != target)
        reason = _listed([said(name) for name in over])
        most = same_labels and found.rewritten.get(target, 0) > found.kept / 2
        return Outcome("rewritten values", "REJECT" if most else "HOLD", reason, measured, held_to)
    worst = next(iter(found.rewritten), None)
    reason = (
        f"no value of the {found.kept} kept rows was rewritten"
        if worst is None
        else f"{said(worst)}, more than any other column"
    )
    return Outcome("rewritten values", "PROMOTE", reason, measured, held_to)


def _one_sided(signs: Sequence[OneSided], kept: int, significance: float) -> Outcome:
    gate, held_to = "one-sided rewriting", {"significance": significance}
    if not signs:
        return Outcome(gate, "PROMOTE", "what was rewritten was rewritten at random, or hardly at all", {}, held_to)
    said = [
        f"{sign.column} is rewritten in {sign.rows} of {kept} kept rows, and not at random: {sign.what} ({_p(sign)})"
        for sign in signs
    ]
    reason = f"{_listed(said)}; needs the data owner's approval"
    measured = {"columns": {sign.column: {"rows": sign.rows, "p": significant(sign.p)} for sign in signs[:LISTED]}}
    return Outcome(gate, "HOLD", reason, measured, held_to)


def _removed_in_one_place(before: Version, now: Version, found: Changes, limit: Mapping[str, float]) -> Outcome:
    gate, held_to = "one-sided removal", {"significance": limit["significance"]}
    if found.removed.sum() > limit["removed"] * len(found.removed):
        return Outcome(gate, "SKIP", "more rows were removed than may be, wherever they were", {}, held_to)
    sign = one_sided_removal(before, now, found, significance=limit["significance"])
    if sign is None:
        reason = "the removed rows are a random sample, the oldest ones, or too few to tell"
        return Outcome(gate, "PROMOTE", reason, {}, held_to)
    reason = (
        f"{sign.rows} rows were removed, and not at random: {sign.what} ({_p(sign)}); needs the data owner's approval"
    )
    return Outcome(gate, "HOLD", reason, {"rows": sign.rows, "p": significant(sign.p)}, held_to)


def _p(sign: OneSided) -> str:
    return f"p {f'{sign.p:.2g}' if sign.p > SMALLEST_P else f'below {SMALLEST_P:g}'} after correction"


def _removed(found: Changes, limit: float) -> Outcome:
    removed, before = int(found.removed.sum()), len(found.removed)
    share = removed / before
    reason = f"{removed} of the {before} previous rows were removed ({share:.1%}, limit {limit:.1%})"
    return Outcome(
        "removed rows",
        "HOLD" if share > limit else "PROMOTE",
        reason,
        {"share": significant(share)},
        {"removed": limit},
    )


def _drift_table(moved: Sequence[Shift], contract: Contract, limit: Mapping[str, float]) -> list[ColumnDrift]:
    """Return the drift of each column, the worst first, without a target of classes (see `_classes`)."""
    rows = [
        ColumnDrift(
            column=shift.column,
            distance=significant(shift.distance),
            q=significant(shift.q),
            missing_before=significant(shift.missing_before),
            missing_now=significant(shift.missing_now),
            drifted=bool(shift.distance > limit["drift"] and shift.q <= limit["significance"]),
        )
        for shift in moved
        if shift.column != contract.target.name or contract.task == "regression"
    ]
    return sorted(rows, key=lambda row: (not row.drifted, -row.distance, row.column))


def _drift(table: list[ColumnDrift], who: str, limit: Mapping[str, float]) -> Outcome:
    held_to = {"drift": limit["drift"], "significance": limit["significance"]}
    drifted = [row for row in table if row.drifted]
    named = [f"{row.column} by {row.distance:.2f}" for row in drifted or table[:1]]
    if not named:
        return Outcome("drift", "SKIP", "the two versions have no column in common", {}, held_to)
    if drifted:
        reason = (
            f"the distribution of {who} differs from the previous data: {_listed(named)} (limit {limit['drift']:g})"
        )
        return Outcome("drift", "HOLD", reason, {"columns": len(drifted)}, held_to)
    reason = f"the distribution of {who} matches the previous data; the largest difference is {named[0]}"
    return Outcome("drift", "PROMOTE", reason, {"columns": 0}, held_to)


def _class_table(before: Version, now: Version, new: np.ndarray) -> dict[str, Shares]:
    """Return the shares of each class, the largest change first; empty for a numeric target."""
    name = now.contract.target.name
    if "regression" in (before.contract.task, now.contract.task) or name not in before.table.column_names:
        return {}
    labels_now = now.table[name]
    old, all_now, fresh = map(class_shares, (before.table[name], labels_now, labels_now.filter(pa.array(new))))
    labels = sorted({*old, *all_now}, key=lambda label: (-abs(fresh.get(label, 0) - old.get(label, 0)), label))
    return {label: Shares(*(significant(part.get(label, 0)) for part in (old, all_now, fresh))) for label in labels}


def _classes(classes: Mapping[str, Shares], q: float, who: str, limit: Mapping[str, float], *, chance: bool) -> Outcome:
    held_to = {"class_change": limit["class_change"], "significance": limit["significance"]}
    if not classes:
        reason = "no classes to compare: the target is numeric or another column than before"
        return Outcome("class shares changed", "SKIP", reason, {}, held_to)
    label, share = next(iter(classes.items()))
    over = abs(share.new - share.before) > limit["class_change"]
    by_chance = over and chance and q > limit["significance"]
    reason = (
        f"{label!r} makes up {share.new:.1%} of {who} and {share.before:.1%} of the previous ones "
        f"({_allowed(limit['class_change'], by_chance=by_chance)})"
    )
    measured = {"new": {label: share.new for label, share in list(classes.items())[:LISTED]}, "q": significant(q)}
    return Outcome("class shares changed", "HOLD" if over and not by_chance else "PROMOTE", reason, measured, held_to)


def _missing(moved: Sequence[Shift], who: str, limit: Mapping[str, float], *, chance: bool) -> Outcome:
    held_to = {"missing_change": limit["missing_change"], "significance": limit["significance"]}
    most = sorted(moved, key=lambda shift: -abs(shift.missing_now - shift.missing_before))
    large = [shift for shift in most if abs(shift.missing_now - shift.missing_before) > limit["missing_change"]]
    over = [shift for shift in large if not chance or shift.missing_q <= limit["significance"]]
    named = [f"{one.column} from {one.missing_before:.1%} to {one.missing_now:.1%}" for one in over or most[:1]]
    if not named:
        return Outcome("missing shares changed", "SKIP", "the two versions have no column in common", {}, held_to)
    allowed = _allowed(limit["missing_change"], by_chance=bool(large) and not over)
    what = "changed" if over else "is about the same"
    reason = f"the share of missing values in {who} {what}: {_listed(named)} ({allowed})"
    verdict: Verdict = "HOLD" if over else "PROMOTE"
    return Outcome("missing shares changed", verdict, reason, {"columns": len(over)}, held_to)


def _allowed(limit: float, *, by_chance: bool) -> str:
    return "may be chance" if by_chance else f"limit: a difference of {limit:.1%}"


def _counted(number: int, what: str) -> str:
    return f"the {number} {what}" if number != 1 else f"the one {what.replace('rows', 'row')}"


def _listed(named: Sequence[str]) -> str:
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(named[:NAMED]) + more
