"""Bootstrap intervals and paired differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.evaluation import significance
from pipeline.evaluation.significance import Statistics, difference, interval, mean_of


def drawn(seed, pictures, mean=0.5):
    return np.random.default_rng(seed).normal(mean, 0.3, pictures)


def precision(matches, words):
    """A score that is not the mean of the pictures' own, as BLEU's precisions are."""
    values = np.stack([matches, words], axis=1).astype(np.float64)
    return Statistics(values, lambda sums: sums[:, 0] / sums[:, 1])


def test_a_score_is_worked_out_from_the_sums():
    one = precision([3, 1, 6], [10, 8, 9])
    assert one.score() == pytest.approx(10 / 27)
    assert mean_of(np.array([1.0, 2.0, 6.0])).score() == pytest.approx(3.0)


def test_an_interval_is_that_of_the_normal_distribution():
    scores = drawn(1, 2000)
    low, high = interval(mean_of(scores), rounds=4000)
    error = 1.96 * scores.std() / len(scores) ** 0.5
    assert low == pytest.approx(scores.mean() - error, abs=0.05 * error)
    assert high == pytest.approx(scores.mean() + error, abs=0.05 * error)


def test_a_higher_level_gives_a_wider_interval():
    one = mean_of(drawn(1, 100))
    (low, high), (lower, higher) = interval(one, level=0.9), interval(one, level=0.99)
    assert lower < low < one.score() < high < higher


def test_a_resample_draws_pictures_and_not_scores():
    # Every picture has the same share, but another number of words: the ratio cannot vary.
    low, high = interval(precision([2, 20, 200], [4, 40, 400]))
    assert low == high == 0.5


def test_the_same_captions_do_not_differ_at_all():
    one = mean_of(drawn(1, 50))
    assert difference(one, one) == (0.0, 0.0, 0.0, 1.0)


def test_an_improvement_of_many_pictures_is_significant():
    before = drawn(1, 500)
    after = before + np.where(np.arange(500) % 3 == 0, 0.2, 0.0)
    found = difference(mean_of(before), mean_of(after))
    assert found.delta == pytest.approx(after.mean() - before.mean())
    assert 0 < found.low < found.delta < found.high
    assert found.p == pytest.approx(2 / 1001)


def test_the_other_way_round_is_the_negative():
    a, b = mean_of(drawn(1, 80)), mean_of(drawn(2, 80))
    forth, back = difference(a, b), difference(b, a)
    assert forth.delta == pytest.approx(-back.delta)
    assert forth.low == pytest.approx(-back.high)
    assert forth.p == back.p


def test_captions_drawn_anew_are_significant_as_rarely_as_promised():
    # Both of a pair come from one distribution, so that their true difference is 0.
    found = [
        difference(mean_of(drawn(2 * n, 100)), mean_of(drawn(2 * n + 1, 100)), rounds=199).p
        for n in range(400)
    ]
    assert 0.02 < np.mean([p <= 0.05 for p in found]) < 0.09
    assert 0.4 < np.mean([p <= 0.5 for p in found]) < 0.6


def test_pairing_finds_what_the_spread_of_pictures_hides():
    before = drawn(1, 200)
    after = before + 0.01 + drawn(2, 200, 0.0) / 10
    low, high = interval(mean_of(before))
    assert low < after.mean() < high
    assert difference(mean_of(before), mean_of(after)).p < 0.01


@given(st.integers(1, 30), st.integers(0, 5), st.floats(0.5, 0.99))
def test_p_and_interval_agree(pictures, seed, level):
    a, b = mean_of(drawn(seed, pictures)), mean_of(drawn(seed + 1, pictures, 0.6))
    found = difference(a, b, rounds=99, seed=seed, level=level)
    assert 0 < found.p <= 1
    assert found.low <= found.high
    # The interval is interpolated between two resamples; few pictures tell nothing however it is.
    if found.p > max(1 - level + 0.05, 2.0 ** (1 - pictures)):
        assert found.low <= 0 <= found.high


@pytest.mark.parametrize(("pictures", "least"), [(1, 1.0), (2, 0.5), (5, 0.0625), (20, 0.002)])
def test_few_pictures_that_agree_may_do_so_by_chance(pictures, least):
    a, b = mean_of(np.full(pictures, 0.2)), mean_of(np.linspace(0.3, 0.9, pictures))
    assert difference(a, b).p == pytest.approx(least, abs=1e-4)


def test_pictures_at_a_time_do_not_matter(monkeypatch):
    a, b = mean_of(drawn(1, 70)), mean_of(drawn(2, 70))
    whole = [*difference(a, b), *interval(a)]
    monkeypatch.setattr(significance, "DRAWN_AT_ONCE", 200)
    # But for the order in which a product adds up, which on some CPUs depends on its size.
    assert [*difference(a, b), *interval(a)] == pytest.approx(whole, rel=1e-12, abs=0)


def test_the_seed_decides():
    one = mean_of(drawn(1, 40))
    assert interval(one, seed=1) == interval(one, seed=1) != interval(one, seed=2)


def test_one_picture_has_no_spread():
    one = mean_of(np.array([0.25]))
    assert interval(one) == (0.25, 0.25)


def test_other_pictures_are_refused():
    with pytest.raises(InputError, match="Received: 3 and 4 pictures"):
        difference(mean_of(drawn(1, 3)), mean_of(drawn(1, 4)))
    with pytest.raises(InputError, match="at least one picture"):
        interval(mean_of(np.zeros(0)))
