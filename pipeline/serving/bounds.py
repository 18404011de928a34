"""What one request may ask of the server, and how a request that asks for more is told so."""

from dataclasses import dataclass
from typing import Literal, get_args

MIB = 2**20

# Each pair of a width and a length is compiled, and stays in memory: so the choice is small.
BeamWidth = Literal[1, 3, 5, 10]
BEAM_WIDTHS: tuple[BeamWidth, ...] = get_args(BeamWidth)

# Why a request is refused; each has its HTTP status below.
Reason = Literal[
    "no_picture", "too_many_bytes", "too_many_pixels", "not_a_picture", "damaged",
    "bad_setting", "not_here", "busy", "too_slow", "failed",
]  # fmt: skip
STATUS: dict[Reason, int] = {
    "no_picture": 400,
    "too_slow": 504,
    "too_many_bytes": 413,
    "too_many_pixels": 413,
    "not_a_picture": 415,
    "damaged": 422,
    "bad_setting": 422,
    "not_here": 403,
    "busy": 503,
    "failed": 500,
}


@dataclass(frozen=True)
class Bounds:
    """How much one request and all of them together may take.

    Attributes:
        bytes: of an uploaded file.
        pixels: of a picture, told by its header before anything is decoded.
        concurrency: pictures that are read and captioned at once; large ones are read one by one.
        queue: requests that may wait beyond those; more are refused at once.
        seconds: that a request may take, from its turn on.
    """

    bytes: int
    pixels: int
    concurrency: int
    queue: int
    seconds: float


class RequestError(Exception):
    """A request that is not answered; the message is for the person who sent it.

    It names neither files nor folders of this machine.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status that fits."""
        return STATUS[self.reason]


def megabytes(count: int) -> str:
    """Write a number of bytes for people: 20 MB."""
    return f"{count / MIB:,.0f} MB" if count >= MIB else f"{count / 1024:,.0f} kB"


def too_many_bytes(bounds: Bounds) -> RequestError:
    """Refuse a file that is larger than the bound."""
    return RequestError(
        "too_many_bytes",
        f"This file is larger than {megabytes(bounds.bytes)}, the most that is taken here. "
        "Save the picture smaller and try again.",
    )
