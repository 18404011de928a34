"""The bundle: all that captioning new pictures needs, and nothing else, in one folder.

    bundle.json              version, shape of the decoder and of the features, hash of each file
    vocabulary.json          see `text/vocabulary.py`
    decoder.weights.h5       weights of the decoder, in Keras's own format; of several seeds, those
                             of the best one, then decoder-2.weights.h5 and so on
    consensus/               where it is kept, see `consensus.py`
    encoder/encoder.json     see `images/encoder.py`
    encoder/encoder.weights.h5

No pickle and no code: networks are built by this library, from settings that are checked.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline import weights
from pipeline.captioner.bundle_names import DESCRIPTION
from pipeline.captioner.captioner import Captioner
from pipeline.captioner.consensus import NGRAMS, Consensus
from pipeline.captioner.decoders.base import SINCE, Decoder, DecoderSettings
from pipeline.captioner.decoders.ensemble import Ensemble
from pipeline.captioner.decoders.find import build
from pipeline.errors import InputError
from pipeline.files import folder_written_whole, is_plain, sha256_of, unsealed, write_sealed
from pipeline.images.spec import SPEC
from pipeline.images.spec import WEIGHTS as ENCODER_WEIGHTS
from pipeline.text.vocabulary import Vocabulary

VERSION = 3
MOST_MEMBERS = 100
ATTEMPTS = 3  # to read a bundle that others write
Read = TypeVar("Read")
Side = Annotated[int, Field(ge=1, lt=1 << 31)]  # lists in Arrow are no longer
# What building a decoder of a damaged description and reading its weights raise.
UNREADABLE = (
    *(ValueError, OSError, LookupError, AttributeError, RuntimeError, TypeError),
    MemoryError,  # of a grid of any size
)
WORDS, ENCODER, CONSENSUS = "vocabulary.json", "encoder", "consensus"


class Description(BaseModel):
    """What bundle.json says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    decoder: DecoderSettings
    members: int = Field(1, ge=1, le=MOST_MEMBERS)  # decoders, of one seed each; the best is first
    # Of one picture: (f,), or (h, w, f) for a grid.
    feature_shape: tuple[Side, ...] = Field(min_length=1, max_length=3)
    encoder: str  # fingerprint, with "-grid" and the like where the features were made so
    files: dict[str, str]  # path in the bundle -> sha256


def save(
    folder: Path,
    decoders: Sequence[Decoder],
    vocabulary: Path,
    encoder: Path,
    feature_shape: tuple[int, ...],
    fingerprint: str,
    consensus: Consensus | None = None,
) -> None:
    """Write a bundle, with the same bytes for the same content.

    Args:
        folder: made anew.
        decoders: trained, of one shape, from different seeds; the best one first.
        vocabulary: the file that they were trained with.
        encoder: the encoder's folder.
        feature_shape: of one picture, (f,), or (h, w, f) for a grid.
        fingerprint: the encoder's, with "-grid" and the like where the features were made so.
        consensus: what people said of the training pictures, if it is to be kept.
    """
    with folder_written_whole(folder) as new:
        for place, decoder in enumerate(decoders):
            weights.save(decoder, new / weights_name(place))
        shutil.copyfile(vocabulary, new / WORDS)
        if consensus is not None:
            consensus.save(new / CONSENSUS)
        (new / ENCODER).mkdir()
        for name in (SPEC, ENCODER_WEIGHTS):
            shutil.copyfile(encoder / name, new / ENCODER / name)
        shape = DecoderSettings(
            **{name: getattr(decoders[0].settings, name) for name in DecoderSettings.model_fields}
        )
        files = sorted(path for path in new.rglob("*") if path.is_file())
        description = Description(
            version=VERSION,
            decoder=shape,
            members=len(decoders),
            feature_shape=feature_shape,
            encoder=fingerprint,
            files={path.relative_to(new).as_posix(): sha256_of(path) for path in files},
        )
        write_sealed(new / DESCRIPTION, description.model_dump())


def load_captioner(folder: Path) -> Captioner:
    """Read the captioner of a bundle; its encoder is read by `Encoder.load(folder / ENCODER)`.

    Of several seeds, it is all of them together.

    Raises:
        InputError: the bundle is incomplete, damaged, or of another version.
    """
    return together(load_members(folder))


def together(captioners: Sequence[Captioner]) -> Captioner:
    """Let captioners of one bundle caption as an ensemble; one alone stays what it is."""
    if len(captioners) == 1:
        return captioners[0]
    ensemble = Ensemble([captioner.decoder for captioner in captioners])
    return Captioner(ensemble, captioners[0].vocabulary, captioners[0].consensus)


def load_members(folder: Path) -> list[Captioner]:
    """Read the captioner of each seed by itself, the best one (by validation) first.

    Raises:
        InputError: as for `load_captioner`.
    """
    return steadily(folder, lambda: _load_members(folder))


def steadily(folder: Path, read: Callable[[], Read]) -> Read:
    """Read from a bundle; once more where a training has put another in its place meanwhile.

    Args:
        folder: of the bundle.
        read: reads from it.

    Raises:
        InputError: as `read`; or another bundle came each time.
    """
    for _ in range(ATTEMPTS):
        before = _description_of(folder)
        try:
            found = read()
        except InputError:
            if _description_of(folder) == before:
                raise
        else:
            if _description_of(folder) == before:
                return found
    raise InputError(
        f"{folder}: expected a bundle that stays while it is read. Received: another one, "
        f"{ATTEMPTS} times. Wait until nothing trains there any more"
    )


def _description_of(folder: Path) -> bytes | None:
    """Read bundle.json as it is: it has the hash of every other file."""
    path = folder / DESCRIPTION
    with suppress(OSError):
        return path.read_bytes() if path.is_file() else None
    return None


def _load_members(folder: Path) -> list[Captioner]:
    description = read_description(folder)
    vocabulary = Vocabulary.read(folder / WORDS)
    consensus = None
    if f"{CONSENSUS}/{NGRAMS}" in description.files:
        consensus = Consensus.load(folder / CONSENSUS, description.feature_shape[-1])
    captioners = []
    for place in range(description.members):
        path = folder / weights_name(place)
        try:
            weights.check(path)
            _check_size(path, description, len(vocabulary))
            decoder = build(description.decoder, len(vocabulary), description.feature_shape)
            decoder.load_weights(path)
        except UNREADABLE as error:
            raise InputError(
                f"{path}: expected weights of the decoder that {DESCRIPTION} describes. "
                f"Received: {' '.join(str(error).split())[:200]}"
            ) from error
        captioners.append(Captioner(decoder, vocabulary, consensus))
    return captioners


def _check_size(path: Path, description: Description, words: int) -> None:
    """See that the weights can be there at all, before a network of any size is built for them.

    Raises:
        ValueError: the file is smaller than the largest of them would be.
    """
    shape = description.decoder
    features = description.feature_shape[-1] * min(shape.units, shape.embedding)
    least = 4 * (4 * shape.units * shape.units + words * shape.embedding + features)
    if path.stat().st_size < least:
        raise ValueError(f"{path.stat().st_size} bytes, where {least} are needed at least")


def weights_name(place: int) -> str:
    """Name the weights of the first (0), second (1), ... decoder of a bundle."""
    return "decoder.weights.h5" if place == 0 else f"decoder-{place + 1}.weights.h5"


def read_description(folder: Path) -> Description:
    """Read bundle.json and check every file against its hash.

    Raises:
        InputError: as for `load_captioner`.
    """
    path = folder / DESCRIPTION
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: expected a file. Received: a folder, a device or a pipe")
    try:
        description = Description.model_validate_json(_up_to_date(unsealed(path.read_bytes())))
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
    except ValueError as error:
        raise InputError(f"{path}: {error}. Copy the bundle again, or train again") from error
    if not 1 <= description.version <= VERSION:
        raise InputError(
            f"{path}: expected a bundle of version {VERSION} or older. Received: "
            f"{description.version}. Use the release of caption-pipeline that made it, or train "
            "again"
        )
    if outside := next((name for name in description.files if not is_plain(name)), None):
        raise InputError(f"{path}: expected names of files in the bundle. Received: {outside!r}")
    needed = {WORDS, *map(weights_name, range(description.members))}
    needed |= {f"{ENCODER}/{name}" for name in (SPEC, ENCODER_WEIGHTS)}
    if unlisted := sorted(needed - set(description.files)):
        raise InputError(
            f"{path}: expected the hash of every file of the bundle. Received: none of "
            f"{unlisted[0]}. Copy the bundle again, or train again"
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
