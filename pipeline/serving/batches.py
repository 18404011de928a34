"""Work from many threads, done by one, in batches of what waits: the network is run by no other.

Nothing waits for a batch to fill: while one is being worked on the next gathers by itself, so one
request alone is answered at once and many together take less time each.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Job(Generic[Key, Item, Result]):
    key: Key
    item: Item
    last: bool
    future: "Future[Result]" = field(default_factory=Future)


class Batches(Generic[Key, Item, Result]):
    """One thread that runs a function on batches of items which have the same key.

    Args:
        run: key and items to one result for each item, in their order.
        at_most: items of a batch.
    """

    def __init__(
        self, run: Callable[[Key, Sequence[Item]], Sequence[Result]], at_most: int
    ) -> None:
        self._run = run
        self._at_most = at_most
        self._waiting: list[_Job[Key, Item, Result]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="captions", daemon=True)
        self._thread.start()

    def submit(self, key: Key, item: Item, *, last: bool = False) -> "Future[Result]":
        """Ask for one item. A future that is cancelled before its turn costs nothing.

        Args:
            key: only items with the same are worked on together.
            item: what is worked on.
            last: whether all that is not asked for so comes first.

        Raises:
            RuntimeError: closed already.
        """
        job: _Job[Key, Item, Result] = _Job(key, item, last)
        with self._changed:
            if self._closed:
                raise RuntimeError("batches: closed")
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Cancel what waits, and end the thread after the batch it works on."""
        with self._changed:
            self._closed = True
            for job in self._waiting:
                job.future.cancel()
            self._waiting.clear()
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            jobs = [job for job in batch if job.future.set_running_or_notify_cancel()]
            if not jobs:
                continue
            try:
                results = self._run(jobs[0].key, [job.item for job in jobs])
            except BaseException as error:  # noqa: BLE001 - told to whoever waits for it
                for job in jobs:
                    job.future.set_exception(error)
            else:
                for job, result in zip(jobs, results, strict=True):
                    job.future.set_result(result)

    def _next(self) -> list[_Job[Key, Item, Result]]:
        """Take the item that has waited longest, and those that can go with it; [] when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._waiting))
            if not self._waiting:
                return []
            key = min(self._waiting, key=lambda job: job.last).key  # the first of the least
            batch = [job for job in self._waiting if job.key == key][: self._at_most]
            taken = {id(job) for job in batch}
            self._waiting = [job for job in self._waiting if id(job) not in taken]
            return batch
