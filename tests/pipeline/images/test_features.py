"""Pictures are encoded once, whatever happens."""

import errno
import itertools
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import astuple, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.images import features
from pipeline.images.cache import FeatureCache
from pipeline.images.cluster import Encoded
from pipeline.images.decode import read_square
from pipeline.images.features import (
    FeaturesSettings,
    Source,
    Work,
    compute,
    digests_of,
    extract,
    rows,
)
from pipeline.images.reading import Busy
from pipeline.images.shards import read_shards

SIDE, BATCH, IDENTITY = 8, 4, "ab" * 32
SETTINGS = {
    "engine": "local",
    "ray": {"address": None, "actors": 1, "num_cpus": 1, "num_gpus": 0},
    "pooling": "average",
    "precision": "float32",
    "format": "parquet",
    "dtype": "float32",
    "rows_per_shard": 5,
    "batch_size": BATCH,
    "workers": 2,
    "cache_gib": 1.0,
}


class Encode:
    """An encoder that counts: the mean of each channel."""

    def __init__(self, fails_at: int | None = None, takes: float = 0.0) -> None:
        self.fails_at, self.takes = fails_at, takes
        self.batches: list[int] = []
        self.contents: set[bytes] = set()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        if len(self.batches) == self.fails_at:
            raise KeyboardInterrupt
        time.sleep(self.takes)
        self.batches.append(len(pixels))
        real = [picture.tobytes() for picture in pixels if picture.any()]  # others pad
        assert not self.contents.intersection(real), "a picture was encoded twice"
        self.contents.update(real)
        return pixels.mean(axis=(1, 2)).astype("float32")


def source(encode, shape=(3,), at_once=1) -> Source:
    return Source(encode, SIDE, shape, IDENTITY, at_once)


def settings(**changes) -> FeaturesSettings:
    return FeaturesSettings(**{**SETTINGS, **changes})


@pytest.fixture
def run(raw, tmp_path):
    """Compute features with the cache in `tmp_path / name`; return them and the encoder."""

    def compute_in(name, pictures, encode=None):
        encode = encode or Encode()
        work = compute(pictures, raw, source(encode), cache_in(tmp_path / name), BATCH)
        assert work.encoded == len(encode.contents)
        found = list(rows(pictures, cache_in(tmp_path / name)))
        return found, encode

    return compute_in


@pytest.fixture
def run_all(raw, tmp_path):
    """Write shards to `tmp_path / out`, with the cache in `tmp_path / cache`."""

    def extract_to(pictures, encode=None, out="out", shape=(3,), at_once=1, **changes):
        folder, cache = tmp_path / out, tmp_path / "cache"
        given = source(encode or Encode(), shape, at_once)
        return extract(pictures, raw, given, cache, folder, settings(**changes))

    return extract_to


def cache_in(folder) -> FeatureCache:
    return FeatureCache(folder, IDENTITY, (3,))


def same(one, other) -> bool:
    return [(key, value.tobytes()) for key, value in one] == [
        (key, value.tobytes()) for key, value in other
    ]


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def bytes_in(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_each_content_is_encoded_once(drawn, raw, run):
    pictures = drawn(5)
    shutil.copyfile(raw / "p000.png", raw / "twin.png")
    twin = replace(pictures[0], image_id="twin", path="twin.png")
    found, encode = run("cache", [*pictures, twin])
    assert len(encode.contents) == 5
    assert [key for key, _ in found] == [*(picture.image_id for picture in pictures), "twin"]
    assert np.array_equal(found[0][1], found[-1][1])


def test_every_batch_has_the_same_size(drawn, run):
    _, encode = run("cache", drawn(5))
    assert encode.batches == [BATCH, BATCH]


def test_a_warm_cache_computes_nothing(drawn, run):
    found, _ = run("cache", drawn(5))
    again, encode = run("cache", drawn(5))
    assert encode.batches == []
    assert same(found, again)


def test_what_is_no_number_is_told_and_not_kept(drawn, raw, tmp_path):
    def broken(pixels):
        features = pixels.mean(axis=(1, 2)).astype("float32")
        return np.where(features < features.max(), features, np.nan)

    pictures, cache = drawn(3), cache_in(tmp_path / "cache")
    told = r"sha256 [0-9a-f]{64}\. Set features\.precision: float32"
    with pytest.raises(InputError, match=told):
        compute(pictures, raw, source(broken), cache, BATCH)
    assert len(cache.missing(digests_of(pictures))) == 3
    assert compute(pictures, raw, source(Encode()), cache, BATCH).encoded == 3


def test_what_was_read_by_another_decoder_is_encoded_again(drawn, raw, tmp_path):
    encoded = []
    for kept_as in ("-pillow1", "-pillow2", "-pillow1"):
        given = replace(source(Encode()), kept_as=kept_as)
        manifest, work = extract(
            drawn(3), raw, given, tmp_path / "cache", tmp_path / "out", settings()
        )
        assert manifest.encoder == IDENTITY
        encoded.append(work.encoded)
    assert encoded == [3, 3, 0]


def test_ten_new_pictures_are_ten_pictures_to_encode(drawn, run):
    before, _ = run("cache", drawn(6))
    found, encode = run("cache", drawn(16))
    assert len(encode.contents) == 10
    assert same(found[:6], before)
    assert same(found, run("fresh", drawn(16))[0])


def test_an_interrupted_run_keeps_all_that_was_encoded(drawn, run):
    pictures = drawn(19)
    with pytest.raises(KeyboardInterrupt):
        run("cache", pictures, Encode(fails_at=3))
    found, encode = run("cache", pictures)
    assert len(encode.contents) == 19 - 3 * BATCH
    assert same(found, run("undisturbed", pictures)[0])


def test_no_pictures_need_no_encoder(run):
    found, encode = run("cache", [])
    assert found == []
    assert encode.batches == []


def test_writing_and_encoding_overlap_and_one_batch_at_most_waits(drawn, raw, tmp_path):
    """The second batch is encoded while the first is written; the third waits for its turn."""
    cache, events = cache_in(tmp_path / "cache"), []
    second_encoded, put = threading.Event(), cache.put
    encode = Encode()

    def slow_put(keys, features):
        assert second_encoded.wait(10), "the encoder did not go on while a batch was written"
        put(keys, features)
        events.append("written")

    def watched(pixels):
        features = encode(pixels)
        events.append("encoded")
        if len(encode.batches) == 2:
            time.sleep(0.05)  # had more batches been let in, they would come now
            second_encoded.set()
        return features

    cache.put = slow_put
    compute(drawn(12), raw, source(watched), cache, BATCH)
    assert events[:2] == ["encoded", "encoded"]
    assert all(events[:n].count("encoded") - events[:n].count("written") <= 2 for n in range(7))


def test_after_the_first_two_batches_are_encoded_at_the_same_time(drawn, raw, tmp_path):
    together, before = threading.Barrier(2, timeout=10), []
    encode = Encode()

    def watched(pixels):
        if before:  # the first one may be what compiles, and is encoded alone
            together.wait()
        features = encode(pixels)
        before.append(len(pixels))
        return features

    work = compute(drawn(5 * BATCH), raw, source(watched, at_once=2), cache_in(tmp_path), BATCH)
    assert work.encoded == 5 * BATCH
    assert work.encoding.threads == work.waiting.threads == 2


def test_however_many_are_encoded_at_once_the_shards_are_the_same(drawn, run_all, tmp_path):
    pictures = drawn(19)
    for at_once in (1, 2, 3):
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        _, work = run_all(pictures, Encode(takes=0.002), f"out{at_once}", at_once=at_once)
        assert work.encoded == 19
        assert bytes_in(tmp_path / f"out{at_once}") == bytes_in(tmp_path / "out1")


def test_when_one_of_two_fails_the_other_ends_with_its_batch(drawn, run_all):
    pictures, encode, calls = drawn(40), Encode(takes=0.005), itertools.count()

    def interrupted(pixels):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return encode(pixels)

    with pytest.raises(KeyboardInterrupt):
        run_all(pictures, interrupted, at_once=2)
    begun = len(encode.batches)
    assert 3 <= begun <= 5
    assert not [t for t in threading.enumerate() if t.name.startswith(("decode", "encode"))]
    _, work = run_all(pictures, at_once=2)
    assert work.encoded == 40 - begun * BATCH, "what was encoded is kept"


def test_a_failing_writer_stops_the_run(drawn, run_all, tmp_path, monkeypatch):
    pictures = drawn(20)
    encode = Encode()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(InputError, match="disk is full"):
            run_all(pictures, encode)
    assert len(encode.batches) <= 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
    assert not (tmp_path / "out").exists()
    run_all(pictures)
    assert bytes_in(tmp_path / "out")


def test_a_disk_that_fills_while_shards_are_written_is_one_line(
    drawn, run_all, tmp_path, monkeypatch
):
    pictures = drawn(6)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.images.features.write_shards", full)
        with pytest.raises(InputError, match=r"out: the disk is full.*what is written|What is"):
            run_all(pictures)
    _, work = run_all(pictures)
    assert work.encoded == 0


# RLIMIT_FSIZE stands in for a full disk: the writers of Arrow and of TensorFlow meet it themselves.
SMALL_DISK = """
import json, resource, signal, sys
from pathlib import Path
import numpy as np
from pipeline.errors import InputError
from pipeline.images.decode import Span
from pipeline.images.features import FeaturesSettings, Source, extract
from pipeline.images.reading import Picture

folder, settings, listed = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
pictures = [Picture(name, path, Span(*span), *rest) for name, path, span, *rest in listed]

def encode(pixels):
    return np.tile(pixels.reshape(len(pixels), -1).astype("float32"), 16)

source = Source(encode, 8, (16 * 8 * 8 * 3,), "ab" * 32)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    extract(
        pictures, folder / "raw", source, folder / "cache", folder / "out",
        FeaturesSettings(**settings),
    )
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "file_format",
    ["parquet", pytest.param("tfrecord", marks=pytest.mark.slow)],  # loads TensorFlow
)
def test_a_disk_that_really_fills_while_shards_are_written_costs_no_features(
    drawn, raw, tmp_path, file_format
):
    """A batch in the cache has 50 KB, and the shard 150 KB, of which 100 KB fit."""
    pytest.importorskip("resource")
    pictures = drawn(3 * BATCH)
    changes = {"format": file_format, "rows_per_shard": 100}
    listed = json.dumps([astuple(picture) for picture in pictures])
    done = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, tmp_path, json.dumps({**SETTINGS, **changes}), listed],
        capture_output=True, text=True, cwd=Path(__file__).parents[3], check=True,
    )  # fmt: skip
    assert re.search(
        r"out: the disk is full \(File too large\): expected room for 144 KiB\. .*free\. What is"
        r" written stays good: make room and run again",
        done.stdout,
    ), done.stdout + done.stderr
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob(".*.partial.*"))
    unused, width = Encode(), 16 * SIDE * SIDE * 3
    given = source(unused, (width,))
    manifest, work = extract(
        pictures, raw, given, tmp_path / "cache", tmp_path / "out", settings(**changes)
    )
    assert (manifest.rows, work.encoded, unused.batches) == (len(pictures), 0, [])
    values = read_shards(tmp_path / "out", IDENTITY).values
    pixels = np.stack([read_square(raw / picture.path, SIDE, 10**6) for picture in pictures])
    np.testing.assert_array_equal(values, np.tile(pixels.reshape(len(pictures), -1), 16))


@pytest.mark.parametrize(
    ("when", "spoil", "told"),
    [
        ("before", cut, "is damaged"),
        ("meanwhile", cut, "is damaged"),
        ("meanwhile", Path.unlink, "was removed by another run"),
    ],
)
def test_a_file_that_is_damaged_or_gone_is_told_and_its_pictures_are_encoded_again(
    drawn, run_all, tmp_path, when, spoil, told, caplog, monkeypatch
):
    pictures = drawn(11)
    run_all(pictures)
    whole = bytes_in(tmp_path / "out")
    spoilt = sorted((tmp_path / "cache").rglob("encoded-*"))[1]
    if when == "before":
        spoil(spoilt)
    else:

        def compute_then_spoil(*arguments):
            work = compute(*arguments)
            if not caplog.text:
                spoil(spoilt)
            return work

        monkeypatch.setattr("pipeline.images.features.compute", compute_then_spoil)
    with caplog.at_level(logging.WARNING):
        _, work = run_all(pictures, out="again")
    assert 0 < work.encoded <= BATCH
    assert f"{spoilt} {told}" in caplog.text
    assert ("is damaged" in caplog.text) == (told == "is damaged")
    assert bytes_in(tmp_path / "again") == whole


def test_however_many_files_are_damaged_they_are_encoded_again(drawn, run_all, tmp_path):
    pictures = drawn(5 * BATCH)
    run_all(pictures)
    whole = bytes_in(tmp_path / "out")
    for damaged in sorted((tmp_path / "cache").rglob("encoded-*"))[:4]:
        cut(damaged)
    _, work = run_all(pictures, out="again")
    assert work.encoded == 4 * BATCH
    assert bytes_in(tmp_path / "again") == whole


def test_a_disk_that_damages_everything_ends_the_run(drawn, run_all, tmp_path, monkeypatch):
    def compute_then_cut(*arguments):
        work = compute(*arguments)
        cut(next((tmp_path / "cache").rglob("encoded-*")))
        return work

    monkeypatch.setattr("pipeline.images.features.compute", compute_then_cut)

    class Forgetful(Encode):
        contents = property(lambda self: set(), lambda self, _: None)

    with pytest.raises(InputError, match="3 times some that were damaged, or gone"):
        run_all(drawn(5), Forgetful())
    assert not (tmp_path / "out").exists()


def test_what_will_not_fit_is_told_before_anything_is_encoded(drawn, run_all, monkeypatch):
    encode = Encode()
    usage = SimpleNamespace(total=0, used=0, free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError) as caught:
        run_all(drawn(6), encode, shape=(2, 3, 4))  # 6 x 24 values of 4 bytes, twice
    assert "576 bytes for " in str(caught.value)
    assert "1000 bytes free" in str(caught.value)
    assert encode.batches == []


def test_shards_of_half_the_size_need_half_the_room(drawn, run_all, monkeypatch):
    usage = SimpleNamespace(total=0, used=0, free=3 * 4 * 6 * 2 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError):
        run_all(drawn(6))
    run_all(drawn(6), dtype="float16")


def test_in_a_repository_of_dvc_s_its_copy_of_the_shards_needs_room_too(
    drawn, run_all, tmp_path, monkeypatch
):
    usage = SimpleNamespace(total=0, used=0, free=3 * 4 * 6 * 3 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(InputError, match=r"cache \(DVC's copy\)"):
        run_all(drawn(6))
    usage.free += 1
    run_all(drawn(6))


def other_encoder_s(folder, number: int = 8) -> list:
    """Put features of another encoder into the cache, and return their files."""
    other = FeatureCache(folder, "cd" * 32, (3,))
    for start in range(0, number, BATCH):
        names = [f"{start + row:064x}" for row in range(BATCH)]
        other.put(names, np.random.default_rng(start).normal(size=(BATCH, 3)))
    return sorted(other.folder.iterdir())


def test_where_the_run_has_no_room_other_encoders_features_stay(
    drawn, run_all, tmp_path, monkeypatch
):
    others = other_encoder_s(tmp_path / "cache")
    usage = SimpleNamespace(total=0, used=0, free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    for bound in (16_500, 100):  # could be kept without the others; is exceeded by this run alone
        with pytest.raises(InputError, match="that may leave the cache"):
            run_all(drawn(4), shape=(1000,), cache_gib=bound / (1 << 30))
        assert sorted(others[0].parent.iterdir()) == others


def test_while_a_run_exceeds_the_bound_others_features_go_only_where_the_disk_lacks_room(
    drawn, run_all, tmp_path, monkeypatch
):
    others, left = other_encoder_s(tmp_path / "cache"), []

    def watched(pixels):
        left.append(len(list(others[0].parent.iterdir())))
        return pixels.mean(axis=(1, 2)).astype("float32")

    run_all(drawn(4), watched, cache_gib=1e-9)
    assert left == [2]
    others = other_encoder_s(tmp_path / "cache")
    usage = SimpleNamespace(total=0, used=0, free=2 * 4 * 3 * 4 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    run_all(drawn(4, first=20), watched, cache_gib=1e-9)
    assert left == [2, 1]


def test_the_cache_is_bounded_by_setting(drawn, run_all, tmp_path):
    run_all(drawn(8))
    entries = sorted((tmp_path / "cache").rglob("encoded-*"))
    bound = sum(path.stat().st_size for path in entries) / (1 << 30)
    run_all(drawn(8, first=50), cache_gib=bound * 1.01, out="other")
    left = sorted((tmp_path / "cache").rglob("encoded-*"))
    assert not set(left).intersection(entries)  # the older pictures have gone
    assert len(left) == 2
    _, work = run_all(drawn(8, first=50), out="again")
    assert work.encoded == 0


def test_without_a_bound_nothing_goes(drawn, run_all, tmp_path):
    run_all(drawn(8))
    run_all(drawn(8, first=50), cache_gib=None, out="other")
    assert len(sorted((tmp_path / "cache").rglob("encoded-*"))) == 4


def test_what_a_killed_run_left_beside_the_shards_is_removed(drawn, run_all, tmp_path):
    left = tmp_path / f".{os.getpid()}.partial.out"
    other = tmp_path / f".{os.getpid()}.partial.train"
    for folder in (left, other):
        folder.mkdir()
        (folder / "half").write_bytes(b"half")
    run_all(drawn(2))
    assert not left.exists()
    assert other.exists()


def test_digests_are_all_there_in_order(drawn):
    pictures = [*drawn(3), *drawn(1)]
    found = digests_of(pictures)
    assert found.tobytes().hex() == "".join(picture.sha256 for picture in pictures)


def work_of(**seconds: float) -> Work:
    return Work(
        encoded=100,
        wall=10.0,
        decoding=Busy(4, seconds.get("decoding", 0.0)),
        encoding=Busy(1, seconds.get("encoding", 0.0)),
        writing=Busy(1, seconds.get("writing", 0.0)),
        waiting=Busy(1, seconds.get("waiting", 0.0)),
    )


@pytest.mark.parametrize(
    ("seconds", "slowest"),
    [
        ({"decoding": 30.0, "encoding": 9.0}, "encoding"),  # 75% of four threads
        ({"decoding": 39.0, "encoding": 9.0}, "decoding"),
        ({"decoding": 10.0, "encoding": 5.0, "writing": 9.5}, "writing"),
    ],
)
def test_the_slowest_part_is_named(seconds, slowest, caplog):
    work = work_of(**seconds)
    assert work.slowest() == slowest
    with caplog.at_level(logging.INFO):
        work.tell()
    assert f"{slowest} was the slowest: of 10.0 s" in caplog.text
    assert "of its 1 threads, reading and decoding" in caplog.text
    assert "of its 4, writing" in caplog.text
    assert "decoding limits" not in caplog.text


def test_the_rate_is_of_the_batches_after_the_first_and_told_against_the_bare_encoder_s(caplog):
    work = work_of(encoding=9.0)
    work.steadily, work.steady = 90, 2.0
    with caplog.at_level(logging.INFO):
        work.tell()
        assert caplog.text.rstrip().endswith("; 45 pictures/s")
        work.bare = 50.0
        work.tell()
    assert caplog.text.rstrip().endswith("; 45 pictures/s, 90% of the encoder alone")


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_large_run_times_the_encoder_alone_and_a_small_one_does_not(
    drawn, raw, tmp_path, monkeypatch, at_once
):
    monkeypatch.setattr("pipeline.images.features.BARE_FROM", 4 // at_once)
    found = {}
    for number in (15, 16):
        encode, blank = Encode(takes=0.02), []

        def watched(pixels, encode=encode, blank=blank):
            if not pixels.any():
                blank.append(len(encode.batches))
            return encode(pixels)

        begun = time.perf_counter()
        given, folder = source(watched, at_once=at_once), tmp_path / str(number)
        work = compute(drawn(number), raw, given, cache_in(folder), BATCH)
        found[number] = work
        assert work.encoded == len(encode.contents) == number
        assert work.steadily == number - BATCH
        assert len(blank) == (0 if number == 15 else features.BARE_ROUNDS * at_once)
        assert 0 not in blank, "the first batch may be what compiles"
    assert found[15].bare is None
    assert found[16].bare == pytest.approx(at_once * BATCH / 0.02, rel=0.5)
    assert found[16].wall < time.perf_counter() - begun - features.BARE_ROUNDS * 0.02
    assert found[16].steady < found[16].wall


def test_how_long_shards_took_is_measured(drawn, run_all, monkeypatch):
    write = features.write_shards

    def slow(*arguments, **settings):
        time.sleep(0.05)
        return write(*arguments, **settings)

    monkeypatch.setattr(features, "write_shards", slow)
    _, work = run_all(drawn(2))
    assert 0.05 <= work.sharding < 5


def test_a_starved_encoder_is_warned_of(caplog):
    work_of(decoding=39.0, encoding=5.0, waiting=5.0).tell()
    assert "waited for pictures for 50% of the time" in caplog.text
    assert "features.workers" in caplog.text


def test_waiting_for_pictures_is_measured(drawn, raw, tmp_path, monkeypatch):
    def slow(*_):
        time.sleep(0.1)  # more than writing takes, on a machine that does other things beside
        return 0.1

    monkeypatch.setattr("pipeline.images.reading._read", slow)
    quick = Source(lambda pixels: np.zeros((len(pixels), 3), "float32"), SIDE, (3,), IDENTITY)
    work = compute(drawn(20), raw, quick, cache_in(tmp_path), BATCH, workers=1)
    assert work.decoding.seconds == pytest.approx(2)
    assert work.slowest() == "decoding"
    assert work.waiting.share(work.wall) > 0.15


@pytest.mark.parametrize(
    ("decoding", "waiting", "slowest"), [(0.1, 0.0, "encoding"), (3.0, 1.0, "decoding")]
)
def test_on_a_cluster_the_slowest_part_of_the_actors_is_named(
    drawn, raw, tmp_path, caplog, decoding, waiting, slowest
):
    def cluster(pictures):
        for number, picture in enumerate(pictures):
            features, actor = np.ones((1, 3), "float32"), f"actor {number % 2}"
            spent = Busy(4, decoding), Busy(1, 0.4), Busy(1, waiting)
            yield Encoded([picture.sha256], features, *spent, actor, "node")

    given = replace(source(Encode()), cluster=cluster)
    work = compute(drawn(6), raw, given, cache_in(tmp_path), BATCH)
    assert work.decoding.seconds == pytest.approx(6 * decoding)
    assert (work.decoding.threads, work.encoding.threads, work.waiting.threads) == (8, 2, 2)
    work.wall = 2.4
    with caplog.at_level(logging.INFO):
        work.tell()
    assert f"{slowest} was the slowest: of 2.4 s, encoding took 50% of its 2 threads" in caplog.text
    assert ("features.ray.num_cpus" in caplog.text) is (slowest == "decoding")
