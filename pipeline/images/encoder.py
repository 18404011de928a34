"""The encoder that features are made with: settled once, saved, and known by its fingerprint.

Folder of an encoder:
    encoder.json         `Spec`: network, side, features, fingerprint; where the weights came from
    encoder.weights.h5   weights of the network's body, in Keras's own format

The fingerprint is a hash of all by which one encoder differs from another: the network's name, the
side, the earlier layers beside its own and every weight. Features carry it, and are refused where
another encoder is expected. (What our code makes of these has a version of its own:
`inference.ENCODING`.)
"""

import hashlib
import json
import warnings
from functools import cached_property
from pathlib import Path

import keras
import numpy as np

from pipeline import weights
from pipeline.backend import jit
from pipeline.errors import InputError
from pipeline.files import folder_written_whole, write_sealed
from pipeline.images.inference import inference_model
from pipeline.images.networks import NETWORKS, build, layers_of, with_preprocessing
from pipeline.images.spec import (
    SPEC,
    WEIGHTS,
    Arithmetic,
    Pooling,
    Spec,
    identity,
    read_spec,
)
from pipeline.images.views import views_of

# What Keras and h5py raise for files that are damaged or belong to another network.
_BROKEN = (ValueError, OSError, LookupError, AttributeError, TypeError, RuntimeError, UserWarning)


class Encoder:
    """A network with its preprocessing inside, what it is, and how it is run.

    Attributes:
        spec: what it is.
        pooling: "average", "grid" for the map before pooling, or "views" for several views.
        precision: that it computes in; its features are float32 always.
        body: the network without its preprocessing.
        model: uint8 RGB (b, side, side, 3) -> float32 (b, f), averages in float32: to be trained.

    Of weights whose fingerprint is `known`, none is worked out.
    """

    def __init__(
        self,
        body: keras.Model,
        network: str,
        side: int,
        source: str,
        pooling: Pooling = "average",
        precision: Arithmetic = "float32",
        known: str | None = None,
    ) -> None:
        self.body = body
        self.model = with_preprocessing(body, NETWORKS[network], side)
        self.model.compile(jit_compile=jit())
        self.pooling, self.precision = pooling, precision
        self.spec = Spec(
            network=network,
            side=side,
            features=self.model.output_shape[-1],
            layers=layers_of(body),
            source=source,
            fingerprint=known or fingerprint(body, network, side),
        )

    @property
    def identity(self) -> str:
        """Names all that decides on the features, see `spec.identity`."""
        return identity(self.spec.fingerprint, self.pooling, self.precision)

    @property
    def views(self) -> int:
        """How many views of a picture its network sees."""
        return views_of(self.pooling)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a picture's features: (f,), (2 f,) of views, or (h, w, f) for a grid."""
        return tuple(self.ready.output_shape[1:])

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Turn uint8 RGB (b, side, side, 3) into float32 features (b, *shape).

        The weights are those of the first call: who trains `model` makes an encoder anew after it.
        """
        return np.asarray(self.ready.predict_on_batch(pictures), "float32")

    def at(self, precision: Arithmetic) -> "Encoder":
        """Give the same encoder in another precision."""
        return self._with(self.body, precision)

    def copy(self) -> "Encoder":
        """Give the same encoder with weights of its own, on the device that `keras.device` sets."""
        body = build(self.spec.network, self.spec.side, self.spec.layers)
        body.set_weights(self.body.get_weights())
        return self._with(body, self.precision)

    def _with(self, body: keras.Model, precision: Arithmetic) -> "Encoder":
        """Make an encoder of a body with the same weights, which are not hashed once more."""
        spec = self.spec
        of_it = spec.network, spec.side, spec.source
        return Encoder(body, *of_it, self.pooling, precision, known=spec.fingerprint)

    @cached_property
    def ready(self) -> keras.Model:
        """What runs: uint8 RGB (b, side, side, 3) -> (b, *shape); built when it is first needed."""
        spec = self.spec
        return inference_model(self.body, spec.network, spec.side, self.pooling, self.precision)

    def save(self, folder: Path) -> None:
        """Write the folder that the module's head describes, with the same bytes each time."""
        with folder_written_whole(folder) as new:
            weights.save(self.body, new / WEIGHTS)
            # Without layers as before there were any: releases of then read it.
            write_sealed(new / SPEC, self.spec.model_dump(exclude_defaults=True))

    @classmethod
    def load(
        cls, folder: Path, pooling: Pooling = "average", precision: Arithmetic = "float32"
    ) -> "Encoder":
        """Read what `save` wrote, and check the weights against the fingerprint.

        Args:
            folder: of the encoder.
            pooling: what its features are to be.
            precision: that it is to compute in.

        Raises:
            InputError: a file is absent, or is not what `save` wrote.
        """
        spec = read_spec(folder)
        if spec.network not in NETWORKS:
            raise InputError(
                f"{folder / SPEC}: expected one of {', '.join(NETWORKS)}. Received: {spec.network}"
            )
        try:
            body = build(spec.network, spec.side, spec.layers)
        except (InputError, ValueError) as error:  # of a layer that is none, or is named twice
            raise InputError(
                f"{folder / SPEC}: expected a side and layers of {spec.network}. Received: {error}"
            ) from error
        load_weights(body, folder / WEIGHTS, spec.network)
        encoder = cls(body, spec.network, spec.side, spec.source, pooling, precision)
        if encoder.spec != spec:
            raise InputError(
                f"{folder}: expected weights with fingerprint {spec.fingerprint[:12]}. Received: "
                f"{encoder.spec.fingerprint[:12]}. The files do not belong together; make them "
                "anew: dvc repro encoder"
            )
        return encoder


def fingerprint(body: keras.Model, network: str, side: int) -> str:
    """Hash the network's name, the side, layers beside its own and every weight, in order."""
    earlier = layers_of(body)
    named = [network, side, earlier] if earlier else [network, side]
    digest = hashlib.sha256(json.dumps(named).encode())
    for weight in body.get_weights():
        digest.update(json.dumps([str(weight.dtype), list(weight.shape)]).encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def load_weights(body: keras.Model, path: Path, network: str) -> None:
    """Load a weights file (.weights.h5, or keras.applications' older .h5) into a network's body.

    Raises:
        InputError: the file is absent, broken, or made for another network.
    """
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that the file lacks, and leaves them as they were.
            warnings.simplefilter("error", UserWarning)
            weights.check(path)
            body.load_weights(path)
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: expected weights of {network} without its top layer, in Keras's .weights.h5 "
            f"or .h5 format. Received: {reason}"
        ) from error
