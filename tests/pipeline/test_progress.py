"""Progress: lines in a log file, one line that rewrites itself in a terminal."""

import io

import pytest

from pipeline.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("pipeline.progress.time.monotonic", lambda: clock.now)
    return clock


def work(clock: Clock, stream: io.StringIO, seconds: int, skipped: int = 0) -> str:
    """Do a unit a second."""
    with Progress("train", 1200, "words", stream) as progress:
        progress.skip(skipped)
        for _ in range(seconds):
            clock.now += 1
            progress.advance(1, "loss 0.5")
    return stream.getvalue()


def test_a_log_file_gets_a_line_now_and_then(clock):
    lines = work(clock, io.StringIO(), 25).splitlines()
    assert lines == [
        "train: 10/1,200 words, 1/s, 19:50 min left, loss 0.5",
        "train: 20/1,200 words, 1/s, 19:40 min left, loss 0.5",
        "train: 25/1,200 words, 1/s, 19:35 min left, loss 0.5",
    ]


def test_a_terminal_gets_one_line_that_rewrites_itself(clock):
    written = work(clock, Terminal(), 3)
    assert written.count("\n") == 1
    assert written.endswith("\n")
    states = written.rstrip("\n").split("\r")
    assert [state.split(" words")[0] for state in states] == [
        "train: 1/1,200", "train: 2/1,200", "train: 3/1,200", "train: 3/1,200"
    ]  # fmt: skip
    assert {len(state) for state in states} == {79}  # a shorter state covers a longer one


def test_a_long_remark_is_covered_by_a_shorter_one(clock):
    stream = Terminal()
    with Progress("train", 10, "words", stream) as progress:
        for remark in ("x" * 80, "y"):
            clock.now += 1
            progress.advance(1, remark)
    long, short, _ = stream.getvalue().split("\r")
    assert len(long) == len(short)


def test_the_rate_leaves_out_what_was_done_before(clock):
    [line] = work(clock, io.StringIO(), 5, skipped=1000).splitlines()
    assert line == "train: 1,005/1,200 words, 1/s, 3:15 min left, loss 0.5"


def test_the_end_tells_the_time_it_took(clock):
    with Progress("features", 65, "pictures", stream := io.StringIO()) as progress:
        clock.now += 65
        progress.advance(65)
    assert stream.getvalue().splitlines()[-1] == "features: 65/65 pictures, 1/s, in 1:05 min"


@pytest.mark.parametrize("skipped", [0, 7])
def test_no_work_is_told_too(clock, skipped):
    with Progress("features", skipped, "pictures", stream := io.StringIO()) as progress:
        progress.skip(skipped)
    assert stream.getvalue() == f"features: {skipped}/{skipped} pictures, 0/s, in 0 s\n"


def test_an_error_is_not_hidden(clock):
    with pytest.raises(KeyError), Progress("x", 3, "y", io.StringIO()):
        raise KeyError
