"""A flipped bit, wherever it is, in whatever one stage hands to another: told, and never used.

Weights of encoders, entries of the features cache, checkpoints and a bundle's other files have
such tests beside their modules.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.files import write_sealed
from pipeline.images.listing import PictureList
from pipeline.images.shards import Format, open_shards, write_shards
from pipeline.images.spec import Spec, read_spec
from pipeline.tables import IMAGES, read_any, read_table, write_rows
from pipeline.text.embeddings import load_embeddings, write_embeddings
from pipeline.text.vocabulary import Vocabulary

ENCODER = "ab" * 32
MATRIX = np.arange(15, dtype=np.float32).reshape(5, 3)


class Kept(NamedTuple):
    """Something that is written, and read again."""

    write: Callable[[Path], object]  # into a folder
    read: Callable[[Path], Any]


def features(file_format: Format) -> Kept:
    values = np.random.default_rng(1).normal(size=(5, 3)).astype("float32")
    rows = [(f"picture-{number}", value) for number, value in enumerate(values)]

    def write(folder: Path) -> None:
        write_shards(
            *(folder / "set", rows, len(rows)),
            shape=(3,),
            encoder=ENCODER,
            file_format=file_format,
            dtype="float32",
            rows_per_shard=3,
        )

    def read(folder: Path) -> Any:
        reader = open_shards(folder / "set", ENCODER)
        found = reader.read_all()
        return found.ids, found.values.tolist(), reader.encoder, reader.shape

    return Kept(write, read)


def vocabulary() -> Kept:
    words = Vocabulary.build([["a", "dog", "runs", "é"], ["a", "dog", "5"]], 1)
    return Kept(
        lambda folder: words.write(folder / "vocabulary.json"),
        lambda folder: Vocabulary.read(folder / "vocabulary.json"),
    )


def embeddings() -> Kept:
    return Kept(
        lambda folder: write_embeddings(folder / "embeddings.npy", MATRIX),
        lambda folder: load_embeddings(folder / "embeddings.npy", 5, 3).tolist(),  # type: ignore[union-attr]
    )


def encoder() -> Kept:
    spec = Spec(network="compact", side=32, features=9, source="mine.h5", fingerprint=ENCODER)
    return Kept(
        lambda folder: write_sealed(folder / "encoder.json", spec.model_dump()),
        lambda folder: read_spec(folder),
    )


def description() -> Kept:
    from pipeline.captioner import bundle

    shape = bundle.DecoderSettings.plain(decoder="inject", units=8, embedding=6, dropout=0.1)

    def write(folder: Path) -> None:
        names = ("vocabulary.json", "decoder.weights.h5")
        names += ("encoder/encoder.json", "encoder/encoder.weights.h5")
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(name)
        content = bundle.Description(
            version=bundle.VERSION,
            decoder=shape,
            feature_shape=(9,),
            encoder=ENCODER,
            files={name: bundle.sha256_of(folder / name) for name in names},
        )
        write_sealed(folder / "bundle.json", content.model_dump())

    return Kept(write, bundle.read_description)


def table(read: Callable[[Path], Any]) -> Kept:
    names = ("image_id", "split", "path", "offset", "bytes", "sha256", "width", "height")
    rows = [
        dict(zip(names, (f"p{n}", "train", f"{n}.jpg", 0, 9, f"{n:064x}", 3, 4), strict=True))
        | {"mode": "RGB", "dhash": "0" * 64}
        for n in range(5)
    ]
    return Kept(
        lambda folder: write_rows(folder / "images.parquet", rows, IMAGES, ["image_id"]),
        lambda folder: read(folder / "images.parquet"),
    )


def validated(path: Path) -> list[dict[str, Any]]:
    """Read a table as `validate` does, whose rules tell of other columns."""
    found = read_any(path)
    if (found.schema.names, found.schema.types) != (IMAGES.names, IMAGES.types):
        raise InputError(f"{path}: other columns")
    return found.to_pylist()


KEPT = {
    "table": lambda: table(lambda path: read_table(path, IMAGES).to_pylist()),
    "any table": lambda: table(validated),
    "list of pictures": lambda: table(lambda path: [str(one) for one in PictureList(path)]),
    "parquet": lambda: features("parquet"),
    "tfrecord": lambda: features("tfrecord"),
    "vocabulary": vocabulary,
    "embeddings": embeddings,
    "encoder": encoder,
    "description": description,
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name == "tfrecord" else ()) for name in KEPT],
)
def test_a_flipped_bit_is_found_and_its_file_named(tmp_path, name):
    kept = KEPT[name]()
    kept.write(tmp_path)
    whole = kept.read(tmp_path)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())

    @settings(deadline=None, max_examples=150)
    @given(data=st.data())
    def flip(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(files))
        content = path.read_bytes()
        at = data.draw(st.integers(0, len(content) - 1))
        bit = data.draw(st.integers(0, 7))
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
        told = ""
        try:
            found = kept.read(tmp_path)
        except InputError as error:
            told = str(error)
        finally:
            path.write_bytes(content)
        if told:
            assert "\n" not in told
            assert path.name in told
        else:
            assert found == whole
            # What is between the words of a JSON file may change and say the same, and a table's
            # footer has more than its readers look at.
            assert path.suffix == ".json" or path.name == "images.parquet"

    flip()
