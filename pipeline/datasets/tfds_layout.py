"""A data set that TensorFlow Datasets has prepared, such as coco_captions; read without network.

    dataset_info.json, features.json                  in the folder, or up to three folders below
    coco_captions-train.tfrecord-00000-of-00256       ... and so on: the shards of each split

`python -m stages.fetch coco_captions data/raw/tfds` makes one. Features are found by their kind
and name, a / in a name being as good as a level:
    the picture    the only Image that is not in a list
    the captions   strings, one or a list, of which the path begins or ends with a name of
                   `CAPTION_NAMES` (captions/text in coco_captions); else the only string that is
                   no name of a file
    the id         the first of `ID_NAMES`; else tfds's own, coco_captions-train.tfrecord-00...__12
A picture's place is where its bytes stand in the shard: nothing is unpacked, later stages read
them without TensorFlow, which this module imports only once it has to read.
Splits: train; validation, val, dev; test; restval (Karpathy's fourth). Pictures of a split that
has no captions at all and is called test... are kept as test pictures without captions. Other
splits are not read: dropped, one row a split, as unknown_split.
Source: TensorFlow Datasets, "External tfrecord" guide. Its quirks, and what becomes of them:
    a picture's id twice            dropped: duplicate_id, or two_splits if in an earlier split
    pictures of other than 8 or 16 bits, which tfds keeps as PNG of other meaning    an error
    shards in array_record, riegeli or parquet, or damaged ones                      an error
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.datasets.layout import (
    RESTVAL,
    Layout,
    ListedCaption,
    ListedImage,
    Listing,
    Reason,
    is_storable,
)
from pipeline.datasets.pictures import SPLIT_NAMES, id_of
from pipeline.datasets.tfrecord_index import Record, records
from pipeline.errors import InputError
from pipeline.images.decode import PictureError, Span, inside
from pipeline.progress import Progress
from pipeline.tables import SPLITS as TABLE_SPLITS

INFO, FEATURES = "dataset_info.json", "features.json"
DEEPEST = 3  # name/config/version
FORMAT = "tfrecord"
CAPTION_NAMES = ("caption", "captions", "text", "sentence", "sentences", "description", "raw")
FILE_NAMES = ("image/filename", "image/file_name", "filename", "file_name")
ID_NAMES = ("image/id", "image_id", "id", *FILE_NAMES)
SPLITS = {**SPLIT_NAMES, RESTVAL: RESTVAL}
# features.json names classes, whose modules tfds imports: none but its own may be named.
OWN_MODULES = "tensorflow_datasets.core.features."
LONGEST_FEATURES = 2**20  # bytes of features.json

Names = tuple[str, ...]  # names of features, from the outermost to the innermost


class Chosen(NamedTuple):
    """The features that are read; all others are skipped."""

    picture: Names
    captions: Names
    image_id: Names | None


class Example(NamedTuple):
    """One picture with its captions."""

    tfds_id: str  # the shard's name, two underscores, and the number in it from 0
    picture: bytes  # as encoded in the shard
    captions: list[bytes]
    image_id: str | None  # None where the data set gives none


def recognises(raw: Path) -> bool:
    """Tell whether a prepared data set is in the folder, up to three folders below it."""
    return bool(_prepared(raw))


def read(raw: Path) -> Listing:
    """Read the one data set with tfds, and find its pictures in the shards.

    Raises:
        InputError: there are several data sets or versions, the shards are damaged or not in
            TFRecord format, or it is not clear which features are pictures and captions.
    """
    folder = _only_one(raw)
    builder = open_builder(folder)
    reader = _Reader(raw, folder, builder)
    for split in sorted(builder.info.splits, key=_first_ours):
        reader.read(split)
    return reader.listing


def open_builder(folder: Path) -> Any:
    """Open a prepared data set as a `tfds.core.DatasetBuilder`, checked.

    Raises:
        InputError: it is damaged, names code that is not tfds's, or is not in TFRecord format.
    """
    _check_features(folder / FEATURES)
    with _told_as_input_error(folder):
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(folder)
        found = builder.info.file_format
        received = "none" if found is None else found.value
        files = [Path(path) for s in builder.info.splits.values() for path in s.filepaths]
    if received != FORMAT:
        raise InputError(
            f"{folder}: expected shards in TFRecord format, in which pictures can be read where"
            f" they stand. Received: {received}. Prepare the data set again with"
            f' file_format="{FORMAT}", or with python -m stages.fetch'
        )
    for path in files:
        try:
            inside(folder, path.relative_to(folder).as_posix())
        except (PictureError, ValueError) as error:
            raise InputError(f"{folder}: expected the shards that {INFO} names. {error}") from error
    return builder


def examples(builder: Any, split: str) -> Iterator[Example]:
    """Yield the examples of a split in the order of the shards; pictures are not decoded.

    Raises:
        InputError: the shards are damaged, or it is not clear which features to read.
    """
    chosen = choose_features(builder.info.features, str(builder.data_dir))
    with _told_as_input_error(builder.data_dir):
        import tensorflow_datasets as tfds

        paths = [path for path in chosen if path is not None]
        decoding = tfds.decode.PartialDecoding(
            _nested(dict.fromkeys(paths, True)),
            decoders=_nested({chosen.picture: tfds.decode.SkipDecoding()}),
        )
        data = builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders=decoding,
            # One shard after the other, so that each is walked through once.
            read_config=tfds.ReadConfig(
                add_tfds_id=True, interleave_cycle_length=1, try_autocache=False
            ),
        )
        for example in tfds.as_numpy(data):
            yield _example(example, chosen)


def choose_features(features: Any, told_by: str) -> Chosen:
    """Find out which features of a `tfds.features.FeaturesDict` are what.

    `told_by` is the name of the data set, or where it is.

    Raises:
        InputError: there is none for picture or captions, or more than one.
    """
    import tensorflow_datasets as tfds

    pictures, strings, ids = [], [], {}
    for path, feature, depth in _leaves(features):
        kind = _type(feature)
        if depth == 0:
            ids["/".join(path)] = path
        if isinstance(feature, tfds.features.Image):
            is_mask = isinstance(feature, tfds.features.LabeledImage)
            if depth == 0 and kind in ("uint8", "uint16") and not is_mask:
                pictures.append(path)
        elif depth <= 1 and kind == "object" and feature.shape == ():
            strings.append(path)
    named = [path for path in strings if _is_named(path)]
    others = [path for path in strings if "/".join(path) not in ID_NAMES]
    return Chosen(
        _one(pictures, "a picture of 8 or 16 bits (an Image, not in a list)", ids, told_by),
        _one(named or others, f"captions (called {', '.join(CAPTION_NAMES)})", ids, told_by),
        next((ids[name] for name in ID_NAMES if name in ids), None),
    )


def _said(listing: Listing) -> int:
    """Count the captions that were found, be they dropped."""
    return len(listing.captions) + sum(row["kind"] == "caption" for row in listing.dropped)


class _Reader:
    """Reads splits of one data set into one listing."""

    def __init__(self, raw: Path, folder: Path, builder: Any) -> None:
        self.folder, self.builder = folder, builder
        self.place = folder.relative_to(raw)
        self.listing = Listing()
        self.splits: dict[str, str] = {}  # by picture's id

    def read(self, name: str) -> None:
        """Read a split, called as tfds calls it."""
        listing, number = self.listing, self.builder.info.splits[name].num_examples
        split = _ours(name)
        if split is None:
            told = f"{number:,} examples, not read"
            listing.drop("image", name, (self.place / INFO).as_posix(), "unknown_split", told)
            return
        if split != RESTVAL:
            listing.splits.add(split)
        pictures, captions = len(listing.images), _said(listing)
        walk = _Walk(self.folder)
        with Progress(f"tfds {name}", total=number, unit="examples") as progress:
            for example in examples(self.builder, name):
                self._list(example, split, walk)
                progress.advance(1)
        if split == "test" and captions == _said(listing):
            listing.uncaptioned |= {image.image_id for image in listing.images[pictures:]}

    def _list(self, example: Example, split: str, walk: "_Walk") -> None:
        """List a picture, and its captions one by one."""
        shard, _, index = example.tfds_id.rpartition("__")
        record = walk.to(shard, int(index))
        start = record.data.find(example.picture)
        image_id = example.image_id or example.tfds_id
        path = (self.place / shard).as_posix()
        source = f"{path}:{int(index) + 1}"
        reason: Reason | None = None
        if not is_storable(image_id):
            reason = "encoding"
        elif image_id in self.splits:
            reason = "duplicate_id" if self.splits[image_id] == split else "two_splits"
        elif start < 0:
            reason = "unreadable"
        if reason is None:
            span = Span(record.offset + start, len(example.picture))
            self.splits[image_id] = split
            self.listing.images.append(ListedImage(image_id, path, split, source, span))
        else:
            self.listing.drop("image", image_id, source, reason, example.tfds_id)
        for number, caption in enumerate(example.captions):
            self._list_caption(image_id, number, caption, source, reason is None)

    def _list_caption(
        self, image_id: str, number: int, caption: bytes, source: str, is_listed: bool
    ) -> None:
        text = caption.decode("utf-8", "surrogateescape")
        caption_id = f"{image_id}#{number}"
        if not is_listed:
            self.listing.drop("caption", caption_id, source, "picture_dropped", text)
        elif not text.strip():
            self.listing.drop("caption", caption_id, source, "empty_caption", text)
        elif not is_storable(text):
            self.listing.drop("caption", caption_id, source, "encoding", text)
        else:
            self.listing.captions.append(ListedCaption(image_id, caption_id, text, source))


class _Walk:
    """Goes through the records of one shard after the other, as the examples come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shard = ""
        self.next = 0  # the number of the record that comes next
        self.records: Iterator[Record] = iter(())

    def to(self, shard: str, index: int) -> Record:
        """Go to a record of a shard, by its number from 0."""
        if shard != self.shard or index < self.next:
            self.records, self.shard, self.next = records(self.folder / shard), shard, 0
        for record in self.records:
            self.next += 1
            if self.next > index:
                return record
        raise InputError(
            f"{self.folder / shard}: expected more than {index:,} records. Received:"
            f" {self.next:,}. Prepare the data set again"
        )


def _prepared(raw: Path) -> list[Path]:
    """Find the folders of prepared data sets; in those none is looked for."""
    found, folders = [], [raw]
    for _ in range(DEEPEST + 1):
        below = []
        for folder in folders:
            if _is_prepared(folder):
                found.append(folder)
            else:
                below += _folders_in(folder)
        folders = below
    return sorted(found)


def _is_prepared(folder: Path) -> bool:
    try:
        return (folder / INFO).is_file() and (folder / FEATURES).is_file()
    except OSError:  # a folder that may not be looked into, such as lost+found
        return False


def _folders_in(folder: Path) -> list[Path]:
    try:
        # A folder called so is being prepared, or was when the preparation was ended.
        return [p for p in folder.iterdir() if p.is_dir() and ".incomplete" not in p.name]
    except OSError:
        return []


def _only_one(raw: Path) -> Path:
    found = _prepared(raw)
    if len(found) == 1:
        return found[0]
    received = ", ".join(str(folder) for folder in found) or "none"
    raise InputError(
        f"{raw}: expected one data set of TensorFlow Datasets, in one version. Received:"
        f" {received}. Name the folder of one in params.yaml (ingest.folder)"
    )


def _ours(split: str) -> str | None:
    """Tell which split one is, by what tfds calls it; None for one that is none of ours."""
    name = split.lower()
    return SPLITS.get(name) or ("test" if name.startswith("test") else None)


def _first_ours(split: str) -> tuple[int, str]:
    """Order splits, so that a picture in two stays in train rather than in a later one."""
    known = [*TABLE_SPLITS, RESTVAL]
    ours = _ours(split)
    return (known.index(ours) if ours else len(known), split)


def _check_features(path: Path) -> None:
    """Make sure that features.json names no code but tfds's own: tfds would import it."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LONGEST_FEATURES + 1)
        entry = json.loads(content[:LONGEST_FEATURES])
    except (OSError, ValueError, RecursionError) as error:
        told = " ".join(str(error).split())
        raise InputError(f"{path}: expected the features as JSON. Received: {told}") from error
    foreign = sorted({name for name in _classes(entry) if not name.startswith(OWN_MODULES)})
    if foreign:
        raise InputError(
            f"{path}: expected features of TensorFlow Datasets itself, as no other code is run."
            f" Received: {', '.join(foreign)[:200]}"
        )


def _classes(entry: Any) -> Iterator[str]:
    """Yield the names of classes at any depth of features.json."""
    waiting = [entry]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for key, below in value.items():
                if key in ("pythonClassName", "python_class_name", "type", "proto_cls"):
                    yield str(below)
                waiting.append(below)
        elif isinstance(value, list):
            waiting.extend(value)


def _leaves(feature: Any, path: Names = (), depth: int = 0) -> Iterator[tuple[Names, Any, int]]:
    """Yield the features that hold values, with their paths, and how many lists they are in."""
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.FeaturesDict):
        for name, below in feature.items():
            yield from _leaves(below, (*path, name), depth)
    elif isinstance(feature, tfds.features.Dataset):
        pass  # a data set in each example: too much for a picture's captions
    elif isinstance(feature, tfds.features.Sequence):
        yield from _leaves(feature.feature, path, depth + 1)
    else:
        yield path, feature, depth


def _type(feature: Any) -> str:
    """Name the type of a feature's values; strings are "object"."""
    return str(np.dtype(feature.np_dtype).name)


def _is_named(path: Names) -> bool:
    names = "/".join(path).lower().split("/")
    return names[0] in CAPTION_NAMES or names[-1] in CAPTION_NAMES


def _one(paths: Sequence[Names], what: str, known: Collection[str], told_by: str) -> Names:
    if len(paths) == 1:
        return paths[0]
    received = ", ".join(sorted("/".join(path) for path in paths))
    if not paths:
        received = f"none; others are {', '.join(sorted(known)) or 'not there'}"
    raise InputError(f"{told_by}: expected one feature with {what}. Received: {received[:300]}")


def _nested(values: Mapping[Names, Any]) -> dict[str, Any]:
    """Nest values by their paths: {("a", "b"): 1} -> {"a": {"b": 1}}."""
    nested: dict[str, Any] = {}
    for path, value in values.items():
        inner = nested
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = value
    return nested


def _example(example: Mapping[str, Any], chosen: Chosen) -> Example:
    """Take the chosen features out of an example."""
    captions = np.atleast_1d(_at(example, chosen.captions)).tolist()
    image_id = None
    if chosen.image_id is not None:
        value = _at(example, chosen.image_id)
        is_text = isinstance(value, bytes)
        image_id = id_of(value.decode("utf-8", "surrogateescape")) if is_text else str(value)
    tfds_id = example["tfds_id"].decode("utf-8", "surrogateescape")
    return Example(tfds_id, bytes(_at(example, chosen.picture)), captions, image_id)


def _at(example: Any, path: Names) -> Any:
    for name in path:
        example = example[name]
    return example


@contextmanager
def _told_as_input_error(folder: Path) -> Iterator[None]:
    """Turn whatever tfds, TensorFlow and protobuf raise on damaged files into an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        told = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(
            f"{folder}: expected a data set that TensorFlow Datasets can read. Received: {told}."
            " Prepare it again, with python -m stages.fetch for example"
        ) from error


TFDS = Layout(
    name="tfds",
    looks_for=f"a data set of TensorFlow Datasets ({INFO} and {FEATURES})",
    recognises=recognises,
    read=read,
)
