"""Tables as large as COCO's: 123,000 pictures as tiny files, and 616,000 captions.

`ingest`, `clean` and `vocabulary` run as the commands that DVC calls, so that their start and their
memory count as well. Beside `ingest` stands the loop that it replaces: open, decode and hash one
picture after another. What `ingest` does beside that (the captions, and the hash of what a picture
looks like) weighs the less the larger the pictures are: it is measured with pictures of two sizes.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from benchmarks.timing import seconds, spread

PICTURES, CAPTIONS_EACH = 123_000, 5
TINY, SMALL = (160, 120), (320, 240)  # pixels; COCO's own are 640 x 480
WORDS, MEAN_WORDS = 25_000, 10.5
ROUNDS = 3
SETTINGS = Path("params.yaml")


def measure() -> dict[str, Any]:
    """Time the stages that handle tables, and their greatest memory."""
    times, memory = _time(TINY, ("ingest", "clean", "vocabulary"))
    larger, _ = _time(SMALL, ("ingest",))
    both = [a + b for a, b in zip(times["clean"], times["vocabulary"], strict=True)]
    return {
        "pictures": PICTURES,
        "captions": PICTURES * CAPTIONS_EACH,
        "ingest_seconds": spread(times["ingest"]),
        "ingest_against_loop": spread(_ratios(times)),
        "ingest_gib": memory["ingest"],
        "ingest_seconds_320x240": spread(larger["ingest"]),
        "ingest_against_loop_320x240": spread(_ratios(larger)),
        "clean_and_vocabulary_seconds": spread(both),
        "clean_gib": memory["clean"],
        "vocabulary_gib": memory["vocabulary"],
    }


def _time(
    size: tuple[int, int], wanted: tuple[str, ...]
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Time stages and the loop in turn, seconds; and tell the stages' greatest memory, GiB."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        raw = _make(data / "raw", size)
        params = _params(data, raw)
        stages = {
            "ingest": [raw, data / "ingest"],
            "clean": [data / "ingest" / "captions.parquet", data / "clean"],
            "vocabulary": [
                data / "ingest" / "images.parquet",
                data / "clean" / "captions.parquet",
                data / "vectors",
                data / "vocabulary",
            ],
        }
        times: dict[str, list[float]] = {name: [] for name in ("loop", *wanted)}
        memory = dict.fromkeys(wanted, 0.0)
        for _ in range(ROUNDS):
            times["loop"].append(seconds(lambda: _loop(raw)))
            for stage in wanted:
                command = [stage, *map(str, stages[stage]), "--params", str(params)]
                start = time.perf_counter()
                memory[stage] = _run(command)
                times[stage].append(time.perf_counter() - start)
    return times, memory


def _ratios(times: dict[str, list[float]]) -> list[float]:
    """How many times as fast as the loop `ingest` is, round by round."""
    return [a / b for a, b in zip(times["loop"], times["ingest"], strict=True)]


def _make(raw: Path, size: tuple[int, int]) -> Path:
    """Write pictures of a size in pixels, and captions, in Flickr8k's layout."""
    rng = np.random.default_rng(1)
    (raw / "pictures").mkdir(parents=True)
    names = [f"{number:012d}.jpg" for number in range(PICTURES)]
    noise = rng.integers(0, 255, (64, 12, 16, 3)).astype(np.uint8)
    coarse = [np.asarray(Image.fromarray(one).resize(size)) for one in noise]
    for number, name in enumerate(names):
        picture = Image.fromarray(np.roll(coarse[number % 64], number // 64, axis=(0, 1)))
        picture.save(raw / "pictures" / name)
    cuts = {"train": names[:113_000], "dev": names[113_000:118_000], "test": names[118_000:]}
    for split, chosen in cuts.items():
        (raw / f"x.{split}Images.txt").write_text("\n".join(chosen))
    with (raw / "x.token.txt").open("w") as stream:
        stream.writelines(_captions(names, rng))
    return raw


def _captions(names: list[str], rng: np.random.Generator) -> Iterator[str]:
    """Yield lines whose words follow Zipf's law, as those of people do."""
    words = np.array([f"{chr(97 + n % 26)}w{n}" for n in range(WORDS)])
    chance = (1 / np.arange(2, WORDS + 2)).cumsum()
    chance /= chance[-1]
    for name in names:
        for number in range(CAPTIONS_EACH):
            length = max(5, int(rng.normal(MEAN_WORDS, 2)))
            text = " ".join(words[np.searchsorted(chance, rng.random(length))])
            yield f"{name}#{number}\tA {text} .\n"


def _params(data: Path, raw: Path) -> Path:
    params = yaml.safe_load(SETTINGS.read_text())
    params["ingest"]["folder"] = str(raw)
    params["ingest"]["max_dropped"] = params["clean"]["max_dropped"] = 1.0
    (data / "params.yaml").write_text(yaml.safe_dump(params))
    return data / "params.yaml"


def _loop(raw: Path) -> None:
    """Open, decode and hash every picture, one after another."""
    for path in sorted((raw / "pictures").iterdir()):
        with Image.open(path) as picture:
            picture.load()
        hashlib.sha256(path.read_bytes()).hexdigest()


def _run(command: list[str]) -> float:
    """Run a stage; return its greatest memory in GiB, of one process."""
    name, *arguments = command
    started = subprocess.Popen(
        [sys.executable, "-m", f"stages.{name}", *arguments], stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(started.pid, 0)
    if status:
        raise RuntimeError(f"stage {name} failed")
    return round(usage.ru_maxrss / 2**20, 2)


if __name__ == "__main__":
    from benchmarks.run import tell

    tell({"tables": measure()})
