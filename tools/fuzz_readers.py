"""Readers to be fed with bytes that no writer of ours has written: see `tools/fuzz.py`."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import pipeline  # noqa: F401 - before TensorFlow: see pipeline/machine.py
from pipeline.datasets import coco, flickr8k, karpathy, table, webdataset
from pipeline.datasets.layout import Layout
from pipeline.errors import InputError
from pipeline.files import sha256_of, unsealed, write_sealed
from pipeline.images.decode import PictureError, inside, inspect, read_square
from pipeline.images.shards import MANIFEST, Format, open_shards, write_shards
from pipeline.images.spec import read_spec
from pipeline.params import load
from pipeline.tables import CAPTIONS, read_table, write_rows
from pipeline.text.clean import CleanSettings
from pipeline.text.embeddings import load_embeddings, write_embeddings
from pipeline.text.vocabulary import Vocabulary

ENCODER = "ab" * 32
MAX_PIXELS, SIDE = 1_000_000, 8
Reader = Callable[[Path, bytes], object]  # reads the bytes, as a file in an empty folder


def _in_file(name: str, read: Callable[[Path], object]) -> Reader:
    def reader(folder: Path, data: bytes) -> object:
        (folder / name).write_bytes(data)
        return read(folder / name)

    return reader


def _in_layout(name: str, layout: Layout) -> Reader:
    def reader(folder: Path, data: bytes) -> object:
        (folder / name).write_bytes(data)
        return layout.read(folder) if layout.recognises(folder) else None

    return reader


def _shard(file_format: Format) -> Reader:
    """Put the bytes in the place of a shard, with a manifest that has their hash."""

    def reader(folder: Path, data: bytes) -> object:
        write_features(folder / "set", file_format)
        [path] = (folder / "set").glob("features-*")
        path.write_bytes(data)
        manifest = json.loads(unsealed((folder / "set" / MANIFEST).read_bytes()))
        manifest["shards"][0]["sha256"] = sha256_of(path)
        write_sealed(folder / "set" / MANIFEST, manifest)
        return open_shards(folder / "set", ENCODER).read_all()

    return reader


def write_features(folder: Path, file_format: Format) -> None:
    """Write a small set of features of one shard."""
    rows = [(f"picture-{number}", np.full(3, number, "float32")) for number in range(4)]
    write_shards(
        *(folder, rows, len(rows)),
        shape=(3,),
        encoder=ENCODER,
        file_format=file_format,
        dtype="float32",
        rows_per_shard=4,
    )


def _picture(path: Path) -> None:
    """Read a picture as `features` does, once `ingest` has accepted it."""
    try:
        inspect(path, MAX_PIXELS)
    except PictureError:
        return
    read_square(path, SIDE, MAX_PIXELS)


def _name_of_picture(folder: Path, data: bytes) -> None:
    """Look a picture up by a name that is these bytes: never outside the data set."""
    raw = folder / "raw"
    raw.mkdir()
    (raw / "a.png").touch()
    (folder / "secret").touch()
    with suppress(PictureError):
        found = inside(raw, data.decode("utf-8", "surrogateescape"))
        if not found.resolve().is_relative_to(raw.resolve()):
            raise AssertionError(f"outside the data set: {found}")


READERS: dict[str, Reader] = {
    "params": _in_file("params.yaml", lambda path: load(CleanSettings, "clean", path)),
    "table": _in_file("captions.parquet", lambda path: read_table(path, CAPTIONS)),
    "vocabulary": _in_file("vocabulary.json", Vocabulary.read),
    "embeddings": _in_file("embeddings.npy", lambda path: load_embeddings(path, 5, 3)),
    "encoder": _in_file("encoder.json", lambda path: read_spec(path.parent)),
    "parquet": _shard("parquet"),
    "tfrecord": _shard("tfrecord"),
    "csv": _in_layout("captions.csv", table.TABLE),
    "jsonl": _in_layout("captions.jsonl", table.TABLE),
    "coco": _in_layout("captions_train2017.json", coco.COCO),
    "karpathy": _in_layout("dataset_flickr8k.json", karpathy.KARPATHY),
    "flickr8k": _in_layout("Flickr8k.token.txt", flickr8k.FLICKR8K),
    "tar": _in_layout("shard-000.tar", webdataset.WEBDATASET),
    "picture": _in_file("picture", _picture),
    "name": _name_of_picture,
}


def whole(name: str, folder: Path) -> bytes:
    """Give bytes that the reader takes, to begin from."""
    if name == "table":
        row = {"image_id": "a", "caption_id": "a#0", "text": "a dog"}
        write_rows(folder / "whole", [row], CAPTIONS, ["image_id"])
    elif name == "vocabulary":
        Vocabulary.build([["a", "dog"]], 1).write(folder / "whole")
    elif name == "embeddings":
        write_embeddings(folder / "whole.npy", np.ones((5, 3), np.float32))
        return (folder / "whole.npy").read_bytes()
    elif name == "picture":
        Image.new("RGB", (9, 7), (200, 30, 60)).save(folder / "whole", "JPEG")
    elif name in ("parquet", "tfrecord"):
        write_features(folder / "features", "parquet" if name == "parquet" else "tfrecord")
        [path] = (folder / "features").glob("features-*")
        return path.read_bytes()
    else:
        return TEXTS.get(name, b"")
    return (folder / "whole").read_bytes()


TEXTS = {
    "params": b"clean:\n  min_words: 2\n  max_words: 30\n  max_dropped: 0.05\n",
    "encoder": b'{"network": "compact", "side": 32, "features": 9, "source": "x", '
    b'"fingerprint": "00"}',
    "csv": b'path,caption\na.png,"a dog, ""red"""\n',
    "jsonl": b'{"path": "a.png", "caption": "a dog"}\n',
    "coco": b'{"images": [{"id": 1, "file_name": "a.jpg"}], '
    b'"annotations": [{"id": 1, "image_id": 1, "caption": "a dog"}]}',
    "karpathy": b'{"images": [{"filename": "a.jpg", "split": "train", "sentids": [0], '
    b'"sentences": [{"raw": "a dog", "sentid": 0}]}]}',
    "flickr8k": b"a.jpg#0\ta dog\n",
    "name": b"a.png",
}


def feed(name: str, data: bytes) -> None:
    """Let a reader read the bytes; whatever it raises but an InputError of one line is a fault."""
    with TemporaryDirectory(prefix="fuzz-") as folder, suppress(InputError):
        try:
            READERS[name](Path(folder), data)
        except InputError as error:
            if "\n" in str(error):
                raise AssertionError(f"more than one line: {error}") from error
            raise
