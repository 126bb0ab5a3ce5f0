"""From a table to a contract: the target, the features and the split, each decision with its reason."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from itertools import chain, count, permutations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.base.config import did_you_mean
from assay.base.errors import InputError
from assay.contract.spec import Column as AnyColumn
from assay.contract.spec import Contract, Task
from assay.data.columns import amounts
from assay.data.delimited import DECIMAL
from assay.data.dialect import are_versions, is_named_as_version
from assay.data.reading import typed
from assay.data.split import assign, row_keys
from assay.init import groups, suspects
from assay.init.clean import Cleaned, as_days, clean
from assay.init.kinds import (
    EVENT_TIMES,
    MOST_VALUES,
    OTHER_TIMES,
    WRITTEN,
    Column,
    decide,
    describe,
    ignore,
    ignore_twins,
    with_margin,
    words_of,
)
from assay.project.params import Prepare

FEWEST_ROWS = 30
FEWEST_OF_A_CLASS = 8
# Share of the rows below which a model hardly ever predicts a class.
RARE = 0.1
MOST_CLASSES = 100
# So few values of a target that make so much of its variance are errors, or the metric is the wrong one.
FAR_SHARE = 0.002
FAR_SQUARES = 0.9
# With this many rows per possible row, equal rows are not repetitions.
FEWEST_ALIKE = 5
FEWEST_TIMES = 8
# Share of rows that are not earlier than the row before, from which a file is in order of time.
IN_ORDER = 0.99
SAMPLE_OF_LEAKS = 10_000
# Most values of a category in a multiclass task, where each value becomes a column; a text uses only frequent words.
MOST_VALUES_OF_MULTICLASS = 100
MOST_SALTS = 30
# From this many rows on, few folds of many rows say more about the final model than many folds of few.
MANY_ROWS = 20_000
# The smallest acceptable share of the rows that a side should have.
FAIR = 0.6
# With this many rows of a class, some fall on each side whatever the salt.
ENOUGH_OF_A_CLASS = 500

CLASS_NAMES = (
    "class label type category species kind cultivar group cluster diagnosis outcome status segment klasse typ "
    "kategorie sorte gruppe diagnose classe catégorie espèce groupe clase tipo categoría especie grupo gruppo"
).split()
AMOUNT_NAMES = (
    "quality rating score count cnt rings age number num price days amount total quantity level grade points hours "
    "years sales demand rate value cost anzahl alter preis betrag menge summe umsatz tage stunden jahre punkte "
    "nombre âge prix montant quantité jours heures número edad precio importe cantidad días horas puntos"
).split()
SENSITIVE = set(
    "sex gender religion caste immigrant foreign foreigner veteran sexe sexo sesso zivilstand handicap handicapped "
    "deficiencia deficiência hispanic hisp lgbt".split()
)
# Beginnings of longer words, in several languages; what is cut off after them is an abbreviation.
SENSITIVE_STEMS = re.compile(
    "ethni etni disab behind(er|ert) discap pregnan schwang embaraz geschl(echt|$) staatsang nationalit nacionalid "
    "nazionalit citizen(ship)?$ marital matrimon cidadania ciudadan[ií]a herkunft altersg altersk familienst "
    "konfess glaubens religi muttersprach migrat(ion)?shint".replace(" ", "|")
)
# Words with other meanings, too: only of columns with few values, and `genre` only with codes or letters.
AMBIGUOUS = {"race", "raça", "rac"}
FEW_GROUPS = 20
SEXES, MOST_SEXES = {"genre", "genero", "género", "gênero", "genere"}, 4
# Words for age; people are meant if no thing is named, and the years are those of people.
AGES = set("age ages agep alter âge edad età idade leeftijd old".split())
THINGS = set(
    "house building car vehicle machine engine device battery account loan policy company firm tree wine property home "
    "apartment product equipment asset pipe bridge concrete stock file page post contract".split()
)
OLDEST = 122
GROWN_UP = 18
BIRTHS = (
    r"birth.?(place|country|year|date)|(date|year|country|place).?of.?birth|(?<![^\W_])[yd]ob(?![^\W_])|geburts|"
    r"(?<![^\W_])geb[._ -]?(jahr|dat|ort|tag)|naissance|nacimiento|(?<![^\W_])nasc|geboorte"
)
SENSITIVE_NAMES = re.compile(
    rf"{BIRTHS}|native.?(country|language)|country.?of.?origin|mother.?tongue|(langue|lengua|lingua).?matern|"
    r"(etat|état|estado|estat|stato).?civil|sexual.?orientation|how.?old.?are.?you",
    re.IGNORECASE,
)
# A column with two values that is named like one group of people says who belongs to it.
OF_GROUPS = set(
    "nwhite female male woman man women men girl boy black white nonwhite hispanic latino latina asian "
    "caucasian indigenous married unmarried single divorced widowed weiblich männlich verheiratet ledig femme homme "
    "mujer hombre donna uomo".split()
)
SENSITIVE_VALUES = (
    set(
        "male female m f man woman men women other non-binary nonbinary diverse divers männlich weiblich mann "
        "frau herr homme femme masculin féminin hombre mujer masculino femenino uomo donna maschio femmina".split()
    ),
    {*"white black asian hispanic latino caucasian african-american indigenous".split(), "african american"},
    set("christian muslim jewish hindu buddhist catholic protestant atheist islam sikh".split()),
    {
        *"married single divorced widowed separated never-married unmarried ledig verheiratet geschieden".split(),
        *"verwitwet marié mariée célibataire divorcé divorcée veuf veuve casado casada soltero soltera".split(),
        "never married",
    },
)
# Other letters also mean months and weeks, or high and medium.
LETTERS_OF_SEXES = {"m", "f"}
POSITIVE = (
    "yes y true t ja j oui si sí sim 1 positive pos malignant churn churned default defaulted fraud fraudulent spam "
    "sick disease case ill dead died bad defective defect faulty broken failure failed fail abnormal anomaly attack "
    "relapse accept accepted approved click clicked bought converted recurrence-events present high event positiv "
    "krank betrug defekt tak да sí vrai wahr vero verdadero verdadeiro deceased died tot verstorben gestorben décédé "
    "mort muerto fallecido morto malade enfermo malato won win left gekündigt kündigung résilié fraude schlecht "
    "mauvais malo ausschuss angenommen genehmigt accepté aceptado"
).split()
# What is usual, or nothing: of two classes the other one is what happens.
USUAL = set(
    "no n non nein nie ne nee não false 0 normal healthy gesund sain sano alive living lebt lebend vivo vivant active "
    "aktiv actif activo attivo stayed retained paid bezahlt ok okay good gut bon bueno benign negative negativ neg "
    "négatif negativo ham control controls intact low none absent faux falsch falso conform conforme".split()
)
NEGATIONS = set("no not non never without kein keine nicht sans sin".split())
ADDS_UP = "adds up to the target with"
BY_TIME = "the split is by time; if time does not matter, set `split` to `by: hash`"


class Kind(Enum):
    """How a finding is used: shown, asked about (the task), or kept out of the comments of contract.yaml."""

    NOTE = "note"
    UNSURE_TASK = "unsure task"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class Finding:
    """Something to review: its weight (3 is the most harmful), the column or setting, what it is, and its kind."""

    weight: int
    where: str
    what: str
    kind: Kind = Kind.NOTE


@dataclass
class Plan:
    """What was decided: contract, reasons, findings, settings for params.yaml, and the data that fits the contract.

    `raw` is the data as it was read. `suspects` are the columns left out because they seem to leak the target, each
    with its reason. `extremes` are the lowest and highest value of each number and time.
    """

    contract: dict[str, Any]
    reasons: dict[str, str]
    findings: list[Finding]
    params: dict[str, Any]
    table: pa.Table
    raw: pa.Table
    suspects: dict[str, str] = field(default_factory=dict)
    extremes: dict[str, tuple[Any, Any]] = field(default_factory=dict)


def infer(
    table: pa.Table,
    target: str,
    name: str,
    *,
    keep: Iterable[str] = (),
    task: Task | None = None,
    agreed: Contract | None = None,
) -> Plan:
    """Return a plan for a table and the column to predict.

    `keep` names columns that stay features although they seem to leak the target; `agreed` is the present contract if
    the table is newer data of the same problem: values are read as it says. Raises InputError if no model can be
    trained on the table: the target is missing, empty in some row, constant or of too many classes; there are too few
    rows, or all rows are identical.
    """
    _require(table, target)
    findings: list[Finding] = []
    known = {} if agreed is None else {**agreed.features, target: agreed.target_column}
    decimal = decimal_of(table)
    raw, wanted = _with_target(table, target, findings, decimal, known.get(target))
    others = [name for name in raw.column_names if name != target]
    cleaned = {
        column: clean(raw[column], decimal=decimal, agreed=known.get(column), are_codes=_are_codes(column, raw[column]))
        for column in others
    }
    for column, made in [(target, wanted), *cleaned.items()]:
        findings += [Finding(2, column, doubt) for doubt in made.doubts]
        findings += [Finding(0, column, note) for note in made.notes]
        findings += [Finding(1, column, gone) for gone in _became_missing(made)]
    goal, task, target_section = _target(wanted, target, task, findings)
    kept = None if task == "regression" else pc.is_in(goal, pa.array(target_section["classes"]))
    if kept is not None and not pc.all(kept).as_py():
        goal, raw = goal.filter(kept), raw.filter(kept)
        cleaned = {n: replace(c, values=c.values.filter(kept)) for n, c in cleaned.items()}
    most_values = MOST_VALUES_OF_MULTICLASS if task == "multiclass" else MOST_VALUES
    columns = [describe(column, made, len(goal), most_values) for column, made in cleaned.items()]
    ignore_twins(columns)
    _refuse_copies(columns)
    leaks = _ignore_suspects(columns, goal, target, task, set(keep), findings)
    split, why_split = _split(columns, goal, task, findings)
    _refuse_copies(columns)
    if split["by"] == "hash":
        _tell_apart(columns, len(goal), target)
    contract = _contract(name, target_section, task, columns, split)
    raw = _with_added(raw, columns)
    data = _table(raw, columns, contract)
    params, why_params = _params(data, contract, findings)
    why_split = _with_enough_on_each_side(data, contract, params, findings) or why_split
    reasons = {column.name: column.reason for column in columns} | {"split": why_split} | why_params
    if task == "binary":
        reasons["costs"] = _weigh_errors(goal, contract, findings)
    findings += _review(columns, contract, leaks)
    findings.sort(key=lambda finding: -finding.weight)
    return Plan(contract, reasons, findings, params, data, raw, leaks, dict(_extremes(data)))


def _are_codes(name: str, values: pa.ChunkedArray) -> bool:
    """Say whether texts that look like numbers are versions."""
    is_text = pa.types.is_string(values.type)
    return is_text and is_named_as_version(name) and are_versions(values.drop_null().unique().to_pylist())


def decimal_of(table: pa.Table) -> str:
    """Return the decimal mark of the file that a table was read from."""
    metadata: Mapping[bytes, bytes] = table.schema.metadata or {}
    return metadata.get(DECIMAL, b".").decode()


def _became_missing(made: Cleaned) -> Iterator[str]:
    """Yield what became missing, with the number of cells."""
    if made.missing:
        shown = ", ".join(f"{marker!r} ({rows} rows)" for marker, rows in made.missing.items())
        yield f"became missing: {shown}"


def _require(table: pa.Table, target: str) -> None:
    if target not in table.column_names:
        shown = ", ".join(table.column_names[:8]) + (", ..." if table.num_columns > 8 else "")
        hint = did_you_mean(target, table.column_names) or f"; the columns are {shown}"
        raise InputError(f"--target: no column {target!r}{hint}")
    if table.num_columns < 2:
        raise InputError(f"no column besides the target {target!r}")


def _with_target(
    table: pa.Table, target: str, findings: list[Finding], decimal: str, agreed: AnyColumn | None
) -> tuple[pa.Table, Cleaned]:
    """Return the rows that have a target, and the cleaned target."""
    made = clean(table[target], is_target=True, decimal=decimal, agreed=agreed)
    there = made.values.is_valid()
    rows = pc.sum(there.cast(pa.int64())).as_py() or 0
    left_out = table.num_rows - rows
    if left_out:
        row = pc.index(there, False).as_py()
        words = f" ({', '.join(map(repr, made.missing))})" if made.missing else ""
        text = f"{left_out} rows without a value{words} were left out (first: row {row + 1})"
        findings.append(Finding(2, target, text, Kind.LEFT_OUT))
    if rows < FEWEST_ROWS:
        without = f" (and {left_out} without a value of {target!r})" if left_out else ""
        raise InputError(
            f"{rows} rows{without} are too few to train and judge a model; at least {FEWEST_ROWS} are needed"
        )
    return (table.filter(there), replace(made, values=made.values.filter(there))) if left_out else (table, made)


def _far_values(numbers: np.ndarray) -> str:
    """Say which values of a target are so far from the others that they alone decide squared errors, "" if none."""
    away = np.abs(numbers - np.median(numbers))
    order = np.argsort(away)[::-1]
    squares = away[order] ** 2
    most = min(max(1, round(FAR_SHARE * len(numbers))), len(numbers) - 1)
    # The farthest hide that the next ones are far too.
    number = 0
    while number < most and squares[number:most].sum() > FAR_SQUARES * squares[number:].sum():
        number += 1
    if not number:
        return ""
    far, near = np.sort(numbers[order[:number]]), numbers[order[number:]]
    some = f"{number} of its values ({far[0]:g} to {far[-1]:g}) make"
    if number == 1:
        some = f"one of its values ({far[0]:g}) makes"
    return (
        f"{some} {squares[:number].sum() / squares.sum():.0%} of its variance, and the others lie between "
        f"{near.min():g} and {near.max():g}: the metric says little of these; if those are errors, leave their rows out"
    )


def _target(
    made: Cleaned, name: str, task: Task | None, findings: list[Finding]
) -> tuple[pa.ChunkedArray, Task, dict[str, Any]]:
    values = made.values
    if pa.types.is_floating(values.type) and pc.all(pc.equal(pc.floor(values), values)).as_py():
        values = values.cast(pa.int64(), safe=False)
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        raise InputError(f"target {name!r} is a time; predict a number (such as days until then) or a class")
    counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(values)[: 10 * MOST_VALUES].to_pylist()}
    if len(counts) == 1:
        raise InputError(f"target {name!r} is {next(iter(counts))!r} in every row: there is nothing to predict")
    is_number = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    words = set(words_of(name))
    if task is None:
        task, why, kind = _task(is_number, pa.types.is_floating(values.type), counts, words)
        findings.append(Finding(3 if kind is Kind.UNSURE_TASK else 0, name, f"{task}: {why}", kind))
    if task == "regression":
        if not is_number:
            raise InputError(f"target {name!r} is text, but regression needs numbers")
        numbers = values.cast(pa.float64())
        known = amounts(numbers.drop_null().to_numpy(), name)
        section: dict[str, Any] = {"name": name}
        if made.unit:
            section["unit"] = made.unit
        section["range"] = [float(limit) for limit in with_margin(values, wide=True)]
        if cleaning := _of_target(made, WRITTEN):
            section["cleaning"] = cleaning
        if said := _far_values(known):
            findings.append(Finding(3, name, said))
        return numbers, task, section
    labels = values.cast(pa.string())
    sizes = {str(entry["values"]): entry["counts"] for entry in pc.value_counts(labels).to_pylist()}
    if len(sizes) > MOST_CLASSES:
        raise InputError(f"target {name!r} has {len(sizes)} classes; at most {MOST_CLASSES} are supported")
    rare = sorted(label for label, size in sizes.items() if size < FEWEST_OF_A_CLASS)
    if rare:
        left = sum(sizes[label] for label in rare)
        findings.append(
            Finding(
                3,
                name,
                f"classes with fewer than {FEWEST_OF_A_CLASS} rows were left out: {', '.join(rare)} ({left} rows)",
                Kind.LEFT_OUT,
            )
        )
    classes = sorted(label for label in sizes if label not in rare)
    if len(classes) < 2:
        raise InputError(
            f"target {name!r}: fewer than two classes have {FEWEST_OF_A_CLASS} rows or more, which a model needs; "
            "bring more rows of each"
        )
    if task == "multiclass" and len(classes) == 2:
        task = "binary"
    if task == "binary" and len(classes) > 2:
        raise InputError(f"target {name!r} has {len(classes)} classes, but a binary task needs two")
    section = {"name": name, "classes": classes}
    if cleaning := _of_target(made, {"case"}):
        section["cleaning"] = cleaning
    if task == "binary":
        section["positive"], why = _positive(classes, sizes)
        findings.append(Finding(1, name, f"the positive class is {section['positive']!r}, {why}"))
    return labels, task, section


def _of_target(made: Cleaned, keys: Iterable[str]) -> dict[str, Any]:
    return {key: value for key, value in made.cleaning.items() if key in keys}


def _task(is_number: bool, has_fractions: bool, counts: Mapping[Any, int], words: set[str]) -> tuple[Task, str, Kind]:
    number = len(counts)
    if number == 2:
        return "binary", "two values", Kind.NOTE
    if not is_number:
        return "multiclass", f"{number} text values", Kind.NOTE
    if has_fractions:
        return "regression", "numbers with fractions", Kind.NOTE
    if number <= MOST_CLASSES and words & set(CLASS_NAMES):
        return "multiclass", f"{number} whole numbers, and the name suggests classes", Kind.NOTE
    if number > 10:
        more = "" if number < 10 * MOST_VALUES else " or more"
        return "regression", f"{number}{more} whole numbers", Kind.NOTE
    if words & set(AMOUNT_NAMES) or any(word.endswith("anzahl") for word in words):
        why = f"{number} whole numbers, and the name suggests an amount; for classes use `--task multiclass`"
        return "regression", why, Kind.UNSURE_TASK
    why = f"{number} whole numbers; for an amount use `--task regression`"
    return "multiclass", why, Kind.UNSURE_TASK


def _positive(classes: Sequence[str], sizes: Mapping[str, int]) -> tuple[str, str]:
    """Return which of two classes is the positive one, and why."""
    for word in POSITIVE:
        for label, other in (classes, reversed(classes)):
            # Between 1 and 2 the name decides nothing.
            if label.lower() == word and (word != "1" or other in ("0", "-1")):
                return label, "judged by its name"
    for label, other in (classes, reversed(classes)):
        words, others = set(words_of(label)), set(words_of(other))
        telling = {word for word in POSITIVE if len(word) > 2} - others
        if words & telling and not words & NEGATIONS:
            return label, "judged by its name"
        if others & NEGATIONS and others - NEGATIONS and others - NEGATIONS == words:
            # What is usual does not happen: a part that does not conform, a bill that is not paid.
            return (other if words <= USUAL else label), "judged by the name of the other"
    usual = [label for label in classes if label.lower() in USUAL]
    if len(usual) == 1:
        return next(label for label in classes if label not in usual), "judged by the name of the other"
    return min(classes, key=lambda label: (sizes[label], label)), "the rarer class"


def _refuse_copies(columns: Sequence[Column]) -> None:
    if all(column.kind in ("id", "ignored") for column in columns):
        if all(column.distinct <= 1 for column in columns):
            raise InputError("all rows are identical: there is nothing to learn from")
        ignored = "; ".join(f"{c.name}: {c.reason or c.decided.get('reason')}" for c in columns[:3])
        raise InputError(f"no column is left to learn from ({ignored})")


def _ignore_suspects(
    columns: Sequence[Column], goal: pa.ChunkedArray, target: str, task: Task, keep: set[str], findings: list[Finding]
) -> dict[str, str]:
    """Ignore columns that leak the target; return their names and the reasons."""
    usable = [column for column in columns if column.kind not in ("id", "ignored")]
    index = None
    if len(goal) > SAMPLE_OF_LEAKS:
        index = pa.array(np.sort(np.random.default_rng(0).choice(len(goal), SAMPLE_OF_LEAKS, replace=False)))
    sample = {column.name: column.values.take(index) if index else column.values for column in usable}
    wanted = goal.take(index) if index else goal
    is_number = task == "regression"
    found: dict[str, str] = {}
    shares = _suspect_alone(usable, sample, wanted, found, is_number=is_number)
    _suspect_sum_of_steps(usable, sample, wanted, found, is_number=is_number)
    _suspect_relations(sample, wanted, target, shares, found, is_number=is_number)
    _suspect_times(usable, sample, wanted, found, is_number=is_number)
    left = {name: share for name, share in shares.items() if name not in found}
    best = max(left, key=lambda name: left[name], default="")
    # What several rows belong to is no number, or named as a place or a kind.
    numbers = {one.name for one in usable if one.kind in ("number", "integer", "boolean")}
    names = {one.name for one in usable if one.words & groups.RECURRING}
    if (telling := suspects.outstanding(left)) is not None and telling[0] in numbers - names - keep:
        first, second = telling
        text = f"explains {left[first]:.0%} of the target alone, and {second}, the next, {left[second]:.0%}"
        findings.append(Finding(2, first, f"{text}: is it known before the target? If not, ignore it"))
    doubtful: set[str] = set()
    for column in usable:
        if column.name in found or column.name not in shares:
            continue
        share = shares[column.name]
        after = suspects.after_the_fact(words_of(column.name), share, is_best=column.name == best)
        if after:
            found[column.name] = (
                f"its name says that it is known only afterwards; it explains {share:.0%} of the target"
            )
        elif after is None:
            doubtful.add(column.name)
    for column in usable:
        if column.name in found:
            why = found[column.name]
            if column.name in keep:
                findings.append(Finding(2, column.name, f"kept as you asked, but suspected of leaking: {why}"))
                continue
            ignore(column, f"suspected leak: {why}")
            # All rows of a patient may have the same target.
            column.may_group = not pa.types.is_floating(column.values.type)
            message = f"left out: {why}; if it is known before the target, make it a feature"
            findings.append(Finding(3, column.name, message, Kind.LEFT_OUT))
        elif column.name in doubtful:
            findings.append(
                Finding(2, column.name, "the name suggests that it is known only afterwards; if so, ignore it")
            )
    if all(column.kind in ("id", "ignored") for column in columns):
        raise InputError(f"every usable column leaks the target {target!r}: {', '.join(found)}")
    return {name: why for name, why in found.items() if name not in keep}


def _suspect_alone(
    columns: Sequence[Column],
    sample: Mapping[str, pa.ChunkedArray],
    wanted: pa.ChunkedArray,
    found: dict[str, str],
    *,
    is_number: bool,
) -> dict[str, float]:
    """Add columns that give the target away on their own; return the share of it that each column explains."""
    shares: dict[str, float] = {}
    for column in columns:
        values = sample[column.name]
        # A target that grows with time follows from the time, but is still unknown beforehand.
        if column.kind == "time" and _in_order(column.values) > IN_ORDER:
            continue
        share = shares[column.name] = suspects.alone(values, wanted, is_number=is_number)
        if share >= suspects.SURE:
            found[column.name] = f"explains {share:.1%} of the target on its own"
        elif values.null_count and (gaps := suspects.missing_alone(values, wanted, is_number)) is not None:
            found[column.name] = f"whether it is missing explains {gaps:.0%} of the target: known only afterwards"
        elif is_number and not column.words & (EVENT_TIMES | groups.YEARS):
            is_binned = suspects.is_binned(values, wanted)
            told = "each of its values has a part of the target's range of its own"
            if is_binned:
                found[column.name] = told
            elif is_binned is None:
                column.doubt = f"{told}: if it was made from the target, ignore it"
    return shares


def _suspect_sum_of_steps(
    columns: Sequence[Column],
    sample: Mapping[str, pa.ChunkedArray],
    wanted: pa.ChunkedArray,
    found: dict[str, str],
    *,
    is_number: bool,
) -> None:
    """Add columns whose sum is the target, where they were taken for codes and are the steps of a scale."""
    steps = [column.name for column in columns if column.is_code and not column.values.null_count]
    if not is_number or not steps:
        return
    numbers = {name: values.cast(pa.int64()) for name, values in sample.items() if name in steps}
    numbers |= {name: values for name, values in sample.items() if _is_number(values)}
    parts = suspects.parts_of_sum(numbers, wanted)
    if {*parts} & {*steps}:
        _add_parts(found, parts, parts, ADDS_UP)


def _add_parts(found: dict[str, str], parts: Sequence[str], out: Sequence[str], what: str, alone: str = "") -> None:
    """Add `out`, some of the parts that give the target away together; `alone` is the reason of a single part."""
    for name in out:
        others = ", ".join(part for part in parts if part != name)
        found[name] = f"{what} {others}" if others else alone


def _is_number(values: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_integer(values.type) or pa.types.is_floating(values.type))


def _suspect_relations(
    sample: Mapping[str, pa.ChunkedArray],
    wanted: pa.ChunkedArray,
    target: str,
    shares: Mapping[str, float],
    found: dict[str, str],
    *,
    is_number: bool,
) -> None:
    """Add numbers that give the target away together: as a sum, as a product, or as two that determine it."""

    def rest() -> dict[str, pa.ChunkedArray]:
        return {name: values for name, values in sample.items() if name not in found and _is_number(values)}

    add = partial(_add_parts, found)
    if is_number:
        parts = suspects.parts_of_sum(rest(), wanted)
        add(parts, parts, ADDS_UP)
        parts = suspects.parts_with_fee(rest(), wanted)
        add(parts, parts, "is the target, but for a fee, with", "is the target, but for a fee or another unit")
        parts = suspects.parts_of_product(rest(), wanted)
        add(parts, suspects.derived(parts, target), "gives the target when multiplied with, or divided by,")
    else:
        parts = suspects.indicators({name: values for name, values in sample.items() if name not in found}, wanted)
        add(
            parts,
            parts,
            "says which class the target has, together with",
            "says whether the target has one of its classes",
        )
    if (pair := suspects.pairs(rest(), shares, wanted, is_number=is_number)) is not None:
        *parts, what = pair
        add(parts, suspects.derived(parts, target), f"determines the target by its {what} with")


def _suspect_times(
    columns: Sequence[Column],
    sample: Mapping[str, pa.ChunkedArray],
    wanted: pa.ChunkedArray,
    found: dict[str, str],
    *,
    is_number: bool,
) -> None:
    """Add times that follow the time of the row: the end of what began then is known only afterwards."""
    times = [column for column in columns if column.kind == "time" and not column.words & OTHER_TIMES - {"end"}]
    for time, other in permutations(times, 2):
        if other.name in found or time.words & suspects.BEFORE or not suspects.is_later(time.values, other.values):
            continue
        share = suspects.between(sample[time.name], sample[other.name], wanted, is_number=is_number)
        orderly = _in_order(other.values) > IN_ORDER >= _in_order(time.values)
        if orderly or share >= suspects.EXPLAINED_BY_TIME:
            found[time.name] = f"comes after {other.name}; the time between them explains {share:.0%} of the target"


def _split(
    columns: Sequence[Column], goal: pa.ChunkedArray, task: Task, findings: list[Finding]
) -> tuple[dict[str, str], str]:
    time = _time_of(columns, findings)
    named = groups.named(columns, len(goal))
    if time is not None:
        findings.append(Finding(2, time.name, BY_TIME))
        again = "a value may be on both sides of the split by time; if the model meets new ones, split by this group"
        findings += [Finding(2, column.name, again) for column in named]
        return {
            "by": "time",
            "column": time.name,
        }, f"rows have a time ({time.name}), and the model will predict later ones"
    if named:
        best = max(named, key=lambda column: column.distinct)
        decide(best, "id", f"names what several rows belong to: {best.distinct} values in {len(goal)} rows")
        findings.append(Finding(1, best.name, "the split keeps all rows of one value together"))
        findings += _of_later_years(columns, best)
        return {"by": "group", "column": best.name}, f"{best.distinct} values of {best.name} have several rows each"
    wanted = groups.goal_of(goal, is_number=task == "regression")
    for column, why in groups.found(columns, wanted, len(goal)):
        if column.kind == "number":
            text = (
                f"{why}: are several rows of one person, place or thing? Then add a column that names it, to split by"
            )
            findings.append(Finding(2, column.name, text))
            # Numbers come last, and one says it.
            break
        if column.distinct < groups.FEWEST_BY_CONTENT:
            text = f"{why}: a feature, for later rows with the same values; if the model meets new ones, split by it"
            findings.append(Finding(2, column.name, text))
            continue
        decide(column, "id", f"seems to name what several rows belong to: {why}")
        text = f"{why}: the split keeps them together; if later rows have the same values, set `split` to `by: hash`"
        findings.append(Finding(3, column.name, f"{text} and make it a category"))
        findings += _of_later_years(columns, column)
        return {"by": "group", "column": column.name}, f"{column.name}: {why}"
    if panel := groups.panel(columns, len(goal)):
        year, unit = panel
        why = f"each row is one {year.name} of one {unit.name}"
        text = f"the split is by it, since {why}; if the model will meet other values of {unit.name}, split by these"
        findings.append(Finding(2, year.name, text))
        return {"by": "time", "column": year.name}, why
    findings += _of_later_years(columns)
    return {"by": "hash"}, "no column is a time or a group"


def _of_later_years(columns: Sequence[Column], group: Column | None = None) -> Iterator[Finding]:
    """Yield what to review where the rows are of several years, and the split is not by them."""
    how = "random" if group is None else f"by {group.name}"
    for year in groups.years(columns):
        text = f"the split is {how}; if the model will predict later ones, set `split` to `by: time` and this column"
        yield Finding(2, year.name, text)


def _time_of(columns: Sequence[Column], findings: list[Finding]) -> Column | None:
    """Return the column that best says when a row was made; a time that cannot be used for the split is a finding."""
    usable: list[Column] = []
    for column in columns:
        if column.kind != "time" or column.words & OTHER_TIMES:
            continue
        if column.values.null_count:
            reason = f"it is missing in {column.values.null_count} rows"
        elif column.distinct < FEWEST_TIMES:
            reason = f"it has only {column.distinct} different values"
        else:
            usable.append(column)
            continue
        findings.append(Finding(2, column.name, f"the split is not by this time, because {reason}"))

    def fitness(column: Column) -> tuple[bool, bool, int]:
        is_event = any(word in EVENT_TIMES or word.endswith("date") for word in column.words)
        return _in_order(column.values) > IN_ORDER, is_event, column.distinct

    return max(usable, key=fitness, default=None)


def _tell_apart(columns: list[Column], rows: int, target: str) -> None:
    """Add a row number as id if rows are equal only because the features have few values, not by repetition.

    With a split by hash, rows with equal features share a side. Three features of two values each allow eight different
    rows, and a model would be judged on combinations that it never saw.
    """
    features = [column for column in columns if column.kind not in ("id", "ignored")]
    possible = math.prod(column.distinct + (column.values.null_count > 0) for column in features)
    if FEWEST_ALIKE * possible > rows or any(column.kind == "id" for column in columns):
        return
    taken = {target, *(column.name for column in columns)}
    name = next(name for name in chain(["row"], (f"row {n}" for n in count(2))) if name not in taken)
    numbers = pa.chunked_array([pa.array(np.arange(1, rows + 1))])
    reason = f"added by `assay init`: the features allow only {possible} different rows, too few to tell {rows} apart"
    columns.append(Column(name, numbers, None, rows, {"kind": "id", "counted": True}, reason))


def _in_order(values: pa.ChunkedArray) -> float:
    ticks = values.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    return float((ticks[1:] >= ticks[:-1]).mean()) if len(ticks) > 1 else 0.0


def _contract(
    name: str,
    target: dict[str, Any],
    task: Task,
    columns: Sequence[Column],
    split: dict[str, str],
) -> dict[str, Any]:
    features = [column for column in columns if column.kind not in ("id", "ignored")]
    sensitive = [column.name for column in features if _is_sensitive(column)]
    contract: dict[str, Any] = {
        "name": name,
        "description": f"Predicts {target['name']}.",
        "data": f"data/{name}.csv",
        "task": task,
        "target": target,
        "split": split,
    }
    if sensitive:
        contract["sensitive"] = sensitive
    if slices := list(_slices(features, sensitive)):
        contract["slices"] = slices
    contract["clean"] = True
    contract["columns"] = {column.name: column.decided for column in columns}
    return contract


def _weigh_errors(goal: pa.ChunkedArray, contract: dict[str, Any], findings: list[Finding]) -> str:
    """If a class is rare, weight errors on it by the ratio of the class sizes; return the reason.

    For decisions this equals class weights (Elkan 2001, The foundations of cost-sensitive learning), but leaves the
    probabilities unchanged.
    """
    positive = contract["target"]["positive"]
    share = pc.mean(pc.equal(goal, positive).cast(pa.float64())).as_py()
    if RARE <= share <= 1 - RARE:
        return ""
    ratio = _two_digits((1 - share) / share)
    contract["costs"] = {
        "false_positive": max(1.0, _two_digits(1 / ratio)),
        "false_negative": max(1.0, ratio),
        "unit": "errors on the common class",
    }
    label = positive if share < RARE else next(label for label in contract["target"]["classes"] if label != positive)
    findings.append(Finding(2, "costs", f"errors on {label!r} are weighted by its rarity; set your own `costs`"))
    return f"{label} is rare: without costs the model would hardly ever decide for it"


def _is_sensitive(column: Column) -> bool:
    if column.kind in ("text", "time"):
        return False
    of_letters = {word.lower() for word in re.findall(r"[^\W\d_]+", column.name)}
    words = of_letters | column.words
    if words & SENSITIVE or any(SENSITIVE_STEMS.match(word) for word in words) or SENSITIVE_NAMES.search(column.name):
        return True
    values = {value.lower() for value in column.decided.get("values", [])}
    if words & AMBIGUOUS and column.distinct <= FEW_GROUPS:
        return True
    if words & SEXES and column.distinct <= MOST_SEXES and (not values or any(len(value) == 1 for value in values)):
        return True
    if column.distinct == 2 and any(_is_group(one) for one in (of_letters, column.words)):
        return True
    if words & AGES and not words & THINGS:
        if column.kind not in ("integer", "number"):
            return True
        low, high = pc.min_max(column.values).as_py().values()
        return bool(low >= 0 and GROWN_UP <= high <= OLDEST)
    if len(values) < 2:
        return False
    if values == LETTERS_OF_SEXES:
        return True
    return any(len(values & known) >= 2 and len(values & known) >= 0.4 * len(values) for known in SENSITIVE_VALUES)


def _is_group(words: set[str]) -> bool:
    """Say whether the words of a name are those of a group of people, such as female or not white."""
    named = {word for word in words if not word.isdigit()} - {"is", "non"}
    return bool(named) and named <= OF_GROUPS


def _slices(features: Sequence[Column], sensitive: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield up to four slices: categories with few values, and sensitive numbers cut into thirds."""
    count = 0
    for column in features:
        if count == 4:
            return
        if column.kind in ("category", "boolean") and 2 <= column.distinct <= 8:
            count += 1
            yield {"column": column.name}
        elif column.name in sensitive and column.kind in ("integer", "number"):
            known = column.values.drop_null().to_numpy()
            edges = sorted({float(f"{edge:.3g}") for edge in np.quantile(known, [1 / 3, 2 / 3])})
            count += 1
            yield {"column": column.name, "edges": [int(e) if e.is_integer() else e for e in edges]}


def _with_added(raw: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """Return the data as it was read, with the columns that were added to it."""
    there = set(raw.column_names)
    for column in columns:
        if column.name not in there:
            raw = raw.append_column(column.name, column.values)
    return raw


def _table(raw: pa.Table, columns: Sequence[Column], contract: dict[str, Any]) -> pa.Table:
    """Return the data as it is stored: cleaned by the contract, the target last."""
    for column in columns:
        if column.kind == "text":
            # A text is stored as it is, and with its spaces it may be longer.
            longest = pc.max(pc.utf8_length(raw[column.name].cast(pa.string()))).as_py()
            column.decided["max_length"] = max(column.decided["max_length"], longest)
    return typed(raw, checked(contract))[0]


def _extremes(data: pa.Table) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield the lowest and highest value of each number, and of each time in ISO 8601."""
    for name in data.column_names:
        kind = data[name].type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            yield name, tuple(pc.min_max(data[name]).as_py().values())
        elif pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            low, high = pc.min_max(as_days(data[name])).as_py().values()
            yield name, (low.isoformat(), high.isoformat())


def _params(data: pa.Table, contract: dict[str, Any], findings: list[Finding]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return settings of params.yaml for the data, by dotted key, and reasons."""
    rows, task = data.num_rows, contract["task"]
    by_time = contract["split"]["by"] == "time"
    params: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    small = rows < 2000
    params["prepare.test"] = 0.25 if small else 0.2
    params["prepare.validation"] = 0.15 if small else 0.1
    if by_time and task == "regression" and not small:
        params["prepare.validation"] = 0.02
        reasons["prepare"] = (
            "the latest rows are the most useful for training, and regression sets no threshold on validation rows"
        )
    params["validate.smallest_class_share"] = 0.05
    if task != "regression":
        sizes = sorted(entry["counts"] for entry in pc.value_counts(data[contract["target"]["name"]]).to_pylist())
        share = sizes[0] / rows
        if share < RARE:
            params["validate.smallest_class_share"] = _two_digits(share / 2)
            findings.append(Finding(2, contract["target"]["name"], f"the rarest class has {share:.2%} of the rows"))
        params["tune.folds"] = max(2, min(_folds(rows), sizes[0] // 4))
    else:
        params["tune.folds"] = _folds(rows)
    features = [name for name, column in contract["columns"].items() if column["kind"] not in ("id", "ignored")]
    repeated, alike = _repeated(data, features)
    params["validate.duplicate_share"] = 0.05
    # By group, time or id, any row that has its like may have it on the other side.
    by_content = contract["split"]["by"] == "hash" and all(one["kind"] != "id" for one in contract["columns"].values())
    usual = repeated if by_content else max(repeated, alike)
    if usual > 0.03:
        params["validate.duplicate_share"] = min(1.0, _two_digits(usual * 1.5))
    if repeated > 0.03:
        findings.append(Finding(2, "rows", f"{repeated:.1%} of the rows have the same features as another"))
    elif repeated:
        findings.append(Finding(1, "rows", f"{repeated:.2%} of the rows have the same features as another"))
    params["tune.trials"] = 24 if small else 12
    params["tune.max_rows"] = 20_000 if small or rows >= MANY_ROWS else 10_000
    params["model.family"], params["model.parameters"] = _first_model(data, contract)
    params["train.calibrate"] = False
    params["gates.quality.metric"] = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "r2"}[task]
    params["gates.quality.margin"] = {"binary": 0.01, "multiclass": 0.02, "regression": 0.01}[task]
    return params, reasons


def _folds(rows: int) -> int:
    return 5 if rows < 5000 else 3 if rows < MANY_ROWS else 2


def _with_enough_on_each_side(
    data: pa.Table, contract: dict[str, Any], params: dict[str, Any], findings: list[Finding]
) -> str | None:
    """Choose a split with enough rows and every class on each side; return a reason if `split` had to change.

    A split by hash or by group tries other salts. A split by time with a class missing from a side becomes one by hash;
    the sizes of its sides depend on the times.
    """
    shares = {"test": params["prepare.test"], "validation": params["prepare.validation"]}
    made = checked(contract)
    goal = np.zeros(data.num_rows, dtype=np.int64)
    if made.classes:
        goal = data[made.target.name].combine_chunks().dictionary_encode().indices.to_numpy()
    if np.bincount(goal).min() > ENOUGH_OF_A_CLASS and made.split.by == "hash":
        return None
    table, _ = typed(data, made)
    fewest = np.array([params["tune.folds"], 1, 1])[:, None]
    fair = FAIR * data.num_rows * np.array([1 - sum(shares.values()), shares["validation"], shares["test"]])

    def is_whole(split: Contract, salt: str) -> bool:
        sides = assign(table, split, Prepare(**shares, salt=salt))
        counts = np.zeros((3, goal.max() + 1), dtype=np.int64)
        np.add.at(counts, (sides, goal), 1)
        is_fair = split.split.by == "time" or bool((counts.sum(axis=1) >= fair).all())
        return is_fair and (not made.classes or bool((counts >= fewest).all()))

    reason = None
    if made.split.by == "time" and not is_whole(made, "assay"):
        findings[:] = [one for one in findings if one.what != BY_TIME]
        findings.append(Finding(3, str(made.split.column), "not split by time: one side would lack a class"))
        contract["split"] = {"by": "hash"}
        made, reason = checked(contract), "with a split by time one side would lack a class"
    salts = ["assay", *(f"assay-{number}" for number in range(2, MOST_SALTS))]
    params["prepare.salt"] = next((salt for salt in salts if is_whole(made, salt)), "assay")
    return reason


def _first_model(data: pa.Table, contract: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a model that does well on most data of this size and kind: the start of the search."""
    if contract["task"] == "regression":
        goal = data[contract["target"]["name"]].to_numpy()
        spread = float(goal.std()) or 1.0
        skewed = float(((goal - goal.mean()) ** 3).mean()) / spread**3 > 1
        if goal.min() >= 0 and (skewed or contract["split"]["by"] == "time"):
            # Imported here: a dry run needs no scikit-learn.
            from assay.modelling.estimators import FAMILIES

            return "log_boosting", dict(FAMILIES["log_boosting"].defaults)
    if data.num_rows < 1000 and contract["task"] != "regression":
        return "linear", {"C": 1.0}
    rate, most = (0.1, 120) if contract["task"] == "multiclass" else (0.05, 300)
    parameters = {"learning_rate": rate, "max_iter": most, "max_leaf_nodes": 24, "l2_regularization": 1.0}
    return "gradient_boosting", {**parameters, "max_features": 0.5}


def _repeated(data: pa.Table, names: Sequence[str]) -> tuple[float, float]:
    """Return the shares of rows that repeat an earlier row, and that are like any other, of the first 200,000 rows."""
    some = data.slice(0, 200_000)
    plain = pa.table({name: _keyable(some[name]) for name in names})
    keys = row_keys(plain, names, "duplicates")
    counts = np.unique(keys, return_counts=True)[1]
    return 1 - len(counts) / len(keys), float(counts[counts > 1].sum() / len(keys))


def _keyable(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(pa.timestamp("us")) if pa.types.is_date(values.type) else values


def _review(columns: Sequence[Column], contract: Mapping[str, Any], leaks: Mapping[str, str]) -> Iterator[Finding]:
    for column in columns:
        if column.kind == "time" and re.search(BIRTHS, column.name, re.IGNORECASE):
            yield Finding(
                2, column.name, "tells how old a person is: may the model use it? the report compares no times"
            )
        if column.doubt and column.kind != "ignored":
            yield Finding(2, column.name, column.doubt)
        if column.kind == "ignored":
            # What leaks has a finding of its own.
            if column.name not in leaks:
                yield Finding(1, column.name, f"ignored: {column.decided['reason']}")
        elif column.kind == "id":
            yield Finding(1, column.name, f"an id, not a feature: {column.reason}")
        elif column.kind == "text" or column.is_code:
            yield Finding(1, column.name, f"{column.kind}: {column.reason}")
        elif column.zone is not None:
            zoned = f"times are in {column.zone}: a time with an offset is converted, one without is taken to be in it"
            yield Finding(2, column.name, zoned)
    for name in contract.get("sensitive", ()):
        yield Finding(2, name, "sensitive: the report compares its groups; may the model use it?")


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def checked(contract: Mapping[str, Any]) -> Contract:
    """Return the contract as an object; a contradiction here is a bug of the inference."""
    return Contract.model_validate_json(json.dumps(contract))
