"""Read ahead: what comes next is made ready while the one before is worked on."""

from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item]) -> Generator[Item, None, None]:
    """Yield items, each taken by a thread while the one before is worked on.

    Closed, it waits for the one that is being taken, and takes no more. What goes wrong while one
    is taken is raised in its place. None is not an item: it ends them.
    """
    remaining = iter(items)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") as reader:
        coming = reader.submit(next, remaining, None)
        while (item := coming.result()) is not None:
            coming = reader.submit(next, remaining, None)
            yield item
