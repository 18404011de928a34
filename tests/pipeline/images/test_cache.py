"""The feature cache survives whatever happens to its files."""

import errno
import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.images import cache as module
from pipeline.images.cache import DIGEST, DamagedError, FeatureCache, GoneError, _Index
from pipeline.images.room import told_bytes

FINGERPRINT = "ab" * 32
MIB = 1 << 20


def keys(number: int, first: int = 0) -> list[str]:
    return [hashlib.sha256(str(first + n).encode()).hexdigest() for n in range(number)]


def digests(names: list[str]) -> np.ndarray:
    return np.array([bytes.fromhex(name) for name in names], DIGEST)


def values(number: int, seed: int = 1, shape=(3,)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(number, *shape)).astype("float32")


def opened(folder: Path, identity: str = FINGERPRINT, shape=(3,)) -> FeatureCache:
    return FeatureCache(folder, identity, shape)


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    return opened(tmp_path)


def got(cache: FeatureCache, key: str) -> np.ndarray:
    [value] = cache.read(digests([key]))
    return value


def files(cache: FeatureCache) -> list[Path]:
    return sorted(cache.folder.iterdir())


@pytest.mark.parametrize("shape", [(3,), (2, 2, 3)])
def test_what_was_put_is_there_exactly_now_and_later(tmp_path, shape):
    cache = opened(tmp_path, shape=shape)
    cache.put(keys(4), values(4, shape=shape))
    for reader in (cache, opened(tmp_path, shape=shape)):
        for key, value in zip(keys(4), values(4, shape=shape), strict=True):
            assert key in reader
            assert np.array_equal(got(reader, key), value)


def test_what_was_not_put_is_not_there(cache):
    cache.put(keys(3), values(3))
    for key in [*keys(20, 5), "00" * 32, "ff" * 32]:
        assert key not in cache
        with pytest.raises(KeyError):
            got(cache, key)


def test_another_identity_s_features_are_not_there(cache, tmp_path):
    cache.put(keys(1), values(1))
    others = ("cd" * 32, f"{FINGERPRINT}-grid", f"{FINGERPRINT}-bfloat16")
    assert not any(keys(1)[0] in opened(tmp_path, other) for other in others)


def test_keys_that_end_in_zero_bytes_are_found(cache, tmp_path):
    """NumPy takes zero bytes at the end of a text off."""
    odd = ["00" * 32, "11" * 31 + "00", "11" * 30 + "0000", "00" * 31 + "01"]
    cache.put(odd, values(4))
    for reader in (cache, opened(tmp_path)):
        assert all(np.array_equal(got(reader, key), value) for key, value in zip(odd, values(4)))  # noqa: B905
    assert len(opened(tmp_path).missing(digests([*odd, *keys(2)]))) == 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "add_sorted", "remove", "replace", "ask"]),
            st.integers(0, 3),
            st.lists(st.integers(0, 9), max_size=6, unique=True),
        ),
        max_size=12,
    ),
    st.integers(1, 8),
)
@example([("add", 0, [1, 2]), ("remove", 0, []), ("add", 0, [2, 3]), ("ask", 0, [])], 1)
@example([("add_sorted", 0, [1]), ("remove", 0, []), ("add_sorted", 0, [1]), ("ask", 0, [])], 8)
def test_the_index_is_as_a_dict(steps, merge_at):
    every = [bytes.fromhex(key) for key in keys(10)]
    index, known = _Index(), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MERGE_AT", merge_at)
        for step, (how, number, batch) in enumerate([*steps, ("ask", 0, [])]):
            fresh = [every[key] for key in batch if every[key] not in known]
            if how == "add":
                index.add(fresh, number)
            elif how == "add_sorted":
                index.add_sorted(np.array(fresh, DIGEST), number)
            if how.startswith("add"):
                known.update({key: (number << 32) + row for row, key in enumerate(fresh)})
            elif how == "replace":  # all keys of a file are added again, of one that is new
                again = [key for key, place in known.items() if place >> 32 == number]
                index.add(again, 9 + step)
                index.remove([number])
                known.update({key: (9 + step << 32) + row for row, key in enumerate(again)})
            elif how == "remove":
                index.remove([number])
                known = {key: place for key, place in known.items() if place >> 32 != number}
            else:
                places = [known.get(key, -1) for key in every]
                assert index.places(np.array(every, DIGEST)).tolist() == places


def test_putting_batches_together_does_not_sort_all_keys_each_time(cache, monkeypatch):
    """Of millions of keys, that would take longer than a GPU does for a batch."""
    sorted_in = []
    merge = _Index._merge
    monkeypatch.setattr(module, "MERGED_ROWS", 8)
    monkeypatch.setattr(_Index, "_merge", lambda index: sorted_in.append(1) or merge(index))
    for number in range(8):
        cache.put(keys(4, 4 * number), values(4, number))
    assert len(files(cache)) == 4
    assert not sorted_in
    assert all(key in cache for key in keys(32))


def test_the_same_batch_is_one_file_with_the_same_bytes(cache):
    cache.put(keys(4), values(4))
    before = [path.read_bytes() for path in files(cache)]
    cache.put(keys(4), values(4))
    assert [path.read_bytes() for path in files(cache)] == before


def test_what_is_kept_in_memory_is_bounded(cache, monkeypatch):
    monkeypatch.setattr(module, "OPEN_BYTES", 2 * 2 * 3 * 4)  # two batches of two pictures
    for number in range(5):
        cache.put(keys(2, 2 * number), values(2, seed=number))
    for number in (0, 4, 1, 3, 2, 0):
        assert np.array_equal(got(cache, keys(2, 2 * number)[1]), values(2, seed=number)[1])
        assert len(cache._open) <= 2


def test_of_a_large_file_only_a_part_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GROUP_BYTES", 2 * 12 * 4)  # two pictures
    cache = opened(tmp_path, shape=(2, 2, 3))
    cache.put(keys(7), values(7, shape=(2, 2, 3)))
    for row in (6, 0, 3, 5):
        assert np.array_equal(got(cache, keys(7)[row]), values(7, shape=(2, 2, 3))[row])
        assert {len(part) for part in cache._open.values()} <= {1, 2}


@pytest.fixture(scope="module")
def several(tmp_path_factory) -> FeatureCache:
    """Three files of five pictures each, in row groups of two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "GROUP_BYTES", 2 * 3 * 4)
        patch.setattr(module, "MERGED_ROWS", 1)
        cache = opened(tmp_path_factory.mktemp("several"))
        for number in range(3):
            cache.put(keys(5, 5 * number), values(5, seed=number))
    assert len(files(cache)) == 3
    return cache


@given(st.lists(st.integers(0, 14), max_size=40))
@example([0, 2, 4, 1, 3])  # from group to group of one file
@example([0, 5, 10, 1, 6, 11])  # the same place of another file
@example([3] * 9)
def test_pictures_are_read_in_whatever_order_they_are_asked_for(several, asked):
    expected = [values(5, seed=number)[row] for number, row in (divmod(one, 5) for one in asked)]
    found = list(several.read(digests([keys(1, one)[0] for one in asked])))
    assert [value.tolist() for value in found] == [value.tolist() for value in expected]


def test_what_is_not_there_is_told_before_anything_is_read(several):
    wanted = [*keys(2), *keys(1, 99), *keys(1, 98)]
    with pytest.raises(KeyError) as told:
        next(iter(several.read(digests(wanted))))
    assert told.value.args[0] == digests(keys(1, 99))[0]


def test_files_with_other_row_groups_are_not_misread(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "GROUP_BYTES", 2 * 3 * 4)
        opened(tmp_path).put(keys(7), values(7))
    assert keys(1)[0] not in opened(tmp_path)


def test_a_flipped_byte_is_found_wherever_it_is(cache, tmp_path):
    """Whatever byte is flipped: the features are the right ones, or are not there."""
    cache.put(keys(3), values(3))
    [path] = files(cache)
    whole = path.read_bytes()
    at_start = when_read = 0
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        reader = opened(tmp_path)
        for key, value in zip(keys(3), values(3), strict=True):
            try:
                assert np.array_equal(got(reader, key), value), place
            except KeyError:
                at_start += 1
            except DamagedError:
                when_read += 1
                assert not path.exists()
    assert at_start > 0
    assert when_read > 0


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a Parquet file at all"])
def test_a_damaged_file_is_told_and_removed_and_no_other(cache, tmp_path, content, caplog):
    cache.put(keys(2), values(2))
    [path] = files(cache)
    path.write_bytes(content)
    cache.put(keys(2, 7), values(2))
    with caplog.at_level(logging.WARNING):
        reader = opened(tmp_path)
    assert f"{path} is damaged" in caplog.text
    assert not path.exists()
    assert keys(1)[0] not in reader
    assert keys(1, 7)[0] in reader


def test_a_file_that_another_process_removed_is_gone(cache):
    cache.put(keys(2), values(2))
    files(cache)[0].unlink()
    with pytest.raises(GoneError):
        got(cache, keys(1)[0])
    assert keys(2)[1] not in cache


def test_damaged_files_are_found_all_at_once(cache, tmp_path, caplog):
    for number in range(4):
        cache.put(keys(2, 2 * number), values(2, number))
    for path in files(cache)[:3]:
        path.write_bytes(path.read_bytes()[:-9])
    cache.remove_damaged(digests(keys(9)))
    assert caplog.text.count("is damaged") == 3
    assert len(files(cache)) == 1
    assert len(cache.missing(digests(keys(8)))) == 6
    cache.remove_damaged(digests(keys(8)))
    assert caplog.text.count("is damaged") == 3


def test_a_file_that_goes_while_it_is_listed_is_no_damage(cache, tmp_path, monkeypatch, caplog):
    """As when another process has just put it together with others."""
    cache.put(keys(2), values(2))
    gone = cache.folder / "encoded-gone.parquet"
    found = [*files(cache), gone]
    monkeypatch.setattr(Path, "glob", lambda *_: iter(found))
    assert keys(2)[0] in opened(tmp_path)
    assert not caplog.text


def test_a_link_to_nowhere_is_told_with_what_to_make(tmp_path):
    (tmp_path / "cache").symlink_to(tmp_path / "disk" / "cache")
    with pytest.raises(InputError, match=rf"mkdir -p {tmp_path}/disk/cache"):
        opened(tmp_path / "cache" / "features")


def test_what_the_system_refuses_is_no_damage(cache, monkeypatch):
    cache.put(keys(2), values(2))

    def refuse(*_, **__):
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    with pytest.raises(InputError, match="could not be read"):
        got(cache, keys(1)[0])
    assert len(files(cache)) == 1


@pytest.mark.parametrize("kind", [pa.lib.ArrowMemoryError, MemoryError, pa.lib.ArrowCancelled])
@pytest.mark.parametrize("when", ["opened", "read"])
def test_no_memory_is_no_damage(cache, tmp_path, monkeypatch, kind, when):
    cache.put(keys(2), values(2))

    def refuse(*_, **__):
        raise kind("malloc of size 4096 failed")

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    with pytest.raises(kind):
        opened(tmp_path) if when == "opened" else got(cache, keys(1)[0])
    monkeypatch.undo()
    assert np.array_equal(got(opened(tmp_path), keys(1)[0]), values(2)[0])


def test_a_file_of_another_kind_is_as_damaged(cache, tmp_path):
    cache.put(keys(2), values(2))
    [path] = files(cache)
    pq.write_table(pa.table({"sha256": keys(2)}), path)
    assert keys(1)[0] not in opened(tmp_path)


def test_what_dead_processes_left_is_removed_and_the_living_are_left_alone(cache, tmp_path):
    cache.put(keys(1), values(1))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    partials = [
        cache.folder / f".{number}.partial.encoded-x.parquet"
        for number in (ended.pid, os.getppid(), os.getpid())
    ]
    for partial in partials:
        partial.write_bytes(b"half")
    reader = opened(tmp_path)
    assert [path.exists() for path in partials] == [False, True, False]
    assert keys(1)[0] in reader


def test_a_key_in_two_files_is_found(cache, tmp_path):
    cache.put(keys(3), values(3))
    cache.put(keys(2), values(3)[:2])
    assert np.array_equal(got(opened(tmp_path), keys(1)[0]), values(3)[0])


def test_many_batches_become_few_files_with_the_same_features(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MERGED_ROWS", 6)
    for first in range(0, 16, 2):
        cache.put(keys(2, first), values(16)[first : first + 2])
    assert len(files(cache)) == 2 + 2  # of six rows each, and two batches that wait for others
    for reader in (cache, opened(tmp_path)):
        for key, value in zip(keys(16), values(16), strict=True):
            assert np.array_equal(got(reader, key), value)


def test_what_another_process_puts_together_is_found_again(cache, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "MERGED_ROWS", 16)
    for at in range(3):
        cache.put(keys(4, 4 * at), values(4, at))
    other = opened(tmp_path)  # a copy of the repository, which shares the cache
    cache.put(keys(4, 12), values(4, 3))
    assert len(files(cache)) == 1
    with pytest.raises(GoneError), caplog.at_level(logging.WARNING):
        got(other, keys(1)[0])
    assert not caplog.text, "nothing is damaged"
    for at, key in enumerate(keys(16)):
        assert np.array_equal(got(other, key), values(4, at // 4)[at % 4])


def test_killed_while_files_become_one_nothing_is_lost(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MERGED_ROWS", 4)

    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith("encoded-"):
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    cache.put(keys(2), values(4)[:2])
    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        cache.put(keys(2, 2), values(4)[2:])
    monkeypatch.undo()
    again = opened(tmp_path)
    assert len(files(again)) == 3
    assert [got(again, key).tolist() for key in keys(4)] == values(4).tolist()


def test_grids_are_not_held_to_be_put_together(tmp_path):
    side = int((module.GROUP_BYTES / 8) ** 0.5)  # two of them fill a row group
    cache = opened(tmp_path, shape=(side, side))
    for number in range(3):
        cache.put(keys(2, 2 * number), np.zeros((2, side, side), "float32"))
    assert len(files(cache)) == 3
    assert not cache._small


def _used(cache: FeatureCache, at: int) -> Path:
    """Set when the newest file was last used."""
    path = max(files(cache), key=lambda one: one.stat().st_mtime_ns)
    os.utime(path, (at, at))
    return path


@pytest.fixture
def four(tmp_path) -> tuple[FeatureCache, list[Path]]:
    """Four files, of two encoders, the least recently used first."""
    other, cache = opened(tmp_path, "cd" * 32), opened(tmp_path)
    found = []
    for number, one in enumerate((cache, other, cache, other)):
        one.put(keys(2, 2 * number), values(2, seed=number))
        found.append(_used(one, 1000 + number))
    return cache, found


def make_room(
    cache: FeatureCache, bound: int, needed: int, wanted: np.ndarray, lacking: int = 0
) -> None:
    cache.remove(cache.leaving(bound, needed, wanted, lacking))


def test_the_least_recently_used_go_first_whoever_s_they_are(four, caplog):
    cache, paths = four
    size = paths[0].stat().st_size
    with caplog.at_level(logging.INFO):
        make_room(cache, 3 * size, size, digests([]))
    assert [path.exists() for path in paths] == [False, False, True, True]
    assert "removed 2 files" in caplog.text
    assert keys(1)[0] not in cache
    assert keys(1, 4)[0] in cache


def test_files_that_may_not_be_removed_are_told_and_stop_nothing(four, monkeypatch, caplog):
    """As in a cache of somebody else's, which may be read alone."""
    caplog.set_level(logging.INFO)
    cache, found = four
    leaving = cache.leaving(0, 0, digests([]))
    kept, unlink = found[0], Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path == kept:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    cache.remove(leaving)
    assert [path.exists() for path in found] == [True, False, False, False]
    assert "1 files may not be removed" in caplog.text
    assert "removed 3 files" in caplog.text


def test_reading_is_use(four, tmp_path):
    cache, paths = four
    got(opened(tmp_path), keys(1)[0])
    make_room(cache, 3 * paths[0].stat().st_size, 0, digests([]))
    assert [path.exists() for path in paths] == [True, False, True, True]


def test_what_is_chosen_to_go_is_there_until_it_is_removed(four):
    cache, paths = four
    leaving = cache.leaving(1, 0, digests([]))
    assert leaving.paths == paths
    assert leaving.freed == sum(path.stat().st_size for path in paths)
    assert all(path.exists() for path in paths)


def test_what_this_run_needs_stays_and_the_others_go_for_the_bound(four):
    cache, paths = four
    make_room(cache, paths[0].stat().st_size, 0, digests(keys(1)))
    assert [path.exists() for path in paths] == [True, False, False, False]
    assert np.array_equal(got(cache, keys(1)[0]), values(2, seed=0)[0])


@pytest.mark.parametrize(("lacking", "gone"), [(0, 0), (1, 1), (10**9, 3)])
def test_where_no_removal_keeps_the_bound_as_much_goes_as_the_disk_lacks(four, lacking, gone):
    cache, paths = four
    make_room(cache, 1, 0, digests(keys(1)), lacking)
    assert [path.exists() for path in paths] == [True, *(n >= gone for n in range(3))]
    assert np.array_equal(got(cache, keys(1)[0]), values(2, seed=0)[0])


def test_within_the_bound_as_much_goes_as_the_disk_lacks(four):
    cache, paths = four
    make_room(cache, MIB, 0, digests(keys(1)), lacking=1)
    assert [path.exists() for path in paths] == [True, False, True, True]


def test_what_a_bound_that_is_passed_costs_is_told_and_which_one_would_do(four, caplog):
    cache, _ = four
    with caplog.at_level(logging.WARNING):
        cache.leaving(20 << 30, 46 << 30, digests([]))
    assert "needs 46.0 GiB in the cache, whose bound is 20.0 GiB" in caplog.text
    assert "26.0 GiB of this one. The CNN is run again" in caplog.text
    assert caplog.text.rstrip().endswith("features.cache_gib: 47")
    caplog.clear()
    cache.leaving(47 << 30, 46 << 30, digests([]))
    assert not caplog.text


def test_within_the_bound_nothing_goes(four, caplog):
    cache, paths = four
    make_room(cache, MIB, 0, digests([]))
    assert all(path.exists() for path in paths)
    assert not caplog.text


def test_a_full_disk_is_one_line_and_what_is_written_stays(cache, tmp_path, monkeypatch):
    cache.put(keys(2), values(2))
    write = pq.write_table

    def half(table, path, **options):
        write(table, path, **options)
        os.truncate(path, 100)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", half)
    with pytest.raises(InputError, match=r"disk is full.*room for 24 bytes.*free") as caught:
        cache.put(keys(2, 5), values(2))
    assert "\n" not in str(caught.value)
    assert len(files(cache)) == 1
    assert keys(1)[0] in opened(tmp_path)
    assert keys(1, 5)[0] not in cache


def test_a_real_limit_of_the_system_is_told_too(tmp_path):
    """RLIMIT_FSIZE stands in for a full disk: Arrow's own writer meets it."""
    pytest.importorskip("resource")
    script = (
        "import resource, signal, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from pipeline.errors import InputError\n"
        "from pipeline.images.cache import FeatureCache\n"
        "cache = FeatureCache(Path(sys.argv[1]), 'ab' * 32, (3000,))\n"
        "rows = np.random.default_rng(1).normal(size=(4, 3000))\n"
        "cache.put(['01' * 32], rows[:1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try:\n"
        "    cache.put(['02' * 32, '03' * 32, '04' * 32], rows[1:])\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True, text=True, cwd=root, check=True,
    )  # fmt: skip
    assert "the disk is full" in done.stdout
    reader = opened(tmp_path, shape=(3000,))
    assert "01" * 32 in reader
    assert "02" * 32 not in reader
    assert len(files(reader)) == 1


def test_sizes_are_told_as_people_do():
    told = [told_bytes(number) for number in (0, 24, 1010, 1 << 20, 49 << 30)]
    assert told == ["0 bytes", "24 bytes", "1010 bytes", "1 MiB", "49.0 GiB"]
