"""What is read ahead is the same, in the same order, and no more than one item is."""

from collections.abc import Iterator
from threading import Event, Timer
from threading import enumerate as enumerate_threads

import pytest

from pipeline.ahead import ahead


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_items_are_the_same_in_the_same_order(count: int):
    assert list(ahead(range(count))) == list(range(count))


def test_what_goes_wrong_while_reading_ahead_is_told():
    def broken() -> Iterator[int]:
        yield from (1, 2)
        raise OSError("the disk is gone")

    coming = ahead(broken())
    assert [next(coming), next(coming)] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(coming)


def test_no_more_than_one_item_is_read_ahead():
    begun = []

    def told() -> Iterator[int]:
        for number in range(8):
            begun.append(number)
            yield number

    for number, _ in enumerate(ahead(told())):
        assert len(begun) <= number + 2


def test_closed_it_waits_for_what_is_being_taken_and_takes_no_more():
    begun, ended, going = [], [], Event()

    def told() -> Iterator[int]:
        for number in range(8):
            begun.append(number)
            if number == 1:
                going.wait(10)
            yield number
            ended.append(number)

    coming = ahead(told())
    assert next(coming) == 0
    Timer(0.1, going.set).start()
    coming.close()
    assert going.is_set(), "the second item was being taken"
    assert not [thread for thread in enumerate_threads() if thread.name.startswith("ahead")]
    assert begun == [0, 1]
    assert ended == [0]
