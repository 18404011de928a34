"""The command `caption`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(trained) -> Path:
    return trained.data / "train" / "bundle"


@pytest.fixture
def pictures(trained, tmp_path) -> Path:
    """A folder with three pictures and a file that is none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in (2, 0, 1):
        shutil.copyfile(trained.raw / f"test-{number:02d}.png", folder / f"{number}.PNG")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def lines(result) -> list[list[str]]:
    return [line.split("\t") for line in result.out.splitlines()]


def test_a_folder_is_captioned_in_the_order_of_its_names(command, model, pictures):
    result = command("caption", pictures, "--bundle", model)
    assert (result.code, result.err) == (0, "")
    assert [path for path, _ in lines(result)] == [str(pictures / f"{n}.PNG") for n in range(3)]
    known = set(json.loads((model / "vocabulary.json").read_text())["words"][4:])
    assert all(set(caption.split()) <= known for _, caption in lines(result))


def test_broken_pictures_are_told_and_the_others_captioned(command, model, pictures, monkeypatch):
    monkeypatch.setattr("stages.caption.BATCH", 2)
    expected = dict(lines(command("caption", pictures, "--bundle", model)))
    (pictures / "1.PNG").write_bytes((pictures / "1.PNG").read_bytes()[:60])
    (pictures / "3.png").write_bytes(b"")
    absent = pictures / "absent.jpg"
    result = command("caption", pictures, absent, "--bundle", model)
    assert result.code == 2
    assert dict(lines(result)) == {
        path: text for path, text in expected.items() if not path.endswith("1.PNG")
    }
    told = result.err.splitlines()
    assert [line.split(": ")[0] for line in told] == ["error"] * 3
    for name, line in zip(("1.PNG", "3.png", "absent.jpg"), told, strict=True):
        assert name in line


def test_the_captions_are_those_that_evaluate_finds(command, model, trained):
    """From the picture itself, through the bundle's own encoder."""
    from pipeline.captioner import bundle
    from pipeline.captioner.captioner import SearchSettings
    from pipeline.images.shards import read_shards

    known = read_shards(trained.data / "features", bundle.read_description(model).encoder)
    search = SearchSettings(beam_width=3, length_penalty=1.0, max_words=20)
    row = known.row_of()["test-03"]
    [found] = bundle.load_captioner(model).caption(known.values[[row]], search)
    result = command("caption", trained.raw / "test-03.png", "--bundle", model)
    assert lines(result) == [[str(trained.raw / "test-03.png"), found[0].text]]


@pytest.mark.parametrize("name", ["bundle.json", "vocabulary.json", "encoder/encoder.weights.h5"])
def test_an_incomplete_bundle_is_one_line(command, model, pictures, one_line, tmp_path, name):
    copy = shutil.copytree(model, tmp_path / "bundle")
    (copy / name).unlink()
    result = command("caption", pictures, "--bundle", copy)
    assert f"{name}: no such file" in one_line(result)
    assert result.out == ""


def test_a_folder_without_pictures_is_one_line(command, model, one_line, tmp_path):
    result = command("caption", tmp_path, "--bundle", model)
    assert "expected a folder with pictures" in one_line(result)


@pytest.mark.parametrize("option", ["--beam-width=0", "--length-penalty=-1", "--max-words=0"])
def test_options_out_of_range_are_told(command, model, pictures, option):
    result = command("caption", pictures, "--bundle", model, option)
    assert result.code == 2
    assert option.split("=")[0] in result.err
    assert "Traceback" not in result.err


def test_the_bundle_works_from_anywhere(model, pictures, tmp_path):
    shutil.copytree(model, tmp_path / "moved")
    caption = Path(sys.executable).with_name("caption")  # the console script
    result = subprocess.run(
        [caption, "pictures/0.PNG", "--bundle", "moved"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("pictures/0.PNG\t")
