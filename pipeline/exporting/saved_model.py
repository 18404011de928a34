"""A captioner as a TensorFlow SavedModel: picture bytes in, captions out, nothing else needed.

    saved-model/1/         the folder that TensorFlow Serving takes is saved-model; 1 is the version
      saved_model.pb       decoding, resizing, the CNN, the search and the words, as one graph
      variables/           the weights
      fingerprint.pb       checksums of these

The same bundle and settings give the same bytes, in a process that did nothing else before: the
names of functions in the graph are numbered.

Signatures, both for any number of pictures from one on, n; k is how many captions the search gives:

    serving_default   picture_bytes  string (n,)                 see `picture_bytes.py`
    from_pixels       pixels         uint8 (n, side, side, 3)    RGB

    both give         captions       string (n, k)               best first
                      scores         float32 (n, k)              what they are ranked by
                      log_probs      float32 (n, k)              natural logarithms

A place for which no caption was found has an empty caption and a score of -1e9 or less.
"""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef

from pipeline.captioner.captioner import SearchSettings
from pipeline.captioner.pictures import PictureCaptioner
from pipeline.errors import InputError
from pipeline.exporting.picture_bytes import squares
from pipeline.files import folder_written_whole
from pipeline.text.marks import END, MARKS
from pipeline.text.vocabulary import Vocabulary

Tensor = Any
SERVING, FROM_PIXELS = "serving_default", "from_pixels"  # names of the signatures
FINGERPRINT = "fingerprint.pb"
MODEL_VERSION = "1"  # TensorFlow Serving takes the folder with the greatest number


class Exported:
    """A captioner as functions of tensors alone.

    Args:
        model: with its weights.
        settings: of the search.
        max_pixels: pictures with more are refused.

    Raises:
        InputError: the search draws random captions, which needs numbers from outside.
    """

    def __init__(self, model: PictureCaptioner, settings: SearchSettings, max_pixels: int) -> None:
        if settings.method == "sample":
            raise InputError(
                "export: expected a search that needs no random numbers. Received: method: sample. "
                "Take beam or diverse"
            )
        self.side, self.max_pixels = model.side, max_pixels
        self.network = model.encoder.ready
        self.search = model.captioner.search_model(settings)
        self.words = tf.constant(spoken(model.captioner.vocabulary))
        pictures = tf.TensorSpec((None,), tf.string, name="picture_bytes")
        pixels = tf.TensorSpec((None, self.side, self.side, 3), tf.uint8, name="pixels")
        # Traced once, and the first calls the second, so that the graph holds the model once.
        self.from_bytes = tf.function(self._from_bytes, [pictures], autograph=False)
        self.from_pixels = tf.function(self._from_pixels, [pixels], autograph=False)

    def _from_bytes(self, picture_bytes: Tensor) -> dict[str, Tensor]:
        """Caption encoded pictures, string (n,). See the module's head for what comes out."""
        return self.from_pixels(squares(picture_bytes, self.side, self.max_pixels))

    def _from_pixels(self, pixels: Tensor) -> dict[str, Tensor]:
        """Caption decoded pictures, uint8 (n, side, side, 3)."""
        tokens, scores, log_probs = self.search(self.network(pixels))
        return {"captions": self._text(tokens), "scores": scores, "log_probs": log_probs}

    def _text(self, tokens: Tensor) -> Tensor:
        """Look the words up, up to the end mark, and join them: (n, k, t) -> string (n, k)."""
        ended = tf.cumsum(tf.cast(tokens == END, tf.int32), axis=-1) > 0
        words = tf.where(ended, "", tf.gather(self.words, tokens))
        return tf.strings.strip(tf.strings.reduce_join(words, axis=-1, separator=" "))


def spoken(vocabulary: Vocabulary) -> list[str]:
    """List what is said for each id: the word, and nothing for marks, which no caption has."""
    return ["" if word in MARKS else word for word in vocabulary.words]


def write(folder: Path, model: PictureCaptioner, settings: SearchSettings, max_pixels: int) -> None:
    """Write the SavedModel.

    Args:
        folder: what the module's head calls saved-model; made anew.
        model: with its weights.
        settings: of the search.
        max_pixels: pictures with more are refused.

    Raises:
        InputError: see `Exported`.
    """
    exported = Exported(model, settings, max_pixels)
    signatures = {SERVING: exported.from_bytes, FROM_PIXELS: exported.from_pixels}
    module = with_weights_of(exported.network, exported.search)
    with folder_written_whole(folder) as new:
        tf.saved_model.save(module, str(new / MODEL_VERSION), signatures)
        _settle(new / MODEL_VERSION / FINGERPRINT)


def _settle(path: Path) -> None:
    """Replace the random number in TensorFlow's fingerprint by the model's own checksum."""
    fingerprint = FingerprintDef.FromString(path.read_bytes())
    fingerprint.uuid = str(fingerprint.saved_model_checksum)
    path.write_bytes(fingerprint.SerializeToString(deterministic=True))


def with_weights_of(*models: keras.Model) -> tf.Module:
    """Make a module that has the models' weights, in order, as what is saved with functions.

    Keras's own ExportArchive stores every weight twice, one time in an order that changes.
    """
    module = tf.Module()
    module.weights = [weight.value for model in models for weight in model.weights]
    return module
