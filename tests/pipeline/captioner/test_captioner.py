"""Features in, captions in words out."""

import numpy as np
import pytest
from keras import ops

from pipeline.captioner.captioner import Caption, Captioner, SearchSettings, _at_once, _batches
from pipeline.captioner.decoders.base import DecoderSettings
from pipeline.captioner.decoders.find import DECODERS, build
from pipeline.errors import InputError
from pipeline.text.marks import MARKS
from tests.quick import some_quick

BEAM = SearchSettings.plain(beam_width=3, length_penalty=0.9, max_words=4)


@pytest.fixture(scope="module")
def captioner(vocabulary) -> Captioner:
    shape = DecoderSettings.plain(decoder="inject", units=8, embedding=6, dropout=0.0)
    decoder = build(shape, len(vocabulary), (5,))
    rng = np.random.default_rng(1)
    decoder.set_weights([rng.normal(0, 1, weight.shape) for weight in decoder.get_weights()])
    return Captioner(decoder, vocabulary)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(2).normal(0, 2, (5, 5)).astype("float32")


def test_each_picture_gets_its_best_captions_best_first(captioner, features):
    found = captioner.caption(features, BEAM)
    assert len(found) == 5
    for captions in found:
        assert [caption.score for caption in captions] == sorted(
            (caption.score for caption in captions), reverse=True
        )
        assert len({caption.words for caption in captions}) == 3
        for caption in captions:
            assert len(caption.words) <= 4
            assert not any("<" in word for word in caption.words)
            length = (len(caption.words) + 1) ** 0.9
            assert caption.score == pytest.approx(caption.log_prob / length, rel=1e-4)


def test_greedy_finds_one(captioner, features):
    greedy = SearchSettings.plain(beam_width=1, length_penalty=0.9, max_words=4)
    assert [len(captions) for captions in captioner.caption(features, greedy)] == [1] * 5


def test_no_pictures_have_no_captions(captioner):
    assert captioner.caption(np.zeros((0, 5), "float32"), BEAM) == []


def test_half_precision_features_give_the_same_captions(captioner, features):
    half = features.astype("float16")
    assert captioner.caption(half, BEAM) == captioner.caption(half.astype("float32"), BEAM)


def test_more_pictures_than_are_searched_at_once(captioner, features, monkeypatch):
    expected = [captions[0].words for captions in captioner.caption(features, BEAM)]
    monkeypatch.setattr("pipeline.captioner.captioner.PICTURES_AT_ONCE", 2)
    assert [captions[0].words for captions in captioner.caption(features, BEAM)] == expected


def test_places_that_the_search_leaves_empty_are_left_out(vocabulary):
    shape = DecoderSettings.plain(decoder="merge", units=2, embedding=2, dropout=0.0)
    captioner = Captioner(build(shape, 5, (5,)), vocabulary)  # END and one word: 3 captions
    wide = SearchSettings.plain(beam_width=8, length_penalty=2.0, max_words=2)
    [found] = captioner.caption(np.ones((1, 5)), wide)
    assert sorted(len(caption.words) for caption in found) == [0, 1, 2]


class Says:
    """Stands in for a consensus: it expects the more of a caption the later it comes."""

    def expect(self, features, captions):
        assert len(features) == len(captions)
        return [np.arange(float(len(group))) for group in captions]

    def words(self, features, words):
        """The features tell what the words after the marks are worth, by turns."""
        places = np.arange(len(words)) % features.shape[1]
        return np.where(np.arange(len(words)) < len(MARKS), 0, features[:, places])


def test_consensus_chooses_among_what_was_found_without_searching_again(captioner, features):
    agreeing = Captioner(captioner.decoder, captioner.vocabulary, Says())
    plain = agreeing.caption(features, BEAM)
    assert plain == captioner.caption(features, BEAM)
    found = agreeing.caption(features, BEAM.model_copy(update={"consensus": 3.0}))
    assert len(agreeing._searches) == 1, "compiled once"
    for before, after in zip(plain, found, strict=True):
        scores = {one.words: one.score + 3.0 * place for place, one in enumerate(before)}
        assert {one.words: one.score for one in after} == pytest.approx(scores)
        assert [one.score for one in after] == sorted(scores.values(), reverse=True)
        assert {one.words: one.log_prob for one in after} == {
            one.words: one.log_prob for one in before
        }
    assert agreeing.by_consensus(features, plain, [0.0, 3.0]) == [plain, found]
    assert any(
        before[0].words != after[0].words for before, after in zip(plain, found, strict=True)
    )


@pytest.mark.parametrize("method", ["beam", "sample"])
def test_a_guide_steers_the_search_of_every_picture(captioner, features, monkeypatch, method):
    agreeing = Captioner(captioner.decoder, captioner.vocabulary, Says())
    base = BEAM if method == "beam" else SAMPLE
    monkeypatch.setattr("pipeline.captioner.captioner.PICTURES_AT_ONCE", 2)
    plain = agreeing.caption(features, base)
    worth = dict(
        zip(
            captioner.vocabulary.words,
            Says().words(features, captioner.vocabulary.words).T,
            strict=True,
        )
    )
    found = {
        weight: agreeing.caption(features, base.model_copy(update={"guide": weight}))
        for weight in (0.5, 4.0)
    }
    assert len(agreeing._searches) == 2, "compiled once, whatever the weight"
    assert found[4.0] != plain
    for weight, every in found.items():
        for picture, captions in enumerate(every):
            for one in captions:
                earned = weight * sum(float(worth[word][picture]) for word in set(one.words))
                length = (len(one.words) + 1) ** 0.9
                assert one.score == pytest.approx((one.log_prob + earned) / length, abs=1e-3)
                own = scored(captioner, features[picture], one.words)
                assert one.log_prob == pytest.approx(own, abs=1e-3)


@pytest.mark.parametrize("name", ["consensus", "guide"])
def test_consensus_without_what_people_said_is_one_line_before_anything_is_searched(
    captioner, features, monkeypatch, name
):
    monkeypatch.setattr(Captioner, "_search", None)
    with pytest.raises(InputError, match=r"Set train\.consensus\.pictures") as caught:
        captioner.caption(features, BEAM.model_copy(update={name: 3.0}))
    assert "\n" not in str(caught.value)


def test_a_caption_is_read_as_words_with_spaces():
    assert Caption(("a", "dog", "'s", "ball"), 0.0, 0.0).text == "a dog 's ball"


def test_features_of_another_shape_are_one_line(captioner):
    with pytest.raises(InputError, match=r"expected features of shape \(5,\)") as caught:
        captioner.caption(np.ones((2, 3, 2, 5)), BEAM)
    assert "Received: (3, 2, 5)" in str(caught.value)
    assert "\n" not in str(caught.value)


GRID_DECODERS = sorted(name for name, kind in DECODERS.items() if kind.needs_grid)


@pytest.fixture(scope="module", params=some_quick(GRID_DECODERS, quick=["adaptive"]))
def attentive(request, vocabulary) -> Captioner:
    shape = DecoderSettings.plain(decoder=request.param, units=8, embedding=6, dropout=0.0)
    decoder = build(shape, len(vocabulary), (3, 2, 5))
    rng = np.random.default_rng(1)
    decoder.set_weights([rng.normal(0, 1, weight.shape) for weight in decoder.get_weights()])
    return Captioner(decoder, vocabulary)


@pytest.fixture(scope="module")
def grids() -> np.ndarray:
    return np.random.default_rng(2).normal(0, 2, (5, 3, 2, 5)).astype("float32")


def test_a_beam_over_grids_scores_captions_as_they_are_scored_all_at_once(attentive, grids):
    """Each beam looks at its own picture: side by side in the search, as alone."""
    for picture, captions in enumerate(attentive.caption(grids, BEAM)):
        for caption in captions:
            tokens = np.array([attentive.vocabulary.encode(caption.words)], "int32")
            logits = attentive.decoder((grids[picture : picture + 1], tokens[:, :-1]))
            log_probs = ops.convert_to_numpy(ops.log_softmax(logits))[0]
            expected = log_probs[np.arange(tokens.shape[1] - 1), tokens[0, 1:]].sum()
            assert caption.log_prob == pytest.approx(expected, abs=1e-3)


def test_a_wide_beam_over_grids_is_exhaustive(attentive, grids):
    """Every caption of up to one word is found, with its score by teacher forcing."""
    words = attentive.vocabulary.words[4:]
    wide = SearchSettings.plain(beam_width=len(words) + 1, length_penalty=0.0, max_words=1)
    [found] = attentive.caption(grids[:1], wide)
    assert {caption.words for caption in found} == {(), *((word,) for word in words)}


def test_looks_are_maps_of_the_grid_for_each_word(attentive, grids):
    captions = [("a", "red", "dog"), ("cats",), (), ("a", "bird", "sings", "in"), ("a",)]
    looks = attentive.looks(grids, captions)
    assert [look.maps.shape for look in looks] == [(len(words), 3, 2) for words in captions]
    for look in looks:
        total = look.maps.sum(axis=(1, 2)) + look.elsewhere
        np.testing.assert_allclose(total, 1, atol=1e-5)
        assert ((look.elsewhere > 0) == attentive.decoder.has_sentinel).all()
    again = attentive.looks(grids[:1], [("a", "red", "boat")])[0]
    np.testing.assert_allclose(again.maps[:2], looks[0].maps[:2], atol=1e-5)


def test_looks_are_the_same_however_many_captions_are_looked_at_together(
    attentive, grids, monkeypatch
):
    captions = [("a", "red", "dog"), ("cats",), (), ("a", "bird", "sings", "in"), ("a",)]
    together = attentive.looks(grids, captions)
    monkeypatch.setattr("pipeline.captioner.captioner.LOOKS_AT_ONCE", 2)
    for one, other in zip(attentive.looks(grids, captions), together, strict=True):
        np.testing.assert_allclose(one.maps, other.maps, atol=1e-5)
        np.testing.assert_allclose(one.elsewhere, other.elsewhere, atol=1e-5)


def changed(**changes) -> SearchSettings:
    return SearchSettings.model_validate({**BEAM.model_dump(), **changes})


SAMPLING = {"top_p": 0.9, "temperature": 2.0, "samples": 6, "seed": 1}
SAMPLE = changed(method="sample", sampling=SAMPLING)
DIVERSE = changed(method="diverse", diverse={"groups": 3, "strength": 5.0})


def scored(captioner, picture, words) -> float:
    """Log-probability of a caption, all its words at once."""
    tokens = np.array([captioner.vocabulary.encode(words)], "int32")
    log_probs = ops.log_softmax(captioner.decoder((picture[None], tokens[:, :-1])))[0]
    rows = ops.convert_to_numpy(log_probs)[np.arange(tokens.shape[1] - 1), tokens[0, 1:]]
    return float(rows.sum())


@pytest.mark.parametrize(
    "settings",
    [
        SAMPLE,
        DIVERSE,
        changed(required_words=["dog|cats", "boat"]),
        changed(min_words=3, block_ngrams=1, forbidden_words=["a", "the"]),
    ],
    ids=["sample", "diverse", "required", "constraints"],
)
def test_log_probabilities_are_the_model_s_own_however_it_is_searched(
    captioner, features, settings
):
    for picture, captions in zip(features, captioner.caption(features, settings), strict=True):
        scores = [caption.score for caption in captions]
        assert scores == sorted(scores, reverse=True)
        assert len({caption.words for caption in captions}) == len(captions)
        for caption in captions:
            expected = scored(captioner, picture, caption.words)
            assert caption.log_prob == pytest.approx(expected, abs=1e-3)
            length = (len(caption.words) + 1) ** 0.9
            assert caption.score == pytest.approx(caption.log_prob / length, rel=1e-4)


def test_samples_are_of_the_seed_and_the_picture_alone(captioner, features, monkeypatch):
    found = captioner.caption(features, SAMPLE)
    assert captioner.caption(features, SAMPLE) == found
    other = captioner.caption(features, changed(method="sample", sampling={**SAMPLING, "seed": 2}))
    assert other != found
    again = [
        [one.words for one in captions] for captions in captioner.caption(features[3:], SAMPLE)
    ]
    assert again == [[one.words for one in captions] for captions in found[3:]]
    monkeypatch.setattr("pipeline.captioner.captioner.PICTURES_AT_ONCE", 2)
    split = captioner.caption(features, SAMPLE)
    assert [captions[0].words for captions in split] == [captions[0].words for captions in found]


@pytest.mark.parametrize(
    ("changes", "pictures"),
    [
        ({"beam_width": 3}, 256),
        ({"beam_width": 20}, 256),
        ({"beam_width": 100}, 51),
        ({"beam_width": 20, "required_words": ["red", "dog|cat"]}, 85),
        ({"method": "sample", "sampling": {**SAMPLING, "samples": 1000}}, 5),
    ],
)
def test_wider_searches_are_of_fewer_pictures(changes, pictures):
    assert _at_once(changed(**changes)) == pictures


def test_how_many_pictures_are_searched_together_changes_nothing(captioner, features, monkeypatch):
    found = captioner.caption(features, BEAM)
    monkeypatch.setattr("pipeline.captioner.captioner.CAPTIONS_AT_ONCE", 1)
    alone = captioner.caption(features, BEAM)
    assert [[one.words for one in group] for group in alone] == [
        [one.words for one in group] for group in found
    ]


@pytest.mark.parametrize(
    ("pictures", "at_once", "size", "counts"),
    [
        (0, 4, 0, []),
        (3, 4, 3, [3]),
        (8, 4, 4, [4, 4]),  # whole ones stay whole
        (9, 8, 5, [5, 4]),  # not 8, and 1 of 8
        (7, 1, 1, [1] * 7),
    ],
)
def test_batches_are_even_and_of_one_size(pictures, at_once, size, counts):
    features = np.arange(2.0 * pictures).reshape(pictures, 2)
    batches = list(_batches(features, at_once))
    assert [(len(values), count) for values, count in batches] == [(size, n) for n in counts]
    read = [row for values, count in batches for row in values[:count].tolist()]
    assert read == features.tolist()


def test_groups_of_a_diverse_search_begin_unlike(captioner, features):
    for captions in captioner.caption(features, DIVERSE):
        assert len({caption.words[:1] for caption in captions}) == 3


def test_required_words_are_in_every_caption_and_forbidden_ones_in_none(captioner, features):
    settings = changed(required_words=["dog|cats", "boat"], forbidden_words=["a", "red"])
    for captions in captioner.caption(features, settings):
        for caption in captions:
            assert {"dog", "cats"} & set(caption.words)
            assert "boat" in caption.words
            assert not {"a", "red"} & set(caption.words)


def test_a_picture_without_any_caption_is_one_line(captioner, features):
    settings = changed(min_words=1, forbidden_words=list(captioner.vocabulary.words[4:]))
    with pytest.raises(InputError, match="Received: none of 5 pictures") as caught:
        captioner.caption(np.concatenate([features, features[:1]]), settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "wider"),
    [(BEAM, "beam_width"), (SAMPLE, "sampling.samples")],
    ids=["beam", "sample"],
)
def test_without_any_caption_it_is_told_what_would_find_one(captioner, features, settings, wider):
    bounds = {"min_words": 1, "forbidden_words": list(captioner.vocabulary.words[4:])}
    with pytest.raises(InputError, match="Lower min_words") as caught:
        captioner.caption(features, settings.model_copy(update=bounds))
    told = [name for name in ("beam_width", "sampling.samples") if name in str(caught.value)]
    assert told == [wider]


@pytest.mark.parametrize(
    "settings", [BEAM, changed(beam_width=1), SAMPLE], ids=["beam", "greedy", "sample"]
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_told(captioner, features, settings, value):
    broken = features.copy()
    broken[3, 2] = value
    with pytest.raises(InputError, match="expected features that are numbers") as caught:
        captioner.caption(broken, settings)
    assert "pictures: 1." in str(caught.value)
    assert "min_words" not in str(caught.value)


@pytest.mark.parametrize("settings", [BEAM, SAMPLE], ids=["beam", "sample"])
def test_weights_that_are_no_numbers_are_told(captioner, features, settings, vocabulary):
    decoder = build(captioner.decoder.settings, len(vocabulary), (5,))
    decoder.set_weights([weight * np.nan for weight in captioner.decoder.get_weights()])
    with pytest.raises(InputError, match="weights are NaN or infinite") as caught:
        Captioner(decoder, vocabulary).caption(features, settings)
    assert "\n" not in str(caught.value)
    assert "min_words" not in str(caught.value)


def test_an_unknown_required_word_is_one_line(captioner, features):
    with pytest.raises(InputError, match="Received: 'unicorn'"):
        captioner.caption(features, changed(required_words=["unicorn"]))


def test_a_search_is_compiled_once_for_the_same_settings(vocabulary):
    shape = DecoderSettings.plain(decoder="merge", units=2, embedding=2, dropout=0.0)
    captioner = Captioner(build(shape, len(vocabulary), (5,)), vocabulary)
    calls = []
    step = captioner.decoder.step
    captioner.decoder.step = lambda *given: calls.append(1) or step(*given)
    captioner.caption(np.ones((1, 5)), BEAM)
    traced = len(calls)
    captioner.caption(np.zeros((1, 5)), changed())
    assert len(calls) == traced > 0
