"""Pictures of pages, as far as they are at hand."""

import logging
from typing import NamedTuple

from PIL import Image

from pipeline.errors import InputError
from pipeline.reporting import pictures


class Row(NamedTuple):
    sha256: str


def test_what_is_not_shown_is_counted_and_the_first_told_with_its_reason(
    tmp_path, monkeypatch, caplog
):
    def read(picture: Row, raw: object, side: int) -> Image.Image:
        if picture.sha256 in ("b", "c"):
            raise InputError(f"{picture.sha256}.jpg: has changed")
        return Image.new("RGB", (side, side))

    monkeypatch.setattr(pictures, "_known", lambda _: {name: Row(name) for name in "abcd"})
    monkeypatch.setattr(pictures, "read_known", read)
    with caplog.at_level(logging.WARNING):
        found = pictures.read_at_hand("abcx", tmp_path, tmp_path, 8)
        assert list(found) == ["a"]
        assert caplog.messages == ["2 of 3 pictures are not shown. The first: b.jpg: has changed"]
        caplog.clear()
        assert list(pictures.read_at_hand("ad", tmp_path, tmp_path, 8)) == ["a", "d"]
        assert not caplog.messages
        then = {"a": "a", "d": "d of an earlier run"}
        assert list(pictures.read_at_hand("ad", tmp_path, tmp_path, 8, then)) == ["a"]
    assert "d: is another picture by now" in caplog.text
