"""Lines of the form `image.jpg#0<TAB>caption`."""

import pytest

from pipeline.datasets.token_file import is_header, parse


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a.jpg#0\tA dog .", ("a.jpg", "0", "A dog .")),
        (" a b#c.jpg#12 \t A\tdog ", ("a b#c.jpg", "12", " A\tdog ")),
        ("a.jpg#0\t", ("a.jpg", "0", "")),
    ],
)
def test_whole_lines(line: str, said: tuple[str, str, str]) -> None:
    found = parse(line)
    assert found is not None
    assert (found.name, found.number, found.text) == said
    assert not found.is_repaired


@pytest.mark.parametrize("line", ["", "a.jpg#0", "a.jpg\tx", "a.jpg#\tx", "#0\tx", "a#\u0663\tx"])
def test_broken_lines(line: str) -> None:
    assert parse(line) is None


def test_a_header_is_a_line_without_a_caption() -> None:
    assert is_header("Image#n\tcaption")
    assert is_header("file_name")
    assert not is_header("image#0\tA picture called image .")
    assert not is_header("a.jpg\tcaption")
