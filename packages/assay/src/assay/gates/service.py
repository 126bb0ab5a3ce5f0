"""Service: under load the built Bento responds correctly, and is as fast, small and steady as the champion's.

Both are loaded in alternating rounds, so that background load affects both equally. Each pair of rounds gives a ratio;
the ratios give a Hodges-Lehmann estimate with Wilcoxon's interval (Hollander, Wolfe 1999, 3.2 and 3.3).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import numpy as np
from scipy.stats import binomtest, norm, theilslopes

from assay.base.outcomes import Outcome, Verdict, combined, not_judged
from assay.base.rounding import significant
from assay.gates.evidence import Evidence
from assay.gates.findings import ALONE, Figure, Interval
from assay.gates.loadtest import LoadTest, Round, Side
from assay.gates.obstacle import NO_CHAMPION
from assay.project.params import ServiceGate

MB = 1e6
# With fewer pairs Wilcoxon's 95 % interval is not informative.
FEWEST_ROUNDS = 6
# Memory varies by this much without a leak, in bytes.
NOISE = 4e6
# The allowed growth of open files and threads per request, and the growth that is ignored.
MOST_HANDLES, FEW_HANDLES = 0.01, 30
# Differences between start times up to this are ignored, in seconds.
START_NOISE = 2.0


def judge(evidence: Evidence) -> Outcome:
    """Judge the load test of the working tree against the champion; identical packages need none."""
    if evidence.repository.stale:
        return not_judged("service", evidence.unjudged)
    if evidence.same_service:
        reason = "model, contract, parameters, requirements and code of the service are identical to the champion's"
        return Outcome("service", "PROMOTE", reason)
    if isinstance(evidence.loadtest, str):
        return Outcome("service", "HOLD", f"not measured: {evidence.loadtest}; run `make loadtest`")
    return compare(evidence.loadtest, evidence.params.gates.service)


def compare(found: LoadTest, limits: ServiceGate) -> Outcome:
    """Compare the candidate of a load test with limits and champion; the most reliable checks come first."""
    mine, theirs = found.sides["candidate"], found.sides.get("champion")
    if mine.failed:
        return combined("service", [Outcome("answers", "REJECT", mine.failed)])
    answers = _answers(mine, limits)
    if found.obstacle is not None or theirs is None:
        obstacle = found.obstacle or NO_CHAMPION
        alone = f"{obstacle.text}: the service is judged only against absolute limits"
        compared = [Outcome(ALONE, obstacle.verdict, alone, _figures(mine))]
    elif theirs.failed:
        reason = f"cannot be compared with the champion's service: {theirs.failed}"
        compared = [Outcome(ALONE, "HOLD", reason, _figures(mine))]
    else:
        compared = _compared(mine, theirs, limits)
    silence = [_silence(mine, theirs, limits), _waiting(mine, theirs, limits)]
    checks = [answers, _deaths(mine), *silence, *compared[:3], _latency(mine, limits), *compared[3:]]
    rest = [
        *_leaks(mine, limits),
        _memory(mine, theirs, limits),
        *_size(mine, theirs, limits),
        _start(mine, theirs, limits),
    ]
    outcome = combined("service", [*checks, *rest])
    if outcome.verdict != "PROMOTE":
        return outcome
    return replace(outcome, reason=f"{answers.reason}; {compared[0].reason}")


def _answers(mine: Side, limits: ServiceGate) -> Outcome:
    # Responses during warm-up must be correct too.
    rounds = [*([mine.warm_up] if mine.warm_up else []), *mine.rounds]
    asked, wrong = sum(one.requests for one in rounds), sum(one.errors for one in rounds)
    limit = {"requests": limits.requests, "errors": limits.errors}
    measured = {"requests": asked, "errors": wrong, "said": dict(mine.errors)}
    most = limits.errors or 0.0
    if not asked:
        return Outcome("answers", "REJECT", "no request was completed under load", measured, limit)
    interval = binomtest(wrong, asked).proportion_ci(limits.confidence or 0.99, method="exact")
    share, said = wrong / asked, f"{wrong:,} of {asked:,} responses were wrong or missing"
    if wrong:
        said += f" ({share:.2%}, limit {most:.2%}; {'; '.join(list(mine.errors)[:3])})"
    if interval.low > most:
        return Outcome("answers", "REJECT", said, measured, limit)
    if asked < (limits.requests or 0):
        said = f"too few requests: {asked:,} were completed, at least {limits.requests:,} are required"
        return Outcome("answers", "HOLD", said, measured, limit)
    return Outcome("answers", "HOLD" if share > most else "PROMOTE", said, measured, limit)


def _deaths(mine: Side) -> Outcome:
    measured = {"deaths": mine.deaths}
    if mine.deaths:
        reason = f"{mine.deaths} process{'es' * (mine.deaths > 1)} of the service died under load"
        return Outcome("deaths", "REJECT", reason, measured)
    return Outcome("deaths", "PROMOTE", "no process of the service died", measured)


def _silence(mine: Side, theirs: Side | None, limits: ServiceGate) -> Outcome:
    """Judge rounds without a correct response in which the champion responded."""
    rounds, which = list(mine.rounds), ""
    if theirs and theirs.rounds:
        rounds, which = [one for one, _ in _pairs(mine, theirs)], " in which the champion responded"
    silent = sum(not _throughput(one) for one in rounds)
    measured, limit = {"rounds": len(rounds), "silent": silent}, {"errors": limits.errors}
    if not rounds:
        return Outcome("silence", "SKIP", f"there are no rounds{which}", measured, limit)
    # The ratios are ranked, so a few very bad rounds weigh little in them; this check catches them.
    most = limits.errors or 0.0
    interval = binomtest(silent, len(rounds)).proportion_ci(limits.confidence or 0.99, method="exact")
    verdict: Verdict = "REJECT" if interval.low > most else "HOLD" if silent / len(rounds) > most else "PROMOTE"
    reason = f"no correct response in {silent} of {len(rounds)} rounds{which}"
    return Outcome("silence", verdict, reason, measured, limit)


def _waiting(mine: Side, theirs: Side | None, limits: ServiceGate) -> Outcome:
    """Judge by the sign test whether callers wait without a response in more rounds than with the champion."""
    if_worse: Verdict = "HOLD"
    pairs, who = [(one.waiting, 0) for one in mine.rounds], "callers"
    if theirs and theirs.rounds:
        pairs = [(a.waiting, b.waiting) for a, b in _pairs(mine, theirs)]
        who, if_worse = "more callers than the champion's", "REJECT"
    worse, better = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    reason = f"in {worse} of {len(pairs)} rounds {who} got no response for half a round"
    if better:
        reason += f", in {better} fewer"
    # A waiting caller has no latency and leaves the service to others, which makes it look faster.
    chance = binomtest(worse, worse + better, alternative="greater").pvalue if worse else 1.0
    verdict: Verdict = if_worse if chance <= 1 - (limits.confidence or 0.99) else "PROMOTE"
    return Outcome("waiting", verdict, reason, {"worse": worse, "better": better})


def _pairs(mine: Side, theirs: Side) -> list[tuple[Round, Round]]:
    """Return the pairs of rounds in which the champion responded correctly."""
    return [(a, b) for a, b in zip(mine.rounds, theirs.rounds, strict=False) if _throughput(b)]


def _throughput(one: Round) -> float:
    return (one.requests - one.errors) / one.seconds


def _cpu_ms(one: Round) -> float | None:
    return 1000 * one.cpu / (one.requests - one.errors) if one.cpu and one.requests - one.errors else None


# Compared figures: name, label, unit, value of a round, and whether higher is better.
COMPARED: list[tuple[str, str, str, Callable[[Round], float | None], bool]] = [
    ("throughput", "throughput", "/s", _throughput, True),
    ("cpu", "CPU time per request", " ms", _cpu_ms, False),
    ("median", "median latency", " ms", lambda one: one.p50, False),
    ("p95", "95th percentile latency", " ms", lambda one: one.p95, False),
    ("p99", "99th percentile latency", " ms", lambda one: one.p99, False),
]


def _figures(mine: Side) -> dict[str, float | None]:
    return {name: _middle([take(one) for one in mine.rounds]) for name, _, _, take, _ in COMPARED}


def _compared(mine: Side, theirs: Side, limits: ServiceGate) -> list[Outcome]:
    found = []
    for name, words, unit, take, higher_is_better in COMPARED:
        limit = (limits.tail if name in ("p95", "p99") else limits.slower) or 0.0
        ours, others = [take(one) for one in mine.rounds], [take(one) for one in theirs.rounds]
        pairs = [(a, b) for a, b in zip(ours, others, strict=False) if a is not None and b]
        figure = Figure(_middle(ours), _middle(others))
        if len(pairs) < FEWEST_ROUNDS:
            reason = (
                f"{words} cannot be compared: {len(pairs)} pairs of rounds have responses, {FEWEST_ROUNDS} are required"
            )
            found.append(Outcome(name, "HOLD", reason, asdict(figure), {name: limit}))
            continue
        # A throughput of zero is infinitely worse.
        with np.errstate(divide="ignore"):
            logs = np.diff(np.log(pairs))[:, 0] * (1 if higher_is_better else -1)
        # Here above 1 is worse for every figure; the ratio shown is candidate / champion.
        value, low, high = np.exp(paired(logs, limits.confidence or 0.99)).tolist()
        verdict: Verdict = "REJECT" if low > 1 + limit else "HOLD" if value > 1 + limit else "PROMOTE"
        shown = (1 / value, 1 / high, 1 / low) if higher_is_better else (value, low, high)
        most = f"at least {1 / (1 + limit):.2f}" if higher_is_better else f"at most {1 + limit:.2f}"
        reason = (
            f"{words} is {shown[0]:.2f} times the champion's ({shown[1]:.2f} to {shown[2]:.2f}, {most} required): "
            f"{figure.candidate:.3g}{unit} against {figure.champion:.3g}{unit}"
        )
        figure = replace(figure, ratio=Interval(*map(significant, shown)))
        found.append(Outcome(name, verdict, reason, asdict(figure), {name: limit}))
    return [*found, _steady(mine, theirs, limits)]


def _steady(mine: Side, theirs: Side, limits: ServiceGate) -> Outcome:
    """Judge whether the candidate slows down during the run, relative to the champion."""
    pairs = [(a.p50, b.p50) for a, b in zip(mine.rounds, theirs.rounds, strict=False) if a.p50 and b.p50]
    if len(pairs) < FEWEST_ROUNDS:
        return Outcome("steady", "SKIP", "too few rounds to see a trend")
    logs = np.log([a / b for a, b in pairs])
    slope, _, low, high = theilslopes(logs, alpha=limits.confidence or 0.99)
    by, least, most = (float(np.exp(one * (len(pairs) - 1))) for one in (slope, low, high))
    worst = 1 + (limits.slower or 0.0)
    verdict: Verdict = "REJECT" if least > worst else "PROMOTE"
    reason = f"during the run the median latency changed by a factor of {by:.2f} relative to the champion's"
    measured = {"ratio": {"value": significant(by), "low": significant(least), "high": significant(most)}}
    return Outcome("steady", verdict, f"{reason} ({least:.2f} to {most:.2f})", measured, {"slower": limits.slower})


def _latency(mine: Side, limits: ServiceGate) -> Outcome:
    median, p99 = _middle([one.p50 for one in mine.rounds]), _middle([one.p99 for one in mine.rounds])
    measured, limit = {"median": median, "p99": p99}, {"median_ms": limits.median_ms, "p99_ms": limits.p99_ms}
    if median is None or p99 is None:
        return Outcome("latency", "HOLD", "no response was correct, so latency is unknown", measured, limit)
    over = median > (limits.median_ms or 0.0) or p99 > (limits.p99_ms or 0.0)
    reason = (
        f"median latency is {median:.3g} ms (limit {limits.median_ms:g}), the 99th percentile {p99:.3g} ms "
        f"(limit {limits.p99_ms:g})"
    )
    return Outcome("latency", "REJECT" if over else "PROMOTE", reason, measured, limit)


def _leaks(mine: Side, limits: ServiceGate) -> list[Outcome]:
    # A service grows once while it warms up, and rounds without new requests carry no information.
    rounds = list({one.total: one for one in mine.rounds[len(mine.rounds) // 4 :]}.values())
    totals = [one.total for one in rounds]
    if len(rounds) < FEWEST_ROUNDS - 2:
        return [Outcome("leak", "HOLD", "too few rounds to see whether memory grows")]
    checks = []
    for name, words, held, limit, noise in (
        ("leak", "memory grows by {:.0f} bytes", [one.memory for one in rounds], limits.leak_bytes or 0.0, NOISE),
        (
            "handles",
            "open files and threads grow by {:.3f}",
            [one.handles for one in rounds],
            MOST_HANDLES,
            FEW_HANDLES,
        ),
    ):
        slope, _, low, high = map(float, theilslopes(held, totals, alpha=limits.confidence or 0.99))
        grown = slope * (totals[-1] - totals[0])
        # Memory fluctuates by more than a leak of some seconds, so uncertain growth is ignored.
        is_growth = slope > limit and grown >= noise and low > 0
        verdict: Verdict = "PROMOTE" if not is_growth else "REJECT" if low > limit else "HOLD"
        reason = (
            f"{words.format(slope)} per request ({low:.3g} to {high:.3g}, limit {limit:g}), over "
            f"{totals[-1] - totals[0]:,} requests"
        )
        measured = {"growth": {"value": significant(slope), "low": significant(low), "high": significant(high)}}
        checks.append(Outcome(name, verdict, reason, measured, {name: limit}))
    return checks


def _memory(mine: Side, theirs: Side | None, limits: ServiceGate) -> Outcome:
    ours, others = (side.rounds[-1].memory / MB if side and side.rounds else None for side in (mine, theirs))
    measured = asdict(Figure(ours and significant(ours), others and significant(others)))
    limit = {"memory_mb": limits.memory_mb, "memory": limits.memory}
    if ours is None:
        return Outcome("memory", "HOLD", "memory was not measured", measured, limit)
    said = f"the service uses {ours:.0f} MB of memory"
    if ours > (limits.memory_mb or 0.0):
        return Outcome("memory", "REJECT", f"{said}, above the limit of {limits.memory_mb:g} MB", measured, limit)
    if others and ours > others * (1 + (limits.memory or 0.0)):
        reason = f"{said}, more than {limits.memory:.0%} above the champion's {others:.0f} MB"
        return Outcome("memory", "HOLD", reason, measured, limit)
    return Outcome("memory", "PROMOTE", f"{said} (limit {limits.memory_mb:g} MB)", measured, limit)


def _size(mine: Side, theirs: Side | None, limits: ServiceGate) -> list[Outcome]:
    checks = []
    for name, words, ours, others, most in (
        ("size", "the Bento", mine.bento_size, theirs.bento_size if theirs else 0, limits.size_mb),
        ("model size", "the model", mine.model_size, theirs.model_size if theirs else 0, None),
    ):
        measured = asdict(Figure(significant(ours / MB), significant(others / MB) if theirs else None))
        said = f"{words} is {ours / MB:.3g} MB"
        if most is not None and ours > most * MB:
            checks.append(
                Outcome(name, "REJECT", f"{said}, above the limit of {most:g} MB", measured, {"size_mb": most})
            )
        elif others and ours > (limits.growth or 1.0) * others:
            reason = (
                f"{said}, {ours / others:.1f} times the champion's {others / MB:.3g} MB (limit {limits.growth:g} times)"
            )
            checks.append(Outcome(name, "HOLD", reason, measured, {"growth": limits.growth}))
        else:
            checks.append(Outcome(name, "PROMOTE", said, measured, {"growth": limits.growth}))
    return checks


def _start(mine: Side, theirs: Side | None, limits: ServiceGate) -> Outcome:
    ours, others = mine.start_seconds, theirs.start_seconds if theirs else 0.0
    measured = asdict(Figure(significant(ours), significant(others) if others else None))
    limit = {"start_seconds": limits.start_seconds, "starts": limits.starts}
    said = f"the service is ready after {ours:.1f} s"
    if ours > (limits.start_seconds or 0.0):
        return Outcome("start", "REJECT", f"{said}, above the limit of {limits.start_seconds:g} s", measured, limit)
    if slow_start(ours, others, limits):
        reason = f"{said}, more than {limits.starts:g} times the champion's {others:.1f} s"
        return Outcome("start", "HOLD", reason, measured, limit)
    return Outcome("start", "PROMOTE", said, measured, limit)


def slow_start(ours: float, others: float, limits: ServiceGate) -> bool:
    """Return whether a start takes too long compared with the champion's."""
    return bool(others) and ours > max((limits.starts or 1.0) * others, others + START_NOISE)


def paired(differences: Sequence[float] | np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Return the Hodges-Lehmann estimate of the centre of paired differences, and its Wilcoxon interval."""
    given = np.asarray(differences, dtype=float)
    n = len(given)
    first, second = np.triu_indices(n)
    means = np.sort((given[first] + given[second]) / 2)
    spread = norm.ppf((1 + confidence) / 2) * np.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    outside = min(max(0, int(n * (n + 1) / 4 - spread)), (len(means) - 1) // 2)
    return float(np.median(means)), float(means[outside]), float(means[-1 - outside])


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return significant(float(np.median(known))) if known else None
