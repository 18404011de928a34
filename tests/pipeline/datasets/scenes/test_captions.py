"""Captions are true, varied, and of the form of Flickr8k's."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.scenes import lexicon
from pipeline.datasets.scenes.captions import (
    OF_ONE,
    OF_THREE,
    OF_TWO,
    Form,
    Teller,
    write_captions,
)
from pipeline.datasets.scenes.facts import is_true, untrue
from pipeline.datasets.scenes.reading import statements
from pipeline.datasets.scenes.scene import COLOURS, Scene, Thing, to_facts
from pipeline.datasets.scenes.world import random_scene

seeds = st.integers(0, 2**32)


def told(seed: int) -> tuple[Scene, list[str]]:
    scene = random_scene(np.random.default_rng([seed, 0]))
    return scene, write_captions(scene, np.random.default_rng([seed, 1]))


def words(caption: str) -> list[str]:
    return [word for word in caption.lower().split() if word not in {".", ","}]


@pytest.fixture(scope="module")
def many() -> list[tuple[Scene, list[str]]]:
    return [told(seed) for seed in range(600)]


@pytest.fixture(scope="module")
def drawn() -> list[Scene]:
    return [random_scene(np.random.default_rng(seed)) for seed in range(700)]


@given(seeds)
@settings(max_examples=300, deadline=None)
def test_every_caption_is_true_of_its_scene(seed: int) -> None:
    scene, captions = told(seed)
    for caption in captions:
        said = statements(words(caption))
        assert untrue(said, to_facts(scene)) == [], caption
        assert is_true(words(caption), to_facts(scene)), caption


@pytest.mark.parametrize("form", [form for _, form in (*OF_ONE, *OF_TWO, *OF_THREE)])
def test_every_form_of_sentence_is_true_of_many_scenes(form: Form, drawn: list[Scene]) -> None:
    two, three = ([f for _, f in forms] for forms in (OF_TWO, OF_THREE))
    wanted = 3 if form in three else 2 if form in two else 1
    said = 0
    for seed, scene in enumerate(drawn):
        teller = Teller(scene, np.random.default_rng(seed))
        units = teller.units[:wanted]
        sentence = form(teller, *units) if len(units) == wanted else None
        if sentence is not None:
            said += 1
            assert is_true(words(sentence), to_facts(scene)), sentence
    assert said > 5


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_five_captions_of_different_words_in_flickr8ks_form(seed: int) -> None:
    captions = told(seed)[1]
    assert len({tuple(words(caption)) for caption in captions}) == 5
    for caption in captions:
        assert re.fullmatch(r"[A-Z][a-z]*( ,| [a-z]+)*( \.)?", caption)
        assert 5 <= len(caption.replace(" .", "").split()) <= 18


def test_captions_depend_on_their_generator_alone() -> None:
    assert told(5) == told(5)


def test_words_are_many_but_not_too_many(many: list[tuple[Scene, list[str]]]) -> None:
    counts = Counter(word for _, captions in many for c in captions for word in words(c))
    assert 150 <= len(counts) <= 210
    lengths = [len(words(c)) for _, captions in many for c in captions]
    assert 8 <= np.mean(lengths) <= 11


def test_every_noun_and_most_forms_of_the_lexicon_occur(
    many: list[tuple[Scene, list[str]]],
) -> None:
    said = " | ".join(" ".join(words(c)) for _, captions in many for c in captions)
    for tables in (lexicon.SURFACES, lexicon.HOURS, lexicon.RELATIONS, lexicon.PAGES):
        for phrases in tables.values():
            assert any(re.search(rf"\b{phrase}\b", said) for phrase in phrases)
    for one, two in (forms for nouns in lexicon.NOUNS.values() for forms in nouns[:1]):
        assert re.search(rf"\b{one}\b", said)
        assert re.search(rf"\b{two}\b", said)
    for form in (
        " one",
        " it ",
        "another",
        "with",
        "while",
        "in front of",
        "a pair of",
        "stands a",
    ):
        assert form in said


def test_there_are_hundreds_of_sentence_forms(many: list[tuple[Scene, list[str]]]) -> None:
    """Counted without what differs by scene: nouns, colours, sizes, backgrounds, numbers, verbs."""
    blank = {word: "N" for nouns in lexicon.NOUNS.values() for pair in nouns for word in pair}
    blank |= {word: "V" for forms in lexicon.VERBS for form in forms for word in form.split()[-1:]}
    blank |= {word: "" for sizes in lexicon.SIZES.values() for word in sizes}
    blank |= dict.fromkeys((*COLOURS, "a", "an", "two", "three", "four", "are", "is"), "")
    places = [
        p for table in (lexicon.SURFACES, lexicon.BELOW_SKY) for ps in table.values() for p in ps
    ]
    forms = set()
    for _, captions in many:
        for caption in captions:
            text = " ".join(words(caption))
            for place in sorted(places, key=len, reverse=True):
                text = text.replace(place, "P")
            forms.add(" ".join(" ".join(blank.get(word, word) for word in text.split()).split()))
    assert len(forms) > 300


def test_captions_of_a_picture_mostly_begin_with_the_same_thing(
    many: list[tuple[Scene, list[str]]],
) -> None:
    kinds = {word: k for k, nouns in lexicon.NOUNS.items() for pair in nouns for word in pair}
    mentioned = first = 0
    for scene, captions in many:
        for caption in captions:
            mentioned += 1
            first += scene.things[0].kind in [kinds.get(word) for word in words(caption)]
    assert first / mentioned > 0.85


def test_articles_fit_and_number_agrees(many: list[tuple[Scene, list[str]]]) -> None:
    plural = {two for nouns in lexicon.NOUNS.values() for one, two in nouns if two != one}
    for _, captions in many:
        for caption in captions:
            text = " ".join(words(caption))
            assert not re.search(r"\ba [aeio]|\ban [^aeiou]|\btwo (a|an)\b|  ", text), caption
            assert not re.search(rf"\b(an|a) (\w+ )?({'|'.join(plural)})\b", text.replace(
                "a pair of", "two").replace("a couple of", "two").replace("a group of", "")
            ), caption  # fmt: skip


def test_the_second_of_two_kinds_is_told_apart_by_its_colour() -> None:
    ball = (
        ("ball", "red", "big", (0.1, 0.6, 0.4, 0.9)),
        ("ball", "blue", "big", (0.6, 0.6, 0.9, 0.9)),
    )
    scene = Scene("grass", "day", tuple(Thing(*parts) for parts in ball))
    said = [c for s in range(40) for c in write_captions(scene, np.random.default_rng(s))]
    assert any("a blue one" in caption for caption in said)
    assert any("red ball" in c.lower() and "blue ball" in c.lower() for c in said)
    assert any("two balls" in caption.lower() for caption in said)
    assert not any("two red balls" in caption.lower() for caption in said)
