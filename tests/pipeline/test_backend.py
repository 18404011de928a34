"""What differs between backends, as far as it has no test where it is used."""

import pytest

from pipeline.backend import memory_told
from pipeline.errors import InputError


class ResourceExhaustedError(Exception):
    """As TensorFlow names its own."""


@pytest.mark.parametrize(
    "error", [ResourceExhaustedError("OOM when allocating"), RuntimeError("RESOURCE_EXHAUSTED: 1")]
)
def test_where_memory_ends_it_is_told_what_takes_less(error):
    told = r"^train\.batch_size: .* Received: 64, .* Lower it"
    with pytest.raises(InputError, match=told), memory_told("train.batch_size", 64):
        raise error


def test_other_errors_are_what_they_are():
    with pytest.raises(KeyError), memory_told("train.batch_size", 64):
        raise KeyError("another")
