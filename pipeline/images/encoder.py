"""The encoder that features are made with: settled once, saved, and known by its fingerprint.

Folder of an encoder:
    encoder.json         `Spec`: network, side, features, fingerprint; where the weights came from
    encoder.weights.h5   weights of the network's body, in Keras's own format

The fingerprint is a hash of all that decides on the features: the network's name, the side and
every weight. Features carry it, and are refused where another encoder is expected.
"""

import hashlib
import json
import warnings
from pathlib import Path

import keras
import numpy as np

from pipeline.backend import jit
from pipeline.errors import InputError
from pipeline.files import folder_written_whole, write_json
from pipeline.images.networks import NETWORKS, with_preprocessing
from pipeline.images.spec import SPEC, WEIGHTS, Spec, read_spec

# What Keras and h5py raise for files that are damaged or belong to another network.
_BROKEN = (ValueError, OSError, LookupError, AttributeError, TypeError, RuntimeError, UserWarning)


class Encoder:
    """A network with its preprocessing inside, and what it is.

    Attributes:
        spec: what it is.
        body: the network without its preprocessing.
        model: uint8 RGB (b, side, side, 3) -> float32 (b, f).
    """

    def __init__(self, body: keras.Model, network: str, side: int, source: str) -> None:
        self.body = body
        self.model = with_preprocessing(body, NETWORKS[network], side)
        self.model.compile(jit_compile=jit())
        self.spec = Spec(
            network=network,
            side=side,
            features=self.model.output_shape[-1],
            source=source,
            fingerprint=fingerprint(body, network, side),
        )

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Turn uint8 RGB (b, side, side, 3) into float32 features (b, f)."""
        return np.asarray(self.model.predict_on_batch(pictures), "float32")

    def save(self, folder: Path) -> None:
        """Write the folder that the module's head describes, with the same bytes each time."""
        with folder_written_whole(folder) as new:
            self.body.save_weights(new / WEIGHTS)
            write_json(new / SPEC, self.spec.model_dump())

    @classmethod
    def load(cls, folder: Path) -> "Encoder":
        """Read what `save` wrote, and check the weights against the fingerprint.

        Raises:
            InputError: a file is absent, or is not what `save` wrote.
        """
        spec = read_spec(folder)
        if spec.network not in NETWORKS:
            raise InputError(
                f"{folder / SPEC}: expected one of {', '.join(NETWORKS)}. Received: {spec.network}"
            )
        body = NETWORKS[spec.network].body(None, spec.side)
        load_weights(body, folder / WEIGHTS, spec.network)
        encoder = cls(body, spec.network, spec.side, spec.source)
        if encoder.spec != spec:
            raise InputError(
                f"{folder}: expected weights with fingerprint {spec.fingerprint[:12]}. Received: "
                f"{encoder.spec.fingerprint[:12]}. The files do not belong together; make them "
                "anew: dvc repro encoder"
            )
        return encoder


def fingerprint(body: keras.Model, network: str, side: int) -> str:
    """Hash the network's name, the side and every weight, in order."""
    digest = hashlib.sha256(json.dumps([network, side]).encode())
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
            body.load_weights(path)
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: expected weights of {network} without its top layer, in Keras's .weights.h5 "
            f"or .h5 format. Received: {reason}"
        ) from error
