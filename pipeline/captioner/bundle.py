"""The bundle: all that captioning new pictures needs, and nothing else, in one folder.

    bundle.json              version, shape of the decoder and of the features, hash of each file
    vocabulary.json          see `text/vocabulary.py`
    decoder.weights.h5       weights of the decoder, in Keras's own format
    encoder/encoder.json     see `images/encoder.py`
    encoder/encoder.weights.h5

No pickle and no code: networks are built by this library, from settings that are checked.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.captioner.captioner import Captioner
from pipeline.captioner.decoders.base import PLAIN, Decoder, DecoderSettings
from pipeline.captioner.decoders.find import build
from pipeline.errors import InputError
from pipeline.files import folder_written_whole, sha256_of, write_json
from pipeline.images.spec import SPEC
from pipeline.images.spec import WEIGHTS as ENCODER_WEIGHTS
from pipeline.text.vocabulary import Vocabulary

VERSION = 2
# Settings that decoders had not yet in older versions, with what they all did.
SINCE: dict[int, dict[str, Any]] = {2: PLAIN}
DESCRIPTION, WORDS, WEIGHTS, ENCODER = (
    "bundle.json",
    "vocabulary.json",
    "decoder.weights.h5",
    "encoder",
)


class Description(BaseModel):
    """What bundle.json says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    decoder: DecoderSettings
    feature_shape: tuple[int, ...]  # of one picture
    encoder: str  # fingerprint, with "-grid" and the like where the features were made so
    files: dict[str, str]  # path in the bundle -> sha256


def save(
    folder: Path,
    decoder: Decoder,
    vocabulary: Path,
    encoder: Path,
    feature_shape: tuple[int, ...],
    fingerprint: str,
) -> None:
    """Write a bundle, with the same bytes for the same content.

    Args:
        folder: made anew.
        decoder: trained.
        vocabulary: the file that the decoder was trained with.
        encoder: the encoder's folder.
        feature_shape: of one picture, (f,), or (h, w, f) for a grid.
        fingerprint: the encoder's, with "-grid" and the like where the features were made so.
    """
    with folder_written_whole(folder) as new:
        decoder.save_weights(new / WEIGHTS)
        shutil.copyfile(vocabulary, new / WORDS)
        (new / ENCODER).mkdir()
        for name in (SPEC, ENCODER_WEIGHTS):
            shutil.copyfile(encoder / name, new / ENCODER / name)
        shape = DecoderSettings(
            **{name: getattr(decoder.settings, name) for name in DecoderSettings.model_fields}
        )
        files = sorted(path for path in new.rglob("*") if path.is_file())
        description = Description(
            version=VERSION,
            decoder=shape,
            feature_shape=feature_shape,
            encoder=fingerprint,
            files={path.relative_to(new).as_posix(): sha256_of(path) for path in files},
        )
        write_json(new / DESCRIPTION, description.model_dump())


def load_captioner(folder: Path) -> Captioner:
    """Read the captioner of a bundle; its encoder is read by `Encoder.load(folder / ENCODER)`.

    Raises:
        InputError: the bundle is incomplete, damaged, or of another version.
    """
    description = read_description(folder)
    vocabulary = Vocabulary.read(folder / WORDS)
    decoder = build(description.decoder, len(vocabulary), description.feature_shape)
    try:
        decoder.load_weights(folder / WEIGHTS)
    except (ValueError, OSError, KeyError) as error:
        raise InputError(
            f"{folder / WEIGHTS}: expected weights of the decoder that {DESCRIPTION} describes. "
            f"Received: {' '.join(str(error).split())[:200]}"
        ) from error
    return Captioner(decoder, vocabulary)


def read_description(folder: Path) -> Description:
    """Read bundle.json and check every file against its hash.

    Raises:
        InputError: as for `load_captioner`.
    """
    path = folder / DESCRIPTION
    try:
        description = Description.model_validate_json(_up_to_date(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{path}: no such file, so this is no bundle, or not a complete one. Train one with "
            "`dvc repro train`, or name another folder"
        ) from error
    except ValidationError as error:
        problem = error.errors()[0]
        raise InputError(
            f"{path}: expected the description of a bundle. Received: "
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        ) from error
    if not 1 <= description.version <= VERSION:
        raise InputError(
            f"{path}: expected a bundle of version {VERSION} or older. Received: "
            f"{description.version}. Use the release of caption-pipeline that made it, or train "
            "again"
        )
    for name, expected in description.files.items():
        file = folder / name
        if not file.is_file():
            raise InputError(
                f"{file}: no such file, though {DESCRIPTION} names it: the bundle is "
                "incomplete. Copy it whole, or train again"
            )
        if sha256_of(file) != expected:
            raise InputError(
                f"{file}: its bytes are not those that {DESCRIPTION} names: the bundle "
                "is damaged. Copy it again, or train again"
            )
    return description


def _up_to_date(text: bytes) -> bytes:
    """Add what a description of an older version does not say, as it was then."""
    try:
        content = json.loads(text)
        version, decoder = content["version"], content["decoder"]
        for since, added in SINCE.items():
            if version < since:
                decoder.update({name: decoder.get(name, value) for name, value in added.items()})
    except (ValueError, TypeError, LookupError, AttributeError):
        return text  # no description: told by who validates it
    return json.dumps(content).encode()
