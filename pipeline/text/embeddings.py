"""The word vectors that a decoder may start from.

embeddings.npy
    float32 (v, e): row i is the vector of the word with id i, all finite. e is 0 where no file of
    pretrained vectors is named.
    After the array, where NumPy does not look, stands the SHA-256 of all that comes before it.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import InputError
from pipeline.files import sha256_of, written_whole

Matrix = npt.NDArray[np.float32]  # (v, e)

DIGEST = 32  # bytes
AGAIN = "Run `dvc repro vocabulary` again"


def write_embeddings(path: Path, matrix: Matrix) -> None:
    """Write the contract named in this module's head."""
    with written_whole(path) as temporary:
        np.save(temporary, np.ascontiguousarray(matrix, np.float32), allow_pickle=False)
        digest = bytes.fromhex(sha256_of(temporary))
        with temporary.open("ab") as stream:
            stream.write(digest)


def has_vectors(path: Path) -> bool:
    """Whether `write_embeddings` wrote any vectors.

    Raises:
        InputError: the file is absent or damaged.
    """
    matrix = _read(path)
    return matrix.ndim == 2 and matrix.shape[1] > 0


def load_embeddings(path: Path, vocabulary_size: int, width: int) -> Matrix | None:
    """Read what `write_embeddings` wrote, for a decoder of `width` numbers a word.

    Args:
        path: embeddings.npy.
        vocabulary_size: words of the vocabulary, the marks among them.
        width: `train.embedding`.

    Returns:
        float32 (vocabulary_size, width), or None where there are no pretrained vectors.

    Raises:
        InputError: the file is absent or damaged, or it does not fit the vocabulary or the decoder.
    """
    matrix = _read(path)
    if matrix.ndim != 2 or matrix.dtype != np.float32 or len(matrix) != vocabulary_size:
        raise InputError(
            f"{path}: expected float32 numbers of {vocabulary_size} words. Received: "
            f"{matrix.dtype} {matrix.shape}. {AGAIN}"
        )
    if not matrix.shape[1]:
        return None
    if matrix.shape[1] != width:
        raise InputError(
            f"{path}: expected word vectors of train.embedding = {width} numbers. Received: "
            f"{matrix.shape[1]}. Set train.embedding: {matrix.shape[1]}, or name a file with "
            f"vectors of {width} numbers as vocabulary.embeddings.file"
        )
    if not np.isfinite(matrix).all():
        raise InputError(f"{path}: expected finite numbers. Received: NaN or infinity. {AGAIN}")
    return matrix


def _read(path: Path) -> Matrix:
    """Read an array of NumPy, without pickles, and never more than the file has."""
    try:
        length = path.stat().st_size - DIGEST
        with path.open("rb") as stream:
            stream.seek(max(0, length))
            written = stream.read().hex()
        if written != sha256_of(path, 0, max(0, length)):
            raise ValueError("bytes that are not those that were written: the file is damaged")
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file. Run `dvc repro vocabulary`") from error
    except Exception as error:  # NumPy parses the head as Python, and fails in as many ways
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: expected an array of NumPy. Received: {reason}. {AGAIN}"
        ) from error
