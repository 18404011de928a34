"""Picture files to captions: order, batches, and what becomes of broken files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.captioner import bundle_zip
from pipeline.captioner.captioner import Caption
from pipeline.captioner.pictures import PictureCaptioner
from pipeline.captioner.search.settings import SearchSettings
from tests.pipeline.exporting.conftest import of_views

SIDE = 8
SETTINGS = SearchSettings.plain(beam_width=1, length_penalty=0.0, max_words=3)


class FakeEncoder:
    """Gives a picture's first pixel, and notes the shapes that it sees."""

    views = 1

    class spec:  # noqa: N801 - as the attribute of an encoder
        side = SIDE

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        self.seen.append(pictures.shape)
        return pictures[:, 0, 0].astype("float32")


class FakeCaptioner:
    """Captions features with themselves, and notes how many it sees at once."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def caption(self, features: np.ndarray, settings: SearchSettings) -> list[list[Caption]]:
        self.seen.append(len(features))
        return [[Caption((f"{int(value[0])}",), 0.0, 0.0)] for value in features]


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """Ten grey pictures, numbered; two of them are broken."""
    paths = [tmp_path / f"{number}.png" for number in range(10)]
    for number, path in enumerate(paths):
        Image.new("RGB", (20, 20), (number,) * 3).save(path)
    paths[1].write_bytes(b"broken")
    paths[9].unlink()
    return paths


def captioned(files, **options) -> tuple[list, list, list]:
    encoder, captioner = FakeEncoder(), FakeCaptioner()
    found = PictureCaptioner(encoder, captioner).caption_files(files, SETTINGS, 10**6, **options)
    return list(found), encoder.seen, captioner.seen


@pytest.mark.parametrize("batch_size", [1, 3, 4, 32])
def test_each_picture_has_its_own_caption_in_order(files, batch_size):
    found, *_ = captioned(files, batch_size=batch_size)
    assert [one.path for one in found] == files
    for number, one in enumerate(found):
        if number in (1, 9):
            assert one.captions == []
            assert one.error.reason == ("not_a_picture" if number == 1 else "missing")
        else:
            assert one.error is None
            assert [caption.text for caption in one.captions] == [str(number)]


@pytest.mark.parametrize(
    ("batch_size", "encoded", "searched"),
    [
        (3, [(3, SIDE, SIDE, 3)] * 3, [12]),  # the fourth is of a picture that is gone
        (1, [(1, SIDE, SIDE, 3)] * 8, [4] * 3),
        (9, [(5, SIDE, SIDE, 3)] * 2, [10]),
        (32, [(10, SIDE, SIDE, 3)], [10]),
    ],
)
def test_every_batch_has_one_shape(files, batch_size, encoded, searched):
    assert captioned(files, batch_size=batch_size)[1:] == (encoded, searched)


def test_batches_of_broken_pictures_alone_are_not_run(files):
    for path in files[:5]:
        path.unlink(missing_ok=True)
    found, encoded, searched = captioned(files, batch_size=1)
    assert [one.error is None for one in found] == [False] * 5 + [True] * 4 + [False]
    assert (len(encoded), searched) == (4, [4, 4])


def test_too_large_a_picture_is_refused(files):
    captioner = PictureCaptioner(FakeEncoder(), FakeCaptioner())
    [one] = captioner.caption_files(files[:1], SETTINGS, max_pixels=399)
    assert one.error.reason == "too_large"


def test_of_no_pictures_there_are_no_captions():
    assert captioned([]) == ([], [], [])


def test_leaving_off_early_stops_the_threads(files):
    captioner = PictureCaptioner(FakeEncoder(), FakeCaptioner())
    found = captioner.caption_files(files, SETTINGS, 10**6, batch_size=1)
    assert next(found).path == files[0]
    found.close()
    assert list(found) == []


def test_a_bundle_of_views_has_an_encoder_that_makes_them(tmp_path):
    fixtures = Path(__file__).parents[2] / "fixtures" / "bundle-v1"
    with bundle_zip.opened(fixtures / "inject.zip") as folder:
        plain = PictureCaptioner.load(folder)
        views = PictureCaptioner.load(of_views(folder, tmp_path / "bundle"))
    assert (plain.encoder.pooling, views.encoder.pooling) == ("average", "views")
    squares = np.stack(
        [
            np.asarray(
                Image.open(fixtures / f"{name}.png").convert("RGB").resize((plain.side,) * 2)
            )
            for name in ("red", "blue")
        ]
    )
    said = [found[0].text for found in views.caption(squares, SETTINGS)]
    assert len(set(said)) == 2
    assert views.encoder.encode(squares).shape == (2, 2 * plain.encoder.spec.features)


def test_where_a_picture_is_seen_in_several_views_fewer_are_seen_at_once(files):
    encoder, captioner = FakeEncoder(), FakeCaptioner()
    encoder.views = 7
    found = PictureCaptioner(encoder, captioner).caption_files(files, SETTINGS, 10**6, 14)
    assert len(list(found)) == len(files)
    assert {shape[0] for shape in encoder.seen} == {2}
