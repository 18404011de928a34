"""Captions become tokens, or go with their reason."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.text.clean import (
    CleanSettings,
    _treebank,
    check_share,
    clean,
    normalise,
    reject_reason,
    tokenise,
)
from pipeline.text.vocabulary import Vocabulary

LIMITS = CleanSettings(min_words=2, max_words=5, max_dropped=1.0)
WORDLIKE = st.text("aBc dE'fn-\u2019.,!?()\"1230 \u00e9\u201c\u2014tsl", max_size=40)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A dog's ball -- isn't it RED ?", "a dog 's ball is n't it red"),
        ("Two men , one\tin a T-Shirt .", "two men one in a t-shirt"),
        ("A \u201cbig\u201d dog\u2019s ball\u2014red", "a big dog 's ball red"),
        ("she'll, they've, I'm, he'd", "she 'll they 've i 'm he 'd"),
        ("1,000 people run 3.5 km at 5:30", "1,000 people run 3.5 km at 5:30"),
        ("the kids' toys", "the kids toys"),
        ("\uff21 \uff24\uff4f\uff47", "a dog"),  # full-width letters
        ("caf\u00e9 and cafe\u0301", "caf\u00e9 caf\u00e9".replace(" ", " and ")),
        ("a 'quoted' word", "a quoted word"),
        ("A dog\u00b4s ball, it`s red", "a dog 's ball it 's red"),
        ("1\u00bd foot", "1 1\u20442 foot"),
        ("iPhone\u2122 by Brand\u00ae", "iphone by brand"),
        ("\ufeffa wide\u00adspread \u2060dog\u200b runs", "a widespread dog runs"),  # not seen
        ("a t\u2011shirt, a t\u2010shirt", "a t-shirt a t-shirt"),  # hyphens of word processors
        ("a man\x92s \x93red\x94 hat\x96new", "a man 's red hat new"),  # Windows-1252
        ("a b\x08ig\x7f d\x00og", "a big dog"),
        ("\u200fa \u202adog\u202c\u2069", "a dog"),  # marks of direction
        ("#hashtag @man 50% off $5", "hashtag man 50 off 5"),
        ("!!! ... --- ( )", ""),
        ("", ""),
        ("   \n\t ", ""),
    ],
)
def test_tokens(text, tokens):
    assert tokenise(text) == tokens.split()


@given(st.one_of(st.text(max_size=60), WORDLIKE))
@settings(max_examples=300, deadline=None)
def test_tokens_are_lower_case_words(text):
    for token in tokenise(text):
        assert token == token.lower()
        assert any(letter.isalnum() for letter in token)
        assert token == "".join(token.split()), "no white space"
        assert token not in ("<pad>", "<start>", "<end>", "<unk>")


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_a_vocabulary_of_any_tokens_is_one_that_is_read(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "vocabulary.json"
    built = Vocabulary.build([["a", *tokenise(text)]], 1)
    built.write(path)
    assert Vocabulary.read(path) == built


PARTS = st.sampled_from(
    [
        *("a", "0", "dog", "cannot", "gonna", "x-gimme", "t-shirt", "1,000", "n't", "'s", "a.m"),
        *(" ", "  ", ",", ", ", " , ", ".", " .", "-", "--", "\n", "\t", "'", '"', "!", ":"),
    ]
)


@given(st.lists(PARTS, max_size=12).map("".join))
@settings(max_examples=1000, deadline=None)
def test_plain_captions_are_split_as_the_treebank_s_rules_split_them(text):
    assert tokenise(text) == _treebank(normalise(text).strip())


@given(WORDLIKE)
@settings(max_examples=300, deadline=None)
def test_case_does_not_matter(text):
    assert tokenise(text.upper()) == tokenise(text)


@given(st.lists(st.sampled_from(["a", "dog", "'s", "n't", "'re", "t-shirt", "1,000"]), max_size=12))
def test_tokens_are_kept_when_they_are_tokenised_again(tokens):
    once = tokenise(" ".join(tokens))
    assert tokenise(" ".join(once)) == once


def rows(*texts: str, picture: str = "p") -> list[dict]:
    return [
        {"image_id": picture, "caption_id": f"{picture}#{number}", "text": text}
        for number, text in enumerate(texts)
    ]


def test_each_reason():
    captions = rows("...", "dog", "a b c d e f", "a dog runs", "A dog runs!", "a cat")
    cleaned = clean(captions, LIMITS)
    assert [(row["item"], row["reason"]) for row in cleaned.dropped] == [
        ("p#0", "no_words"),
        ("p#1", "too_short"),
        ("p#2", "too_long"),
        ("p#4", "duplicate"),
    ]
    assert [row["tokens"] for row in cleaned.captions] == [["a", "dog", "runs"], ["a", "cat"]]
    assert [row["text"] for row in cleaned.captions] == ["a dog runs", "a cat"]
    assert cleaned.dropped[3]["raw"] == "A dog runs!"
    assert cleaned.dropped[3]["kind"] == "caption"


def test_the_bounds_belong_to_what_stays():
    assert reject_reason(["a"] * 2, LIMITS) is None
    assert reject_reason(["a"] * 5, LIMITS) is None


def test_the_same_caption_of_another_picture_stays():
    captions = rows("a dog", picture="p") + rows("a dog", picture="q")
    assert len(clean(captions, LIMITS).captions) == 2


def test_a_caption_whose_words_look_like_an_id_is_no_duplicate():
    captions = rows("b c", picture="a") + rows("a b c", picture="")
    assert len(clean(captions, LIMITS).captions) == 2


@given(st.lists(st.sampled_from(["a dog", "A dog.", "cat", "?", "a b c d e f", "two cats"])))
def test_nothing_is_lost(texts):
    captions = rows(*texts)
    cleaned = clean(captions, LIMITS)
    ids = [row["caption_id"] for row in cleaned.captions] + [row["item"] for row in cleaned.dropped]
    assert Counter(ids) == Counter(row["caption_id"] for row in captions)


def test_more_dropped_than_is_allowed_stops_the_run_with_reasons_and_examples():
    check_share(clean(rows("a dog", "x"), LIMITS), 0.5, "here")  # the half is allowed
    check_share(clean([], LIMITS), 0.0, "here")
    with pytest.raises(InputError) as caught:
        check_share(clean(rows("a dog", "x", "y", "?\n!", "z " * 200), LIMITS), 0.5, "here")
    told = str(caught.value)
    assert "4 of 5 (2 too_short, 1 no_words, 1 too_long), such as " in told
    assert told.count("p#") == 3, "one of each reason"
    assert "p#1 'x'" in told
    assert f"{'z ' * 50!r}. here has them all" in told, "cut"
    assert "clean.max_dropped = 50.0%" in told
    assert "\n" not in told


def test_no_captions_are_no_error_here():
    assert clean([], LIMITS).captions == []


def test_bounds_the_wrong_way_round_are_refused():
    with pytest.raises(ValueError, match="min_words must not be above max_words"):
        CleanSettings(min_words=3, max_words=2, max_dropped=0.5)
