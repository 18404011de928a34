"""A picture that nobody has vouched for, to its captions, within bounds.

    describer = Describer(PictureCaptioner.load(bundle), bounds)
    describer.warm_up()
    describer.describe(Path("photo.jpg"), Choice(beam_width=3, length="usual")).captions[0].text

May be called from any number of threads: pictures are read by a few threads of its own, and
captioned by one, in batches.
"""

import logging
import math
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLong
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from pipeline.captioner.captioner import Caption
from pipeline.captioner.looks import Looks
from pipeline.captioner.pictures import PictureCaptioner
from pipeline.captioner.search.settings import SearchSettings
from pipeline.images.decode import PictureError, read_small, read_square
from pipeline.serving.batches import Batches
from pipeline.serving.bounds import BEAM_WIDTHS, BeamWidth, Bounds, RequestError, too_many_bytes

log = logging.getLogger(__name__)

Length = Literal["short", "usual", "long"]
USUAL = SearchSettings.usual()
LENGTHS: dict[Length, tuple[float, int]] = {  # exponent of the length, bound on the words
    "short": (0.0, 12),
    "usual": (USUAL.length_penalty, USUAL.max_words),
    "long": (2.0, 30),
}
LARGE = 8_000_000  # pixels above which only one picture is read at a time
SMALL = 480  # pixels of the longer side of the picture that attention is drawn on
_T = TypeVar("_T")
FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF or PPM"


class Choice(NamedTuple):
    """What may be chosen of the search."""

    beam_width: BeamWidth = 3
    length: Length = "usual"

    @property
    def search(self) -> SearchSettings:
        """The same as settings of the search."""
        penalty, words = LENGTHS[self.length]
        return SearchSettings.plain(
            beam_width=self.beam_width, length_penalty=penalty, max_words=words
        )

    @classmethod
    def checked(cls, beam_width: object, length: object) -> "Choice":
        """Make a choice of values that anyone may have sent.

        Raises:
            RequestError: one is not among those offered.
        """
        for width in BEAM_WIDTHS:
            for name in LENGTHS:
                if (str(beam_width), length) == (str(width), name):  # clients send "3" as well
                    return cls(width, name)
        raise RequestError(
            "bad_setting",
            f"Expected a beam width of {', '.join(map(str, BEAM_WIDTHS))} and a length of "
            f"{', '.join(LENGTHS)}. Received: {str(beam_width)[:40]!r} and {str(length)[:40]!r}.",
        )


@dataclass(frozen=True)
class Guess:
    """One caption of a picture.

    Attributes:
        text: words with spaces between.
        probability: that the model gives the whole caption, in (0, 1].
    """

    text: str
    probability: float


@dataclass(frozen=True)
class Description:
    """What is told about a picture.

    Attributes:
        captions: best first; at least one.
        words: of the best caption.
        looks: where the decoder looked for each of them; None where it attends to no grid, or was
            not asked.
        picture: RGB, at most 480 pixels a side, where `looks` is there; else None.
        seconds: from the request's turn to its end.
    """

    captions: tuple[Guess, ...]
    words: tuple[str, ...]
    looks: Looks | None
    picture: Image.Image | None
    seconds: float


class _Found(NamedTuple):
    captions: list[Caption]
    looks: Looks | None


class _Read(NamedTuple):
    pixels: np.ndarray  # uint8 (side, side, 3)
    small: Image.Image | None


class _Key(NamedTuple):
    choice: Choice
    looks: bool


class Describer:
    """Reads pictures and captions them, within bounds.

    Args:
        captioner: encoder and decoder.
        bounds: of every request, and of all together.
        consensus, guide: their weights in every search; 0: none.
        length_penalty: exponent of the usual length.
        beam_width: where a request names none.
        max_words: bound on the words of the usual length.

    Attributes:
        usual: the choice of a request that names none.
    """

    def __init__(
        self,
        captioner: PictureCaptioner,
        bounds: Bounds,
        consensus: float = 0.0,
        guide: float = 0.0,
        length_penalty: float = USUAL.length_penalty,
        beam_width: BeamWidth = 3,
        max_words: int = USUAL.max_words,
    ) -> None:
        self.captioner = captioner
        self.bounds = bounds
        self.usual = Choice(beam_width)
        self.weights = {"consensus": consensus, "guide": guide}
        self.usual_length = {"length_penalty": length_penalty, "max_words": max_words}
        self._readers = ThreadPoolExecutor(bounds.concurrency, thread_name_prefix="read")
        self._batches = Batches[_Key, np.ndarray, _Found](self._caption, bounds.concurrency)
        self._turns = threading.BoundedSemaphore(bounds.concurrency)
        self._large = threading.Lock()
        self._inside = 0
        self._counting = threading.Lock()

    @property
    def attends(self) -> bool:
        """Whether descriptions can have looks."""
        return self.captioner.attends

    def warm_up(self) -> None:
        """Compile the search of the usual choice; the others follow while requests are answered.

        A request with another choice may so wait for one compilation, a few seconds, and only in
        the first minute.

        Raises:
            InputError: consensus or a guide is asked of a bundle that has none.
        """
        blank = np.zeros((self.captioner.side, self.captioner.side, 3), "uint8")
        for size in _sizes(self.bounds.concurrency):
            self._caption(_Key(self.usual, self.attends), [blank] * size)
        for choice in (Choice(width, name) for width in BEAM_WIDTHS for name in LENGTHS):
            if choice != self.usual:
                self._batches.submit(_Key(choice, looks=False), blank, last=True)

    def describe(self, picture: Path | bytes, choice: Choice, *, looks: bool) -> Description:
        """Caption a picture.

        Args:
            picture: a file, or its bytes.
            choice: of the search.
            looks: whether to tell where the decoder looked; nothing is told where it cannot.

        Raises:
            RequestError: it is no picture, beyond a bound, the server is busy, it took too long, or
                it failed for a reason that is logged.
        """
        try:
            return self._describe(picture, choice, looks)
        except RequestError:
            raise
        except Exception as error:
            log.exception("serve: a picture was not captioned")
            raise RequestError(
                "failed", "Something went wrong here, not with your picture. Try again later."
            ) from error

    def _describe(self, picture: Path | bytes, choice: Choice, looks: bool) -> Description:
        with self._turn():
            began = time.monotonic()
            wanted = looks and self.attends
            read = self._until(began, self._readers.submit(self._read, picture, wanted))
            asked = self._batches.submit(_Key(choice, wanted), read.pixels)
            found = self._until(began, asked)
            return Description(
                captions=tuple(Guess(one.text, math.exp(one.log_prob)) for one in found.captions),
                words=found.captions[0].words,
                looks=found.looks,
                picture=read.small,
                seconds=time.monotonic() - began,
            )

    def check_room(self) -> None:
        """Tell whether one more may wait, before its picture has come.

        Raises:
            RequestError: too many wait already.
        """
        if self._inside >= self.bounds.concurrency + self.bounds.queue:
            raise RequestError(
                "busy",
                f"{self.bounds.queue} pictures are waiting already. Try again in a few seconds.",
            )

    def close(self) -> None:
        """End its threads."""
        self._batches.close()
        self._readers.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for a turn, unless too many wait already."""
        with self._counting:
            self.check_room()
            self._inside += 1
        try:
            with self._turns:
                yield
        finally:
            with self._counting:
                self._inside -= 1

    def _until(self, began: float, future: "Future[_T]") -> _T:
        left = max(0.0, began + self.bounds.seconds - time.monotonic())
        try:
            return future.result(left)
        except WaitedTooLong:
            future.cancel()
            raise RequestError(
                "too_slow",
                f"This took longer than {self.bounds.seconds:g} seconds and was given up. Try a "
                "smaller picture, or again later.",
            ) from None

    def _read(self, picture: Path | bytes, wanted: bool) -> _Read:
        """Read a picture; of bytes, from a file whose name only we know."""
        if isinstance(picture, Path):
            return self._read_file(picture, wanted)
        with tempfile.TemporaryDirectory(prefix="caption-serve-") as folder:
            path = Path(folder) / "picture"
            path.write_bytes(picture)
            return self._read_file(path, wanted)

    def _read_file(self, path: Path, wanted: bool) -> _Read:
        try:
            if path.stat().st_size > self.bounds.bytes:
                raise too_many_bytes(self.bounds)
            pixels = self._one_large_at_a_time(read_square, path, self.captioner.side)
            small = self._one_large_at_a_time(read_small, path, SMALL) if wanted else None
            return _Read(pixels, small)
        except FileNotFoundError:
            raise _refusal(PictureError("missing", ""), self.bounds) from None
        except PictureError as error:
            raise _refusal(error, self.bounds) from error

    def _one_large_at_a_time(
        self, read: Callable[[Path, int, int], _T], path: Path, side: int
    ) -> _T:
        """Read a picture; large ones wait for each other, or they would take all the memory."""
        few = min(LARGE, self.bounds.pixels)
        try:
            return read(path, side, few)
        except PictureError as error:
            if error.reason != "too_large" or few == self.bounds.pixels:
                raise
        with self._large:
            return read(path, side, self.bounds.pixels)

    def _search(self, choice: Choice) -> SearchSettings:
        own: dict[str, float] = dict(self.weights)
        if choice.length == self.usual.length:
            own |= self.usual_length
        return choice.search.model_copy(update=own)

    def _caption(self, key: _Key, pictures: Sequence[np.ndarray]) -> list[_Found]:
        """Caption a batch. It is filled up to one of a few sizes, as each is compiled once."""
        count = len(pictures)
        size = next(size for size in _sizes(self.bounds.concurrency) if size >= count)
        filled = np.stack([*pictures, *[pictures[0]] * (size - count)])  # (size, side, side, 3)
        features = self.captioner.encoder.encode(filled)
        found = self.captioner.captioner.caption(features, self._search(key.choice))[:count]
        if not key.looks:
            return [_Found(captions, None) for captions in found]
        words = [captions[0].words for captions in found]
        looks = self.captioner.captioner.looks(features[:count], words)
        return [_Found(*pair) for pair in zip(found, looks, strict=True)]


def _sizes(at_most: int) -> list[int]:
    """Sizes of batches: 1, 2, 4 and so on, and the greatest."""
    doubled = [2**power for power in range(at_most.bit_length()) if 2**power < at_most]
    return [*doubled, at_most]


def _refusal(error: PictureError, bounds: Bounds) -> RequestError:
    """Say what is wrong with a picture to whoever sent it."""
    match error.reason:
        case "empty":
            return RequestError("no_picture", "This file is empty. Choose another picture.")
        case "too_large":
            return RequestError(
                "too_many_pixels",
                f"This picture has more than {bounds.pixels / 1e6:,.0f} million pixels, the most "
                "that is taken here. Save it smaller and try again.",
            )
        case "not_a_picture":
            return RequestError(
                "not_a_picture",
                f"This file is not a picture that can be read here. Send {FORMATS}.",
            )
        case "truncated":
            return RequestError(
                "damaged",
                "This picture ends too early: a part of the file is missing. Save or send it anew.",
            )
        case "unreadable":
            return RequestError(
                "damaged",
                "This picture is damaged and cannot be read. Save it anew, as JPEG or PNG.",
            )
        case _:
            return RequestError("no_picture", "There is no such picture any more. Send it again.")
