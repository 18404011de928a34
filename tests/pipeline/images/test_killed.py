"""Killed at any moment, `features` goes on where it was, and the shards are the same bytes."""

import hashlib
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.images.cluster import RaySettings
from pipeline.images.decode import Span
from pipeline.images.features import FeaturesSettings, Source, extract
from pipeline.images.reading import Picture

PICTURES, SIDE, BATCH, KILLS = 600, 4, 4, 20
AT_ONCE = 2  # batches that are encoded at the same time
SETTINGS = FeaturesSettings(
    engine="local",
    ray=RaySettings(address=None, actors=1, num_cpus=1, num_gpus=0),
    pooling="average",
    precision="float32",
    format="parquet",
    dtype="float32",
    rows_per_shard=50,
    batch_size=BATCH,
    workers=2,
    cache_gib=1.0,
)


def listed(folder: Path) -> list[Picture]:
    """Write tiny pictures one after another into a single file."""
    pictures, data = [], bytearray()
    for number in range(PICTURES):
        pixels = np.random.default_rng(number).integers(1, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        picture = b"P6 %d %d 255\n" % (SIDE, SIDE) + pixels.tobytes()
        span = Span(len(data), len(picture))
        digest = hashlib.sha256(picture).hexdigest()
        pictures.append(Picture(f"p{number:05d}", "all.bin", span, digest, SIDE * SIDE))
        data += picture
    folder.mkdir(parents=True)
    (folder / "all.bin").write_bytes(data)
    return pictures


def work(raw: Path, pictures: list[Picture], cache: Path, out: Path, log: Path) -> None:
    """Run in another process: the shards of stand-in features, each encoding noted in a log."""
    notes = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def encode(pixels: np.ndarray) -> np.ndarray:
        names = [hashlib.md5(one.tobytes()).hexdigest() for one in pixels if one.any()]
        os.write(notes, "".join(name + "\n" for name in names).encode())
        time.sleep(0.004)
        return np.sqrt(pixels.reshape(len(pixels), -1).astype("float32"))

    source = Source(encode, SIDE, (SIDE * SIDE * 3,), "ab" * 32, AT_ONCE)
    extract(pictures, raw, source, cache, out, SETTINGS)


def encodings(log: Path, start: int) -> int:
    """How many encodings are noted in the log from a place on."""
    return log.read_bytes()[start:].count(b"\n")


def kept(cache: Path) -> int:
    """How many pictures' features the cache has, all of them whole."""
    files = cache.glob("*/encoded-*.parquet")
    return len({key for path in files for key in pq.read_table(path)["sha256"].to_pylist()})


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is POSIX")
def test_twenty_kills_lose_nothing_but_what_was_in_flight(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "data" / "features"
    pictures = listed(raw)
    # Forked from a process that has imported the code and has no threads: quick and safe.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.images.features"])

    def start(cache: str, folder: Path, log: str) -> multiprocessing.Process:
        arguments = (raw, pictures, tmp_path / cache, folder, tmp_path / log)
        process = context.Process(target=work, args=arguments)
        process.start()
        return process

    undisturbed = start("calm", tmp_path / "calm-out", "calm.log")
    undisturbed.join()
    assert undisturbed.exitcode == 0

    dice, killed, log, lost = random.Random(1), 0, tmp_path / "log", []
    log.touch()
    while killed < KILLS:
        known, before = kept(tmp_path / "cache"), log.stat().st_size
        process = start("cache", out, "log")
        # From the first batch on, or from the start where all have been encoded.
        encodes = known < PICTURES
        while encodes and process.is_alive() and log.stat().st_size == before:
            time.sleep(0.001)
        process.join(dice.uniform(0, 0.03 if encodes else 0.1))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        lost.append(encodings(log, before) - (kept(tmp_path / "cache") - known))
        if process.exitcode == 0:  # it was done before: make it write the shards again
            (out / "manifest.json").unlink()
    last = start("cache", out, "log")
    last.join()
    assert last.exitcode == 0

    assert bytes_in(out) == bytes_in(tmp_path / "calm-out")
    names = (tmp_path / "log").read_text().split()
    counts = Counter(names)
    assert len(counts) == PICTURES
    # In flight at a kill: the batches being encoded and the one being written.
    assert sum(one > 0 for one in lost) >= KILLS // 4, "killed while batches were in flight"
    assert min(lost) >= 0
    assert max(lost) <= (AT_ONCE + 1) * BATCH
    assert sum(lost) == len(names) - PICTURES, "nothing is encoded again but what was lost"
    assert not list(tmp_path.rglob(".*.partial.*"))
