"""Numbers of several seeds, told together."""

import statistics

from pipeline.evaluation.over_seeds import over_seeds


def test_numbers_are_reduced_and_groups_of_them_too():
    rows = [
        {"cider_d": 1.0, "epoch": 3, "name": "a", "more": {"loss": 2.0}, "only": 1.0},
        {"cider_d": 2.0, "epoch": 4, "name": "b", "more": {"loss": 4.0}, "other": 1.0},
    ]
    assert over_seeds(rows, statistics.mean) == {
        "cider_d": 1.5,
        "epoch": 3.5,
        "more": {"loss": 3.0},
    }
