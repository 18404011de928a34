"""A set that TensorFlow Datasets prepares here, in the shape of coco_captions; and a mocked one."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.datasets import find
from pipeline.datasets import ingest as ingesting
from pipeline.datasets.ingest import IngestSettings
from pipeline.datasets.layout import Listing
from pipeline.datasets.tfds_layout import (
    TFDS,
    Chosen,
    choose_features,
    examples,
    open_builder,
    read,
    recognises,
)
from pipeline.datasets.tfrecord_index import records
from pipeline.errors import InputError
from pipeline.images.decode import Span, read_square

Row = dict[str, Any]
NAME = "tiny_captions-{}.tfrecord-{:05d}-of-00003"


def picture(number: int, kind: str) -> bytes:
    noise = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, kind)
    return stream.getvalue()


def row(number: int, *captions: str | bytes, kind: str = "JPEG") -> Row:
    return {
        "image": picture(number, kind),
        "image/filename": f"COCO_{number:012d}.jpg",
        "image/id": 1000 + number,
        "captions": [{"text": text, "id": n} for n, text in enumerate(captions)],
        "objects": [{"area": 7, "label": 3}] * 2,
    }


SPLITS = {
    "train": [row(n, f"A dog {n} .", "Un café .", kind=("JPEG", "PNG")[n % 2]) for n in range(7)],
    "val": [row(n, f"A cat {n} .") for n in range(7, 10)],
    "test": [row(n, f"A cow {n} .") for n in range(10, 13)],
    "restval": [row(n, f"A hen {n} .") for n in range(13, 17)],
}


def prepare(folder: Path, splits: dict[str, list[Row]], **options: Any) -> Path:
    """Let tfds itself write a data set in the shape of coco_captions."""
    import tensorflow_datasets as tfds

    class TinyCaptions(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        __module__ = "__main__"  # tfds looks for files beside the module of a package
        VERSION = tfds.core.Version("1.1.0")
        name = "tiny_captions"

        def _info(self) -> Any:
            features = tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "image/filename": tfds.features.Text(),
                    "image/id": np.int64,
                    "captions": tfds.features.Sequence({"text": np.str_, "id": np.int64}),
                    "objects": tfds.features.Sequence(
                        {"area": np.int64, "label": tfds.features.ClassLabel(num_classes=80)}
                    ),
                }
            )
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager: Any) -> Any:
            del dl_manager
            return {name: self._generate_examples(rows) for name, rows in splits.items()}

        def _generate_examples(self, rows: list[Row]) -> Iterator[tuple[int, Row]]:
            for number, entry in enumerate(rows):
                yield number, {**entry, "image": io.BytesIO(entry["image"])}

    builder = TinyCaptions(data_dir=folder)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            num_shards=options.get("num_shards", 1), try_download_gcs=False
        ),
        file_format=options.get("file_format", "tfrecord"),
    )
    return Path(builder.data_dir)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a test reached for the network")

    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("whole"), SPLITS, num_shards=3)


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """Copy the data set, to be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "raw"))


def at(raw: Path, path: str, span: Span | None) -> bytes:
    assert span is not None
    return (raw / path).read_bytes()[span.offset :][: span.length]


def dropped(listing: Listing) -> list[tuple[str, str, str]]:
    return [(entry["kind"], entry["item"], entry["reason"]) for entry in listing.dropped]


def test_importing_loads_no_tensorflow() -> None:
    code = (
        "import sys, pipeline.datasets.tfds_layout, stages.fetch;"
        "assert not {'tensorflow', 'tensorflow_datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("above", range(4))
def test_all_that_was_written_is_listed(whole: Path, above: int) -> None:
    raw = whole
    for _ in range(min(above, 2)):
        raw = raw.parent
    listing = read(raw)
    rows = {f"{entry['image/id']}": (entry, s) for s, rs in SPLITS.items() for entry in rs}
    assert listing.dropped == []
    assert {image.image_id: image.split for image in listing.images} == {
        image_id: split for image_id, (_, split) in rows.items()
    }
    assert listing.splits == {"train", "val", "test"}
    assert listing.uncaptioned == set()
    for image in listing.images:
        assert at(raw, image.path, image.span) == rows[image.image_id][0]["image"]
    assert {caption.caption_id: caption.text for caption in listing.captions} == {
        f"{image_id}#{n}": caption["text"]
        for image_id, (entry, _) in rows.items()
        for n, caption in enumerate(entry["captions"])
    }
    assert len({image.path for image in listing.images}) > len(SPLITS)  # several shards each


def test_the_source_is_the_shard_and_the_record(whole: Path) -> None:
    listing = read(whole)
    sources = sorted(i.source for i in listing.images if i.split == "val")
    assert sources == [f"{NAME.format('val', shard)}:1" for shard in range(3)]


@pytest.mark.parametrize(
    "below", [".", "1.1.0", "2014/1.1.0", "coco_captions/1.1.0", "coco_captions/2014/1.1.0"]
)
def test_where_a_data_set_may_lie(whole: Path, tmp_path: Path, below: str) -> None:
    assert not recognises(tmp_path)
    (tmp_path / "downloads" / "extracted").mkdir(parents=True)
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    for name in ("dataset_info.json", "features.json"):
        shutil.copy(whole / name, tmp_path / below / name)
    assert recognises(tmp_path)
    with pytest.raises(InputError, match=r"expected the shards.*no such file|No such file"):
        read(tmp_path)


def test_unfinished_data_sets_are_not_seen(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "tiny" / "1.1.0.incompleteAB12_tiny")
    assert not recognises(tmp_path)


def test_several_versions(whole: Path, tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        shutil.copytree(whole, tmp_path / "tiny" / version)
    with pytest.raises(InputError, match=r"one version\. Received: .*1\.0\.0, .*1\.1\.0\. Name"):
        read(tmp_path)


def test_quirks_of_pictures_captions_and_splits(tmp_path: Path) -> None:
    splits = {
        "train": [row(1, "one", " ", b"caf\xe9", "two"), row(2, "x"), row(2, "again"), row(3)],
        "validation": [row(4, "x"), row(1, "y")],
        "test": [row(5, "x"), row(6)],
        "test2015": [row(7), row(8), row(8)],
        "unlabeled": [row(9)],
    }
    listing = read(prepare(tmp_path, splits))
    assert {c.caption_id: c.text for c in listing.captions} == {
        **{"1001#0": "one", "1001#3": "two", "1002#0": listing.captions[2].text},
        **{"1004#0": "x", "1005#0": "x"},
    }
    assert sorted(dropped(listing)) == [
        ("caption", "1001#0", "picture_dropped"),
        ("caption", "1001#1", "empty_caption"),
        ("caption", "1001#2", "encoding"),
        ("caption", "1002#0", "picture_dropped"),
        ("image", "1001", "two_splits"),
        ("image", "1002", "duplicate_id"),
        ("image", "1008", "duplicate_id"),
        ("image", "unlabeled", "unknown_split"),
    ]
    assert {i.image_id: i.split for i in listing.images if i.split != "train"} == {
        **{"1004": "val", "1005": "test", "1006": "test", "1007": "test", "1008": "test"}
    }
    assert listing.uncaptioned == {"1007", "1008"}


def test_shards_of_another_format(tmp_path: Path) -> None:
    folder = prepare(tmp_path, {"train": [row(1, "x")]}, file_format="array_record")
    with pytest.raises(InputError, match=r"TFRecord format.*Received: array_record.*stages\.fetch"):
        read(folder)


def ingest_settings() -> IngestSettings:
    values: dict[str, Any] = {
        **{"folder": "not read", "format": "auto", "val_share": 0.2, "test_share": 0.2},
        **{"restval": "leave_out", "max_dropped": 0.0, "max_pixels": 1_000_000},
    }
    return IngestSettings.model_validate(values)


def test_through_ingest_to_the_same_pixels(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "LAYOUTS", (TFDS,))
    ingested = ingesting.ingest(whole, ingest_settings())
    assert ingested.layout == "tfds"
    assert ingesting.problem(ingested, ingest_settings(), tmp_path) is None
    assert {entry["reason"] for entry in ingested.dropped} == {"restval"}
    assert len(ingested.images) == 13
    rows = {f"{entry['image/id']}": entry for rs in SPLITS.values() for entry in rs}
    for found in ingested.images:
        alone = tmp_path / "alone"
        alone.write_bytes(rows[found["image_id"]]["image"])
        span = Span(found["offset"], found["bytes"])
        pixels = read_square(whole / found["path"], 8, 1000, span)
        assert (pixels == read_square(alone, 8, 1000)).all()


def test_mocked_coco_captions() -> None:
    """The real builder of coco_captions, with made-up examples in its own encoding."""
    import tensorflow as tf
    import tensorflow_datasets as tfds
    from tensorflow_datasets.testing.mocking import RandomFakeGenerator

    written: list[Any] = []
    serialised: list[bytes] = []

    def as_dataset(
        self: Any, split: str, decoders: Any = None, read_config: Any = None, **_: Any
    ) -> Any:
        # The mock's own way to skip decoding fails on lists of strings, such as captions.
        assert read_config.add_tfds_id
        chosen = decoders.extract_features(self.info.features)
        written.extend(RandomFakeGenerator(chosen, 3, constant_dynamic_shape=True))
        serialised.extend(chosen.serialize_example(entry) for entry in written)
        data = tf.data.Dataset.from_tensor_slices(serialised)
        data = data.map(lambda e: chosen.deserialize_example(e, decoders=decoders.decoders))
        shard = f"coco_captions-{split}.tfrecord-00000-of-00001__"
        return data.enumerate().map(
            lambda n, e: {**e, "tfds_id": tf.strings.join([shard, tf.strings.as_string(n)])}
        )

    code = tfds.testing.MockPolicy.USE_CODE
    with tfds.testing.mock_data(policy=code, as_dataset_fn=as_dataset):
        builder = tfds.builder("coco_captions")
        chosen = choose_features(builder.info.features, "coco_captions")
        assert chosen == Chosen(("image",), ("captions", "text"), ("image/id",))
        found = list(examples(builder, "train"))
    assert [e.tfds_id[-24:] for e in found] == [f"record-00000-of-00001__{n}" for n in range(3)]
    for example, entry, record in zip(found, written, serialised, strict=True):
        assert example.captions == [text.encode() for text in entry["captions"]["text"]]
        assert example.image_id == str(entry["image/id"])
        assert example.picture in record
        with Image.open(io.BytesIO(example.picture)) as opened:
            assert (*opened.size, 3) == entry["image"].shape


def chosen_of(**more: Any) -> Chosen:
    import tensorflow_datasets as tfds

    kinds = {
        "image": tfds.features.Image(),
        "text": tfds.features.Text(),
        "texts": tfds.features.Sequence(tfds.features.Text()),
        "number": np.int64,
        "mask": tfds.features.LabeledImage(labels=2, shape=(None, None, 1)),
        "float": tfds.features.Image(shape=(None, None, 1), dtype=np.float32),
        "video": tfds.features.Video(shape=(None, 8, 8, 3)),
        "texts_of_texts": tfds.features.Sequence({"text": tfds.features.Sequence(np.str_)}),
        "data_set": tfds.features.Dataset({"text": np.str_}),
    }

    def feature(kind: Any) -> Any:
        return {n: feature(k) for n, k in kind.items()} if isinstance(kind, dict) else kinds[kind]

    return choose_features(tfds.features.FeaturesDict(feature(more)), "here")


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"image": "image", "caption": "text"}, (("image",), ("caption",), None)),
        ({"x": "image", "y": "texts", "z": "number"}, (("x",), ("y",), None)),
        ({"i": "image", "text": "text", "label": "text"}, (("i",), ("text",), None)),
        (
            {"image": {"pixels": "image", "id": "number"}, "sentences": {"raw": "texts"}},
            (("image", "pixels"), ("sentences", "raw"), ("image", "id")),
        ),
        (
            {"image": "image", "filename": "text", "image_id": "number", "note": "text"},
            (("image",), ("note",), ("image_id",)),
        ),
        (
            {"image": "image", "seg": "mask", "clip": "video", "depth": "float", "raw": "text"},
            (("image",), ("raw",), None),
        ),
    ],
)
def test_features_are_found_by_kind_and_name(features: Row, expected: tuple[Any, ...]) -> None:
    assert tuple(chosen_of(**features)) == expected


@pytest.mark.parametrize(
    ("features", "told"),
    [
        ({"caption": "text"}, r"with a picture.*none; others are caption"),
        ({"a": "float", "caption": "text"}, r"8 or 16 bits.*none; others are a, caption"),
        ({"a": "image", "b": "image", "caption": "text"}, r"with a picture.*Received: a, b"),
        ({"a": "image", "id": "number"}, r"with captions.*none; others are a, id"),
        ({"a": "image", "x": "text", "y": "texts"}, r"with captions.*Received: x, y"),
        ({"a": "image", "text": "text", "caption": "texts"}, r"Received: caption, text"),
        ({"a": "image", "caption": "texts_of_texts"}, r"with captions.*none"),
        ({"a": "image", "caption": "data_set"}, r"with captions.*none"),
    ],
)
def test_features_that_leave_it_open(features: Row, told: str) -> None:
    with pytest.raises(InputError, match=told):
        chosen_of(**features)


def edit(path: Path, change: Any) -> None:
    entry = json.loads(path.read_text())
    change(entry)
    path.write_text(json.dumps(entry))


def test_no_code_that_features_name_is_imported(copied: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap_of_tfds.py"
    trap.write_text("raise SystemExit('imported')")
    sys.path.insert(0, str(tmp_path))
    try:
        for key in ("pythonClassName", "type"):
            (copied / "features.json").write_text(json.dumps({key: "trap_of_tfds.Text"}))
            with pytest.raises(InputError, match=r"no other code is run\. Received: trap_of_tfds"):
                read(copied)
    finally:
        sys.path.remove(str(tmp_path))
    assert "trap_of_tfds" not in sys.modules


def template(text: str) -> Any:
    return lambda entry: entry["splits"][0].update(filepathTemplate=text)


@pytest.mark.parametrize(
    "text", ["../{DATASET}-{SPLIT}.tfrecord-{SHARD_X_OF_Y}", "/etc/{SPLIT}-{SHARD_X_OF_Y}"]
)
def test_shards_outside_of_the_folder(copied: Path, text: str) -> None:
    edit(copied / "dataset_info.json", template(text))
    with pytest.raises(InputError, match=r"expected the shards that dataset_info\.json names"):
        read(copied)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def fewer(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [cut_off, flipped, fewer, os.remove])
def test_damaged_shards_are_one_clear_error(copied: Path, spoil: Any) -> None:
    spoil(copied / NAME.format("val", 1))
    with pytest.raises(InputError) as caught:
        read(copied)
    assert str(copied) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "[" * 10**5, '{"splits": 3}', "\xff"])
def test_damaged_descriptions_are_one_clear_error(copied: Path, name: str, content: str) -> None:
    (copied / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError) as caught:
        read(copied)
    assert str(copied) in str(caught.value)
    assert "\n" not in str(caught.value)


QUIET: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}


@settings(**QUIET, max_examples=15)
@given(
    name=st.sampled_from(["dataset_info.json", "features.json", NAME.format("train", 0)]),
    place=st.integers(0, 3000),
    change=st.binary(min_size=1, max_size=8),
)
def test_whatever_the_damage_a_listing_or_one_clear_error(
    whole: Path, tmp_path: Path, name: str, place: int, change: bytes
) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(whole, raw, dirs_exist_ok=True)
    content = bytearray((raw / name).read_bytes())
    start = place % len(content)
    content[start : start + len(change)] = change
    (raw / name).write_bytes(content)
    with suppress(InputError):
        listing = read(raw)
        ids = [image.image_id for image in listing.images]
        assert len(ids) == len(set(ids))
        assert {caption.image_id for caption in listing.captions} <= set(ids)
        assert all(at(raw, image.path, image.span) for image in listing.images)


def test_records_are_where_they_are_said_to_be(whole: Path) -> None:
    path = whole / NAME.format("train", 0)
    content = path.read_bytes()
    found = list(records(path))
    assert len(found) >= 2
    assert all(content[r.offset :].startswith(r.data) for r in found)
    assert found[-1].offset + len(found[-1].data) + 4 == len(content)
    assert open_builder(whole).info.splits["train"].num_examples == 7


@pytest.mark.parametrize("content", [b"x", b"\xff" * 12, b"\x01" + b"\0" * 11, b"\xff" * 100])
def test_records_that_are_cut_off_are_told_before_memory_is_asked_for(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "x.tfrecord"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.tfrecord, byte 0: expected a TFRecord"):
        list(records(path))
    path.write_bytes(b"")
    assert list(records(path)) == []


def test_a_picture_in_two_splits_stays_in_the_first_whatever_they_are_called(
    tmp_path: Path,
) -> None:
    splits = {
        "test": [row(1, "x"), row(2, "x"), row(3, "x")],
        "validation": [row(1, "y"), row(4, "y")],
        "training": [row(2, "z"), row(4, "z"), row(5, "z")],
    }
    listing = read(prepare(tmp_path, splits))
    kept = {(image.split, image.image_id) for image in listing.images}
    assert kept == {
        *(("train", "1002"), ("train", "1004"), ("train", "1005")),
        *(("val", "1001"), ("test", "1003")),
    }
