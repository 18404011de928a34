"""What a caption may expect, from what people said of pictures alike."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.captioner import alike
from pipeline.captioner.consensus import NGRAMS, Consensus, ConsensusSettings
from pipeline.errors import InputError
from pipeline.evaluation.cider import CiderD
from tests.pipeline.captioner.conftest import change

ALL = ConsensusSettings(pictures=1000, kernel="gaussian", ridge=0.3)
FAITHFUL = ConsensusSettings(pictures=1000, kernel="linear", ridge=0.01)
SAID = [text.split() for text in (
    "a dog runs on grass", "a brown dog runs fast", "two men ride red bikes",
    "two boys ride their bikes", "a girl swims in water", "children swim in the pool",
)]  # fmt: skip
# Each is said of two pictures, so that no n-gram is too rare.
CAPTIONS = [[SAID[place], SAID[(place + 1) % len(SAID)]] for place in range(len(SAID))]


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(1).normal(3, 2, (len(CAPTIONS), 20)).astype("float32")


def test_a_training_picture_expects_the_cider_of_its_own_captions(features):
    consensus = Consensus.fit(features, CAPTIONS, FAITHFUL)
    expected = consensus.expect(features, [SAID] * len(features))
    # Of captions as long as the references, without a word twice, CIDEr-D is CIDEr.
    scorer = CiderD(CAPTIONS)
    for picture, values in enumerate(expected):
        told = scorer.score(SAID, [picture] * len(SAID))
        assert values == pytest.approx(told, abs=0.05)


def test_what_is_said_again_counts_once_as_cider_d_clips_it(features):
    consensus = Consensus.fit(features, CAPTIONS, FAITHFUL)
    texts = "a dog runs dog runs", "two men two men ride", "a a a girl a"
    again = [text.split() for text in texts]
    expected = consensus.expect(features, [again] * len(features))
    scorer = CiderD(CAPTIONS)  # the references are as long, and say nothing twice
    told = [scorer.score(again, [picture] * len(again)) for picture in range(len(features))]
    assert np.array(expected) == pytest.approx(np.array(told), abs=0.05)
    assert np.max(told) > 1


@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
def test_it_is_what_the_shares_say_of_the_vectors(features, kernel):
    settings = ALL.model_copy(update={"kernel": kernel})
    consensus = Consensus.fit(features, CAPTIONS, settings)
    new = np.random.default_rng(2).normal(3, 2, (4, 20)).astype("float32")
    own = CiderD(CAPTIONS)  # of a caption, by picture: what its vectors' mean gives
    targets = np.array([own.score(SAID, [row] * len(SAID)) for row in range(len(features))])
    predicted = alike.fit(features, kernel, settings.ridge).shares(new) @ targets
    expected = consensus.expect(new, [SAID] * len(new))
    assert np.array(expected) == pytest.approx(predicted, abs=0.001)


@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
def test_words_are_worth_what_they_add_to_a_caption(features, kernel):
    consensus = Consensus.fit(features, CAPTIONS, ALL.model_copy(update={"kernel": kernel}))
    new = np.random.default_rng(2).normal(3, 2, (300, 20)).astype("float32")  # several blocks
    words = ["<end>", "dog", "xylophone", "bikes", "a"]
    found = consensus.words(new, words)
    assert found.shape == (300, 5)
    assert found.dtype == np.float32
    # A caption of one word is nothing but it: its vector has a norm of 1, one of four orders.
    rarity = np.array([consensus.rarity[consensus.ngrams[word]] for word in ("dog", "bikes", "a")])
    expected = np.array(consensus.expect(new, [[["dog"], ["bikes"], ["a"]]] * 300))
    assert found[:, [1, 3, 4]] == pytest.approx(expected * rarity * 4 / 10, abs=1e-5)
    assert not found[:, [0, 2]].any()
    assert np.ptp(found[:, 1]) > 0.01
    assert consensus.words(new[:0], words).shape == (0, 5)


def test_a_grid_counts_by_its_mean(features):
    noise = np.random.default_rng(3).normal(0, 1, (len(features), 2, 3, 20)).astype("float32")
    grid = features[:, None, None] + noise - noise.mean(axis=(1, 2), keepdims=True)
    told = Consensus.fit(grid, CAPTIONS, ALL).expect(grid, CAPTIONS)
    pooled = Consensus.fit(features, CAPTIONS, ALL).expect(features, CAPTIONS)
    assert np.array(told) == pytest.approx(np.array(pooled), abs=0.02)


def test_pictures_may_have_no_captions_or_none_of_a_known_word(features):
    consensus = Consensus.fit(features, CAPTIONS, ALL)
    assert consensus.expect(features[:0], []) == []
    none, strange = consensus.expect(features[:2], [[], [[], ["xylophone"]]])
    assert none.shape == (0,)
    assert strange.tolist() == [0.0, 0.0]


def test_what_is_said_of_one_picture_alone_is_left_out(features):
    captions = [[*group] for group in CAPTIONS]
    captions[0] = [*captions[0], ["unheard", "of"]]
    assert "unheard" not in Consensus.fit(features, captions, ALL).ngrams
    assert set(Consensus.fit(features, CAPTIONS, ALL).ngrams) >= {"a", "two men", "dog runs on"}


def test_no_more_pictures_are_kept_than_the_settings_say(features):
    few = ALL.model_copy(update={"pictures": 4})
    assert len(Consensus.fit(features, CAPTIONS, few).alike) == 4
    with pytest.raises(InputError, match="two training pictures at least"):
        Consensus.fit(features[:1], CAPTIONS[:1], ALL)


def test_more_pictures_than_a_gaussian_kernel_can_hold_are_refused():
    most = {"pictures": alike.MOST + 1, "ridge": 0.3}
    assert ConsensusSettings(kernel="linear", **most).pictures == alike.MOST + 1
    with pytest.raises(ValueError, match=r"Lower pictures, or set kernel: linear"):
        ConsensusSettings(kernel="gaussian", **most)


def test_it_is_written_and_read_as_it_was_the_same_bytes_each_time(features, tmp_path):
    consensus = Consensus.fit(features, CAPTIONS, ALL)
    for name in ("one", "two"):
        consensus.save(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    read = Consensus.load(tmp_path / "one", 20)
    given, found = consensus.expect(features, CAPTIONS), read.expect(features, CAPTIONS)
    assert np.array_equal(given, found)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder, table: change(folder, NGRAMS, "pictures", [[99]] * len(table)),
        lambda folder, table: change(folder, NGRAMS, "pictures", [[-1]] * len(table)),
        lambda folder, table: change(folder, NGRAMS, "values", [[1.0] * 9] * len(table)),
        lambda folder, table: change(folder, NGRAMS, "values", [None] * len(table)),
        lambda folder, table: change(folder, NGRAMS, "rarity", [float("nan")] * len(table)),
        lambda folder, table: change(folder, NGRAMS, "rarity", [None] * len(table)),
        lambda folder, table: change(folder, NGRAMS, "ngram", ["a"] * len(table)),
        lambda folder, table: change(folder, NGRAMS, "ngram", [None] * len(table)),
        lambda folder, table: (folder / NGRAMS).unlink(),
    ],
)
def test_damaged_tables_are_one_line(features, tmp_path, damage):
    Consensus.fit(features, CAPTIONS, ALL).save(tmp_path)
    damage(tmp_path, pq.read_table(tmp_path / NGRAMS))
    with pytest.raises(InputError) as caught:
        Consensus.load(tmp_path, 20)
    assert "\n" not in str(caught.value)


def test_tables_of_other_features_are_one_line(features, tmp_path):
    Consensus.fit(features, CAPTIONS, ALL).save(tmp_path)
    with pytest.raises(InputError, match="expected columns"):
        Consensus.load(tmp_path, 19)
