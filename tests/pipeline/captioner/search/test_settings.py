"""What may be asked of the search, and what contradicts itself."""

import pytest

from pipeline.captioner.search.settings import SearchSettings
from pipeline.errors import InputError
from pipeline.params import load

PLAIN = SearchSettings.plain(beam_width=4, length_penalty=0.9, max_words=5)


def changed(**changes) -> SearchSettings:
    return SearchSettings.model_validate({**PLAIN.model_dump(), **changes})


def test_plain_settings_ask_for_a_beam_and_nothing_else():
    assert (PLAIN.method, PLAIN.beam_width, PLAIN.length_penalty, PLAIN.max_words) == (
        ("beam", 4, 0.9, 5)
    )
    assert (PLAIN.min_words, PLAIN.block_ngrams) == (0, 0)
    assert PLAIN.forbidden_words == PLAIN.required_words == []


def test_alternatives_of_a_required_word_are_one_set():
    settings = changed(required_words=["dog|dogs", "red"], forbidden_words=["cat"])
    assert settings.required_sets == [["dog", "dogs"], ["red"]]


@pytest.mark.parametrize(
    ("changes", "place", "told"),
    [
        ({"beam_width": 0}, "beam_width", "greater"),
        ({"beam_width": 101}, "beam_width", "less"),
        ({"length_penalty": -0.1}, "length_penalty", "greater"),
        ({"max_words": 0}, "max_words", "greater"),
        ({"method": "wide"}, "method", "'beam', 'diverse' or 'sample'"),
        ({"min_words": 6}, "min_words", "must not be above max_words, 5: lower it"),
        (
            {"forbidden_words": ["red dog"]},
            "forbidden_words.0",
            "expected one word, without blanks",
        ),
        ({"required_words": ["dog|"]}, "required_words", "on both sides of '|'"),
        ({"required_words": ["dog", "cat|dog"]}, "required_words", "a word twice"),
        ({"required_words": ["dog"], "forbidden_words": ["dog"]}, "required_words", "'dog'"),
        ({"required_words": list("abcdef")}, "required_words", "more than max_words, 5: raise"),
        ({"method": "sample", "required_words": ["a"]}, "required_words", "need method: beam"),
        ({"method": "diverse", "required_words": ["a"]}, "required_words", "need method: beam"),
        (
            {"method": "diverse", "diverse": {"groups": 3, "strength": 1.0}},
            "diverse",
            "beam_width, 4, must be a multiple of groups, 3: change either",
        ),
        ({"beam_width": 1, "consensus": 2.0}, "consensus", "beam_width is 1: set it to 0, or"),
        ({"method": "sample", "consensus": 2.0}, "consensus", "sampling.samples is 1: set"),
        ({"sampling": {"top_p": 0.0}}, "sampling.top_p", "greater than or equal to 0.001"),
        ({"diverse": {"group": 2}}, "diverse.group", "is not a setting"),
    ],
)
def test_what_cannot_be_is_one_line(changes, place, told, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text(str({"evaluate": {**PLAIN.model_dump(), **changes}}))  # flow style YAML
    with pytest.raises(InputError) as caught:
        load(SearchSettings, "evaluate", params)
    assert f"evaluate.{place}" in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_consensus_needs_some_to_choose_from():
    drawn = {**PLAIN.sampling.model_dump(), "samples": 2}
    assert changed(consensus=2.0).consensus == 2
    assert changed(consensus=2.0, beam_width=1, method="sample", sampling=drawn).consensus == 2
    assert changed(consensus=0.0, beam_width=1).beam_width == 1


def test_groups_count_for_diverse_search_alone():
    assert changed(diverse={"groups": 3, "strength": 1.0}).method == "beam"
    assert changed(method="diverse", diverse={"groups": 2, "strength": 1.0}).method == "diverse"
