"""What killed runs left is put right, and nothing else is touched."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def dead() -> int:
    """The number of a process that is over."""
    child = subprocess.Popen((sys.executable, "-c", ""))
    child.wait()
    return child.pid


@pytest.fixture
def write(tmp_path):
    def write(name, text="text"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_half_written_files_and_folders_of_killed_stages_go(command, tmp_path, write, dead, caplog):
    write("data/ingest/images.parquet")
    write(f"data/ingest/.{dead}.partial.images.parquet")
    write(f"data/.{dead}.partial.encoder/encoder.weights.h5")
    write(f"data/raw/.{dead}.partial.scenes/scene.png")
    write(f"data/train/bundle/.{dead}.partial.bundle.json")
    assert command("mend", tmp_path).code == 0
    assert caplog.text.count("half-written") == 4
    assert f"data/ingest/.{dead}.partial.images.parquet: half-written" in caplog.text
    assert names(tmp_path / "data") == ["ingest", "raw", "train"]
    assert names(tmp_path / "data" / "ingest") == ["images.parquet"]
    assert names(tmp_path / "data" / "raw") == []
    assert names(tmp_path / "data" / "train" / "bundle") == []
    caplog.clear()
    assert command("mend", tmp_path).code == 0
    assert not caplog.text


def test_a_folder_that_was_being_replaced_gets_its_name_again(command, tmp_path, write, dead):
    write(f"data/.{dead}.replaced.encoder/encoder.json", "old and whole")
    write(f"data/.{dead}.partial.encoder/encoder.json", "new")
    assert command("mend", tmp_path).code == 0
    assert names(tmp_path / "data") == ["encoder"]
    assert (tmp_path / "data" / "encoder" / "encoder.json").read_text() == "old and whole"


def test_what_runs_or_is_somebody_s_own_stays(command, tmp_path, write, dead, caplog):
    kept = [
        write(f"data/.{os.getppid()}.partial.encoder/encoder.json"),
        write("data/.gitignore"),
        write("data/raw/mine/.hidden"),
        write(f"data/raw/mine/.{dead}.partial.picture.png"),
        write("data/ingest/.notes.partial.txt"),
    ]
    assert command("mend", tmp_path).code == 0
    assert not caplog.text
    assert all(path.read_text() == "text" for path in kept)


def test_a_folder_without_data(command, tmp_path):
    assert command("mend", tmp_path).code == 0
    assert names(tmp_path) == []
