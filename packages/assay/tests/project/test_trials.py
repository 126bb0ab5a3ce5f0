"""What the table of trials says, and which models can be taken from it."""

import json

import pytest

from assay.base.errors import InputError
from assay.modelling.search import Trial, as_csv
from assay.project.params import MEAN, Member, ModelChoice
from assay.project.trials import HEADER, best_of, cost_beside, cost_of_additive, read_trials

MEMBERS = tuple(Member(family="lightgbm", parameters={"num_leaves": number}) for number in (4, 8))
CHOSEN = ModelChoice(family=MEAN, parameters={}, members=MEMBERS)


def trial(
    family: str, loss: float, worse_by: tuple[float, float, float] | None = None, state: str = "complete"
) -> Trial:
    choice = ModelChoice(family=family, parameters={"loss": loss})
    return Trial(1, choice, (loss,), state, worse_by, is_additive=family in ("additive", "linear"))


def table(*trials: Trial) -> list[dict[str, str]]:
    first = Trial(0, ModelChoice(family="dummy", parameters={}), (0.7,), "complete", (0.3, 0.2, 0.4))
    last = Trial(9, CHOSEN, (0.4,), "complete", (0, 0, 0))
    return read_trials(HEADER + as_csv([first, *trials, last]))


def test_it_says_what_the_best_model_costs_in_which_each_feature_acts_alone() -> None:
    rows = table(
        trial("lightgbm", 0.41, (0.01, 0.0, 0.02)),
        trial("additive", 0.3, (0.2, 0.1, 0.3), "pruned"),
        trial("additive", 0.45, (0.05, 0.04, 0.06)),
        trial("linear", 0.5, (0.1, 0.09, 0.11)),
        trial("additive", 0.1, None, "failed"),
    )
    assert cost_of_additive(rows) == (
        "With additive, in which each feature acts alone, the loss on the folds is 0.05 higher (0.04 to 0.06) than "
        "with the model that these folds chose; on new rows it may differ."
    )
    # Also beside the model itself, and not beside a model of another origin.
    for choice in (CHOSEN, best_of("additive", rows)):
        assert cost_beside(choice, rows) == cost_of_additive(rows)
    assert cost_beside(ModelChoice(family="linear", parameters={"C": 3.0}), rows) == ""


@pytest.mark.parametrize(
    ("worse_by", "said"),
    [
        ((-0.02, -0.03, -0.01), "the loss on the folds is 0.02 lower (-0.03 to -0.01) than"),
        ((0.02, -float("inf"), float("inf")), "the loss on the folds is 0.02 higher than"),
        ((0.0, 0.0, 0.0), "Each feature acts alone in the best model of the search, additive."),
    ],
)
def test_it_says_so_too_if_it_costs_nothing_or_too_few_groups_tell(
    worse_by: tuple[float, float, float], said: str
) -> None:
    assert said in cost_of_additive(table(trial("additive", 0.5, worse_by)))


def test_it_says_nothing_without_such_a_model_and_for_a_table_of_an_earlier_assay() -> None:
    assert cost_of_additive(table(trial("lightgbm", 0.5, (0.1, 0.0, 0.2)))) == ""
    old = "trial,family,score,best,folds,state,parameters\n0,dummy,0.7,0.7,5,complete,{}\n"
    old += "1,linear,0.5,0.5,5,complete,{}\n2,mean,0.4,0.4,5,complete,{}\n"
    assert cost_of_additive(read_trials(old)) == ""
    assert cost_beside(CHOSEN, read_trials(old)) == ""
    assert best_of("linear", read_trials(old)) == ModelChoice(family="linear", parameters={})
    with pytest.raises(InputError, match="no model of the family 'mean'"):
        best_of(MEAN, read_trials(old))


def test_the_best_of_a_family_ran_over_all_folds_if_any_did() -> None:
    rows = table(trial("additive", 0.3, (0.2, 0.1, 0.3), "pruned"), trial("additive", 0.45, (0.05, 0.04, 0.06)))
    assert best_of("additive", rows).parameters == {"loss": 0.45}
    assert best_of("additive", rows[:2]).parameters == {"loss": 0.3}
    assert best_of(MEAN, rows) == CHOSEN
    with pytest.raises(InputError, match="the last search found no model of the family 'linear'; run `assay tune`"):
        best_of("linear", rows)


def test_the_parameters_of_a_mean_are_its_members() -> None:
    assert json.loads(table()[-1]["parameters"]) == [one.model_dump() for one in MEMBERS]
