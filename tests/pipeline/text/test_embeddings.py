"""embeddings.npy: there and back, and what does not fit."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.text.embeddings import has_vectors, load_embeddings, write_embeddings

MATRIX = np.arange(15, dtype=np.float32).reshape(5, 3)


def test_written_it_is_read_and_has_the_same_bytes(tmp_path):
    path = tmp_path / "embeddings.npy"
    write_embeddings(path, np.asfortranarray(MATRIX))
    found = load_embeddings(path, 5, 3)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, MATRIX)
    assert has_vectors(path)
    found[0] = 7  # it is not the file that is written to
    write_embeddings(tmp_path / "other.npy", MATRIX)
    assert path.read_bytes() == (tmp_path / "other.npy").read_bytes()


def test_without_pretrained_vectors_there_are_none(tmp_path):
    write_embeddings(tmp_path / "none.npy", np.zeros((5, 0)))
    assert load_embeddings(tmp_path / "none.npy", 5, 128) is None
    assert not has_vectors(tmp_path / "none.npy")


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (MATRIX[:4], r"numbers of 5 words.*dvc repro vocabulary"),
        (np.zeros((4, 0), np.float32), r"numbers of 5 words.*dvc repro vocabulary"),
        (MATRIX.astype(np.float64), "float64"),
        (MATRIX.ravel(), "expected float32 numbers"),
        (MATRIX[:, :2], r"train\.embedding = 3 .* Set train\.embedding: 2,"),
        (MATRIX * np.nan, "Received: NaN"),
        (MATRIX.astype(object), "expected an array"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, matrix, message):
    path = tmp_path / "embeddings.npy"
    np.save(path, matrix, allow_pickle=True)
    path.write_bytes(path.read_bytes() + hashlib.sha256(path.read_bytes()).digest())
    with pytest.raises(InputError, match=message) as caught:
        load_embeddings(path, 5, 3)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"no such file\. Run `dvc repro vocabulary`"):
        load_embeddings(tmp_path / "embeddings.npy", 5, 3)


def test_a_file_that_claims_more_than_it_has_takes_no_memory(tmp_path):
    path = tmp_path / "embeddings.npy"
    np.save(path, MATRIX)
    path.write_bytes(path.read_bytes().replace(b"(5, 3), }" + b" " * 12, b"(999999999999, 3), } "))
    assert b"999999999999" in path.read_bytes()
    path.write_bytes(path.read_bytes() + hashlib.sha256(path.read_bytes()).digest())
    with pytest.raises(InputError):
        load_embeddings(path, 999_999_999_999, 3)


@pytest.mark.filterwarnings("ignore:Reading `.npy`")
@given(st.data())
def test_a_damaged_file_is_an_array_or_one_line(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.npy"
    write_embeddings(path, MATRIX)
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content)))
    until = data.draw(st.integers(at, len(content)))
    path.write_bytes(content[:at] + data.draw(st.binary(max_size=6)) + content[until:])
    try:
        found = load_embeddings(path, 5, 3)
    except InputError:
        return
    assert found is None or found.shape == (5, 3)
