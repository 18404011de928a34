"""Which pictures are shown."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.predictions import Prediction
from pipeline.reporting.report.gallery import choose


def predictions(scores):
    return [
        Prediction(f"p{n:03d}", "", "", (), (), {} if score is None else {"cider_d": score})
        for n, score in enumerate(scores)
    ]


def test_both_ends_and_the_middle():
    found = choose(predictions([n / 10 for n in range(11)]), 2, seed=1)
    assert found["best"] == [10, 9]
    assert found["worst"] == [0, 1]
    assert found["median"] == [6, 5]
    assert len(found["random"]) == 2


def test_the_seed_draws_and_the_order_of_lines_does_not_matter():
    rows = predictions([0.5] * 50)
    assert choose(rows, 5, 1)["random"] != choose(rows, 5, 2)["random"]
    ids = [rows[place].image_id for place in choose(rows, 5, 1)["random"]]
    again = list(reversed(rows))
    assert [again[place].image_id for place in choose(again, 5, 1)["random"]] == ids


def test_without_scores_there_is_the_lot_alone():
    assert list(choose(predictions([None, None]), 5, 1)) == ["random"]


@given(st.lists(st.none() | st.floats(0, 10), min_size=1, max_size=40), st.integers(1, 12))
def test_ranked_lists_share_no_picture(scores, number):
    rows = predictions(scores)
    found = choose(rows, number, 1)
    ranked = [place for name, places in found.items() if name != "random" for place in places]
    assert len(ranked) == len(set(ranked))
    assert all(1 <= len(places) <= number for places in found.values())
    if {"best", "worst"} <= found.keys():
        lowest_best = min(scores[place] for place in found["best"])
        assert lowest_best >= max(scores[place] for place in found["worst"])
