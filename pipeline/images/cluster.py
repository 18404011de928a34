"""The same features, worked out by many processes and machines: `features.engine: ray`.

    this machine                        every machine of the cluster
    pictures that are missing  ──────>  actors, each with the encoder: read, decode, encode
    cache <── shards           <──────  features, in any order

Ray Data hands out batches, takes up again what a lost machine had, and holds back where features
come faster than they are kept. An actor has CALLS batches at a time: while one is encoded, the next
is decoded. As a picture's features do not depend on those beside it, and shards are written from
the cache in the order of the list, the bytes are those of the engine `local`.
The data set and the encoder have to lie at the same path on every machine: a shared file system.
"""

import logging
import socket
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

import pipeline
from pipeline.errors import InputError
from pipeline.images.decode import Span
from pipeline.images.encoding import Encode, encode_padded
from pipeline.images.reading import Busy, Picture, read_batches
from pipeline.params import Settings

CALLS = 3  # batches that are with an actor: being decoded, being encoded, on their way
RESTARTS = 10  # of an actor, on another machine where its own was lost; more, and the run ends
LEAST_SHARE = 0.0001  # of a core or a GPU that Ray can give
TOLD = 300  # characters of the beginning and of the end of Ray's own errors
NEEDED = (
    "Every machine needs the data set's folder and the encoder's at the same path, and the same"
    " packages: docs/cluster.md"
)


class RaySettings(Settings):
    """Section `features.ray` of params.yaml."""

    address: str | None  # of a cluster, "auto" on one of its machines; null: this machine alone
    actors: int = Field(ge=1)  # encoders at work at the same time
    num_cpus: float = Field(gt=0)  # that each is given: so many threads decode, and as many compute
    num_gpus: float = Field(ge=0, le=1)  # an actor computes on one, or shares it

    @field_validator("num_cpus", "num_gpus")
    @classmethod
    def _counts(cls, number: float) -> float:
        """Refuse what is nothing to Ray, which counts in ten-thousandths."""
        if number and number < LEAST_SHARE:
            raise ValueError(f"expected {LEAST_SHARE:g} at least")
        return number

    @property
    def threads(self) -> int:
        """What `num_cpus` comes to in threads."""
        return max(1, int(self.num_cpus))


@dataclass(frozen=True)
class Encoded:
    """A batch that came back.

    Attributes:
        keys: sha256 of n pictures.
        features: float32 (n, *shape).
        decoding: what reading and decoding took, and the actor's threads for it.
        encoding: what the encoder took.
        waiting: what the encoder waited for the batch to be decoded, its first batch apart.
        actor: that worked it out, by Ray's name for it.
        node: that the actor ran on, likewise.
    """

    keys: list[str]
    features: np.ndarray
    decoding: Busy
    encoding: Busy
    waiting: Busy
    actor: str
    node: str


def encode_on_cluster(
    pictures: Iterable[Picture],
    raw: Path,
    make_encoder: Callable[[], Encode],
    side: int,
    batch_size: int,
    settings: RaySettings,
    workers: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Encoded]:
    """Encode pictures on a Ray cluster, in any order. Without pictures, none is looked for.

    Args:
        pictures: their rows are sent at once, 150 bytes each.
        raw: the data set's folder, at the same path everywhere.
        make_encoder: called once in every actor. Its InputError is told with the machine's name.
        side: of the pictures, pixels.
        batch_size: pictures that the encoder sees at once.
        settings: the cluster.
        workers: threads that decode in each actor; without it, one for each of its `num_cpus`.
        environment: variables that every actor is given, as those of this process do not reach it.

    Raises:
        InputError: Ray is not installed, the cluster cannot be reached or has no such GPUs, a
            machine lacks the data set or the encoder, actors die again and again, or a picture is
            gone or has changed.
    """
    tables = list(tables_of(pictures, batch_size))
    if not tables:
        return
    ray = _connected(settings, environment or {})
    given = raw.resolve(), make_encoder, side, batch_size, workers or settings.threads
    with warnings.catch_warnings():
        # `max_restarts` has no other place yet: pyproject.toml ends before the Ray that refuses it.
        warnings.simplefilter("ignore", ray.util.annotations.RayDeprecationWarning)
        found = ray.data.from_arrow(tables).map_batches(
            Actor,
            fn_constructor_args=given,
            batch_size=batch_size,
            batch_format="pyarrow",
            # Calls run at the same time; `Actor` sees to it that two do not encode at once.
            compute=ray.data.ActorPoolStrategy(
                size=settings.actors,
                max_concurrent_calls_per_actor=CALLS,
                enable_true_multi_threading=True,
            ),
            num_cpus=settings.num_cpus,
            num_gpus=settings.num_gpus,
            max_restarts=RESTARTS,
            # A batch is tried as long as its actor is made again: a count of its own would run out
            # within the second in which nobody knows yet that a machine is gone.
            max_task_retries=-1,
        )
    try:
        for batch in found.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield _unpacked(batch)
    except ray.exceptions.RayError as error:
        raise InputError(
            "features.engine: expected actors that encode pictures. Received, from Ray:"
            f" {_in_short(error)}. What was encoded before is kept. {NEEDED}"
        ) from error


class Actor:
    """An encoder in a process of its own. Called by CALLS threads, each with a batch."""

    def __init__(
        self,
        raw: Path,
        make_encoder: Callable[[], Encode],
        side: int,
        batch_size: int,
        workers: int,
    ) -> None:
        self.raw, self.side, self.batch_size, self.workers = raw, side, batch_size, workers
        self.decoder, self.encoder = Lock(), Lock()  # one batch each, at a time
        self.free: float | None = None  # when the encoder was through with its last batch
        self.told = ""
        try:
            if not raw.is_dir():
                raise InputError(f"{raw}: expected the data set's folder. Received: no such folder")
            self.encode = make_encoder()
        except InputError as error:  # an actor whose making fails is made again, not told of
            self.told = str(error)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Encode the pictures of a table's rows, `batch_size` at most."""
        try:
            if self.told:
                raise InputError(self.told)
            return self._encoded([_picture(row) for row in table.to_pylist()])
        except InputError as error:  # as data: Ray would wrap it, and tell it with its traceback
            return _packed(told=f"on {socket.gethostname()}: {error}. {NEEDED}")

    def _encoded(self, pictures: Sequence[Picture]) -> pa.Table:
        decoding = Busy()
        given = pictures, self.raw, self.side, self.batch_size, self.workers, decoding
        with self.decoder:
            asked = time.perf_counter()
            [(_, pixels)] = read_batches(*given)
            came = time.perf_counter()
        with self.encoder:
            waited = 0.0 if self.free is None else max(0.0, came - max(asked, self.free))
            begun = time.perf_counter()
            features = encode_padded(self.encode, pixels, self.batch_size)
            self.free = time.perf_counter()
            encoding = self.free - begun
        seconds = decoding.seconds, encoding, waited
        return _packed([picture.sha256 for picture in pictures], features, seconds, self.workers)


def _connected(settings: RaySettings, environment: Mapping[str, str]) -> Any:
    """Join the cluster, or start Ray on this machine; return its module."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError(
            "features.engine: ray needs the package ray. Set up the environment again (make repro),"
            " or write features.engine: local"
        ) from error
    if not ray.is_initialized():
        # Our code goes with the task, so that other machines need its dependencies alone.
        there = {"py_modules": [str(Path(pipeline.__file__).parent)], "env_vars": environment}
        # Without an address Ray would take RAY_ADDRESS, or any cluster that runs here.
        address = settings.address or "local"
        try:
            ray.init(
                address=address,
                runtime_env=there,
                log_to_driver=False,
                logging_level=logging.WARNING,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(
                f"features.ray.address: expected a Ray cluster at {address!r}. Received:"
                f" {' '.join(str(error).split())[:200]}. Start one with `ray start --head`, or"
                " write null for this machine alone"
            ) from error
    _check_offered(settings, [node["Resources"] for node in ray.nodes() if node["Alive"]])
    ray.data.DataContext.get_current().enable_progress_bars = False  # ours is there
    for handler in logging.getLogger("ray.data").handlers:
        if handler.get_name() == "console":
            handler.addFilter(_is_warning)
    return ray


def _check_offered(settings: RaySettings, nodes: Sequence[Mapping[str, float]]) -> None:
    """See that an actor finds a place on one of the machines: Ray would wait for it for ever.

    Raises:
        InputError: none of them has as much.
    """
    wanted = {"CPU": settings.num_cpus, "GPU": settings.num_gpus}
    if any(all(node.get(kind, 0) >= wanted[kind] for kind in wanted) for node in nodes):
        return
    told = " and ".join(f"{number:g} {kind}" for kind, number in wanted.items() if number)
    had = [f"{node.get('CPU', 0):g} CPU and {node.get('GPU', 0):g} GPU" for node in nodes]
    raise InputError(
        f"features.ray: expected a machine with {told} for an actor. Received:"
        f" {', '.join(sorted(set(had))) or 'no machine'}. Lower features.ray.num_cpus or num_gpus"
    )


def _is_warning(record: logging.LogRecord) -> bool:
    """Leave out Ray's remarks, and its errors, which we tell in a line; all is in its own file."""
    return record.levelno == logging.WARNING


def tables_of(pictures: Iterable[Picture], rows: int) -> Iterator[pa.Table]:
    """Lay pictures out as tables, as actors are called with: of `rows` rows, the last shorter."""
    pictures = iter(pictures)
    while batch := list(islice(pictures, rows)):
        yield pa.table(
            {
                "image_id": [picture.image_id for picture in batch],
                "path": [picture.path for picture in batch],
                "offset": [picture.span.offset for picture in batch],
                "length": [picture.span.length for picture in batch],
                "sha256": [picture.sha256 for picture in batch],
                "pixels": [picture.pixels for picture in batch],
            }
        )


def _picture(row: dict[str, Any]) -> Picture:
    span = Span(row["offset"], row["length"])
    return Picture(row["image_id"], row["path"], span, row["sha256"], row["pixels"])


def _packed(
    keys: Sequence[str] = ("",),
    features: np.ndarray | None = None,
    seconds: Sequence[float] = (0.0, 0.0, 0.0),
    threads: int = 1,
    told: str = "",
) -> pa.Table:
    """Lay a batch out as a table, which is what Ray Data carries; or what is wrong, in one row."""
    import ray

    values = np.zeros((len(keys), 0)) if features is None else features
    context = ray.get_runtime_context()
    of_all = {
        "shape": list(values.shape[1:]),
        "seconds": list(seconds),  # of decoding, encoding, waiting: of the batch, not of a picture
        "threads": threads,
        "actor": context.get_actor_id(),
        "node": context.get_node_id(),
        "told": told,
    }
    return pa.table(
        {
            "sha256": list(keys),
            "feature": [np.ascontiguousarray(row, "float32").tobytes() for row in values],
            **{name: [value] * len(keys) for name, value in of_all.items()},
        }
    )


def _unpacked(table: pa.Table) -> Encoded:
    of_all = table.drop_columns(["sha256", "feature"]).slice(0, 1).to_pylist()[0]
    if of_all["told"]:
        raise InputError(of_all["told"])
    rows = [np.frombuffer(row, "float32") for row in table["feature"].to_pylist()]
    decoding, encoding, waiting = of_all["seconds"]
    return Encoded(
        keys=table["sha256"].to_pylist(),
        features=np.stack(rows).reshape(-1, *of_all["shape"]),
        decoding=Busy(of_all["threads"], decoding),
        encoding=Busy(1, encoding),
        waiting=Busy(1, waiting),
        actor=of_all["actor"],
        node=of_all["node"],
    )


def _in_short(error: Exception) -> str:
    """Give one of Ray's errors as a line: who died and where comes first in it, the cause last."""
    text = " ".join(str(error).split()).rstrip(".")
    return text if len(text) <= 2 * TOLD else f"{text[:TOLD]} ... {text[-TOLD:]}"
