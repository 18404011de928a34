"""A picture to its captions, within bounds."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.captioner.consensus import Consensus
from pipeline.images.decode import PictureError, read_square
from pipeline.serving.bounds import STATUS, RequestError
from pipeline.serving.describe import LENGTHS, SMALL, Choice, Describer

QUICK = Choice(1, "short")


def test_captions_are_those_of_the_captioner(describer, captioner, picture_bytes, file):
    path = file(picture_bytes())
    found = describer.describe(path, Choice(3, "short"), looks=True)
    pixels = read_square(path, captioner.side, 10**6)[None]
    [expected] = captioner.caption(pixels, Choice(3, "short").search)
    assert [one.text for one in found.captions] == [one.text for one in expected]
    for one, other in zip(found.captions, expected, strict=True):
        assert one.probability == pytest.approx(math.exp(other.log_prob), rel=1e-4)
    assert found.words == expected[0].words
    [looks] = captioner.looks(pixels, [expected[0].words])
    assert np.allclose(found.looks.maps, looks.maps, atol=1e-5)
    assert max(found.picture.size) <= SMALL
    assert found.picture.width / found.picture.height == pytest.approx(48 / 40, rel=0.05)


def test_consensus_is_part_of_every_search(captioner, bounds, picture_bytes, monkeypatch):
    def expect(self, features, captions):
        return [np.arange(float(len(group))) for group in captions]

    kept = Consensus(None, {}, *[np.zeros(0)] * 4)
    monkeypatch.setattr(captioner.captioner, "consensus", kept)
    monkeypatch.setattr(Consensus, "expect", expect)
    texts = {}
    for weight in (0.0, 1000.0):
        with closing(Describer(captioner, bounds, weight)) as describer:
            found = describer.describe(picture_bytes(), Choice(3, "short"), looks=False)
        texts[weight] = [one.text for one in found.captions]
    assert texts[1000.0] == texts[0.0][::-1]
    assert len(set(texts[0.0])) > 1


def test_a_guide_is_part_of_every_search(captioner, bounds, picture_bytes, monkeypatch):
    def last_word(self, features, words):
        return np.array([[word == words[-1] for word in words]] * len(features), "float32")

    monkeypatch.setattr(captioner.captioner, "consensus", Consensus(None, {}, *[np.zeros(0)] * 4))
    monkeypatch.setattr(Consensus, "words", last_word)
    with closing(Describer(captioner, bounds, guide=1000.0)) as describer:
        found = describer.describe(picture_bytes(), Choice(3, "short"), looks=False)
    assert all(captioner.captioner.vocabulary.words[-1] in one.text for one in found.captions)


def test_the_usual_search_is_as_the_server_was_started(captioner, bounds, picture_bytes, file):
    started = {"length_penalty": 2.0, "beam_width": 5, "max_words": 7}
    with closing(Describer(captioner, bounds, **started)) as describer:
        assert describer.usual == Choice(5, "usual")
        assert describer._search(describer.usual).length_penalty == 2.0
        assert describer._search(describer.usual).max_words == 7
        assert describer._search(Choice(3, "usual")).length_penalty == 2.0
        for length in ("short", "long"):
            assert describer._search(Choice(5, length)) == Choice(5, length).search
        found = describer.describe(picture_bytes(), describer.usual, looks=False)
    search = Choice(5, "usual").search.model_copy(update={"length_penalty": 2.0, "max_words": 7})
    pixels = read_square(file(picture_bytes()), captioner.side, 10**6)
    [expected] = captioner.caption(pixels[None], search)
    assert [one.text for one in found.captions] == [one.text for one in expected]


def test_bytes_are_read_as_a_file_is_and_no_file_stays(describer, picture_bytes, file):
    content = picture_bytes(1)
    by_path, by_bytes = (
        describer.describe(given, QUICK, looks=False) for given in (file(content), content)
    )
    assert by_path.captions == by_bytes.captions
    assert by_bytes.looks is None
    assert by_bytes.picture is None


def test_many_at_once_get_what_each_gets_alone(describer, picture_bytes):
    pictures = [picture_bytes(number) for number in range(12)]
    alone = [describer.describe(one, QUICK, looks=False) for one in pictures]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda one: describer.describe(one, QUICK, looks=False), pictures))
    for one, other in zip(alone, together, strict=True):
        assert one.captions[0].text == other.captions[0].text


def test_hostile_files_are_refused_with_a_reason_and_without_a_path(describer, hostile):
    for name, content, reasons in hostile(2):
        with pytest.raises(RequestError) as refused:
            describer.describe(content, QUICK, looks=False)
        assert refused.value.reason in reasons.split(), (name, refused.value.message)
        assert refused.value.message.endswith(".")
        assert "/" not in refused.value.message
        assert "Traceback" not in refused.value.message


def test_large_pictures_are_read_one_at_a_time(captioner, bounds, file, monkeypatch):
    describer = Describer(captioner, bounds)
    monkeypatch.setattr("pipeline.serving.describe.LARGE", 100)
    bound_at, free = [], []

    def read(path: Path, side: int, max_pixels: int) -> int:
        bound_at.append(max_pixels)
        if max_pixels < 5000:
            raise PictureError("too_large", "")
        free.append(describer._large.acquire(blocking=False))
        return side

    assert describer._one_large_at_a_time(read, Path(), 7) == 7
    assert (bound_at, free) == ([100, bounds.pixels], [False])
    assert describer._large.acquire(blocking=False)
    describer.close()


def test_what_fails_is_logged_and_told_without_details(
    describer, picture_bytes, monkeypatch, caplog
):
    def fail(*_: object) -> None:
        raise ValueError("/secret/place")

    monkeypatch.setattr(describer.captioner.encoder, "encode", fail)
    with pytest.raises(RequestError) as refused:
        describer.describe(picture_bytes(), QUICK, looks=False)
    assert (refused.value.reason, refused.value.status) == ("failed", 500)
    assert "secret" not in refused.value.message
    assert "/secret/place" in caplog.text
    monkeypatch.undo()
    assert describer.describe(picture_bytes(), QUICK, looks=False).captions


def test_a_file_that_is_gone(describer, tmp_path):
    with pytest.raises(RequestError) as refused:
        describer.describe(tmp_path / "gone.jpg", QUICK, looks=False)
    assert refused.value.reason == "no_picture"


class Held:
    """A describer whose reading waits until it may go on."""

    def __init__(self, captioner, bounds, monkeypatch, **changes) -> None:
        self.describer = Describer(captioner, replace(bounds, **changes))
        self.go, self.reading = threading.Event(), threading.Semaphore(0)
        read = self.describer._read_file

        def wait(path: Path, wanted: bool):
            self.reading.release()
            assert self.go.wait(20)
            return read(path, wanted)

        monkeypatch.setattr(self.describer, "_read_file", wait)


def test_too_many_are_refused_at_once_and_the_others_answered(
    captioner, bounds, picture_bytes, monkeypatch
):
    held = Held(captioner, bounds, monkeypatch, concurrency=1, queue=2)
    with ThreadPoolExecutor(3) as pool:
        admitted = [
            pool.submit(held.describer.describe, picture_bytes(), QUICK, looks=False)
            for _ in range(3)
        ]
        held.reading.acquire()
        while held.describer._inside < 3:
            pass
        with pytest.raises(RequestError) as refused:
            held.describer.describe(picture_bytes(), QUICK, looks=False)
        assert refused.value.reason == "busy"
        held.go.set()
        assert all(one.result(20).captions for one in admitted)
    assert held.describer.describe(picture_bytes(), QUICK, looks=False).captions
    held.describer.close()


def test_what_takes_too_long_is_given_up_and_the_next_is_answered(
    captioner, bounds, picture_bytes, monkeypatch
):
    held = Held(captioner, bounds, monkeypatch, seconds=0.05)
    with pytest.raises(RequestError) as refused:
        held.describer.describe(picture_bytes(), QUICK, looks=False)
    assert (refused.value.reason, refused.value.status) == ("too_slow", 504)
    held.go.set()
    monkeypatch.setattr(held.describer, "bounds", replace(bounds, seconds=30))
    assert held.describer.describe(picture_bytes(), QUICK, looks=False).captions
    held.describer.close()


@pytest.mark.parametrize(
    ("width", "length"),
    [(2, "usual"), (True, "usual"), (3.5, "usual"), (None, None), (3, "huge"), ("3;", "usual"),
     ([3], "usual"), (3, ["usual"])],
)  # fmt: skip
def test_only_what_is_offered_can_be_chosen(width, length):
    with pytest.raises(RequestError) as refused:
        Choice.checked(width, length)
    assert refused.value.reason == "bad_setting"


def test_choices_are_settings_of_the_search():
    assert Choice.checked("5", "long") == Choice(5, "long")
    for length, (penalty, words) in LENGTHS.items():
        search = Choice(10, length).search
        assert (search.beam_width, search.length_penalty, search.max_words) == (10, penalty, words)


def test_every_reason_is_an_error_of_http():
    assert all(400 <= status < 600 for status in STATUS.values())
