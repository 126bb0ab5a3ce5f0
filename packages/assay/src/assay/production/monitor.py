"""What production says about the model in use: well, an alarm, or not enough to tell. Pure: windows in, findings out.

Every look at the log computes everything again from its beginning, so there is no state that could be lost or be wrong.
All checks together raise a false alarm at most once a year, however often one looks: see `assay.statistics.sequential`,
and `pooled_means` there for what is only simulated.
"""

from calendar import day_name as WEEKDAYS  # noqa: N812 - `day_name` is that of a date
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import cache, partial
from typing import Any

import numpy as np

from assay.base.words import number, percent
from assay.export.reference import (
    CHECKS,
    LOSS_STEPS,
    STEPS,
    Check,
    Feature,
    Loss,
    Reference,
    feature_shares,
    loss_shares,
)
from assay.production.finding import (
    BETS,
    DAYS_A_YEAR,
    FEWEST,
    Finding,
    count_rows,
    day_name,
    history,
    overall,
    share_percent,
    standing,
)
from assay.production.requests import Requests, judge_requests
from assay.production.windows import DAY, Seen, Watch, Window
from assay.statistics.day_effects import FEWEST_STEPS, overdispersion
from assay.statistics.sequential import Alarm, Course, detect, growth, growth_table, pooled_means, stake_weights

MONITOR_FORMAT = 1
# How many bettors look at a loss.
LOSS_BETS = 24
# Without a prediction for so long there is not enough to tell.
SILENT = timedelta(days=2)
# The checks of requests.
ASKED = 3
# The shares of the one false alarm a year that are for the checks of outcomes, since they count most and change slowly,
# and for the features, since they are most in number. The other checks share the rest.
OUTCOMES, FEATURES = 0.5, 0.25
# The share of the capital that bets against the mean of all losses so far. The rest bets against the promise.
PAST = 0.75
ORDER = ["loss", "surprise", "cost", "error", "refused", "values", "failed", "slow", "scores", "features", "estimate"]
# The largest shares of rows with a wrong clock, and of due rows without an outcome.
WRONG_CLOCK, WITHOUT_OUTCOME = 0.01, 0.5
# The growth of the capital per wrong decision, with the best bet, if there are twice as many as promised.
DOUBLED = 2 * np.log(2) - 1
CHANGES = 5
TOO_SMALL = "the model has too few rows of reference to tell"
SEASONS = "each weekday, in UTC, is compared with the same weekday of the reference and those beside it"
NO_SEASONS = (
    "not compared: the reference has no year of times (split by time), so a weekday, or a season that it has not seen, "
    "may raise an alarm, unless the log shows that days differ"
)
NO_SEASONS_OF_SCORES = (
    "not compared: the reference has no scores of each weekday (of rows that the model was not fitted on, over a week "
    "or more), so a weekday, or a season that they are not from, may raise an alarm, unless the log shows that days "
    "differ"
)
# Weekdays are named for a change if they have more than this share of it, and per row more than this times as much as
# the others.
MOST_OF_IT, TIMES = 0.75, 2


def monitor(
    watch: Watch, seen: Seen, lines: Mapping[str, int] | None = None, requests: Sequence[Requests] = ()
) -> dict[str, Any]:
    """Return the content of reports/monitor.json; `lines` counts, by words, what the reader left out or corrected."""
    findings = [log(watch, seen, lines or {}, requests), *judge(watch, seen.windows, requests)]
    return {
        "format": MONITOR_FORMAT,
        "verdict": overall(findings),
        "version": watch.version,
        "since": watch.since.isoformat(),
        "until": watch.until.isoformat(),
        "outcomes": [asdict(one) for one in findings],
    }


def log(watch: Watch, seen: Seen, lines: Mapping[str, int], requests: Sequence[Requests]) -> Finding:
    """Judge whether the log says anything about this version."""
    rows, unlogged = sum(window.rows for window in seen.windows), sum(day.unlogged for day in requests)
    others = {name: count for name, count in seen.versions.items() if name != watch.version}
    measured = {
        "rows": rows,
        "days": len(seen.windows),
        "first": day_name(seen.windows[0].start) if seen.windows else None,
        "other_versions": dict(sorted(others.items(), key=lambda one: -one[1])[:CHANGES]),
        "contracts": len(seen.contracts),
        "columns_gone": dict(seen.gone),
        "from_the_future": seen.future,
        "foreign_outcomes": seen.foreign,
        "left_out": dict(lines),
        "unlogged": unlogged,
    }
    limit = {"from_the_future": WRONG_CLOCK, "silent_days": SILENT / DAY}
    notes = _notes(seen, others, lines)
    if unlogged:
        notes.append(f"{count_rows(unlogged)} that could not be logged")
    wrong = [*_silence(watch, seen, rows)]
    if seen.future > WRONG_CLOCK * (rows + seen.future):
        wrong.append(
            f"{count_rows(seen.future)} are dated after now: check the clock of the service; they are not judged"
        )
    elif seen.future:
        notes.append(f"{count_rows(seen.future)} dated after now, not judged")
    days = len(seen.windows)
    said = "; ".join(wrong) or f"{count_rows(rows)} on {days} day{'s' * (days != 1)}"
    return Finding("log", "HOLD" if wrong else "WELL", "; ".join([said, *notes]), measured, limit)


def _silence(watch: Watch, seen: Seen, rows: int) -> list[str]:
    between = f"between {day_name(watch.since)} and {day_name(watch.until)}"
    if not rows or seen.latest is None:
        return [f"the log has no prediction of version {watch.version} {between}"]
    if watch.until - seen.latest > SILENT:
        return [f"no prediction since {day_name(seen.latest)}"]
    return []


def _notes(seen: Seen, others: Mapping[str, int], lines: Mapping[str, int]) -> list[str]:
    notes = []
    if others:
        versions = f"{len(others)} other version{'s' * (len(others) > 1)}"
        notes.append(f"{count_rows(sum(others.values()))} of {versions}, not judged")
    if len(seen.contracts) > 1:
        notes.append(f"rows of {len(seen.contracts)} contracts")
    if seen.gone:
        named = ", ".join(f"{name} in {count_rows(count)}" for name, count in seen.gone.most_common(CHANGES))
        notes.append(f"the log lacks columns of the model: {named}")
    if seen.foreign:
        notes.append(f"{seen.foreign:,} ignored outcomes that are not values of the target")
    return notes + [f"{count:,} {what}" for what, count in lines.items() if count]


def judge(watch: Watch, windows: Sequence[Window], requests: Sequence[Requests]) -> list[Finding]:
    """Judge the windows and the requests of each day, the most important check first."""
    reference = watch.reference
    checks = [check for check in CHECKS if reference.checks.get(check)]
    # Each check may raise its share of the one false alarm a year.
    shares = loss_shares([one.name for one in reference.losses])
    of_features = DAYS_A_YEAR / FEATURES
    others = ASKED * bool(requests) + len(checks) - ("features" in checks)
    of_others = DAYS_A_YEAR * others / (1 - OUTCOMES - FEATURES)
    found = [
        *(_loss(one, windows, DAYS_A_YEAR / OUTCOMES / shares[one.name], watch) for one in reference.losses),
        *judge_requests(watch, requests, of_others),
        *(_check(one, reference, windows, of_features if one == "features" else of_others, watch) for one in checks),
    ]
    return sorted(found, key=lambda one: ORDER.index(one.check))


def _loss(promised: Loss, windows: Sequence[Window], limit: float, watch: Watch) -> Finding:
    known = [window for window in windows if promised.name in window.losses]
    due, rows = sum(window.due for window in windows), sum(window.known for window in windows)
    bound = promised.mean + promised.allowance
    about = {"false_alarms_a_year": DAYS_A_YEAR / limit, promised.name: bound * promised.scale}
    measured: dict[str, Any] = {"what": promised.words, "unit": promised.unit, "outcomes": rows, "due": due}
    if not rows:
        if not due:
            reason = f"no outcome is due: there is no prediction that is {number(watch.delay / DAY)} days old"
            reason = reason if windows else "there are no rows to judge"
            return Finding(promised.name, "HOLD", reason, measured, about)
        how = "send them to `/feedback` or use `assay feedback`"
        return Finding(
            promised.name, "HOLD", f"no outcome is known of {count_rows(due)} that are due: {how}", measured, about
        )
    if bound >= 1:
        return Finding(promised.name, "HOLD", TOO_SMALL, measured, about)
    sums = _power_sums([window.losses[promised.name] for window in known], LOSS_STEPS)
    # The test rows may have shown already that days differ.
    excess = np.maximum(overdispersion(sums), 1 + promised.varies * sums[0])
    so_far = pooled_means(promised.mean, watch.reference.rows["losses"], sums[1, :, 0], sums[0, :, 0])
    course = _loss_course(promised, known, so_far, excess, limit)
    if course.alarms and (began := course.alarms[0].since):
        # What the change has brought must not become what is usual: else the alarm would end before the change does.
        so_far[course.alarms[0].window + 1 :] = so_far[began - 1]
        course = _loss_course(promised, known, so_far, excess, limit)
    # Outcomes come late: what counts is the last day of which there are some.
    stands = standing(course, known, known[-1].start + DAY)
    now = _loss_mean(known, promised.name)
    measured |= {promised.name: now * promised.scale, "promised": promised.mean * promised.scale}
    measured |= history(course, known)
    if excess[-1, 0] > 1:
        measured["varies"] = [promised.name]
    unit = f" {promised.unit}" if promised.unit else ""
    said = f"{promised.words} {number(now * promised.scale)}{unit} over {rows:,} outcomes"
    promise = f"promised {number(promised.mean * promised.scale)} ± {number(promised.allowance * promised.scale, 2)}"
    if stands:
        usual = known[: min(stands[1], course.alarms[0].since)]
        changed, reason = _worse(promised, usual, known[stands[1] :], unit)
        promise += "" if promised.varies else _too_early(stands[0])
        return Finding(promised.name, "ALARM", f"{reason}; {promise}", measured | changed, about)
    caveats = _caveats(measured)
    needed = int(np.ceil(excess[-1, 0] * np.log(limit) / (DOUBLED * bound)))
    if rows < needed:
        reason = f"{said}: too few to tell whether it has doubled, which needs about {needed:,}; {promise}{caveats}"
        return Finding(promised.name, "HOLD", reason, measured, about)
    if due - rows > WITHOUT_OUTCOME * due:
        reason = f"{said}, but {percent((due - rows) / due)} of the due rows have none; {promise}{caveats}"
        return Finding(promised.name, "HOLD", reason, measured, about)
    above = "; it is above that, but the evidence is too little for an alarm" * (now > bound)
    return Finding(promised.name, "WELL", f"{said}; {promise}{above}{caveats}", measured, about)


def _worse(promised: Loss, before: Sequence[Window], since: Sequence[Window], unit: str) -> tuple[dict[str, Any], str]:
    """Return what is known of a loss that is higher than promised since some windows, and a sentence about it."""
    name, scale, begun = promised.name, promised.scale, day_name(since[0].start)
    lately, number_of = _loss_mean(since, name), sum(int(window.losses[name].sum()) for window in since)
    extra = (lately - promised.mean) * scale * number_of
    measured = {"since": begun, "lately": lately * scale, "extra": extra, "examples": _examples(since, name)}
    costs = f": {number(extra, 3)}{unit} more than promised" if name == "cost" else ""
    earlier = f"; {number(_loss_mean(before, name) * scale)} before" if before else ""
    words = (
        f"{promised.words} {number(lately * scale)}{unit} since {begun}, over {number_of:,} outcomes{costs}{earlier}"
    )
    return measured, words


def _loss_course(
    promised: Loss, windows: Sequence[Window], so_far: np.ndarray, excess: np.ndarray, limit: float
) -> Course:
    """Bet that a loss exceeds the promise and its allowance, and that it exceeds the mean of all losses so far."""
    # Most capital goes to the stakes that pay most if it grows by a fifth.
    stakes = stake_weights(LOSS_BETS) if promised.name == "surprise" else np.full((LOSS_BETS, 1), 1 / LOSS_BETS)
    values, most = np.arange(LOSS_STEPS + 1) / LOSS_STEPS, promised.mean + promised.allowance

    def growths() -> Iterator[np.ndarray]:
        for window, mean, more in zip(windows, so_far.tolist(), excess, strict=True):
            table = growth_table(values, np.array([most, max(mean, 1 / LOSS_STEPS)]), LOSS_BETS)
            yield growth(table, window.losses[promised.name].repeat(2, axis=0)) / more

    return detect(growths(), limit, stakes / stakes.sum() * [1 - PAST, PAST])


def _power_sums(counts: Sequence[np.ndarray], steps: int) -> np.ndarray:
    """Return the number of values and the sums of their powers, shape (5, days, features), given counts of steps."""
    powers = np.vander(np.arange(steps + 1) / steps, 5, increasing=True)
    return np.moveaxis(np.array([of_day @ powers for of_day in counts]), -1, 0)


def _too_early(alarm: Alarm) -> str:
    """Say that an alarm may be one only because days differ, if there were too few days to see that."""
    return "; there were too few days before to tell how much days differ" * (alarm.window <= FEWEST_STEPS)


def _caveats(measured: Mapping[str, Any]) -> str:
    """Say what could hide a change: days that differ, and that there was an alarm."""
    names = measured.get("varies", [])
    listed = ", ".join(names[:CHANGES]) + ", ..." * (len(names) > CHANGES)
    said = f"; days differ by more than chance in {listed}: there only a larger change is found" if names else ""
    return said + (f"; the last alarm was on {measured['alarms'][-1]}" if measured["alarms"] else "")


def _check(check: Check, reference: Reference, windows: Sequence[Window], limit: float, watch: Watch) -> Finding:
    features = reference.checks[check]
    known = [window for window in windows if check in window.counts]
    rows = sum(window.rows for window in known)
    about = {"false_alarms_a_year": DAYS_A_YEAR / limit}
    measured: dict[str, Any] = {"rows": rows, "features": len(features)}
    if check in ("scores", "features"):
        measured["seasons"] = _seasons(check, reference)
    if rows == 0:
        return Finding(check, "HOLD", "there are no rows to judge", measured, about)
    if not any(_can_change(one, check) for one in features):
        return Finding(check, "HOLD", TOO_SMALL, measured, about)
    excess = _excess(check, features, known)
    if varying := sorted(
        {one.column for one, more in zip(features, excess[-1], strict=True) if one.varies or more > 1}
    ):
        measured["varies"] = varying
    course = detect(_growths(check, features, known, excess), limit, feature_shares(features))
    stands = standing(course, known, watch.until)
    measured |= history(course, known)
    prefix = "estimated before outcomes, assuming that probabilities still hold (no concept drift): " * (
        check == "estimate"
    )
    if stands:
        since = known[stands[1] :]
        changes = _changes(check, features, stands[0], since, reference, watch)
        measured |= {"since": day_name(since[0].start), "changes": changes}
        said = "; ".join(one["words"] for one in changes[:CHANGES])
        early = "" if any(one.means for one in features) else _too_early(stands[0])
        return Finding(check, "ALARM", f"{prefix}since {day_name(since[0].start)}: {said}{early}", measured, about)
    if rows < FEWEST:
        reason = f"{prefix}{count_rows(rows)} are too few to tell; {FEWEST} are needed"
        return Finding(check, "HOLD", reason, measured, about)
    if check == "estimate":
        words = _words(features[0], _feature_mean(known, check, 0), reference, watch)
    else:
        words = f"no change of {_watched(check, features)} in {count_rows(rows)}"
    return Finding(check, "WELL", prefix + words + _caveats(measured), measured, about)


def _watched(check: Check, features: Sequence[Feature]) -> str:
    """Say of what the features are: each is one number of a column, of a pair of columns or of the predictions."""
    if check == "scores":
        return "the predictions"
    columns, pairs = len({one.column for one in features}), sum(one.kind == "pair" for one in features)
    counted = [
        f"{number:,} {what}{'s' * (number != 1)}" for number, what in ((columns, "column"), (pairs, "pair")) if number
    ]
    return "the missing and unseen values of " * (check == "values") + " and ".join(counted)


def _seasons(check: Check, reference: Reference) -> str:
    """Say whether weekdays are compared with themselves, and if not, why."""
    of_check, of_rows = (any(one.means for one in reference.checks.get(name, ())) for name in (check, "values"))
    return SEASONS if of_check else NO_SEASONS_OF_SCORES if of_rows else NO_SEASONS


def _can_change(one: Feature, check: Check) -> bool:
    """Say whether a feature can have a mean that its allowance does not cover."""
    expected = [one.expected(weekday) for weekday in range(7)]
    return any(mean + allowed < 1 or (check != "estimate" and 1 - mean + allowed < 1) for mean, allowed in expected)


def _growths(check: Check, features: Sequence[Feature], windows: Sequence[Window], excess: np.ndarray) -> Any:
    """Yield the growth of each window; for both sides, except where only an increase matters."""
    tables = cache(partial(_tables, features))
    for window, more in zip(windows, excess, strict=True):
        above, below = tables(window.start.weekday())
        counts = window.counts[check]
        up = growth(above, counts)
        both = up[None] if check == "estimate" else np.stack([up, growth(below, counts[:, ::-1])])
        yield both / more


def _excess(check: Check, features: Sequence[Feature], windows: Sequence[Window]) -> np.ndarray:
    """Return by how much the means of days vary more than those of independent rows, shape (windows, features)."""
    found = overdispersion(_power_sums([window.counts[check] for window in windows], STEPS))
    # What differs between weekdays in a year of reference is known: more than that is a change.
    return np.where([bool(one.means) for one in features], 1.0, found)


def _tables(features: Sequence[Feature], weekday: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the tables of bets on higher and on lower means than those of a weekday."""
    mean, allowed = np.array([one.expected(weekday) for one in features]).T
    levels, smallest = np.arange(STEPS + 1) / STEPS, 1.0 / LOSS_STEPS
    bounds = [np.clip(side + allowed, smallest, 1.0) for side in (mean, 1 - mean)]
    return growth_table(levels, bounds[0], BETS), growth_table(levels, bounds[1], BETS)


def _changes(
    check: Check,
    features: Sequence[Feature],
    alarm: Alarm,
    windows: Sequence[Window],
    reference: Reference,
    watch: Watch,
) -> list[dict[str, Any]]:
    """Return the features that make up most of the evidence, with their means before and since the change."""
    shares = alarm.shares.sum(axis=(0, 1))
    made: list[dict[str, Any]] = []
    for index in np.argsort(-shares, kind="stable")[:CHANGES].tolist():
        if made and shares[index] < 0.01:
            break
        one, now, when = _where(check, features[index], index, windows)
        made.append(
            {
                "kind": one.kind,
                "column": one.column,
                **({"other": one.other} if one.other else {}),
                "before": one.mean,
                "now": now,
                "share": float(shares[index]),
                "words": when + _words(one, now, reference, watch),
                "examples": _examples(windows, index) if check == "values" else [],
            }
        )
    return made


def _where(check: Check, one: Feature, index: int, windows: Sequence[Window]) -> tuple[Feature, float, str]:
    """Return a feature with the mean that it had, the mean now, and on which weekdays if it changed only on these."""
    windows = [window for window in windows if window.counts[check][index].any()]
    if not one.means:
        return one, _feature_mean(windows, check, index), ""
    rows = np.array([window.counts[check][index].sum() for window in windows])
    means = np.array([_feature_mean([window], check, index) for window in windows])
    weekdays = np.array([window.start.weekday() for window in windows])
    middle, allowed = np.array([one.expected(weekday) for weekday in weekdays.tolist()]).T
    beyond = rows * (means - np.clip(means, middle - allowed, middle + allowed))
    if abs(beyond.sum()) < np.abs(beyond).sum() / 2:
        # Higher on some weekdays and lower on others: all together there is no change to speak of.
        named = [int(np.abs(np.bincount(weekdays, beyond)).argmax())]
    else:
        named = _changed(beyond, rows, weekdays)
    are_meant = np.isin(weekdays, named or range(7))
    before, now = (
        float(np.average(values[are_meant], weights=rows[are_meant]))
        for values in (np.array(one.means)[weekdays], means)
    )
    on = f"on {' and '.join(f'{WEEKDAYS[weekday]}s' for weekday in named)} " if named else ""
    return one.model_copy(update={"mean": before}), now, on


def _changed(beyond: np.ndarray, rows: np.ndarray, weekdays: np.ndarray) -> list[int]:
    """Return the one or two weekdays on which alone there was a change; none if others changed too, or rows are few.

    `beyond` says for each window how far the sum of its rows is from where it may be. A day in the zone of the data may
    be part of two days in that of the log.
    """
    weights = np.maximum(beyond * np.sign(beyond.sum()), 0)
    of_weekday, times = (np.bincount(weekdays, weight, minlength=7) for weight in (weights, None))
    for most in (1, 2):
        named = np.sort(np.argsort(-of_weekday)[:most])
        are_named = np.isin(weekdays, named)
        others = rows[~are_named].sum()
        if (
            others >= FEWEST
            and weights[are_named].sum() > MOST_OF_IT * weights.sum()
            # Each time, and more than once: otherwise it may have begun in the middle of the windows.
            and times[named].min() > 1
            and weights[are_named].min() > 0
            and weights[are_named].sum() / rows[are_named].sum() > TIMES * weights[~are_named].sum() / others
        ):
            return [int(weekday) for weekday in named]
    return []


def _words(one: Feature, now: float, reference: Reference, watch: Watch) -> str:
    """Say how a feature has changed."""
    name = one.column
    match one.kind:
        case "rank":
            sketch = (reference.sketches | reference.score_sketches).get(name)
            values = (
                f", about {number(sketch.value(now))} instead of {number(sketch.value(one.mean))}" if sketch else ""
            )
            return f"{name} is {'higher' if now > one.mean else 'lower'}{values} (mean rank {number(now, 2)})"
        case "spread":
            return f"{name} varies {'more' if now > one.mean else 'less'}"
        case "pair":
            # The ranks are uniform: their centred product has a third as its largest mean.
            before, after = (number(3 * (2 * mean - 1), 2) for mean in (one.mean, now))
            return f"the correlation of {name} and {one.other} is about {after} instead of {before}"
        case "share":
            return f"{_listed(one, watch)} in {share_percent(now)} of rows instead of {share_percent(one.mean)}"
        case "missing":
            return f"{name} is missing in {share_percent(now)} of rows instead of {share_percent(one.mean)}"
        case "unseen":
            return f"{name} is outside all values of the training data in {share_percent(now)} of rows"
        case _:
            costs = watch.contract.costs
            scale = costs.highest if costs else 1.0
            what = (
                f"cost per decision {number(now * scale)} {costs.unit}"
                if costs
                else f"{share_percent(now)} wrong decisions"
            )
            return f"{what}, at release {number(one.mean * scale) if costs else share_percent(one.mean)}"


def _listed(one: Feature, watch: Watch) -> str:
    index = one.index or 0
    if one.column == "decision":
        return f"the decision is {watch.contract.classes[index]}"
    column = watch.contract.features[one.column]
    values = column.values if column.kind == "category" else ("false", "true")
    return f"{one.column} is {values[index]}"


def _feature_mean(windows: Sequence[Window], check: Check, index: int) -> float:
    return _mean(windows, lambda window: window.counts[check][index], STEPS)


def _loss_mean(windows: Sequence[Window], name: str) -> float:
    return _mean(windows, lambda window: window.losses[name][0], LOSS_STEPS)


def _mean(windows: Sequence[Window], counts: Any, steps: int) -> float:
    total = sum(counts(window) for window in windows)
    return float(total @ np.arange(steps + 1) / steps / total.sum())


def _examples(windows: Sequence[Window], what: int | str) -> list[str]:
    """Return the ids of a few rows, the latest first."""
    return [one for window in reversed(windows) for one in window.examples.get(what, [])][:CHANGES]
