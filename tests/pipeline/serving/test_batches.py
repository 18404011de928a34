"""Work from many threads, done by one in batches."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.serving.batches import Batches


class Worker:
    """Doubles numbers, notes its batches, and waits before each until it may go on."""

    def __init__(self, at_most: int = 3) -> None:
        self.seen: list[tuple[str, list[int]]] = []
        self.busy, self.go = threading.Event(), threading.Event()
        self.batches = Batches[str, int, int](self.run, at_most)

    def run(self, key, items):
        self.seen.append((key, list(items)))
        self.busy.set()
        assert self.go.wait(10)
        if -1 in items:
            raise ValueError("no")
        return [2 * item for item in items]

    def hold(self):
        """Give it something to do until `go`, so that what follows has to wait."""
        first = self.batches.submit("first", 0)
        assert self.busy.wait(10)
        return first


@pytest.fixture
def worker():
    made = Worker()
    yield made
    made.go.set()
    made.batches.close()


def test_what_waits_is_done_together_up_to_the_bound(worker):
    worker.hold()
    futures = [worker.batches.submit("a", item) for item in range(1, 6)]
    worker.go.set()
    assert [future.result(10) for future in futures] == [2, 4, 6, 8, 10]
    assert worker.seen == [("first", [0]), ("a", [1, 2, 3]), ("a", [4, 5])]


def test_only_one_key_goes_into_a_batch_and_nobody_is_passed_over(worker):
    worker.hold()
    for key, item in (("a", 1), ("b", 2), ("a", 3), ("b", 4)):
        last = worker.batches.submit(key, item)
    worker.go.set()
    last.result(10)
    assert worker.seen[1:] == [("a", [1, 3]), ("b", [2, 4])]


def test_what_is_to_come_last_does(worker):
    worker.hold()
    late = worker.batches.submit("later", 1, last=True)
    soon = worker.batches.submit("a", 2)
    worker.go.set()
    assert (late.result(10), soon.result(10)) == (2, 4)
    assert [key for key, _ in worker.seen] == ["first", "a", "later"]


def test_an_error_reaches_those_of_its_batch_and_work_goes_on(worker):
    worker.hold()
    bad = [worker.batches.submit("a", item) for item in (1, -1)]
    good = worker.batches.submit("b", 4)
    worker.go.set()
    for future in bad:
        with pytest.raises(ValueError, match="no"):
            future.result(10)
    assert good.result(10) == 8


def test_what_was_cancelled_is_not_done(worker):
    worker.hold()
    gone = worker.batches.submit("a", 1)
    kept = worker.batches.submit("a", 2)
    assert gone.cancel()
    worker.go.set()
    assert kept.result(10) == 4
    assert worker.seen[1:] == [("a", [2])]


def test_closing_cancels_what_waits(worker):
    first = worker.hold()
    waits = worker.batches.submit("a", 1)
    threading.Timer(0.05, worker.go.set).start()
    worker.batches.close()
    assert first.result(0) == 0
    assert waits.cancelled()
    with pytest.raises(RuntimeError, match="closed"):
        worker.batches.submit("a", 1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers())), st.integers(1, 5))
def test_each_gets_its_own_result_whatever_comes(jobs, at_most):
    batches = Batches[str, int, tuple[str, int]](
        lambda key, items: [(key, item) for item in items], at_most
    )
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda job: batches.submit(*job).result(10), jobs))
    batches.close()
    assert results == jobs
