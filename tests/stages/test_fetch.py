"""`fetch` prepares a set of TensorFlow Datasets, or says in one line why it cannot."""

import importlib.resources
import io
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from pipeline.datasets.tfds_layout import read


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def builder_of(features: dict[str, Any]) -> type:
    """Make the class of a data set of one picture; tfds knows it by the class's name."""
    import tensorflow_datasets as tfds

    class FetchedHere(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        __module__ = "__main__"  # tfds looks for files beside the module of a package
        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            named = tfds.features.FeaturesDict(features)
            return tfds.core.DatasetInfo(builder=self, features=named)

        def _split_generators(self, dl_manager: Any) -> Any:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Iterator[tuple[int, Any]]:
            stream = io.BytesIO()
            Image.new("RGB", (5, 4), "red").save(stream, "JPEG")
            stream.seek(0)
            yield 0, {"image": stream, "caption": "A red square ."}

    return FetchedHere


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let tfds know one more data set, fetched_here, of the features given."""

    def know(**features: Any) -> None:
        from tensorflow_datasets.core import load

        cls, other = builder_of(features), load.builder_cls
        monkeypatch.setattr(
            load, "builder_cls", lambda name: cls if name == "fetched_here" else other(name)
        )

    return know


def test_a_fetched_data_set_is_what_the_layout_reads(
    tmp_path: Path, command: Any, known: Callable[..., None]
) -> None:
    import tensorflow_datasets as tfds

    known(image=tfds.features.Image(), caption=tfds.features.Text())
    for _ in range(2):  # the second time it is there already
        result = command("fetch", "fetched_here", tmp_path)
        assert result.code == 0, result.err
        folder = tmp_path / "fetched_here" / "1.0.0"
        _, _, lines = result.out.partition("For params.yaml:\n")
        assert yaml.safe_load(lines) == {"ingest": {"folder": str(folder)}}
        assert "train 1" in result.out
    assert [caption.text for caption in read(folder).captions] == ["A red square ."]


def test_a_data_set_without_captions_is_refused_before_it_is_downloaded(
    tmp_path: Path, command: Any, one_line: Any, known: Callable[..., None]
) -> None:
    import tensorflow_datasets as tfds

    known(image=tfds.features.Image())
    told = one_line(command("fetch", "fetched_here", tmp_path))
    assert "fetched_here: expected one feature with captions" in told
    assert list(tmp_path.rglob("*.tfrecord*")) == []


@pytest.mark.parametrize(
    ("name", "similar"),
    [("coco_caption", "coco_captions"), ("zzz", "coco_captions"), ("coco captions", "")],
)
def test_a_name_that_is_not_known(
    tmp_path: Path, command: Any, one_line: Any, name: str, similar: str
) -> None:
    told = one_line(command("fetch", name, tmp_path))
    assert f"error: {name}: " in told
    assert similar in told


@pytest.mark.parametrize("name", ["coco_captions/1999", "coco_captions:9.9.9", "no:such"])
def test_a_config_or_version_that_is_not_there(
    tmp_path: Path, command: Any, one_line: Any, name: str
) -> None:
    assert f"error: {name}: " in one_line(command("fetch", name, tmp_path))


def test_without_network_it_says_so(
    tmp_path: Path, command: Any, one_line: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorflow_datasets.core.download import downloader

    monkeypatch.setattr(downloader, "MAX_RETRIES", 0)  # else it tries for minutes
    # tfds looks at this package here, and does not require it.
    monkeypatch.setitem(sys.modules, "importlib_resources", importlib.resources)
    told = one_line(command("fetch", "coco_captions", tmp_path))
    assert "coco_captions: cannot be downloaded and prepared" in told
    assert "Is the network there?" in told
    assert list(tmp_path.rglob("dataset_info.json")) == []
