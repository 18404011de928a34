"""People's agreement is what a plain computation says it is."""

import numpy as np
import pytest

from pipeline.evaluation.bleu import bleu
from pipeline.exploration.agreement import agree, agreed_words, sample
from pipeline.exploration.corpus import read_corpus
from tests.pipeline.evaluation.plain_cider import plain_leave_one_out

TRAIN, VAL = 0, 1
PICTURES = {
    "p1": ["a dog runs on the grass", "a dog runs on green grass", "the dog plays"],
    "p2": ["a red boat", "a boat on the water"],
    "p3": ["two birds in the sky above a house"],
}


def test_agreement_of_a_split(make_tables):
    tables = make_tables({"train": PICTURES, "val": {"q": ["a dog", "a cat"]}})
    corpus, ids = read_corpus(*tables), tables[0]["image_id"].to_pylist()
    found = agree(corpus, ids, TRAIN, number=10, seed=1)
    assert [ids[picture] for picture in found.pictures] == ["p1", "p2"]
    assert found.sampled_from == 3
    plain = plain_leave_one_out([[t.split() for t in texts] for texts in PICTURES.values()])
    assert found.cider_d == pytest.approx(np.mean([score for own in plain for score in own]))
    assert found.picture_scores == pytest.approx([np.mean(own) for own in plain])
    assert [corpus.tokens(row)[-1] for row in found.captions[0]] == ["grass", "grass", "plays"]
    # One caption a picture, whichever was drawn, against the others.
    possible = {
        round(
            float(
                bleu(
                    [PICTURES["p1"][n].split(), PICTURES["p2"][m].split()],
                    [
                        [t.split() for i, t in enumerate(PICTURES["p1"]) if i != n],
                        [t.split() for i, t in enumerate(PICTURES["p2"]) if i != m],
                    ],
                ).corpus[3]
            ),
            9,
        )
        for n in range(3)
        for m in range(2)
    }
    assert round(found.bleu_4, 9) in possible
    assert agree(corpus, ids, VAL, number=10, seed=1) is None  # one picture


def test_one_caption_a_picture_is_no_agreement(make_tables):
    tables = make_tables({"train": {"a": ["a dog"], "b": ["a cat"]}})
    assert agree(read_corpus(*tables), ["a", "b"], TRAIN, number=10, seed=1) is None


def test_a_sample_is_small_and_hardly_changes_with_the_names():
    names = [f"picture {n}" for n in range(1000)]
    drawn = {names[place] for place in sample(names, 100, seed=1)}
    assert len(drawn) == 100
    fewer = [name for n, name in enumerate(names) if n % 10]
    again = {fewer[place] for place in sample(fewer, 100, seed=1)}
    assert len(drawn & again) >= 85
    assert drawn != {names[place] for place in sample(names, 100, seed=2)}
    assert sample(names[:3], 100, seed=1) == [0, 1, 2]


def test_words_that_people_agree_on(make_tables):
    # dog: of the other captions of a picture with a dog, all have it. small: none.
    pictures = {f"d{n}": ["a dog sits", "a dog", "a small dog"] for n in range(10)}
    pictures |= {f"c{n}": ["a cat", "a small cat", "a cat runs"] for n in range(10)}
    found = {
        one.word: one for one in agreed_words(read_corpus(*make_tables({"train": pictures})), 0)
    }
    assert list(found) == ["cat", "dog", "a", "runs", "sits", "small"]
    assert (found["dog"].repeated, found["dog"].above_chance) == (1, 1)
    assert (found["a"].repeated, found["a"].above_chance) == (1, 0)  # in every caption: no news
    assert found["small"].repeated == 0
    assert found["small"].above_chance == pytest.approx(-(1 / 3) / (2 / 3))
    assert agreed_words(read_corpus(*make_tables({"train": pictures})), 0.6)[0].word == "a"
