"""Features from a cluster: a real one of Ray, of two nodes on this machine."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.images.cluster import (
    Actor,
    RaySettings,
    _check_offered,
    encode_on_cluster,
    tables_of,
)
from pipeline.images.encoding import encode_padded
from pipeline.images.features import FeaturesSettings, Source, extract
from pipeline.images.reading import read_batches

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")
SIDE, BATCH, SHAPE, IDENTITY = 16, 4, (3, 2), "ab" * 32
NOWHERE = "127.0.0.1:1"  # no cluster is there
SETTINGS = RaySettings(address=None, actors=2, num_cpus=1, num_gpus=0)
FEATURES = FeaturesSettings(
    engine="ray",
    ray=SETTINGS,
    pooling="grid",
    precision="float32",
    format="parquet",
    dtype="float32",
    rows_per_shard=50,
    batch_size=BATCH,
    workers=1,
    cache_gib=1.0,
)


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
    """Start a cluster of a head, which works too, and one more node, which the last test kills."""
    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80_000_000}
    )
    other = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    yield cluster, other
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def on(nodes):
    """Encode pictures on the cluster: (pictures, raw, what makes an encoder) -> batches."""
    cluster, _ = nodes
    settings = SETTINGS.model_copy(update={"address": cluster.address})

    def encode(pictures, raw, make_encoder, changes=None, **more):
        given = settings.model_copy(update=changes or {})
        return encode_on_cluster(pictures, raw, make_encoder, SIDE, BATCH, given, **more)

    return encode


@pytest.fixture
def actor(monkeypatch, raw):
    """Make an actor in this process, without Ray: (encode) -> the actor."""
    names = SimpleNamespace(get_actor_id=lambda: "actor", get_node_id=lambda: "node")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: names)
    return lambda encode: Actor(raw, lambda: encode, SIDE, BATCH, 1)


def bytes_in(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_without_pictures_no_cluster_is_looked_for(raw, monkeypatch):
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("looked for a cluster"))
    settings = SETTINGS.model_copy(update={"address": NOWHERE})
    assert list(encode_on_cluster([], raw, stand_in(), SIDE, BATCH, settings)) == []


@pytest.mark.parametrize(("address", "asked"), [(None, "local"), ("auto", "auto")])
def test_null_is_this_machine_alone_whatever_else_is_there(raw, drawn, monkeypatch, address, asked):
    """Ray itself would take RAY_ADDRESS for None, and then any cluster that runs here."""
    given = {}

    def init(**arguments):
        given.update(arguments)
        raise ConnectionError("enough")

    monkeypatch.setenv("RAY_ADDRESS", NOWHERE)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    settings = SETTINGS.model_copy(update={"address": address})
    encoded = encode_on_cluster(
        drawn(1), raw, stand_in(), SIDE, BATCH, settings, environment={"KERAS_BACKEND": "jax"}
    )
    with pytest.raises(InputError, match=f"expected a Ray cluster at '{asked}'"):
        list(encoded)
    assert given["address"] == asked
    assert given["runtime_env"]["env_vars"] == {"KERAS_BACKEND": "jax"}


def tables(pictures) -> list:
    return list(tables_of(pictures, BATCH))


def test_an_actor_decodes_a_batch_while_it_encodes_the_one_before(actor, drawn, monkeypatch):
    read, second, at_work = read_batches, threading.Event(), []
    batches = tables(drawn(2 * BATCH))

    def watched(pictures, *given):
        if pictures[0].image_id != batches[0]["image_id"][0].as_py():
            assert at_work, "the first batch is not being encoded yet"
            second.set()
        return read(pictures, *given)

    def encode(pixels):
        at_work.append(len(pixels))
        assert second.wait(10), "the second batch is not decoded meanwhile"
        return stand_in()()(pixels)

    monkeypatch.setattr("pipeline.images.cluster.read_batches", watched)
    called = actor(encode)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(called, batches[0])
        while not at_work:
            time.sleep(0.01)
        both = [first, threads.submit(called, batches[1])]
        assert [future.result()["told"].to_pylist() for future in both] == [[""] * BATCH] * 2


def test_an_actor_encodes_one_batch_at_a_time(actor, drawn):
    inside, most = [], []

    def encode(pixels):
        inside.append(None)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        return stand_in()()(pixels)

    batches = tables(drawn(6 * BATCH))
    with ThreadPoolExecutor(3) as threads:
        assert len(list(threads.map(actor(encode), batches))) == 6
    assert most == [1] * 6


def test_an_actor_tells_what_its_encoder_waited_for(actor, drawn, monkeypatch):
    def slow(*_):
        time.sleep(0.02)
        return 0.02

    monkeypatch.setattr("pipeline.images.reading._read", slow)
    batches = tables(drawn(2 * BATCH))
    called = actor(stand_in(0.01)())
    seconds = [called(table)["seconds"][0].as_py() for table in batches]
    assert [decoding for decoding, _, _ in seconds] == pytest.approx([0.02 * BATCH] * 2)
    assert all(0.01 <= encoding < 0.1 for _, encoding, _ in seconds)
    assert seconds[0][2] == 0.0, "the first batch comes when the encoder has just been made"
    assert 0.02 * BATCH <= seconds[1][2] < 1.0


@pytest.mark.slow
def test_a_picture_that_changed_is_told_as_one_line(on, drawn, raw):
    pictures = drawn(8)
    (raw / pictures[5].path).write_bytes((raw / pictures[4].path).read_bytes())
    told = rf"^on {os.uname().nodename}: .*has changed since `ingest` saw it.*docs/cluster\.md$"
    with pytest.raises(InputError, match=told):
        list(on(pictures, raw, stand_in()))


@pytest.mark.slow
def test_a_machine_without_the_data_set_is_told(on, drawn, raw):
    raw.mkdir()
    with pytest.raises(InputError, match=r"on \S+: .*elsewhere: .* same path"):
        list(on(drawn(4), raw.parent / "elsewhere", stand_in()))


@pytest.mark.slow
def test_a_machine_without_the_encoder_is_told(on, drawn, raw):
    def make():
        from pipeline.images.spec import read_spec

        read_spec(raw / "no_encoder")

    with pytest.raises(InputError, match=r"on \S+: .*no_encoder/encoder\.json.* same path"):
        list(on(drawn(4), raw, make))


@pytest.mark.slow
def test_an_encoder_that_cannot_be_made_is_told(on, drawn, raw):
    def make():
        raise MemoryError("no room on the GPU")

    with pytest.raises(InputError, match="no room on the GPU"):
        list(on(drawn(4), raw, make))


@pytest.mark.slow
def test_actors_that_are_killed_again_and_again_end_the_run(on, drawn, raw, monkeypatch):
    monkeypatch.setattr("pipeline.images.cluster.RESTARTS", 2)

    def make():
        return lambda _: os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(InputError, match=r"from Ray: The actor died .* ip: \d"):
        list(on(drawn(4), raw, make, {"actors": 1}))


@pytest.mark.slow
def test_actors_are_given_the_environment(on, drawn, raw):
    ray.shutdown()  # as what was joined keeps its environment

    def make():
        import os

        from pipeline.errors import InputError

        raise InputError(f"has {os.environ.get('CAPTION_TEST')}")

    with pytest.raises(InputError, match="has what is set"):
        list(on(drawn(4), raw, make, environment={"CAPTION_TEST": "what is set"}))
    ray.shutdown()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"num_gpus": 2}, "less than or equal to 1"),
        ({"num_gpus": 0.00001}, "expected 0.0001 at least"),
        ({"num_cpus": 0.00001}, "expected 0.0001 at least"),
    ],
)
def test_what_ray_cannot_give_is_refused(given, told):
    """It would end in an error of Ray's own, after the data set has been read."""
    with pytest.raises(ValueError, match=told):
        RaySettings(**{"address": None, "actors": 1, "num_cpus": 1, "num_gpus": 0} | given)
    RaySettings(address=None, actors=1, num_cpus=1.5, num_gpus=1)


def test_an_actor_has_to_fit_on_one_machine():
    """Ray adds up what machines have, and would wait for ever."""
    settings = RaySettings(address=None, actors=2, num_cpus=4, num_gpus=0.5)
    small, large = {"CPU": 2.0, "GPU": 1.0}, {"CPU": 8.0, "GPU": 1.0}
    _check_offered(settings, [small, large])
    with pytest.raises(InputError) as told:
        _check_offered(settings, [small, small, {"CPU": 8.0}])
    assert "expected a machine with 4 CPU and 0.5 GPU for an actor" in str(told.value)
    assert "Received: 2 CPU and 1 GPU, 8 CPU and 0 GPU." in str(told.value)


@pytest.mark.slow
def test_more_gpus_than_there_are_is_told(on, drawn, raw):
    with pytest.raises(InputError, match=r"1 GPU for an actor\. Received: \d+ CPU and 0 GPU"):
        list(on(drawn(2), raw, stand_in(), {"num_gpus": 1}))


@pytest.mark.slow
def test_a_node_is_killed_in_the_middle_and_the_shards_are_the_same(
    nodes, on, drawn, raw, tmp_path
):
    cluster, other = nodes
    pictures, worked, killed = drawn(160), set(), []

    def killing(missing):
        for batch in on(missing, raw, stand_in(0.3)):
            worked.add(batch.node)
            if batch.node == other.node_id and not killed:  # it has work, and will not end it
                cluster.remove_node(other, allow_graceful=False)
                killed.append(len(worked))
            yield batch

    local = Source(stand_in()(), SIDE, SHAPE, IDENTITY)
    spread = Source(stand_in()(), SIDE, SHAPE, IDENTITY, cluster=killing)
    for source, name in ((local, "local"), (spread, "spread")):
        folders = tmp_path / f"cache-{name}", tmp_path / name
        _, work = extract(pictures, raw, source, *folders, FEATURES)
        assert work.encoded == 160
    assert killed
    assert worked == {other.node_id, cluster.head_node.node_id}
    assert bytes_in(tmp_path / "spread") == bytes_in(tmp_path / "local")


def test_a_short_batch_is_encoded_at_the_full_size():
    seen = []

    def encode(pixels):
        seen.append(len(pixels))
        return pixels.reshape(len(pixels), -1).astype("float32")

    pixels = np.ones((3, 2, 2, 3), "uint8")
    assert encode_padded(encode, pixels, 8).shape == (3, 12)
    assert seen == [8]
