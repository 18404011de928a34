"""Whether what `sweep` tried holds a better search than the one that is set."""

import pytest

from pipeline.captioner.search.settings import SearchSettings
from pipeline.errors import InputError
from pipeline.files import write_json
from pipeline.reporting.better import better_search

NAMES = ("beam_width", "length_penalty", "guide", "consensus", "bleu_4", "cider_d")
HEAD = ",".join(NAMES) + "\n"
SET = SearchSettings.usual()  # 3, 0.5, no guide, no consensus


@pytest.fixture
def found(tmp_path):
    """What is found better in a sweep of these lines."""

    def found(*lines, metric="cider_d", search=SET, **how):
        (tmp_path / "sweep.csv").write_text(HEAD + "".join(f"{line}\n" for line in lines))
        rows = [dict(zip(NAMES, map(float, line.split(",")), strict=True)) for line in lines]
        best = max(rows, key=lambda row: row[metric])  # as `sweep` writes it
        write_json(tmp_path / "best.json", {**best, "metric": metric, **how})
        return better_search(tmp_path, search, True)

    return found


def test_the_best_is_told_with_what_is_to_be_changed(found):
    better = found("3,0.5,0,0,0.3,0.50", "5,0.5,0,2,0.2,0.55", "3,1.0,0,0,0.3,0.52")
    assert better == ({"beam_width": 5, "consensus": 2.0}, "cider_d", 0.55, 0.50)
    assert found("3,0.5,0,0,0.3,0.50", "5,0.5,0,2,0.2,0.55", metric="bleu_4") is None


def test_a_hair_is_not_worth_a_change(found):
    assert found("3,0.5,0,0,0,0.500", "5,0.5,0,0,0,0.505") is None
    assert found("3,0.5,0,0,0,0.500", "5,0.5,0,0,0,0.506") is not None


def test_of_another_search_than_those_tried_nothing_is_known(found):
    search = SET.model_copy(update={"guide": 3.0})
    assert found("3,0.5,0,0,0,0.5", "5,0.5,0,0,0,0.6", search=search) is None


def test_of_several_weights_of_consensus_the_present_one_counts(found):
    rows = "3,0.5,0,0,0,0.50", "3,0.5,0,2,0,0.52", "5,0.5,0,2,0,0.55"
    assert found(*rows) == ({"beam_width": 5, "consensus": 2.0}, "cider_d", 0.55, 0.50)
    better = found(*rows, search=SET.model_copy(update={"consensus": 2.0}))
    assert better == ({"beam_width": 5}, "cider_d", 0.55, 0.52)


def test_where_the_present_weight_was_not_tried_the_best_of_its_search_counts(found):
    assert found("3,0.5,0,5,0,0.6", "5,0.5,0,5,0,0.5") == ({"consensus": 5.0}, "cider_d", 0.6, None)
    better = found("3,0.5,0,5,0,0.5", "5,0.5,0,2,0,0.6")
    assert better == ({"beam_width": 5, "consensus": 2.0}, "cider_d", 0.6, None)
    assert found("3,0.5,0,5,0,0.6", "5,0.5,0,2,0,0.601") is None
    assert found("3,0.5,0,5,0,0.5", "3,0.5,0,2,0,0.6", "5,0.5,0,2,0,0.601") is None


@pytest.mark.parametrize(
    "change", [{"method": "sample"}, {"min_words": 4}, {"forbidden_words": ["man"]}]
)
def test_the_sweep_knows_nothing_of_other_methods_and_constraints(found, change):
    search = SET.model_copy(update=change)
    assert found("3,0.5,0,0,0.3,0.50", "5,0.5,0,0,0.2,0.55", search=search) is None


def test_of_seeds_taken_otherwise_or_another_bound_of_words_nothing_is_known(found):
    rows = "3,0.5,0,0,0.3,0.50", "5,0.5,0,0,0.2,0.55"
    assert found(*rows, max_words=SET.max_words, ensemble=True)
    assert found(*rows, max_words=SET.max_words, ensemble=None), "there is one seed"
    assert found(*rows, max_words=SET.max_words, ensemble=False) is None
    assert found(*rows, max_words=SET.max_words + 1, ensemble=True) is None


@pytest.mark.parametrize("best", [None, "[", "[1]", "{}", '{"metric": "spice"}'])
def test_what_is_no_sweep_is_one_line(tmp_path, best):
    (tmp_path / "sweep.csv").write_text(f"{HEAD}3,0.5,0,0,0,0.5\n")
    if best is not None:
        (tmp_path / "best.json").write_text(best)
    with pytest.raises(InputError, match="expected what `sweep` writes"):
        better_search(tmp_path, SET, True)
