"""What is known of an encoder without building it: its files, its shape and its fingerprint."""

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import InputError
from pipeline.files import unsealed

SPEC, WEIGHTS = "encoder.json", "encoder.weights.h5"
FINETUNED = ", fine-tuned"  # ends the source of weights that were continued here
# One vector a picture; the map before pooling; or one vector of several views (`views.py`).
Pooling = Literal["average", "grid", "views"]
Arithmetic = Literal["float32", "bfloat16", "float16"]  # that the network computes in


class Spec(BaseModel):
    """What encoder.json says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str
    side: int = Field(ge=1, le=4096)  # pixels
    features: int  # width of a feature vector
    layers: list[str] = []  # earlier ones, whose maps stand beside the network's own
    source: str  # where the weights came from: "train", "imagenet" or the file's name
    fingerprint: str  # 64 hexadecimal digits

    @property
    def layered(self) -> str:
        """The network and the earlier layers beside its last one, for people."""
        return " + ".join([self.network, *self.layers])


def identity(fingerprint: str, pooling: Pooling, precision: Arithmetic) -> str:
    """Name all that decides on features: the encoder, and how it is run.

    The fingerprint alone for float32 averages; else with "-grid" or "-views", and "-bfloat16" or
    "-float16" after it, in this order. Features of two identities are never mixed.
    """
    parts = [fingerprint]
    if pooling != "average":
        parts.append(pooling)
    if precision != "float32":
        parts.append(precision)
    return "-".join(parts)


def pooling_of(identity: str) -> Pooling:
    """Take the pooling from an identity."""
    named: tuple[Pooling, ...] = get_args(Pooling)
    return next((one for one in identity.split("-")[1:] if one in named), "average")


def fingerprint_of(identity: str) -> str:
    """Take the encoder's fingerprint from an identity, whatever the pooling and the precision."""
    return identity.partition("-")[0]


def read_spec(folder: Path) -> Spec:
    """Read an encoder's description without building it.

    Raises:
        InputError: encoder.json is absent or is not one.
    """
    path = folder / SPEC
    try:
        return Spec.model_validate_json(unsealed(path.read_bytes()))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file. Run `dvc repro encoder`") from error
    except ValidationError as error:
        raise InputError(
            f"{path}: expected the description of an encoder. Received: "
            f"{_first_problem(error)}. Make it anew: dvc repro encoder"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: {error}. Make it anew: dvc repro encoder") from error


def _first_problem(error: ValidationError) -> Any:
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'not JSON'}: {problem['msg']}"
