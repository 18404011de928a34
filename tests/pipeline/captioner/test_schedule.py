"""The learning rate over a training."""

from itertools import pairwise

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.captioner.schedule import Rate, ScheduleSettings, needed_epochs, standstills


def rate(schedule: str, updates: int = 100, **changes: float) -> Rate:
    settings = {"learning_rate": 0.2, "schedule": schedule, "warmup": 0.1, "plateau": 1, **changes}
    return Rate(ScheduleSettings(**settings), updates // 10, 10)


def epochs_of(*cider_d: float) -> list[tuple[float, float]]:
    """What epochs are compared by, all of the same loss."""
    return [(value, -1.0) for value in cider_d]


@pytest.mark.parametrize("schedule", ["plateau", "constant"])
def test_it_grows_to_its_highest_and_stays(schedule):
    made = rate(schedule)
    assert made.at_first() == 0.2
    assert [made.at(n, []) for n in (0, 5, 10, 99)] == pytest.approx([0.002, 0.101, 0.2, 0.2])
    assert rate(schedule, warmup=0.0).at(0, []) == 0.2


def test_warming_up_is_the_same_for_all_and_a_cosine_ends_at_nothing():
    cosine, constant = rate("cosine"), rate("constant")
    curve = cosine.at_first()
    assert cosine.at(3, []) is None
    for update in range(11):
        expected = constant.at(update, [])
        assert float(keras.ops.convert_to_numpy(curve(update))) == pytest.approx(expected, rel=1e-5)
    assert float(keras.ops.convert_to_numpy(curve(55))) == pytest.approx(0.1, rel=1e-5)
    assert float(keras.ops.convert_to_numpy(curve(100))) == pytest.approx(0.0, abs=1e-7)


def test_a_cosine_without_warming_up_begins_at_its_highest():
    curve = rate("cosine", warmup=0.0).at_first()
    told = [float(keras.ops.convert_to_numpy(curve(update))) for update in (0, 50, 100)]
    assert told == pytest.approx([0.2, 0.1, 0.0], abs=1e-6)


def test_a_plateau_halves_it_when_no_epoch_is_better():
    made = rate("plateau")
    scores = epochs_of(0.1, 0.3, 0.3, 0.2, 0.4, 0.1)
    told = [made.at(50, scores[:epochs]) for epochs in range(7)]
    assert told == pytest.approx([0.2, 0.2, 0.2, 0.1, 0.05, 0.05, 0.025])
    assert rate("constant").at(50, scores) == 0.2


def test_what_stands_still_while_the_rate_grows_is_no_standstill():
    made = rate("plateau", warmup=0.35)  # four of ten epochs begin before it is at its highest
    scores = epochs_of(0.3, 0.2, 0.2, 0.2)
    assert made.at(50, scores) == 0.2
    assert made.at(50, [*scores, (0.25, -1.0)]) == 0.1, "but what came then is to be beaten"


def test_a_standstill_of_several_epochs_counts_once():
    assert standstills(epochs_of(0.5, 0.4, 0.4, 0.4, 0.4, 0.4), 2) == 2
    assert standstills(epochs_of(0.5, 0.4, 0.6, 0.5), 2) == 0
    assert standstills([], 1) == standstills(epochs_of(0.0), 1) == 0


def test_an_epoch_of_the_same_cider_d_and_a_lower_loss_is_no_standstill():
    assert standstills([(0.0, -3.0), (0.0, -2.0), (0.0, -1.0)], 1) == 0
    assert standstills([(0.0, -3.0), (0.0, -3.0), (0.0, -4.0)], 1) == 2


SCORES = st.tuples(st.floats(0, 1), st.floats(-9, 0))


@given(st.lists(SCORES, max_size=20), st.integers(1, 4))
def test_more_epochs_never_take_a_standstill_back(scores, epochs):
    counts = [standstills(scores[:done], epochs) for done in range(len(scores) + 1)]
    assert all(0 <= after - before <= 1 for before, after in pairwise(counts))
    assert counts[-1] <= max(0, len(scores) - 1) // epochs


@given(
    plateau=st.integers(1, 5),
    epochs=st.integers(1, 20),
    updates=st.integers(1, 9),
    warmup=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]),
)
def test_a_rate_is_halved_once_the_epochs_suffice(plateau, epochs, updates, warmup):
    settings = ScheduleSettings(
        learning_rate=0.2, schedule="plateau", warmup=warmup, plateau=plateau
    )
    rate = Rate(settings, updates, epochs)
    never_better = epochs_of(*[0.5] * (epochs - 1))  # all epochs but the last
    first_of_last = (epochs - 1) * updates
    halved = first_of_last >= rate.warmup and rate.at(first_of_last, never_better) < 0.15
    needed = needed_epochs(settings, epochs)
    assert needed_epochs(settings, needed) == needed, "what is told is enough"
    suffice = needed == epochs
    assert halved or not suffice
    # An epoch of few updates may be all at the highest rate when the share says it is not.
    assert suffice or not halved or rate.warm < warmup * epochs
