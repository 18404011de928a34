"""The memory that features take does not grow with the pictures."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.tables import IMAGES, write_table

pytest.importorskip("resource")
ROOT = Path(__file__).parents[3]
SIDE = 8

# The stage's process, TensorFlow and all, but for the network: a stand-in is quick enough for
# 100,000 pictures, and a network takes the same memory whatever their number.
SCRIPT = """
import json, resource, sys
from pathlib import Path
import numpy as np
import stages.features
from pipeline.images.cluster import RaySettings
from pipeline.images.features import FeaturesSettings, Source, extract
from pipeline.images.listing import PictureList

folder, file_format, shape = Path(sys.argv[1]), sys.argv[2], tuple(json.loads(sys.argv[3]))
settings = FeaturesSettings(
    engine="local", ray=RaySettings(address=None, actors=1, num_cpus=1, num_gpus=0),
    pooling="grid" if len(shape) > 1 else "average", precision="float32",
    format=file_format, dtype="float16",
    rows_per_shard=2048, batch_size=64, workers=2, cache_gib=10.0,
)

def encode(pixels):
    values = np.repeat(pixels.reshape(len(pixels), -1)[:, :64].astype("float32"), 8, axis=1)
    return values.reshape(-1, *shape)

pictures = PictureList(folder / "images.parquet")
source = Source(encode, 8, shape, "ab" * 32, at_once=2)  # as the stage has it on a CPU
encoded = []
for out in ("out", "again"):  # the second time from the cache
    work = extract(pictures, folder, source, folder / "cache", folder / out, settings)[1]
    encoded.append(work.encoded)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"peak": peak, "encoded": encoded}))
"""


def write(folder: Path, number: int) -> None:
    """Write so many different pictures into one file, and the table that lists them."""
    folder.mkdir()
    head = b"P6 %d %d 255\n" % (SIDE, SIDE)
    pixels = np.random.default_rng(1).integers(1, 256, (number, SIDE * SIDE * 3), dtype=np.uint8)
    data = [head + one.tobytes() for one in pixels]
    size = len(data[0])
    (folder / "all.bin").write_bytes(b"".join(data))
    same = {"split": "train", "path": "all.bin", "mode": "RGB", "dhash": "0" * 64}
    columns = {
        "image_id": [f"p{row:06d}" for row in range(number)],
        "offset": np.arange(number) * size,
        "bytes": np.full(number, size),
        "sha256": [hashlib.sha256(one).hexdigest() for one in data],
        "width": np.full(number, SIDE),
        "height": np.full(number, SIDE),
        **{name: [value] * number for name, value in same.items()},
    }
    arrays = [pa.array(columns[field.name], field.type) for field in IMAGES]
    write_table(folder / "images.parquet", pa.table(arrays, schema=IMAGES))


def peak(folder: Path, number: int, file_format: str, shape: list[int]) -> int:
    write(folder, number)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), file_format, json.dumps(shape)],
        cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["encoded"] == [number, 0]
    return found["peak"]


@pytest.mark.slow
@pytest.mark.parametrize(("file_format", "shape"), [("parquet", [512]), ("tfrecord", [2, 2, 128])])
def test_a_hundred_times_the_pictures_take_the_same_memory(tmp_path, file_format, shape):
    few, many = (
        peak(tmp_path / str(number), number, file_format, shape) for number in (1_000, 100_000)
    )
    assert many <= 1.1 * few, (few, many)
