"""The command `caption`."""

import csv
import io
import json
import math
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml
from PIL import Image

from pipeline.captioner.captioner import Caption
from pipeline.captioner.pictures import Captioned
from pipeline.images.decode import PictureError, read_square
from pipeline.images.description import embedded
from stages.caption import SAMPLING

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
    monkeypatch.setattr("pipeline.captioner.pictures.BATCH", 2)
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
    search = SearchSettings.plain(beam_width=3, length_penalty=0.5, max_words=20)
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


def test_a_length_penalty_of_greedy_search_is_refused(command, fake, one_line):
    given = "--beam-width", 1, "--length-penalty", 2
    assert "--length-penalty: expected a search with a beam" in one_line(
        command("caption", *given, fake)
    )
    command("caption", "--beam-width", 2, "--length-penalty", 2, fake)
    assert Fake.asked[0].length_penalty == 2


@pytest.mark.parametrize("option", ["--beam-width=0", "--length-penalty=-1", "--max-words=0"])
def test_options_out_of_range_are_told(command, model, pictures, option):
    result = command("caption", pictures, "--bundle", model, option)
    assert result.code == 2
    assert option.split("=")[0] in result.err
    assert "Traceback" not in result.err


class Fake:
    """Stands in for a captioner where captions do not matter: each says its picture's name."""

    asked: list = []  # noqa: RUF012 - what the last one was asked for

    @classmethod
    def load(cls, path: Path) -> "Fake":
        return cls()

    def caption_files(self, paths, settings, max_pixels):
        Fake.asked[:] = [settings, max_pixels]
        for path in paths:
            try:
                read_square(path, 8, max_pixels)
            except PictureError as error:
                yield Captioned(path, [], error)
                continue
            words = ("a", *path.stem.split()) if path.stem else ()
            chances = [math.log(1 / 2 ** (rank + 1)) for rank in range(settings.beam_width)]
            yield Captioned(path, [Caption(words, one, one) for one in chances], None)


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Pictures, and a captioner that takes no time."""
    monkeypatch.setattr("stages.caption.PictureCaptioner", Fake)
    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(3):
        picture = Image.effect_noise((20 + number, 20), 50).convert("RGB")
        picture.save(folder / f"{number}.png")
    return folder


# ---- which pictures


def given(monkeypatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def paths_of(result) -> list[str]:
    assert (result.code, result.err) == (0, "")
    return [path for path, _ in lines(result)]


@pytest.mark.parametrize(
    ("content", "options"),
    [(b"{}/2.png\n\n{}/0.png\r\n{}/2.png", ()), (b"{}/2.png\0{}/0.png\0", ("--null",))],
)
def test_paths_come_from_standard_input(command, fake, monkeypatch, content, options):
    """Each once; the order is that of the list, after what stands before the `-`."""
    given(monkeypatch, content.replace(b"{}", os.fsencode(fake)))
    result = command("caption", fake / "1.png", "-", *options)
    assert paths_of(result) == [str(fake / f"{number}.png") for number in (1, 2, 0)]


def test_an_empty_list_is_no_work(command, tmp_path, monkeypatch):
    given(monkeypatch, b"")
    result = command("caption", "-", "--bundle", tmp_path / "no bundle is needed")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_null_without_a_list_is_told(command, fake, one_line):
    assert "--null" in one_line(command("caption", fake, "--null"))


def test_folders_in_folders_and_globs(command, fake, one_line):
    inner = fake / "a" / "b"
    inner.mkdir(parents=True)
    shutil.copyfile(fake / "0.png", inner / "z.png")
    top = [str(fake / f"{number}.png") for number in range(3)]
    assert paths_of(command("caption", fake)) == top
    assert paths_of(command("caption", fake, "--recursive")) == [*top, str(inner / "z.png")]
    assert paths_of(command("caption", f"{fake}/[02].*")) == [top[0], top[2]]
    assert "--recursive looks" in one_line(command("caption", fake / "a"))
    result = command("caption", f"{fake}/*.gif", top[0])
    assert (result.code, len(lines(result))) == (2, 1)
    assert "*.gif" in result.err


@pytest.mark.parametrize("form", ["text", "csv", "jsonl"])
def test_a_path_comes_out_as_it_was_given(command, fake, monkeypatch, form):
    monkeypatch.chdir(fake)
    names = ["./2.png", ".//1.png", "../album/0.png", "2.png"]  # the last: again
    result = command("caption", *names, "./gone.png", ".", "-f", form)
    paths = {
        "text": lambda text: [line.split("\t")[0] for line in text.splitlines()],
        "csv": lambda text: [row["path"] for row in csv.DictReader(io.StringIO(text))],
        "jsonl": lambda text: [json.loads(line)["path"] for line in text.splitlines()],
    }[form](result.out)
    broken = ["./gone.png"] if form == "jsonl" else []
    assert paths == [*names[:3], *broken, "0.png"]  # this one of the folder


# ---- options of the search


def test_options_reach_the_search(command, fake):
    options = "--length-penalty", 1.5, "--max-words", 9, "--min-words", 4
    weights = "--consensus", 2, "--guide", 4
    command("caption", fake, "-n", 5, *options, *weights)
    search, max_pixels = Fake.asked
    assert (search.consensus, search.guide) == (2, 4)
    assert (search.method, search.beam_width, search.length_penalty) == ("beam", 5, 1.5)
    assert (search.max_words, search.min_words, search.block_ngrams) == (9, 4, 0)
    assert max_pixels == 100_000_000
    options = ("--seed", 7, "--top-p", 0.5, "--temperature", 2, "--block-ngrams", 3)
    command("caption", fake, "--sample", "-n", 6, "--max-pixels", 500, *options)
    search, max_pixels = Fake.asked
    assert (search.method, search.block_ngrams, max_pixels) == ("sample", 3, 500)
    drawn = {"samples": 6, "seed": 7, "top_p": 0.5, "temperature": 2.0}
    assert search.sampling.model_dump() == drawn
    result = command("caption", fake, "--sample", *weights)
    assert Fake.asked[0].sampling.samples == 5, "of one alone nothing can be chosen"
    command("caption", fake, "--sample")
    assert Fake.asked[0].sampling.samples == 1, "the likeliest of several is no draw any more"
    assert len(lines(result)) == 3, "the best of each picture"


def test_without_options_the_search_is_that_of_params_yaml(command, fake):
    command("caption", fake)
    asked = Fake.asked[0]
    command("caption", fake, "--params", REPOSITORY / "params.yaml")
    assert Fake.asked[0].model_copy(update={"diverse": asked.diverse}) == asked
    evaluate = yaml.safe_load((REPOSITORY / "params.yaml").read_text())["evaluate"]
    assert SAMPLING.model_dump() == evaluate["sampling"]


def test_it_searches_as_evaluate_does_but_for_what_is_given(command, fake, tmp_path, one_line):
    path = tmp_path / "mine.yaml"
    known = yaml.safe_load((REPOSITORY / "params.yaml").read_text())

    def asked(changes, *options):
        known["evaluate"] |= changes
        path.write_text(yaml.safe_dump(known))
        result = command("caption", fake, "--params", path, *options)
        return Fake.asked[0] if result.code == 0 else one_line(result)

    mine = {"beam_width": 10, "guide": 3.0, "consensus": 5.0, "forbidden_words": ["man"]}
    search = asked(mine, "--length-penalty", 0.9, "--guide", 0)
    expected = {**mine, "guide": 0, "length_penalty": 0.9, "max_words": 20}
    assert search.model_dump(include=expected.keys()) == expected
    drawn = asked({"method": "sample"}, "--seed", 3).sampling
    assert (drawn.seed, drawn.samples) == (3, 5), "the best of as many as evaluate draws"
    assert "--beam-width: expected a search with a beam" in asked({}, "--beam-width", 3)
    assert "evaluate.beam_width" in asked({"beam_width": "wide"})
    one = {
        "method": "beam",
        "beam_width": 10,
        "sampling": {**known["evaluate"]["sampling"], "samples": 1},
    }
    assert asked(one, "--beam-width", 1).consensus == 0, "of one caption nothing can be chosen"
    assert "consensus" in asked({}, "--beam-width", 1, "--consensus", 2)
    assert asked({}, "--sample").sampling.samples == 2
    uneven = {"method": "diverse", "beam_width": 3, "forbidden_words": []}
    assert asked(uneven, "--best", 7).beam_width == 9, "as many as three groups hold"
    assert asked(uneven, "--best", 100).beam_width == 99
    wide = "--beam-width", 7
    assert "evaluate.diverse (--params): beam_width, 7, must" in asked(uneven, *wide)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--min-words", 9, "--max-words", 8), "--min-words: must not be above max_words, 8"),
        (("--best", 4, "--beam-width", 3), "--beam-width: expected at least --best, 4"),
        (("--beam-width", 3, "--sample"), "--beam-width: expected a search with a beam"),
        (("--seed", 1), "--seed: is for captions that are drawn"),
        (("--top-p", 0.9), "--top-p: is for captions that are drawn"),
        (("--temperature", 1), "--temperature: is for captions that are drawn"),
        (("--force",), "--force: expected --alt-text"),
    ],
)
def test_options_that_contradict_are_one_line(command, fake, one_line, options, expected):
    assert expected in one_line(command("caption", fake, *options))


def test_draws_depend_on_their_seed(command, model, pictures):
    drawn = {
        seed: command("caption", pictures, "--bundle", model, "--sample", "-n", 4, "--seed", seed)
        for seed in (1, 2)
    }
    assert {result.code for result in drawn.values()} == {0}
    assert drawn[1].out != drawn[2].out


# ---- what is printed


@pytest.mark.parametrize(("best", "count"), [(1, 1), (2, 2), (4, 4)])
def test_as_many_captions_as_are_asked_for(command, fake, best, count):
    result = command("caption", fake / "0.png", "-n", best, "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert [row["rank"] for row in rows] == [str(rank + 1) for rank in range(count)]
    assert [float(row["probability"]) for row in rows] == [0.5 ** (n + 1) for n in range(count)]


def test_json_lines_tell_of_broken_pictures_too(command, fake):
    (fake / "1.png").write_bytes(b"no picture")
    result = command("caption", fake, "-f", "jsonl")
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert result.code == 2
    assert [list(row) for row in rows] == [
        ["captions", "path"],
        ["error", "path", "reason"],
        ["captions", "path"],
    ]
    assert rows[1]["reason"] == "not_a_picture"
    assert result.err == f"error: {rows[1]['error']} (not_a_picture)\n"


def test_an_error_stays_on_its_line(command, fake):
    result = command("caption", fake / "a\n\x1b[31m.png")
    assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1)
    assert "\x1b" not in result.err


def test_progress_is_told_for_many_pictures(command, fake, monkeypatch):
    monkeypatch.setattr("stages.caption.BATCH", 2)
    assert "caption: 3/3 pictures" in command("caption", fake).err


# ---- captions kept with the pictures


def test_text_files_beside_are_written_once(command, fake):
    (fake / "1.png.alt.txt").write_text("what a person wrote\n")
    (fake / "2.png").write_bytes(b"broken")
    result = command("caption", fake, "--alt-text", "file")
    assert result.code == 2
    assert lines(result) == [[str(fake / "0.png"), "a 0"]]
    assert (fake / "0.png.alt.txt").read_text() == "a 0\n"
    assert "1 described already" in result.err
    assert not (fake / "2.png.alt.txt").exists()
    again = command("caption", fake / "0.png", "--alt-text", "file")
    assert (again.code, again.out) == (0, "")
    assert (fake / "1.png.alt.txt").read_text() == "what a person wrote\n"
    command("caption", fake, "--alt-text", "file", "--force")
    assert (fake / "1.png.alt.txt").read_text() == "a 1\n"


def test_captions_are_embedded_and_pixels_stay(command, fake):
    picture = Image.open(fake / "0.png")
    for name in ("a.jpg", "b.webp", "c.gif"):
        picture.save(fake / name)
    before = {path.name: Image.open(path).tobytes() for path in fake.iterdir()}
    gif = (fake / "c.gif").read_bytes()
    result = command("caption", fake, "--alt-text", "embed")
    assert result.code == 0, result.err
    found = {Path(path).name: text for path, text in lines(result)}
    assert set(found) == set(before) == {"0.png", "1.png", "2.png", "a.jpg", "b.webp", "c.gif"}
    for name, text in found.items():
        assert Image.open(fake / name).tobytes() == before[name]
        if name != "c.gif":
            assert embedded((fake / name).read_bytes()) == text
    assert (fake / "c.gif").read_bytes() == gif
    assert (fake / "c.gif.alt.txt").read_text() == "a c\n"
    [line] = result.err.splitlines()
    assert "only JPEG, PNG and WebP" in line
    assert "c.gif.alt.txt" in line
    kept = {path.name: path.read_bytes() for path in fake.iterdir()}
    again = command("caption", fake, "--alt-text", "embed")
    assert (again.code, again.out) == (0, "")
    assert "6 described already" in again.err
    assert {path.name: path.read_bytes() for path in fake.iterdir()} == kept


def test_another_name_of_the_same_file_is_not_written_twice(command, fake):
    (fake / "link.png").symlink_to("0.png")
    result = command("caption", fake, "--alt-text", "embed")
    assert result.code == 0
    assert "1 described already" in result.err
    assert embedded((fake / "0.png").read_bytes()) == "a 0"


def test_a_caption_that_cannot_be_kept_is_told_and_printed(command, fake):
    (fake / "1.png").chmod(0o444)
    result = command("caption", fake, "--alt-text", "embed")
    assert result.code == 2
    assert len(lines(result)) == 3
    assert result.err == f"error: {fake / '1.png'}: is read-only\n"


@pytest.mark.parametrize("where", ["file", "embed"])
@pytest.mark.parametrize("refusal", ["full", "read_only"])
def test_where_the_disk_refuses_a_picture_stays_as_it_was(command, fake, disk, where, refusal):
    folder = disk.root / f"{where}-{refusal}"
    (disk.root / "filler").unlink(missing_ok=True)
    shutil.copytree(fake, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    disk.leave(0)
    with disk.read_only() if refusal == "read_only" else nullcontext():
        result = command("caption", folder, "--alt-text", where)
    assert result.code == 2
    assert len(lines(result)) == 3  # captions are printed all the same
    told = {"full": "No space left", "read_only": "Read-only file system"}[refusal]
    assert [told in line for line in result.err.splitlines()] == [True] * 3, result.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_caption_without_words_is_not_kept(command, fake, monkeypatch):
    monkeypatch.setattr(Caption, "text", "")
    result = command("caption", fake / "0.png", "--alt-text", "file")
    assert result.code == 2
    assert "--min-words" in result.err
    assert not (fake / "0.png.alt.txt").exists()


# ---- the bundle


def test_a_zip_of_a_bundle_does_as_well(command, model, pictures, tmp_path):
    from pipeline.captioner.bundle_zip import pack

    pack(model, tmp_path / "bundle.zip")
    result = command("caption", pictures, "--bundle", tmp_path / "bundle.zip")
    assert len(paths_of(result)) == 3


def test_the_last_trained_bundle_is_that_of_here_or_of_the_repository(
    command, fake, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(Fake, "load", lambda path: asked.append(path) or Fake())
    monkeypatch.setattr("stages.trained.REPOSITORY", tmp_path / "repository")
    here, there = tmp_path / "here", tmp_path / "repository"
    here.mkdir()
    monkeypatch.chdir(here)
    for made in (None, there, here):
        if made:
            (made / "data" / "train" / "bundle").mkdir(parents=True)
        assert command("caption", fake).code == 0
    last = Path("data/train/bundle")
    assert asked == [last, there / last, last]


@pytest.mark.slow
def test_the_bundle_works_from_anywhere_and_a_path_comes_out_as_it_went_in(
    model, pictures, tmp_path
):
    shutil.copytree(model, tmp_path / "moved")
    path = b"pictures/\xff.png"  # not UTF-8
    (pictures / "0.PNG").rename(os.fsdecode(os.fsencode(tmp_path) + b"/" + path))
    caption = Path(sys.executable).with_name("caption")  # the console script
    result = subprocess.run(
        [caption, path, "--bundle", "moved", "--format", "csv"],
        cwd=tmp_path,
        capture_output=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1].startswith(path + b",1,")
