"""Run the encoder over pictures: read, decode, encode and write at the same time, and never twice.

Pictures are read and decoded by threads while the encoder works on the batches before, and what it
gave for a batch before those is written to the cache. Shards are then written from the cache, so
that an undisturbed run, a continued one and one with a warm cache give the same bytes.
A run that is killed has to encode again what was being encoded and what was being written:
`Source.at_once` batches and one. Memory does not grow with the pictures, but for some 300 bytes
each.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from pydantic import Field

from pipeline.backend import memory_told
from pipeline.errors import InputError
from pipeline.files import remove_unfinished
from pipeline.images.cache import DIGEST, GIB, DamagedError, FeatureCache, GoneError
from pipeline.images.cluster import Encoded, RaySettings
from pipeline.images.encoding import Encode, encode_padded
from pipeline.images.listing import Pictures
from pipeline.images.reading import Batch, Busy, Picture, read_batches
from pipeline.images.room import check_room, copied_to, full_disk_told, lacking
from pipeline.images.shards import Format, Manifest, Precision, Row, write_shards
from pipeline.images.spec import Arithmetic, Pooling
from pipeline.params import Settings
from pipeline.progress import Progress

log = logging.getLogger(__name__)

ATTEMPTS = 3  # to write shards from a cache in which damaged files are found
BARE_ROUNDS = 4  # of blank batches, one a thread: the fastest of them counts
BARE_FROM = 150  # batches a thread that a run must have, so that these take a fortieth of it
IDLE = 0.15  # share of the time that the encoder may wait for pictures before it is told


class FeaturesSettings(Settings):
    """Section `features` of params.yaml."""

    engine: Literal["local", "ray"]  # this machine, or a cluster
    ray: RaySettings
    pooling: Pooling  # average: one vector a picture; views: of several; grid: the map before it
    precision: Arithmetic | Literal["auto"]  # that the network computes in; see precision.py
    format: Format
    dtype: Precision  # of the values in the shards
    rows_per_shard: int = Field(ge=1)
    batch_size: int = Field(ge=1)  # pictures the encoder sees at once
    workers: int | None = Field(ge=1)  # threads that decode; null: one for each core
    cache_gib: float | None = Field(gt=0)  # bound of the cache, all encoders together; null: none


@dataclass(frozen=True)
class Source:
    """What gives features: an encoder, or what stands in for one.

    Attributes:
        encode: uint8 (b, side, side, 3) -> float32 (b, *shape).
        side: of the pictures, pixels.
        shape: of a picture's features.
        identity: names all that decides on them, see `spec.identity`.
        at_once: batches that are encoded at the same time; above 1, `encode` is called from
            several threads. The same batch gives the same bytes whatever this is.
        kept_as: what else their bytes depend on, such as the decoder's version; features that were
            kept with another are worked out anew.
        cluster: pictures -> their features in any order, as `cluster.py` works them out; None
            where `encode` does it here.
    """

    encode: Encode
    side: int
    shape: tuple[int, ...]
    identity: str
    at_once: int = 1
    kept_as: str = ""
    cluster: Callable[[Iterable[Picture]], Iterator[Encoded]] | None = None


@dataclass
class Work:
    """What was done, and how long each part was at it.

    A part's share is of its threads' time. That of encoding has in it the time in which two
    batches wait for the same core: it tells what is slowest, and not how near the encoder is to
    its limit, which is `bare`.
    """

    encoded: int = 0  # pictures
    wall: float = 0.0  # seconds, without those in which `bare` was measured
    steadily: int = 0  # pictures after the first batch, which may be what compiles
    steady: float = 0.0  # seconds that these took
    bare: float | None = None  # pictures/s of the encoder alone; None: too few to measure it
    sharding: float = 0.0  # seconds in which shards were written
    decoding: Busy = field(default_factory=Busy)
    encoding: Busy = field(default_factory=Busy)
    writing: Busy = field(default_factory=Busy)
    waiting: Busy = field(default_factory=Busy)  # for pictures, after the encoder's first batch

    def slowest(self) -> str:
        """Name the part that was at work for the largest share of the time."""
        parts = {"decoding": self.decoding, "encoding": self.encoding, "writing": self.writing}
        return max(parts, key=lambda name: parts[name].share(self.wall))

    def rate(self) -> float:
        """Pictures a second: of the batches after the first one, if there are any."""
        if self.steadily:
            return self.steadily / max(self.steady, 1e-9)
        return self.encoded / max(self.wall, 1e-9)

    def tell(self) -> None:
        """Log which part was the slowest; warn where the encoder waited for pictures."""
        if not self.encoded:
            return
        log.info(
            "features: %s was the slowest: of %.1f s, encoding took %.0f%% of its %d threads,"
            " reading and decoding %.0f%% of its %d, writing to the cache %.0f%%; %.0f pictures/s"
            "%s",
            self.slowest(),
            self.wall,
            100 * self.encoding.share(self.wall),
            self.encoding.threads,
            100 * self.decoding.share(self.wall),
            self.decoding.threads,
            100 * self.writing.share(self.wall),
            self.rate(),
            f", {self.rate() / self.bare:.0%} of the encoder alone" if self.bare else "",
        )
        if self.waiting.share(self.wall) > IDLE:
            log.warning(
                "features: the encoder waited for pictures for %.0f%% of the time: decoding limits"
                " it. More cores help (on a cluster, features.ray.num_cpus), and more threads"
                " (features.workers) if the pictures come from a slow disk; so do smaller pictures",
                100 * self.waiting.share(self.wall),
            )


def extract(
    pictures: Pictures,
    raw: Path,
    source: Source,
    cache_folder: Path,
    out: Path,
    settings: FeaturesSettings,
) -> tuple[Manifest, Work]:
    """Encode what the cache does not have, and write the features of all pictures to `out`.

    Args:
        pictures: sorted by image_id.
        raw: the data set's folder.
        source: of the features.
        cache_folder: features computed before.
        out: folder for the shards, made anew.
        settings: section `features`.

    Raises:
        InputError: a picture is gone or has changed; the disk has no room, or becomes full; the
            cache's files are damaged, or removed by other runs, again and again.
    """
    remove_unfinished(out.parent, out.name)
    cache = FeatureCache(cache_folder, source.identity + source.kept_as, source.shape)
    digests = digests_of(pictures)
    missing = len(cache.missing(digests))
    each = 4 * math.prod(source.shape)
    shards = len(pictures) * each // (2 if _halved(settings) else 1)
    _make_room(cache, missing * each, out, shards, digests, settings)
    work = Work()
    for _ in range(ATTEMPTS):
        work = compute(pictures, raw, source, cache, settings.batch_size, settings.workers, work)
        begun = time.perf_counter()
        try:
            manifest = _write(pictures, cache, source, out, settings, shards)
        except GoneError as error:
            log.warning("%s was removed by another run; what it had is looked for again", error)
            continue
        except DamagedError:  # it was told and removed; its pictures are encoded again
            cache.remove_damaged(digests)  # and those of any other such file with them
            continue
        work.sharding = time.perf_counter() - begun
        if settings.cache_gib is not None:
            cache.remove(cache.leaving(int(settings.cache_gib * GIB), 0, digests[:0]))
        return manifest, work
    raise InputError(
        f"{cache.folder}: expected files that stay as they were written. Received: {ATTEMPTS} times"
        " some that were damaged, or gone. See to the disk, and whether another run removes them"
        " (a smaller features.cache_gib), and run again"
    )


def compute(
    pictures: Pictures,
    raw: Path,
    source: Source,
    cache: FeatureCache,
    batch_size: int,
    workers: int | None = None,
    work: Work | None = None,
) -> Work:
    """Encode the pictures that the cache does not have, each content once.

    Returns:
        What was done, added to `work`.

    Raises:
        InputError: a picture is gone, or is not the one that `ingest` saw; the disk is full.
    """
    work = work or Work()
    missing = cache.missing(digests_of(pictures))
    if source.cluster is not None:
        return _compute_on_cluster(pictures, missing, source.cluster, cache, work)
    wanted = _each_once(pictures, missing)
    batches = read_batches(wanted, raw, source.side, batch_size, workers, work.decoding)
    begun = time.perf_counter()
    with (
        closing(batches),  # after an error too, as its threads would wait for one another
        Progress("features", len(missing), "pictures") as progress,
        _Writer(cache, work) as writer,
    ):
        encoders = _Encoders(batches, source, batch_size, work, progress, writer)
        encoders.run(measured=len(missing) >= BARE_FROM * source.at_once * batch_size)
    work.wall += time.perf_counter() - begun
    return work


def _compute_on_cluster(
    pictures: Pictures,
    missing: np.ndarray,
    cluster: Callable[[Iterable[Picture]], Iterator[Encoded]],
    cache: FeatureCache,
    work: Work,
) -> Work:
    begun = time.perf_counter()
    actors: set[str] = set()
    with Progress("features", len(missing), "pictures") as progress, _Writer(cache, work) as writer:
        for batch in cluster(_each_once(pictures, missing)):
            writer.put(batch.keys, batch.features)
            actors.add(batch.actor)
            for mine, its in (
                (work.decoding, batch.decoding),
                (work.encoding, batch.encoding),
                (work.waiting, batch.waiting),
            ):
                mine.seconds += its.seconds
                mine.threads = its.threads * len(actors)
            work.encoded += len(batch.keys)
            progress.advance(len(batch.keys))
    work.wall += time.perf_counter() - begun
    return work


def rows(pictures: Pictures, cache: FeatureCache) -> Iterator[Row]:
    """Yield every picture's id and features, in order, from the cache.

    Raises:
        DamagedError: a file of the cache is damaged; it was removed.
    """
    try:
        for picture, features in zip(pictures, cache.read(digests_of(pictures)), strict=True):
            yield picture.image_id, features
    except KeyError as error:  # a damaged file was found among those that were opened before
        raise DamagedError(str(error)) from error


def digests_of(pictures: Pictures) -> np.ndarray:
    """Gather the SHA-256 of every picture: bytes of 32, (n,)."""
    digests = (bytes.fromhex(picture.sha256) for picture in pictures)
    return np.fromiter(digests, DIGEST, len(pictures))


class _Encoders:
    """Threads that take batches, encode them, and hand them on to be written.

    On a CPU one batch does not keep the cores busy: at the end of each of a network's layers, all
    wait for the one that is last. The next batch fills these gaps.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        source: Source,
        batch_size: int,
        work: Work,
        progress: Progress,
        writer: "_Writer",
    ) -> None:
        self.batches, self.source, self.batch_size = batches, source, batch_size
        self.work, self.progress, self.writer = work, progress, writer
        self.turn = Lock()  # to take a batch, and to tell of one
        self.stopped = False
        work.encoding.threads = work.waiting.threads = source.at_once

    def run(self, measured: bool = False) -> None:
        """Encode all batches; after an error, none but those that were begun.

        Args:
            measured: time the encoder alone, too.
        """
        if not self._encode_next(is_first=True):  # alone, as it may be what compiles
            return
        with ThreadPoolExecutor(self.source.at_once, thread_name_prefix="encode") as threads:
            if measured:
                self._measure(threads)
            begun, before = time.perf_counter(), self.work.encoded
            futures = [threads.submit(self._encode_rest) for _ in range(self.source.at_once)]
            try:
                for future in as_completed(futures):
                    future.result()
            finally:
                self.stopped = True
        self.work.steady += time.perf_counter() - begun
        self.work.steadily += self.work.encoded - before

    def _measure(self, threads: ThreadPoolExecutor) -> None:
        """Time the encoder on blank pictures, as many batches at once as of real ones.

        Those that decode pictures are some batches ahead by the second round, and rest.
        """
        side, at_once = self.source.side, self.source.at_once
        blank = np.zeros((self.batch_size, side, side, 3), np.uint8)
        seconds = []
        for _ in range(BARE_ROUNDS):
            begun = time.perf_counter()
            list(threads.map(self.source.encode, [blank] * at_once))
            seconds.append(time.perf_counter() - begun)
        self.work.bare = at_once * self.batch_size / max(min(seconds), 1e-9)
        self.work.wall -= sum(seconds)

    def _encode_rest(self) -> None:
        while not self.stopped and self._encode_next():
            pass

    def _encode_next(self, is_first: bool = False) -> bool:
        """Encode one more batch; False where there is none."""
        asked = time.perf_counter()
        with self.turn:
            taken = next(self.batches, None)
        if taken is None:
            return False
        batch, pixels = taken
        came = time.perf_counter()
        with memory_told("features.batch_size", self.batch_size):
            features = encode_padded(self.source.encode, pixels, self.batch_size)
        encoded = time.perf_counter()
        self.writer.put([picture.sha256 for picture in batch], features)
        with self.turn:
            self.work.waiting.seconds += 0.0 if is_first else came - asked
            self.work.encoding.seconds += encoded - came
            self.work.encoded += len(batch)
            self.progress.advance(len(batch))
        return True


class _Writer:
    """Puts batches into the cache in a thread: one at a time, while the next are being encoded."""

    def __init__(self, cache: FeatureCache, work: Work) -> None:
        self.cache, self.work = cache, work
        self.turn = Lock()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="cache")
        self.last: Future[None] | None = None

    def put(self, keys: list[str], features: np.ndarray) -> None:
        """Have a batch written, once the one before has been: so few are lost if we are killed."""
        with self.turn:
            if self.last is not None:
                self.last.result()
            self.last = self.thread.submit(self._put, keys, features)

    def _put(self, keys: list[str], features: np.ndarray) -> None:
        start = time.perf_counter()
        is_finite = np.isfinite(features).reshape(len(keys), -1).all(axis=1)
        if not is_finite.all():  # or they would be kept, and stop every later run
            raise InputError(
                "features: expected numbers from the encoder. Received: infinite ones, or none, of "
                f"the picture with sha256 {keys[int(np.argmin(is_finite))]}. Set "
                "features.precision: float32; or, where it is, its weights are broken: check "
                "encoder.weights"
            )
        self.cache.put(keys, features)
        self.work.writing.seconds += time.perf_counter() - start

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.thread.shutdown()  # waits: what was encoded is kept, also after an error
        if kind is None and self.last is not None:
            self.last.result()


def _each_once(pictures: Pictures, wanted: np.ndarray) -> Iterator[Picture]:
    """Yield the first picture of each content that is in `wanted`, sorted digests (n,)."""
    taken, left = np.zeros(len(wanted), bool), len(wanted)
    for picture in pictures:
        if not left:
            return
        digest = bytes.fromhex(picture.sha256)
        at = int(np.searchsorted(wanted, digest))
        if at < len(wanted) and wanted[at] == digest.rstrip(b"\0") and not taken[at]:
            taken[at] = True
            left -= 1
            yield picture


def _make_room(
    cache: FeatureCache,
    needed: int,
    out: Path,
    shards: int,
    digests: np.ndarray,
    settings: FeaturesSettings,
) -> None:
    """Remove from the cache what has to go, once it is known that the run then has room.

    `cache` is given `needed` bytes; `out`, and after the stage DVC's cache, are given `shards`.
    Features of `digests` stay.
    """
    wanted = {cache.folder: needed, out: shards}
    copies = copied_to(out)
    if copies is not None:
        wanted[copies] = shards
    if settings.cache_gib is None:
        check_room(wanted, copies=copies)
        return
    bound = int(settings.cache_gib * GIB)
    leaving = cache.leaving(bound, needed, digests, lacking(wanted, cache.folder))
    check_room(wanted, {cache.folder: leaving.freed}, copies)
    if not cache.remove(leaving):
        check_room(wanted, copies=copies)  # without what may not be removed


def _write(
    pictures: Pictures,
    cache: FeatureCache,
    source: Source,
    out: Path,
    settings: FeaturesSettings,
    needed: int,
) -> Manifest:
    with full_disk_told(out, needed):
        return write_shards(
            out,
            rows(pictures, cache),
            len(pictures),
            shape=source.shape,
            encoder=source.identity,
            file_format=settings.format,
            dtype=settings.dtype,
            rows_per_shard=settings.rows_per_shard,
        )


def _halved(settings: FeaturesSettings) -> bool:
    """Whether a value takes two bytes in the shards: TFRecord has floats of four alone."""
    return settings.dtype == "float16" and settings.format == "parquet"
