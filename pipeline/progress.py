"""Progress of long work: a line that rewrites itself in a terminal, plain lines in a log file."""

import sys
import time
from types import TracebackType
from typing import TextIO

LINES_EVERY = 10.0  # seconds between two lines in a log file
REWRITE_EVERY = 0.2  # seconds between two states of the line in a terminal
WIDTH = 79  # of that line: a longer one would wrap, and a shorter one not cover the one before


class Progress:
    """Count work done and tell it, its rate and the time left.

    with Progress("features", total=7000, unit="pictures") as progress:
        progress.advance(64)
    """

    def __init__(self, name: str, total: int, unit: str, stream: TextIO | None = None) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.stream = stream if stream is not None else sys.stderr
        self.terminal = self.stream.isatty()
        self.done = self.skipped = 0
        self.told_at = -1
        self.remark = ""
        self.began = self.told = time.monotonic()

    def advance(self, amount: int, remark: str = "") -> None:
        """Count `amount` more; `remark` (a loss, say) is told at the line's end."""
        self.done += amount
        self.remark = remark or self.remark
        now = time.monotonic()
        if now - self.told >= (REWRITE_EVERY if self.terminal else LINES_EVERY):
            self.told = now
            self._tell(end="\r" if self.terminal else "\n")

    def skip(self, amount: int) -> None:
        """Count work that was done before: it says nothing of the rate."""
        self.done += amount
        self.skipped += amount

    @property
    def rate(self) -> float:
        """Units a second since the start."""
        return (self.done - self.skipped) / max(time.monotonic() - self.began, 1e-9)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.terminal or self.done != self.told_at:  # a log has that line already
            self._tell(end="\n")

    def _tell(self, end: str) -> None:
        elapsed = time.monotonic() - self.began
        parts = [f"{self.name}: {self.done:,}/{self.total:,} {self.unit}", f"{self.rate:,.0f}/s"]
        if self.skipped < self.done < self.total:
            parts.append(f"{_clock((self.total - self.done) / self.rate)} left")
        else:
            parts.append(f"in {_clock(elapsed)}")
        if self.remark:
            parts.append(self.remark)
        line = ", ".join(parts)
        self.stream.write((f"{line[:WIDTH]:{WIDTH}}" if self.terminal else line) + end)
        self.stream.flush()
        self.told_at = self.done


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"
