"""What DVC was killed over is put right, and nothing else is touched."""

import subprocess

import pytest

from pipeline.dvc_files import ASIDE, TMP, broken, is_whole, mend
from tests.copies import COMMIT, ROOT

WHOLE = (ROOT / "dvc.lock").read_bytes()
# Empty; before the first stage; in the middle of a line; in the middle of an entry.
CUTS = (0, 3, 14, WHOLE.index(b"stages:") + 4, WHOLE.index(b"md5:") + 2, len(WHOLE) // 2 + 1)


def half(cut: int) -> bytes:
    return WHOLE[:cut]


@pytest.fixture
def repository(tmp_path):
    """A repository whose last commit has a whole dvc.lock."""
    (tmp_path / ".dvc").mkdir()
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
    assert mend(repository) == []
    assert (repository / "dvc.lock").read_bytes() == newer


def test_a_half_written_one_becomes_that_of_the_last_commit(repository):
    cut = half(WHOLE.index(b"md5:") + 2)
    (repository / "dvc.lock").write_bytes(cut)
    assert broken(repository) == ["dvc.lock"]
    [told] = mend(repository)
    assert "last commit" in told
    assert (repository / "dvc.lock").read_bytes() == WHOLE
    assert (repository / ASIDE).read_bytes() == cut, "nothing is thrown away"
    assert mend(repository) == []


def test_the_sides_of_a_merge_are_left_to_their_owner(repository):
    sides = b"<<<<<<< HEAD\n" + WHOLE + b"=======\n" + WHOLE + b">>>>>>> other\n"
    (repository / "dvc.lock").write_bytes(sides)
    assert broken(repository) == ["dvc.lock"], "DVC does not read it"
    [told] = mend(repository)
    assert "git checkout --ours dvc.lock" in told
    assert (repository / "dvc.lock").read_bytes() == sides


@pytest.mark.parametrize("commit", [False, True], ids=["no repository", "half-written there too"])
def test_without_a_good_commit_it_goes(tmp_path, commit):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.lock").write_bytes(half(0))
    if commit:
        for command in (("git", "init", "-q"), ("git", "add", "dvc.lock"), (*COMMIT, "-m", "a")):
            subprocess.run(command, cwd=tmp_path, check=True)
    [told] = mend(tmp_path)
    assert "new one" in told
    assert not (tmp_path / "dvc.lock").exists()
    assert mend(tmp_path) == [], "there is nothing to mend where there is no such file"


@pytest.mark.parametrize("text", ["", '{"write": {"data/a": {"pi', '{"write": 1}', "[]"])
def test_a_half_written_rwlock_goes_as_dvc_refuses_it(tmp_path, text):
    from dvc.exceptions import DvcException
    from dvc.fs import localfs
    from dvc.rwlock import rwlock

    def locked():
        with rwlock(str(tmp_path / TMP), localfs, "a test", [], ["data/a"], False):
            pass

    path = tmp_path / TMP / "rwlock"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(DvcException):
        locked()
    assert broken(tmp_path) == [".dvc/tmp/rwlock"]
    [told] = mend(tmp_path)
    assert "rwlock" in told
    assert not path.exists()
    locked()
    assert mend(tmp_path) == [], "what DVC wrote stays"
    assert path.exists()


def test_while_dvc_is_at_work_nothing_is_touched(tmp_path):
    """It may be in the middle of writing."""
    from dvc.lock import Lock

    (tmp_path / TMP).mkdir(parents=True)
    (tmp_path / "dvc.lock").write_bytes(b"")
    with Lock(str(tmp_path / TMP / "lock")):
        assert mend(tmp_path) == []
    assert (tmp_path / "dvc.lock").exists()
    assert len(mend(tmp_path)) == 1


def test_a_folder_that_is_not_dvc_s_is_left_alone(tmp_path):
    (tmp_path / "dvc.lock").write_bytes(b"")
    assert mend(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["dvc.lock"]
