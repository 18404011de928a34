"""A dvc.lock that DVC was killed over is put right, and no other is touched."""

import subprocess

import pytest

from pipeline.dvc_lock import ASIDE, is_whole, mend
from tests.copies import COMMIT, ROOT

WHOLE = (ROOT / "dvc.lock").read_bytes()
# Empty; before the first stage; in the middle of a line; in the middle of an entry.
CUTS = (0, 3, 14, WHOLE.index(b"stages:") + 4, WHOLE.index(b"md5:") + 2, len(WHOLE) // 2 + 1)


def half(cut: int) -> bytes:
    return WHOLE[:cut]


@pytest.fixture
def repository(tmp_path):
    """A repository whose last commit has a whole dvc.lock."""
    (tmp_path / "dvc.lock").write_bytes(WHOLE)
    for command in (("git", "init", "-q"), ("git", "add", "dvc.lock"), (*COMMIT, "-m", "a")):
        subprocess.run(command, cwd=tmp_path, check=True)
    return tmp_path


def test_dvc_itself_refuses_what_is_taken_for_half_written(tmp_path):
    from dvc.dvcfile import Lockfile
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError

    subprocess.run(("git", "init", "-q"), cwd=tmp_path, check=True)
    repo = Repo.init(str(tmp_path))
    path = tmp_path / "dvc.lock"
    judged = set()
    for cut in (*CUTS, len(WHOLE)):
        path.write_bytes(half(cut))
        try:
            Lockfile(repo, str(path), verify=False).load()
            refused = False
        except (DvcException, YAMLSyntaxError, YAMLValidationError):
            refused = True
        assert is_whole(half(cut)) is not refused, cut
        judged.add(refused)
    assert judged == {True, False}


def test_a_whole_one_stays(repository):
    newer = WHOLE.replace(b"stages.sample data", b"stages.sample other", 1)
    assert newer != WHOLE
    (repository / "dvc.lock").write_bytes(newer)
    assert mend(repository) is None
    assert (repository / "dvc.lock").read_bytes() == newer


def test_a_half_written_one_becomes_that_of_the_last_commit(repository):
    cut = half(WHOLE.index(b"md5:") + 2)
    (repository / "dvc.lock").write_bytes(cut)
    assert "last commit" in str(mend(repository))
    assert (repository / "dvc.lock").read_bytes() == WHOLE
    assert (repository / ASIDE).read_bytes() == cut, "nothing is thrown away"
    assert mend(repository) is None


@pytest.mark.parametrize("commit", [False, True], ids=["no repository", "half-written there too"])
def test_without_a_good_commit_it_goes(tmp_path, commit):
    (tmp_path / "dvc.lock").write_bytes(half(0))
    if commit:
        for command in (("git", "init", "-q"), ("git", "add", "dvc.lock"), (*COMMIT, "-m", "a")):
            subprocess.run(command, cwd=tmp_path, check=True)
    assert "new one" in str(mend(tmp_path))
    assert not (tmp_path / "dvc.lock").exists()
    assert mend(tmp_path) is None, "there is nothing to mend where there is no such file"
