"""Reading runs of the work tree and of commits; whole comparisons: tests/stages/test_compare.py."""

import json
import subprocess
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.comparison.revisions import WORK_TREE, Paths, Run, read_run
from pipeline.errors import InputError

PATHS = Paths("params.yaml", "metrics.json", "predictions.jsonl")
LINE = {"image_id": "p", "path": "p.png", "caption": "a dog", "references": ["dogs"]}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "params.yaml").write_text("train: {seed: 1}\n")
    (tmp_path / "metrics.json").write_text('{"cider_d": 0.5}')
    (tmp_path / "predictions.jsonl").write_text(json.dumps(LINE) + "\n")
    return tmp_path


def test_the_work_tree_needs_no_repository(folder):
    run = read_run(folder, WORK_TREE, PATHS)
    assert run.params == {"train": {"seed": 1}}
    assert run.metrics == {"cider_d": 0.5}
    assert [one.caption for one in run.predictions] == ["a dog"]
    assert run.title == "work tree"


@pytest.mark.parametrize("name", ["params.yaml", "metrics.json", "predictions.jsonl"])
def test_a_file_that_is_not_there_is_told(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name}: no such file in the work tree"):
        read_run(folder, WORK_TREE, PATHS)


@pytest.mark.parametrize(
    ("name", "content"), [("params.yaml", "a: ["), ("metrics.json", "[1]"), ("params.yaml", "5")]
)
def test_a_file_of_another_kind_is_told(folder, name, content):
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=name):
        read_run(folder, WORK_TREE, PATHS)


def test_no_git_repository_is_told(folder):
    with pytest.raises(InputError, match="expected a Git repository"):
        read_run(folder, "HEAD", PATHS)


def test_a_repository_without_commits_is_told(folder):
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    for revision in ("HEAD", "HEAD~1", "main", ""):
        with pytest.raises(InputError, match=f"'{revision}': expected a commit"):
            read_run(folder, revision, PATHS)


def test_from_a_folder_inside_the_repository_its_own_is_named(folder):
    (folder / ".dvc").mkdir()
    (folder / "docs").mkdir()
    with pytest.raises(InputError, match=f"Run from the repository's own folder: cd {folder}$"):
        read_run(folder / "docs", WORK_TREE, PATHS)


def lock(folder, **hashes):
    """Write dvc.lock of features, train, evaluate and report; hashes are of what each read."""

    def stage(outs, **deps):
        read = [{"path": path, "md5": hashes.get(path, "new")} for path in deps.values()]
        return {"cmd": "", "deps": read, "outs": [{"path": path, "md5": "new"} for path in outs]}

    stages = {
        "features": stage(["shards"]),
        "train": stage(["bundle"], features="shards"),
        "evaluate": stage(["predictions.jsonl"], code="code.py", train="bundle"),
        "report": stage(["page"], train="bundle", evaluate="predictions.jsonl"),
    }
    (folder / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))


def test_captions_older_than_the_model_are_told(folder):
    for hashes, told in (
        ({}, ()),
        ({"code.py": "old"}, ()),  # which no stage makes
        ({"predictions.jsonl": "old"}, ()),  # the report waits: captions do not depend on it
        ({"bundle": "old"}, ("`evaluate` has not run since `train`",)),
        ({"shards": "old"}, ("`train` has not run since `features`",)),
    ):
        lock(folder, **hashes)
        assert read_run(folder, WORK_TREE, PATHS).behind == told


def test_settings_that_captions_do_not_know_are_those_of_stages_that_lead_to_them(folder):
    lock(folder)
    stages = json.loads((folder / "dvc.lock").read_text())
    for name, setting in (("train", "train.units"), ("report", "report.examples")):
        stages["stages"][name]["params"] = {"params.yaml": {setting: 123}}
    (folder / "dvc.lock").write_text(json.dumps(stages))
    assert read_run(folder, WORK_TREE, PATHS).not_run == ("train.units",)
    stages["stages"]["evaluate"]["outs"] = []  # no stage makes captions: any may lead to them
    (folder / "dvc.lock").write_text(json.dumps(stages))
    assert read_run(folder, WORK_TREE, PATHS).not_run == ("report.examples", "train.units")


def test_titles():
    commit = "0123456789abcdef"
    assert Run("HEAD~1", commit, {}, {}, ()).title == "HEAD~1 (0123456)"
    assert Run("01234", commit, {}, {}, ()).title == "0123456"


def test_a_project_in_a_folder_of_a_larger_repository_is_told(folder):
    (folder / "inner" / ".dvc").mkdir(parents=True)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    with pytest.raises(InputError, match=f"expected the top .* a folder of {folder}, of which"):
        read_run(folder / "inner", "HEAD", PATHS)


@pytest.mark.parametrize(
    "cut", ["    - pa", "    -", "    params:\n      para", "    outs:\n    - path", "  odd:"]
)
def test_a_lock_that_was_cut_off_is_none(folder, cut):
    stage = "  evaluate:\n    cmd: a\n    deps:\n    - path: model\n      md5: x\n"
    (folder / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n{stage}{cut}\n")
    found = read_run(folder, WORK_TREE, PATHS)
    assert found.not_run == found.behind == ()


def test_the_bytes_of_each_picture_are_known_where_their_table_is(folder):
    assert read_run(folder, WORK_TREE, PATHS).pictures == {}
    table = folder / "images.parquet"
    pq.write_table(pa.table({"image_id": ["p"], "sha256": ["ab"], "split": ["test"]}), table)
    paths = replace(PATHS, images="images.parquet")
    assert read_run(folder, WORK_TREE, paths).pictures == {"p": "ab"}
    table.write_bytes(table.read_bytes()[:-20])
    assert read_run(folder, WORK_TREE, paths).pictures == {}
    pq.write_table(pa.table({"image_id": ["p"]}), table)
    assert read_run(folder, WORK_TREE, paths).pictures == {}
