"""The same features, worked out by many processes and machines: `features.engine: ray`.

    this machine                        every machine of the cluster
    pictures that are missing  ──────>  actors, each with the encoder: read, decode, encode
    cache <── shards           <──────  features, in any order

Ray Data hands out batches, takes up again what a lost machine had, and holds back where features
come faster than they are kept. As a picture's features do not depend on those beside it, and shards
are written from the cache in the order of the list, the bytes are those of the engine `local`.
The data set and the encoder have to lie at the same path on every machine: a shared file system.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

import pipeline
from pipeline.errors import InputError
from pipeline.images.decode import Span
from pipeline.images.encoding import Encode, encode_padded
from pipeline.images.reading import Picture, read_batches
from pipeline.params import Settings

Encoded = tuple[list[str], np.ndarray]  # sha256 of n pictures, and their features (n, *shape)


class RaySettings(Settings):
    """Section `features.ray` of params.yaml."""

    address: str | None  # of a cluster, "auto" on one of its machines; null: this machine alone
    actors: int = Field(ge=1)  # encoders at work at the same time
    num_cpus: float = Field(gt=0)  # that each may use
    num_gpus: float = Field(ge=0)


def encode_on_cluster(
    pictures: Iterable[Picture],
    raw: Path,
    make_encoder: Callable[[], Encode],
    side: int,
    batch_size: int,
    settings: RaySettings,
    workers: int | None = None,
) -> Iterator[Encoded]:
    """Encode pictures on a Ray cluster, in any order.

    Args:
        pictures: their rows are sent at once, 150 bytes each.
        raw: the data set's folder, at the same path everywhere.
        make_encoder: called once in every actor.
        side: of the pictures, pixels.
        batch_size: pictures that the encoder sees at once.
        settings: the cluster.
        workers: threads that decode in each actor; without it, one for each of its `num_cpus`.

    Raises:
        InputError: Ray is not installed, the cluster cannot be reached or has no such GPUs, or a
            picture is gone or has changed.
    """
    ray = _connected(settings)
    tables = list(_tables(pictures, batch_size))
    if not tables:
        return
    found = ray.data.from_arrow(tables).map_batches(
        _Actor,
        fn_constructor_args=(
            *(raw.resolve(), make_encoder, side, batch_size),
            workers or max(1, int(settings.num_cpus)),
        ),
        batch_size=batch_size,
        batch_format="pyarrow",
        concurrency=settings.actors,
        num_cpus=settings.num_cpus,
        num_gpus=settings.num_gpus,
        max_restarts=-1,  # on another machine, where its own was lost
        max_task_retries=-1,
    )
    for batch in found.iter_batches(batch_size=None, batch_format="pyarrow"):
        yield _unpacked(batch)


class _Actor:
    """An encoder in a process of its own."""

    def __init__(
        self,
        raw: Path,
        make_encoder: Callable[[], Encode],
        side: int,
        batch_size: int,
        workers: int,
    ) -> None:
        self.raw, self.side, self.batch_size, self.workers = raw, side, batch_size, workers
        self.encode = make_encoder()

    def __call__(self, table: pa.Table) -> pa.Table:
        """Encode the pictures of a table's rows."""
        try:
            return self._encoded([_picture(row) for row in table.to_pylist()])
        except InputError as error:  # as data: Ray would wrap it, and tell it with its traceback
            return pa.table(
                {"sha256": [""], "feature": [b""], "shape": [[0]], "told": [str(error)]}
            )

    def _encoded(self, pictures: Sequence[Picture]) -> pa.Table:
        keys: list[str] = []
        features: list[np.ndarray] = []
        given = pictures, self.raw, self.side, self.batch_size, self.workers
        for batch, pixels in read_batches(*given):
            keys.extend(picture.sha256 for picture in batch)
            features.extend(encode_padded(self.encode, pixels, self.batch_size))
        return pa.table(
            {
                "sha256": keys,
                "feature": [np.ascontiguousarray(row, "float32").tobytes() for row in features],
                "shape": [list(row.shape) for row in features],
                "told": [""] * len(keys),
            }
        )


def _connected(settings: RaySettings) -> Any:
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
        environment = {"py_modules": [str(Path(pipeline.__file__).parent)]}
        try:
            ray.init(address=settings.address, runtime_env=environment, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(
                f"features.ray.address: expected a Ray cluster at {settings.address!r}. Received:"
                f" {' '.join(str(error).split())[:200]}. Start one with `ray start --head`, or"
                " write null for this machine alone"
            ) from error
    there = ray.cluster_resources()
    for kind, wanted in (("CPU", settings.num_cpus), ("GPU", settings.num_gpus)):
        if wanted > there.get(kind, 0):
            raise InputError(
                f"features.ray: expected a cluster with {wanted:g} {kind} for an actor. Received:"
                f" {there.get(kind, 0):g}. Lower features.ray.num_{kind.lower()}s"
            )
    ray.data.DataContext.get_current().enable_progress_bars = False  # ours is there
    return ray


def _tables(pictures: Iterable[Picture], rows: int) -> Iterator[pa.Table]:
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


def _unpacked(table: pa.Table) -> Encoded:
    told = [text for text in table["told"].to_pylist() if text]
    if told:
        raise InputError(told[0])
    shape = table["shape"][0].as_py()
    rows = [np.frombuffer(row, "float32").reshape(shape) for row in table["feature"].to_pylist()]
    return table["sha256"].to_pylist(), np.stack(rows)
