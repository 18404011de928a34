"""The LiteRT models say what the captioner says, run by the program in their own README."""

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

from pipeline.captioner import bundle
from pipeline.captioner.captioner import SearchSettings
from pipeline.captioner.decoders.base import DecoderSettings
from pipeline.captioner.decoders.find import DECODERS, build
from pipeline.captioner.pictures import PictureCaptioner
from pipeline.exporting import litert
from pipeline.images.decode import read_square

MAX_PIXELS = 1_000_000
WITHOUT_TENSORFLOW = "\nassert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"


def program(folder: Path) -> str:
    """The program in the README, as it stands."""
    [text] = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    return text


def says(model: PictureCaptioner, squares: np.ndarray, max_words: int) -> list[str]:
    greedy = SearchSettings.plain(beam_width=1, length_penalty=0.0, max_words=max_words)
    return [found[0].text for found in model.caption(squares, greedy)]


def run(clean_process, folder: Path, paths: list[Path]) -> list[str]:
    out = clean_process(program(folder) + WITHOUT_TENSORFLOW, *paths, folder=folder)
    lines = [line.split("\t") for line in out.splitlines()]
    assert [name for name, _ in lines] == [str(path) for path in paths]
    return [text for _, text in lines]


@pytest.fixture(scope="module")
def written(model, bundle_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "litert"
    litert.write(folder, model, bundle_folder / bundle.WORDS, max_words=8)
    return folder


@pytest.fixture(scope="module")
def upright(pictures) -> list[Path]:
    """Pictures that the README's program, which turns before it resizes, reads to the byte."""
    return [path for path in pictures if path.name != "red.jpg"]


def test_the_readme_is_a_program_that_says_the_same(written, model, upright, clean_process):
    squares = np.stack([read_square(path, model.side, MAX_PIXELS) for path in upright])
    found = run(clean_process, written, upright)
    assert found == says(model, squares, max_words=8)
    assert len(set(found)) > 1


def test_transparent_and_deep_pictures_are_read_alike(written, model, tmp_path, clean_process):
    clear = np.zeros((48, 48, 4), "uint8")
    clear[8:24, 8:24] = (220, 30, 30, 255)
    deep = np.repeat(np.linspace(0, 65535, 48).astype("uint16")[None], 48, axis=0)
    paths = [tmp_path / "clear.png", tmp_path / "deep.png", tmp_path / "both.png"]
    for path, values in zip(paths, (clear, deep, deep), strict=True):
        with_it = {"transparency": int(deep[0, 20])} if path.stem == "both" else {}
        Image.fromarray(values).save(path, **with_it)
    squares = np.stack([read_square(path, model.side, MAX_PIXELS) for path in paths])
    assert run(clean_process, written, paths) == says(model, squares, max_words=8)
    source = program(written)
    lines = source[source.index("    picture = Image.open") : source.index("    state = start")]
    for path, square in zip(paths, squares, strict=True):
        found = {"Image": Image, "ImageOps": ImageOps, "np": np, "SIDE": model.side, "path": path}
        exec(textwrap.dedent(lines), found)
        assert np.array_equal(np.asarray(found["picture"]), square)


def test_a_picture_on_its_side_is_turned(written, model, pictures, clean_process):
    [path] = set(pictures) - {path for path in pictures if path.name != "red.jpg"}
    square = read_square(path, model.side, MAX_PIXELS)[None]
    assert run(clean_process, written, [path]) == says(model, square, max_words=8)


def test_it_has_what_it_needs_and_nothing_else(written, bundle_folder):
    assert sorted(path.name for path in written.iterdir()) == [
        "README.md", "decoder.tflite", "encoder.tflite", "vocabulary.json"
    ]  # fmt: skip
    words = (written / "vocabulary.json").read_bytes()
    assert words == (bundle_folder / bundle.WORDS).read_bytes()


def test_weights_are_stored_once(written, model):
    size = 4 * model.captioner.decoder.count_params()
    assert (written / "decoder.tflite").stat().st_size < 1.1 * size + 40_000


@pytest.mark.slow
@pytest.mark.parametrize("extras", [False, True], ids=["plain", "tied and normalised"])
@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_steps_alike(name, extras):
    shape = (3, 3, 16) if DECODERS[name].needs_grid else (16,)
    settings = DecoderSettings.plain(
        decoder=name, units=8, embedding=6, dropout=0.0, tie_weights=extras, layer_norm=extras
    )
    decoder, rng = build(settings, 30, shape), np.random.default_rng(1)
    decoder.set_weights([rng.normal(0, 0.5, weight.shape) for weight in decoder.get_weights()])
    features = rng.normal(0, 1, (1, *shape)).astype("float32")
    converted = Interpreter(model_content=litert._decoder(decoder))
    kept = converted.get_signature_runner("start")(features=features)
    step = converted.get_signature_runner("step")
    state, memory = decoder.start(features), decoder.memory(features)
    for token in (1, 5, 7):
        expected, state = decoder.step(np.array([token]), state, memory)
        found = step(token=np.array([token], np.int32), **kept)
        np.testing.assert_allclose(found.pop("log_probs"), expected, atol=1e-4, rtol=1e-6)
        kept.update(found)


@pytest.mark.slow
def test_200_scenes_get_the_same_captions(scenes, tmp_path, clean_process):
    folder, paths = scenes
    model = PictureCaptioner.load(folder)
    litert.write(tmp_path / "litert", model, folder / bundle.WORDS, max_words=20)
    squares = np.stack([read_square(path, model.side, MAX_PIXELS) for path in paths])
    found = run(clean_process, tmp_path / "litert", paths)
    assert found == says(model, squares, max_words=20)
    assert len(set(found)) > 100


@pytest.mark.slow
def test_200_photographs_get_the_same_captions(photographs, tmp_path, clean_process):
    model, paths = photographs
    model.captioner.vocabulary.write(tmp_path / "vocabulary.json")
    litert.write(tmp_path / "litert", model, tmp_path / "vocabulary.json", max_words=12)
    squares = np.stack([read_square(path, model.side, MAX_PIXELS) for path in paths])
    found = run(clean_process, tmp_path / "litert", paths)
    assert found == says(model, squares, max_words=12)
    assert len(set(found)) > 100
