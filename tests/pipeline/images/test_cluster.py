"""Features from a cluster: a real one of Ray, of two nodes on this machine."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.images.cluster import RaySettings, encode_on_cluster
from pipeline.images.encoding import encode_padded
from pipeline.images.reading import read_batches

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")
SIDE, BATCH = 16, 4
SETTINGS = RaySettings(address=None, actors=2, num_cpus=1, num_gpus=0)


def stand_in(seconds: float = 0.0):
    """Make what makes an encoder: nested, so that it travels by value and not by name."""

    def make():
        import time

        def encode(pixels):
            time.sleep(seconds)
            return pixels.reshape(len(pixels), -1)[:, :6].astype("float32").reshape(-1, 3, 2)

        return encode

    return make


@pytest.fixture(scope="module")
def nodes():
    """Start a cluster of a head, which works too, and one more node, which a test may kill."""
    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80_000_000}
    )
    other = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    yield cluster, other
    ray.shutdown()
    cluster.shutdown()


def expected(pictures, raw: Path) -> dict[str, bytes]:
    found = {}
    for batch, pixels in read_batches(pictures, raw, SIDE, BATCH):
        features = encode_padded(stand_in()(), pixels, BATCH)
        found.update({p.sha256: row.tobytes() for p, row in zip(batch, features, strict=True)})
    return found


def taken(encoded) -> dict[str, bytes]:
    return {
        key: row.tobytes()
        for keys, features in encoded
        for key, row in zip(keys, features, strict=True)
    }


@pytest.mark.slow
def test_a_picture_that_changed_is_told_as_one_line(nodes, drawn, raw):
    cluster, _ = nodes
    pictures = drawn(8)
    (raw / pictures[5].path).write_bytes((raw / pictures[4].path).read_bytes())
    settings = SETTINGS.model_copy(update={"address": cluster.address})
    with pytest.raises(InputError, match="has changed since `ingest` saw it"):
        taken(encode_on_cluster(pictures, raw, stand_in(), SIDE, BATCH, settings))


@pytest.mark.slow
def test_more_gpus_than_there_are_is_told(nodes, drawn, raw):
    cluster, _ = nodes
    settings = SETTINGS.model_copy(update={"address": cluster.address, "num_gpus": 1})
    with pytest.raises(InputError, match=r"1 GPU for an actor\. Received: 0"):
        taken(encode_on_cluster(drawn(2), raw, stand_in(), SIDE, BATCH, settings))


@pytest.mark.slow
def test_a_node_is_killed_in_the_middle_and_nothing_is_lost(nodes, drawn, raw):
    cluster, other = nodes
    pictures = drawn(160)
    settings = SETTINGS.model_copy(update={"address": cluster.address})
    found, killed = {}, False
    for keys, features in encode_on_cluster(pictures, raw, stand_in(0.5), SIDE, BATCH, settings):
        assert features.shape[1:] == (3, 2)
        found.update({key: row.tobytes() for key, row in zip(keys, features, strict=True)})
        if not killed and len(found) >= 2 * BATCH:
            cluster.remove_node(other, allow_graceful=False)
            killed = True
    assert killed
    assert len(found) == 160
    assert found == expected(pictures, raw)


def test_a_short_batch_is_encoded_at_the_full_size():
    seen = []

    def encode(pixels):
        seen.append(len(pixels))
        return pixels.reshape(len(pixels), -1).astype("float32")

    pixels = np.ones((3, 2, 2, 3), "uint8")
    assert encode_padded(encode, pixels, 8).shape == (3, 12)
    assert seen == [8]
