"""The layout is found by looking, and where it is not, the line says what was looked for."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from pipeline.datasets.find import LAYOUTS, find_layout
from pipeline.datasets.ingest import IngestSettings
from pipeline.errors import InputError


def message(raw: Path, wanted: str = "auto") -> str:
    with pytest.raises(InputError) as caught:
        find_layout(raw, wanted)
    assert "\n" not in str(caught.value)
    assert str(raw) in str(caught.value)
    return str(caught.value)


def test_absent_empty_and_no_folder_at_all(tmp_path: Path) -> None:
    assert "no such folder" in message(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    assert "the folder is empty" in message(tmp_path / "empty")
    (tmp_path / "file.zip").touch()
    assert "Received: a file" in message(tmp_path / "file.zip")


@pytest.mark.parametrize("name", ["Flickr8k.token.txt", "scenes.token.txt"])
def test_flickr8k_is_known_by_its_token_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert find_layout(tmp_path, "auto").name == "flickr8k"


@pytest.mark.parametrize("name", ["captions.csv", "captions.TSV", "my.jsonl", "x.parquet"])
def test_a_table_is_known_by_its_suffix(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert find_layout(tmp_path, "auto").name == "table"


def test_the_more_particular_layout_wins_unless_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "Flickr8k.token.txt").touch()
    (tmp_path / "captions.csv").touch()
    assert find_layout(tmp_path, "auto").name == "flickr8k"
    assert find_layout(tmp_path, "table").name == "table"


def test_the_side_file_of_facts_is_no_table_of_captions(tmp_path: Path) -> None:
    (tmp_path / "facts.jsonl").touch()
    assert "not recognised" in message(tmp_path)


def test_not_recognised_tells_what_was_looked_for_and_found(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(20):
        (tmp_path / f"{number:02}.txt").touch()
    told = message(tmp_path)
    assert "; or flickr8k: *.token.txt" in told
    assert "table: captions" in told
    assert "00.txt" in told
    assert "and 11 more" in told
    (tmp_path / "captions.csv").touch()
    told = message(tmp_path, "flickr8k")
    assert "(ingest.format: flickr8k)" in told
    assert "table:" not in told


def test_names_of_layouts_are_those_of_the_setting() -> None:
    from pipeline.datasets.ingest import IngestSettings

    allowed = IngestSettings.model_fields["format"].annotation.__args__
    assert set(allowed) == {"auto", *(layout.name for layout in LAYOUTS)}


def test_every_layout_can_be_named_in_the_settings() -> None:
    names = get_args(IngestSettings.model_fields["format"].annotation)
    assert names == ("auto", *(layout.name for layout in LAYOUTS))


def test_what_is_still_packed_is_told(tmp_path: Path) -> None:
    (tmp_path / "Flickr8k_text.ZIP").touch()
    assert "Unpack Flickr8k_text.ZIP, so that" in message(tmp_path)


def test_a_data_set_one_folder_down_is_told(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "Flickr8k_text").mkdir()
    (tmp_path / "Flickr8k_text" / "Flickr8k.token.txt").touch()
    assert f"{tmp_path / 'Flickr8k_text'} looks like flickr8k: name that" in message(tmp_path)
    assert "looks like" not in message(tmp_path, "coco")
    (tmp_path / "Flickr8k_text.zip").touch()
    assert "Unpack" not in message(tmp_path), "it was"


def test_a_folder_that_may_not_be_looked_into_is_none_of_a_layout(
    tmp_path: Path, monkeypatch
) -> None:
    def refused(_: Path) -> bool:
        raise PermissionError("no")

    (tmp_path / "lost+found").mkdir()
    layout = replace(LAYOUTS[0], recognises=lambda raw: raw != tmp_path and refused(raw))
    monkeypatch.setattr("pipeline.datasets.find.LAYOUTS", (layout,))
    assert "the layout is not recognised" in message(tmp_path)


def test_folders_that_may_not_be_looked_into_leave_the_others_to_be_read(
    tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "lost+found").mkdir()
    asked = {name: getattr(Path, name) for name in ("is_file", "iterdir")}

    def refusing(name):
        def ask(path: Path):
            if path.parent.name == "lost+found" or (path.name, name) == ("lost+found", "iterdir"):
                raise PermissionError(13, "no", str(path))
            return asked[name](path)

        return ask

    for name in asked:
        monkeypatch.setattr(Path, name, refusing(name))
    assert "the layout is not recognised" in message(tmp_path)
    (tmp_path / "captions.csv").touch()
    assert find_layout(tmp_path, "auto").name == "table"
