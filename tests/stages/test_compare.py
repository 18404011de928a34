"""The command `compare` on a repository of Git and DVC with a few commits."""

import hashlib
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from PIL import Image

from pipeline.evaluation.java import MetricUnavailable
from pipeline.files import write_json, write_json_lines
from pipeline.tables import IMAGES, write_rows

PICTURES = 150
GRAPH = {
    "stages": {
        "evaluate": {
            "cmd": "python -m stages.evaluate",
            "params": ["train.seed", "train.units"],
            "outs": ["data/evaluate/predictions.jsonl"],
            "metrics": [{"data/evaluate/metrics.json": {"cache": False}}],
        }
    }
}
THINGS = ("dog", "cat", "boy", "girl", "horse", "bird")
DOES = ("runs", "sits", "jumps", "sleeps")
PLACES = ("in the grass", "on the beach", "near a tree", "in the snow")


@pytest.fixture(autouse=True)
def no_java(monkeypatch):
    def unavailable(*_):
        raise MetricUnavailable("not in this test")

    monkeypatch.setattr(
        "pipeline.evaluation.tokenise.ptb_tokenize", lambda texts: [text.split() for text in texts]
    )
    monkeypatch.setattr("pipeline.evaluation.meteor.meteor", unavailable)


def captioned(seed, quality):
    """Captions whose facts are right with probability `quality`."""
    lot = random.Random(seed)
    rows = []
    for number in range(PICTURES):
        truth = random.Random(f"picture {number}")
        groups = (THINGS, DOES, PLACES)
        facts = [truth.choice(group) for group in groups]
        said = [
            fact if lot.random() < quality else lot.choice(group)
            for fact, group in zip(facts, groups, strict=True)
        ]
        rows.append(
            {
                "image_id": f"p{number:03d}",
                "path": f"p{number:03d}.png",
                "caption": "a {} {} {}".format(*said),
                "references": [
                    truth.choice(["a {} {} {}", "the small {} {} {}"]).format(*facts)
                    for _ in range(3)
                ],
            }
        )
    return rows


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", *who, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def record(folder, message, params, rows):
    """Commit a run as `dvc repro` and `git commit` would leave it."""
    from dvc.repo import Repo

    (folder / "params.yaml").write_text(yaml.safe_dump({"ingest": {"folder": "raw"}, **params}))
    write_json(folder / "data/evaluate/metrics.json", {"pictures": len(rows), "missing": {}})
    path = folder / "data/evaluate/predictions.jsonl"
    path.unlink(missing_ok=True)  # it may be a link into the cache
    write_json_lines(path, rows)
    with Repo(str(folder)) as repo:
        repo.commit("evaluate", force=True)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", message)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A repository: base, then refactored, reseeded, improved; each a tag."""
    from dvc.repo import Repo

    folder = tmp_path_factory.mktemp("compare") / "repository"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder.parent / "site"))
        patch.chdir(folder)  # DVC looks for dvc.yaml in the current folder
        git(folder, "init", "-q", "-b", "main")
        Repo.init(str(folder)).close()
        (folder / "dvc.yaml").write_text(yaml.safe_dump(GRAPH))
        runs = {
            "base": ({"train": {"seed": 1, "units": 8}}, captioned(1, 0.4)),
            "refactored": ({"train": {"seed": 1, "units": 8}}, captioned(1, 0.4)),
            "reseeded": ({"train": {"seed": 2, "units": 8}}, captioned(2, 0.4)),
            "improved": ({"train": {"seed": 2, "units": 16}}, captioned(3, 0.7)),
        }
        for tag, (params, rows) in runs.items():
            (folder / "code.py").write_text(f"# {tag}\n")
            record(folder, tag, params, rows)
            git(folder, "tag", tag)
        _draw(folder)
    return folder


def _draw(folder):
    """Draw the pictures, which are in neither Git nor DVC here."""
    rows = []
    (folder / "raw").mkdir()
    for number in range(PICTURES):
        path = folder / "raw" / f"p{number:03d}.png"
        Image.new("RGB", (24, 16), (number, 90, 120)).save(path)
        data = path.read_bytes()
        rows.append(
            {
                "image_id": path.stem, "split": "test", "path": path.name, "offset": 0,
                "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "width": 24,
                "height": 16, "mode": "RGB", "dhash": "",
            }
        )  # fmt: skip
    write_rows(folder / "data/ingest/images.parquet", rows, IMAGES, ["image_id"])


@pytest.fixture
def repository(made, tmp_path, monkeypatch):
    """A copy to spoil, as the current folder."""
    folder = tmp_path / "repository"
    shutil.copytree(made, folder, symlinks=True)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.chdir(folder)
    return folder


def row_of(result, label="CIDEr-D"):
    return next(line for line in result.out.splitlines() if line.strip().startswith(label))


def test_a_real_improvement_is_significant(repository, command):
    result = command("compare", "reseeded", "improved")
    assert result.code == 0, result.err
    assert row_of(result).endswith("b is better")
    assert "significantly better" in result.out
    assert "train.units" in result.out


def test_a_reseeded_training_is_not(repository, command):
    result = command("compare", "refactored", "reseeded")
    assert result.code == 0, result.err
    assert row_of(result).endswith("not significant")
    assert "train.seed  1  ->  2" in result.out
    assert "several seeds" in result.out


def test_a_refactoring_shows_no_difference_at_all(repository, command):
    result = command("compare", "base", "refactored")
    assert result.code == 0, result.err
    assert f"No difference: all {PICTURES} captions are the same." in result.out
    assert row_of(result).endswith("the same")
    assert "none differs" in result.out
    assert "Gained" not in result.out


def test_by_default_the_work_tree_is_held_against_head(repository, command):
    assert "No difference" in command("compare").out
    params = repository / "params.yaml"
    params.write_text(params.read_text().replace("units: 16", "units: 32"))
    path = repository / "data/evaluate/predictions.jsonl"
    path.unlink()
    write_json_lines(path, captioned(4, 0.9))
    result = command("compare")
    assert "HEAD (" in result.out
    assert "b  work tree" in result.out
    assert "train.units  16  ->  32" in result.out
    assert row_of(result).endswith("b is better")
    assert "b is better" in row_of(command("compare", "base"))  # one argument: against it


def test_settings_changed_since_the_run_are_told(repository, command):
    params = repository / "params.yaml"
    params.write_text(params.read_text().replace("units: 16", "units: 32"))
    result = command("compare")
    assert "Settings of b have changed since it was run" in result.out
    assert ": train.units. Run `dvc repro` first." in result.out
    assert "Settings of" not in command("compare", "reseeded", "improved").out


def test_the_page_has_the_captions_with_their_pictures(repository, command, browser):
    command("compare", "reseeded", "improved", "--out", "out/page.html", "--examples", 3)
    path = repository / "out" / "page.html"
    page = path.read_text(encoding="utf-8")
    assert page.count("<img ") == 6
    assert "reseeded (" in page
    for width in (390, 1280):
        view = browser.new_page(viewport={"width": width, "height": 900})
        asked = []
        view.on("request", lambda request, asked=asked: asked.append(request.url))
        view.goto(path.as_uri())
        assert not [url for url in asked if not url.startswith(("file:", "data:"))]
        assert view.evaluate("document.documentElement.scrollWidth") <= width
        assert view.evaluate("[...document.images].every(i => i.alt && i.naturalWidth)")
        view.close()


def test_pictures_that_changed_are_left_out(repository, command):
    for path in Path("raw").iterdir():
        Image.new("RGB", (24, 16), "white").save(path)  # as good a picture, but another one
    assert command("compare", "reseeded", "improved").code == 0
    page = Path("compare.html").read_text(encoding="utf-8")
    assert "<img " not in page
    assert "not at hand" in page


def test_json(repository, command):
    result = command("compare", "reseeded", "improved", "--json")
    found = json.loads(result.out)
    [cider] = [one for one in found["scores"] if one["metric"] == "cider_d"]
    assert cider["verdict"] == "b is better"
    assert cider["difference"]["low"] > 0
    assert found["settings"] == [{"name": "train.units", "a": "8", "b": "16"}]
    assert not Path("compare.html").exists()
    both = command("compare", "reseeded", "improved", "--json", "--out", "own.html")
    assert both.out == result.out
    assert Path("own.html").read_text().startswith("<!")


def test_the_same_bytes_each_time(repository, command):
    pages = []
    for _ in range(2):
        command("compare", "reseeded", "improved")
        pages.append(Path("compare.html").read_bytes())
    assert pages[0] == pages[1]
    assert str(repository).encode() not in pages[0]


def test_an_experiment_by_its_name(repository, command):
    head = git(repository, "rev-parse", "reseeded")
    commit = git(repository, "rev-parse", "improved")
    git(repository, "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/wordy-elk", commit)
    result = command("compare", "reseeded", "wordy-elk")
    assert result.code == 0, result.err
    assert f"wordy-elk ({commit[:7]})" in result.out
    assert row_of(result).endswith("b is better")


def test_a_seed_below_0_is_none(repository, command):
    result = command("compare", "--seed", "-1")
    assert (result.code, "Traceback" in result.err) == (2, False)


@pytest.mark.parametrize("name", ["no-such", "HEAD:params.yaml", "improved^{tree}", ""])
def test_what_is_no_commit_is_one_line(repository, command, one_line, name):
    line = one_line(command("compare", name))
    assert f"'{name}': expected a commit, branch, tag or experiment" in line


@pytest.mark.parametrize("name", ["dvc.yaml", "dvc.lock"])
def test_a_commit_whose_graph_is_broken_is_one_line(repository, command, one_line, name):
    path = repository / name
    path.write_text(f"<<<<<<< ours\n{path.read_text()}")
    git(repository, "commit", "-q", "-a", "-m", "half merged")
    line = one_line(command("compare", "HEAD", "improved"))
    assert "HEAD: expected dvc.yaml and dvc.lock that DVC can read" in line
    assert f"'{name}'" in line


def test_a_commit_whose_graph_is_another_is_one_line(repository, command, one_line):
    (repository / "dvc.yaml").write_text("stages: {evaluate: {command: none}}\n")
    git(repository, "commit", "-q", "-a", "-m", "misspelt")
    line = one_line(command("compare", "HEAD", "improved"))
    assert "HEAD: expected dvc.yaml and dvc.lock that DVC can read" in line


def test_predictions_that_are_not_in_the_cache_are_one_line(repository, command, one_line):
    shutil.rmtree(repository / ".dvc" / "cache")
    line = one_line(command("compare", "base", "improved"))
    assert "base: data/evaluate/predictions.jsonl is recorded there" in line
    assert f"git checkout {git(repository, 'rev-parse', 'base')[:7]} && dvc repro" in line


def test_a_commit_before_the_first_run_is_one_line(repository, command, one_line):
    git(repository, "checkout", "-q", "--orphan", "empty")
    git(repository, "rm", "-q", "-r", "--cached", ".")
    git(repository, "add", ".dvc/config", "params.yaml")
    git(repository, "commit", "-q", "-m", "nothing yet")
    line = one_line(command("compare", "HEAD", "improved"))
    assert "HEAD: expected data/evaluate/metrics.json in that revision" in line


def test_no_repository_is_one_line(tmp_path, monkeypatch, command, one_line):
    monkeypatch.chdir(tmp_path)
    assert "expected a Git repository" in one_line(command("compare"))


def test_a_work_tree_without_a_run_is_one_line(repository, command, one_line):
    shutil.rmtree(repository / "data" / "evaluate")
    line = one_line(command("compare"))
    assert "data/evaluate/metrics.json: no such file in the work tree. Run `dvc repro`" in line
