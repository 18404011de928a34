"""Settings and figures side by side."""

from pipeline.comparison.settings import Change, Figure, changed, figures, remarks
from pipeline.comparison.words import setting

A = {"train": {"seed": 1, "dropout": 0.5, "old": True}, "encoder": {"side": None}, "modes": ["RGB"]}
B = {"train": {"seed": 2, "dropout": 0.5}, "encoder": {"side": 96}, "modes": ["RGB", "L"]}


def test_only_what_differs_is_listed_by_name():
    assert changed(A, B) == [
        Change("encoder.side", "null", "96"),
        Change("modes", "[RGB]", "[RGB, L]"),
        Change("train.old", "true", None),
        Change("train.seed", "1", "2"),
    ]
    assert changed(A, A) == []


def test_numbers_are_compared_and_not_how_they_are_written():
    assert changed({"a": 0, "b": [1, 2.0], "c": 1}, {"a": 0.0, "b": [1.0, 2], "c": True}) == [
        Change("c", "1", "true")
    ]
    assert changed({"a": [0]}, {"a": 0}) == [Change("a", "[0]", "0")]


def test_an_empty_text_is_not_a_missing_setting():
    [change] = changed({}, {"folder": ""})
    assert (setting(change.a), setting(change.b)) == ("(none)", '""')


def test_a_section_that_only_one_has_is_listed_by_its_settings():
    assert changed({}, {"sweep": {"metric": "cider_d", "widths": {}}}) == [
        Change("sweep.metric", None, "cider_d"),
        Change("sweep.widths", None, "{}"),
    ]


def test_every_number_is_listed_and_the_rest_where_it_differs():
    a = {"cider_d": 0.5, "pictures": 10, "missing": {"spice": "no models"}, "tokenisation": "ptb"}
    b = {"cider_d": 0.75, "extra": 1, "missing": {}, "tokenisation": "ptb"}
    assert figures(a, b) == [
        Figure("cider_d", 0.5, 0.75),
        Figure("extra", None, 1),
        Figure("pictures", 10, None),
    ]
    assert [one.delta for one in figures(a, b)] == [0.25, None, None]
    assert remarks(a, b) == [Change("missing.spice", "no models", None)]
