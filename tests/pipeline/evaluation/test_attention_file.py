"""The file of where the decoder looked."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.captioner.looks import Looks
from pipeline.errors import InputError
from pipeline.evaluation.attention_file import SCHEMA, Looked, read_attention, write_attention
from pipeline.tables import read_table, write_table


def looked(words: tuple[str, ...], shape: tuple[int, int], seed: int) -> Looked:
    """Weights that add up to 1 for each word, a sentinel's the last of them."""
    places = shape[0] * shape[1]
    rows = np.random.default_rng(seed).dirichlet(np.ones(places + 1), len(words))
    maps = rows[:, :places].reshape(len(words), *shape)
    return Looked(words, Looks(maps.astype("float32"), rows[:, places].astype("float32")))


SOME = {
    "b": looked(("a", "dog", "runs"), (3, 2), 1),
    "a": looked(("cats",), (3, 2), 2),
    "c": looked((), (3, 2), 3),
}


def test_what_is_written_is_read_again(tmp_path):
    write_attention(tmp_path / "attention.parquet", SOME)
    found = read_attention(tmp_path / "attention.parquet", SOME)
    assert found.keys() == SOME.keys()
    for image_id, one in found.items():
        assert tuple(one.words) == SOME[image_id].words
        assert one.looks.maps.shape == (len(one.words), 3, 2)
        np.testing.assert_allclose(one.looks.maps, SOME[image_id].looks.maps, rtol=1e-3)
        np.testing.assert_allclose(one.looks.elsewhere, SOME[image_id].looks.elsewhere, rtol=1e-3)


def test_only_the_pictures_asked_for_are_read(tmp_path):
    write_attention(tmp_path / "attention.parquet", SOME)
    assert read_attention(tmp_path / "attention.parquet", ["b", "unknown"]).keys() == {"b"}


def test_rows_are_sorted_and_weights_take_two_bytes(tmp_path):
    for name, order in (("one", SOME), ("other", dict(reversed(SOME.items())))):
        write_attention(tmp_path / name, order)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    table = read_table(tmp_path / "one", SCHEMA)
    assert table["image_id"].to_pylist() == ["a", "b", "c"]
    assert table.schema.field("maps").type.value_type == pa.float16()


@pytest.mark.parametrize("spoilt", ["maps", "elsewhere"])
def test_numbers_that_do_not_fit_are_one_line(tmp_path, spoilt):
    path = tmp_path / "attention.parquet"
    write_attention(path, SOME)
    table = read_table(path, SCHEMA)
    place = SCHEMA.names.index(spoilt)
    short = pa.array([[np.float16(1)] * 2] * 3, SCHEMA.field(spoilt).type)
    write_table(path, table.set_column(place, SCHEMA.field(place), short))
    with pytest.raises(InputError, match="expected a weight for each place") as caught:
        read_attention(path, SOME)
    assert "\n" not in str(caught.value)


def test_of_a_decoder_that_attends_to_nothing_there_are_no_rows(tmp_path):
    write_attention(tmp_path / "attention.parquet", {})
    assert read_attention(tmp_path / "attention.parquet", SOME) == {}


def test_no_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_attention(tmp_path / "attention.parquet", SOME)
