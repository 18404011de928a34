"""The server under many clients at once, for a shorter time than `benchmarks/serve.py` has."""

import sys

import pytest

from benchmarks import serve


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_16_clients_at_once_see_no_error_and_memory_does_not_grow():
    pytest.importorskip("gradio")
    figures = serve.measure(seconds=20, clients=16)
    assert figures["errors"] == 0, figures["first_error"]
    assert figures["answers"] > 100
    assert figures["memory_growth"] < 0.05, figures
