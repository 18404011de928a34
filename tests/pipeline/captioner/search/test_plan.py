"""From settings to a search."""

import logging

import numpy as np
import pytest
from keras import ops

from pipeline.captioner.search.constraints import Constraints
from pipeline.captioner.search.plan import plan, search
from pipeline.captioner.search.settings import SearchSettings
from pipeline.errors import InputError
from pipeline.text.vocabulary import Vocabulary
from tests.pipeline.captioner.search import tables
from tests.pipeline.captioner.search.tables import A, B, D, Table

VOCABULARY = Vocabulary.build([["a", "red", "dog", "runs"]], min_count=1)
PLAIN = SearchSettings.plain(beam_width=3, length_penalty=0.9, max_words=6)


def changed(**changes) -> SearchSettings:
    return SearchSettings.model_validate({**PLAIN.model_dump(), **changes})


def test_words_become_ids():
    made = plan(
        changed(required_words=["dog|runs"], forbidden_words=["red"], min_words=1), VOCABULARY
    )
    dog, red, runs = (VOCABULARY.ids[word] for word in ("dog", "red", "runs"))
    assert made.required == ((dog, runs),)
    assert made.constraints == Constraints(min_words=1, block_ngrams=0, forbidden=(red,))


@pytest.mark.parametrize("word", ["cat", "Dog", "<end>", "dog|cat"])
def test_an_unknown_required_word_is_one_line(word):
    with pytest.raises(
        InputError, match="required_words: expected words of the vocabulary"
    ) as told:
        plan(changed(required_words=[word]), VOCABULARY)
    assert repr(word.split("|")[-1]) in str(told.value)
    assert "\n" not in str(told.value)


def test_an_unknown_forbidden_word_is_told_and_left_out(caplog):
    caplog.set_level(logging.WARNING)
    made = plan(changed(forbidden_words=["cat", "<end>", "dog"]), VOCABULARY)
    assert made.constraints.forbidden == (VOCABULARY.ids["dog"],)
    assert [record.args for record in caplog.records] == [("cat",), ("<end>",)]


BOUNDS = {"min_words": 2, "block_ngrams": 2, "forbidden_words": ["w1"]}
WORDS = Vocabulary(("<pad>", "<start>", "<end>", "<unk>", *(f"w{n}" for n in range(5))), (1,) * 9)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("greedy", {"beam_width": 1}),
        ("beam", {}),
        (
            "diverse",
            {"method": "diverse", "beam_width": 4, "diverse": {"groups": 2, "strength": 0.7}},
        ),
        ("required", {"beam_width": 2, "required_words": ["w0", "w3|w4"]}),
        (
            "sample",
            {
                "method": "sample",
                "sampling": {"top_p": 0.8, "temperature": 1.3, "samples": 4, "seed": 1},
            },
        ),
    ],
)
def test_each_setting_reaches_its_search(name, changes):
    table = Table.random(seed=3, words=5)
    made = plan(changed(**BOUNDS, **changes), WORDS)
    uniforms = ops.convert_to_tensor(tables.UNIFORMS[:1])
    found = search(table.step, table.state(), made, uniforms)
    expected = tables.run(name, table, [0], Constraints(2, 2, (B,)))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_the_ids_of_the_table_are_those_of_its_words():
    assert [WORDS.ids[word] for word in ("w0", "w1", "w3")] == [A, B, D]
