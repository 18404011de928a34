"""How much each training picture counts for another one."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.captioner import alike
from pipeline.captioner.alike import FEATURES, GAMMA, KERNEL, LEAST_RIDGE, PICTURES
from pipeline.errors import InputError
from tests.pipeline.captioner.conftest import change

KERNELS = "gaussian", "linear"
KNOWN, NEW, WIDTH, RIDGE = 12, 5, 20, 0.3


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(1).normal(3, 2, (KNOWN, WIDTH)).astype("float32")


@pytest.fixture(scope="module")
def others() -> np.ndarray:
    return np.random.default_rng(2).normal(3, 2, (NEW, WIDTH)).astype("float32")


def standardised(features, others):
    mean, spread = features.mean(axis=0), features.std(axis=0)
    return (features - mean) / spread, (others - mean) / spread


def test_linear_is_ridge_regression(features, others):
    known, asked = standardised(features, others)
    targets = np.random.default_rng(3).normal(5, 1, (KNOWN, 3))
    slopes = np.linalg.solve(
        known.T @ known + KNOWN * RIDGE * np.eye(WIDTH), known.T @ (targets - targets.mean(axis=0))
    )
    told = alike.fit(features, "linear", RIDGE).shares(others) @ targets
    assert told == pytest.approx(asked @ slopes + targets.mean(axis=0), abs=0.02)


def test_gaussian_is_ridge_regression_of_what_the_kernel_maps_to(features, others):
    every = np.concatenate(standardised(features, others)).astype("float64")
    every /= np.linalg.norm(every, axis=1, keepdims=True)
    apart = ((every[:, None] - every) ** 2).sum(axis=-1)
    near = np.exp(-GAMMA / 2 * apart)
    # Coordinates in which the kernel is the product: what is regressed on, but for its centre.
    values, vectors = np.linalg.eigh(near)
    mapped = vectors * np.sqrt(np.maximum(values, 0))
    mapped -= mapped[:KNOWN].mean(axis=0)
    known, asked = mapped[:KNOWN], mapped[KNOWN:]
    targets = np.random.default_rng(3).normal(5, 1, (KNOWN, 3))
    slopes = np.linalg.solve(
        known.T @ known + RIDGE * np.eye(KNOWN + NEW), known.T @ (targets - targets.mean(axis=0))
    )
    told = alike.fit(features, "gaussian", RIDGE).shares(others) @ targets
    assert told == pytest.approx(asked @ slopes + targets.mean(axis=0), abs=0.02)


@pytest.mark.parametrize(("kernel", "ridge"), [("gaussian", LEAST_RIDGE), ("linear", 1e-4)])
def test_a_picture_counts_for_itself_where_features_are_trusted(features, kernel, ridge):
    shares = alike.fit(features, kernel, ridge).shares(features)
    assert shares == pytest.approx(np.eye(KNOWN), abs=0.05)


@pytest.mark.parametrize("kernel", KERNELS)
def test_all_count_alike_where_they_are_not(features, others, kernel):
    shares = alike.fit(features, kernel, 1000).shares(others)
    assert shares == pytest.approx(np.full((NEW, KNOWN), 1 / KNOWN), abs=0.005)


@pytest.mark.parametrize("kernel", KERNELS)
@given(
    scale=st.floats(0.01, 100), shift=st.floats(-10, 10), dead=st.floats(-5, 5), seed=st.integers(0)
)
def test_shares_add_up_and_neither_scale_nor_dead_features_matter(kernel, scale, shift, dead, seed):
    every = np.random.default_rng(seed % 2**32).normal(0, 1, (KNOWN + NEW, 5)).astype("float32")
    other = np.column_stack([every * scale + shift * scale, np.full(len(every), dead)])
    other = other.astype("float32")
    first = alike.fit(every[:KNOWN], kernel, RIDGE).shares(every[KNOWN:])
    second = alike.fit(other[:KNOWN], kernel, RIDGE).shares(other[KNOWN:])
    assert first.sum(axis=1) == pytest.approx(1, abs=0.02)
    assert first == pytest.approx(second, abs=0.02)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_picture_like_the_mean_has_shares(features, kernel):
    shares = alike.fit(features, kernel, RIDGE).shares(features.mean(axis=0, keepdims=True))
    assert shares.dtype == "float32"
    assert shares.sum() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kernel", KERNELS)
def test_it_is_written_and_read_as_it_was_the_same_bytes_each_time(
    features, others, kernel, tmp_path
):
    fitted = alike.fit(features, kernel, RIDGE)
    for name in ("one", "two"):
        fitted.save(tmp_path / name)
    names = {PICTURES, FEATURES} | ({KERNEL} if kernel == "gaussian" else set())
    assert {path.name for path in (tmp_path / "one").iterdir()} == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    read = alike.load(tmp_path / "one", WIDTH)
    assert len(read) == len(fitted) == KNOWN
    assert np.array_equal(read.shares(others), fitted.shares(others))


def directions(value):
    """The same number everywhere; of 16 bits, as the oldest pyarrow takes no other."""
    return [[np.float16(value)] * WIDTH] * KNOWN


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: change(folder, PICTURES, "directions", directions("inf")),
        lambda folder: change(folder, PICTURES, "directions", [None] * KNOWN),
        lambda folder: change(folder, PICTURES, "directions", directions(9)),
        lambda folder: change(folder, FEATURES, "mean", [float("nan")] * WIDTH),
        lambda folder: change(folder, FEATURES, "scale", [None] * WIDTH),
        lambda folder: pq.write_table(
            pq.read_table(folder / FEATURES)[:9], folder / FEATURES
        ),
        lambda folder: (folder / PICTURES).write_bytes(b"PAR1"),
        lambda folder: (folder / FEATURES).unlink(),
        lambda folder: (folder / KERNEL).unlink(),
        lambda folder: (folder / KERNEL).write_text("{"),
        lambda folder: (folder / KERNEL).write_text('{"gamma": 0, "ridge": 1}'),
        lambda folder: (folder / KERNEL).write_text('{"gamma": 1, "ridge": 0.001}'),
        lambda folder: (folder / KERNEL).write_text('{"gamma": 1, "ridge": 1, "sha256": "0"}'),
    ],
)  # fmt: skip
def test_damaged_files_are_one_line(features, tmp_path, damage):
    alike.fit(features, "gaussian", RIDGE).save(tmp_path)
    damage(tmp_path)
    with pytest.raises(InputError) as caught:
        alike.load(tmp_path, WIDTH)
    assert "\n" not in str(caught.value)


def test_more_pictures_than_can_be_solved_are_one_line(features, tmp_path, monkeypatch):
    alike.fit(features, "gaussian", RIDGE).save(tmp_path)
    monkeypatch.setattr(alike, "MOST", KNOWN - 1)
    with pytest.raises(InputError, match="at most 11 pictures"):
        alike.load(tmp_path, WIDTH)


@pytest.mark.parametrize("kernel", KERNELS)
def test_pictures_of_other_features_are_one_line(features, kernel, tmp_path):
    alike.fit(features, kernel, RIDGE).save(tmp_path)
    with pytest.raises(InputError, match="expected columns"):
        alike.load(tmp_path, WIDTH - 1)
