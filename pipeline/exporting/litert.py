"""A captioner as LiteRT models (formerly TensorFlow Lite): for phones, browsers and small boards.

    litert/
      encoder.tflite     signature `encode`: pictures uint8 (1, side, side, 3) -> features (1, ...)
      decoder.tflite     signature `start`: features -> the state before the first word
                         signature `step`: token int32 (1,) and the state -> log_probs (1, v) and
                         what has changed of the state
      vocabulary.json    the words, by their ids; see `text/vocabulary.py`
      README.md          what it is, and a program of twenty lines that captions pictures

The state is a set of float32 tensors with the names state_0, state_1 and so on, and memory_0 and so
on for what belongs to the picture and never changes: of decoders that attend to a grid. One caption
of one picture at a time; the search is the caller's. Built-in operations alone: no Flex delegate.
"""

import shutil
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from pipeline.captioner import bundle
from pipeline.captioner.decoders.base import Decoder
from pipeline.captioner.pictures import PictureCaptioner
from pipeline.errors import InputError
from pipeline.exporting.saved_model import with_weights_of
from pipeline.files import folder_written_whole, write_text

Tensor = Any
Named = dict[str, Tensor]
ENCODER, DECODER, README = "encoder.tflite", "decoder.tflite", "README.md"


def write(folder: Path, model: PictureCaptioner, words: Path, max_words: int) -> None:
    """Write the folder that the module's head describes.

    Args:
        folder: made anew.
        model: with its weights.
        words: the bundle's vocabulary.json, which is copied.
        max_words: bound on a caption's words, for the README's program.

    Raises:
        InputError: TensorFlow's converter cannot do it.
    """
    with folder_written_whole(folder) as new:
        (new / ENCODER).write_bytes(_encoder(model))
        (new / DECODER).write_bytes(_decoder(model.captioner.decoder))
        shutil.copyfile(words, new / bundle.WORDS)
        write_text(new / README, _readme(model.side, max_words))


def _encoder(model: PictureCaptioner) -> bytes:
    """Convert the CNN, its preprocessing included."""
    network = model.encoder.ready
    pictures = tf.TensorSpec((1, model.side, model.side, 3), tf.uint8, name="pictures")
    encode = tf.function(
        lambda pictures: {"features": network(pictures)}, [pictures], autograph=False
    )
    return _convert(with_weights_of(network), {"encode": encode})


def _decoder(decoder: Decoder) -> bytes:
    """Convert the decoder's start and its step, which share their weights."""
    features = tf.TensorSpec((1, *decoder.feature_shape), tf.float32, name="features")

    def begin(features: Tensor) -> Named:
        state, memory = decoder.start(features), decoder.memory(features)
        return {**_named("state", state), **_named("memory", memory)}

    start = tf.function(begin, [features], autograph=False)
    begun = start.get_concrete_function().structured_outputs
    kept = {name: tf.TensorSpec(part.shape, part.dtype, name=name) for name, part in begun.items()}

    def go_on(token: Tensor, **kept: Tensor) -> Named:
        state, memory = _listed("state", kept), _listed("memory", kept)
        log_probs, state = decoder.step(token, state, memory)
        return {"log_probs": log_probs, **_named("state", state)}

    token = tf.TensorSpec((1,), tf.int32, name="token")
    step = tf.function(go_on, autograph=False).get_concrete_function(token, **kept)
    return _convert(with_weights_of(decoder), {"start": start, "step": step})


def _convert(module: tf.Module, signatures: dict[str, Any]) -> bytes:
    """Convert functions of one module to a LiteRT model with a signature for each."""
    with TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, list(signatures))
        try:
            return bytes(converter.convert())
        except (ConverterError, ValueError, RuntimeError) as error:
            raise InputError(
                "export: expected a model that LiteRT's built-in operations suffice for. Received: "
                f"{' '.join(str(error).split())[:200]}. Take --format saved-model"
            ) from error


def _named(name: str, parts: tuple[Tensor, ...]) -> Named:
    """Name the parts of a state: state_0, state_1, ..."""
    return {f"{name}_{number}": part for number, part in enumerate(parts)}


def _listed(name: str, parts: Named) -> tuple[Tensor, ...]:
    """Undo `_named`."""
    own = [one for one in parts if one.startswith(f"{name}_")]
    return tuple(parts[f"{name}_{number}"] for number in range(len(own)))


def _readme(side: int, max_words: int) -> str:
    """Tell what the folder is and how it is used; the program in it runs as it stands."""
    return _README.substitute(side=side, max_words=max_words)


_README = Template(
    """# An image captioner for LiteRT

`encoder.tflite` turns a picture of $side x $side pixels into features, `decoder.tflite` turns them
into words, one after another, and `vocabulary.json` has the words. The model card beside this
folder says what the model was trained on and how good it is.

`caption.py` below is a whole program, with greedy search: it takes the likeliest word until the end
mark comes. It needs three packages: `pip install ai-edge-litert numpy pillow`

    python caption.py photo.jpg another.png

```python
import json
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

SIDE, START, END, MAX_WORDS = $side, 1, 2, $max_words
words = json.load(open("vocabulary.json", encoding="utf-8"))["words"]
encode = Interpreter("encoder.tflite").get_signature_runner("encode")
decoder = Interpreter("decoder.tflite")
start, step = decoder.get_signature_runner("start"), decoder.get_signature_runner("step")

for path in sys.argv[1:]:
    picture = Image.open(path)
    picture.draft("RGB", (2 * SIDE, 2 * SIDE))  # large JPEG is decoded at a fraction of its size
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # 16 bits a pixel, of which 8 are kept
        deep = np.asarray(picture).astype(np.uint32)
        deep = np.where(deep == picture.info.get("transparency", -1), 65535, deep)
        picture = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    if picture.has_transparency_data:  # as it looks on white paper
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture.convert("RGBA"))
    picture = picture.convert("RGB")
    picture = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    state = start(**encode(pictures=np.asarray(picture)[None]))
    caption, token = [], START
    while len(caption) < MAX_WORDS:
        found = step(token=np.array([token], np.int32), **state)
        token = int(found.pop("log_probs")[0].argmax())
        if token == END:
            break
        state.update(found)
        caption.append(words[token])
    print(path, " ".join(caption), sep="\t")
```

Signatures:

| file | signature | takes | gives |
|---|---|---|---|
| `encoder.tflite` | `encode` | `pictures` uint8 (1, $side, $side, 3), RGB | `features` |
| `decoder.tflite` | `start` | `features` | the state: `state_0`, ..., `memory_0`, ... |
| `decoder.tflite` | `step` | `token` int32 (1,), the state | `log_probs` (1, words), a state |
"""
)
