"""Pictures alike: how much each training picture counts for another one.

What ridge regression predicts of a picture is a sum of what the training pictures have, each
weighed by a share, and the shares depend on the features alone. With the features z of a picture
and Z of the training pictures, standardised, the ridge r and n training pictures,

    share(x) = 1/n + k(z) (K + r I)^-1 ,

where K compares the training pictures with each other and k(z) the picture with them: both are
centred, as if what is compared had a mean of zero. There are two ways to compare:

    gaussian    exp(gamma (cos - 1)), of the angle between features: how near they are matters, and
                not how far apart others are. K has as many rows as columns, so that it is worked
                out when it is first needed, and for no more than `MOST` pictures.
    linear      the product of features over n; (K + r I)^-1 comes down to a matrix of f rows and
                columns, which is kept, whatever n is.

Source: Saunders, Gammerman and Vovk, "Ridge Regression Learning Algorithm in Dual Variables" (ICML
1998); centring after Schoelkopf, Smola and Mueller, "Nonlinear Component Analysis as a Kernel
Eigenvalue Problem" (1998), appendix A.

Letters: `n` training pictures, `f` features, `b` pictures.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import InputError
from pipeline.files import unsealed, write_sealed
from pipeline.tables import read_table, write_table

Kernel = Literal["gaussian", "linear"]

MOST = 10_000  # pictures of the Gaussian kernel: 400 MB, and four times as long as 5,000
GAMMA = 1.0  # how fast pictures get unlike: see docs/findings.md
LEAST_RIDGE = 0.01  # with less, a kernel of float32 may not be solved
DEAD = 1e-3  # of the largest deviation of a feature: one with less says nothing
AGAIN = "Copy the bundle again, or train again"
PICTURES, FEATURES, KERNEL = "pictures.parquet", "features.parquet", "kernel.json"
OF_FEATURES = pa.schema([pa.field("mean", pa.float32()), pa.field("scale", pa.float32())])


class Alike(Protocol):
    """Tells how much each training picture counts."""

    def __len__(self) -> int:
        """Training pictures, n."""

    def shares(self, features: np.ndarray) -> np.ndarray:
        """Tell the share of each training picture: float32 (b, f) -> float32 (b, n)."""

    def save(self, folder: Path) -> None:
        """Write what `load` reads: the same bytes for the same content."""


class Standard(NamedTuple):
    """What features are usually.

    Attributes:
        mean: float32 (f,).
        scale: float32 (f,), one over their deviation; 0 of features that say nothing.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> "Standard":
        """Learn it from float32 (n, f)."""
        mean, spread = features.mean(axis=0), features.std(axis=0)
        scale = 1 / np.where(spread > DEAD * spread.max(), spread, np.inf)
        return cls(mean.astype("float32"), scale.astype("float32"))

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Give features a mean of 0 and a deviation of 1: (b, f) -> (b, f)."""
        standard: np.ndarray = (features - self.mean) * self.scale
        return standard


@dataclass(frozen=True)
class Linear:
    """Pictures compared by the product of their features.

    Attributes:
        standard: of the features.
        weights: float16 (n, f), from standardised features to shares, times n.
    """

    standard: Standard
    weights: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, ridge: float) -> "Linear":
        """Learn from the training pictures' features, float32 (n, f)."""
        standard = Standard.of(features)
        known = standard.apply(features).astype("float64")
        covariance = known.T @ known / len(known) + ridge * np.eye(known.shape[1])
        return cls(standard, np.linalg.solve(covariance, known.T).T.astype("float16"))

    def __len__(self) -> int:
        """See `Alike`."""
        return len(self.weights)

    def shares(self, features: np.ndarray) -> np.ndarray:
        """See `Alike`."""
        compared = self.standard.apply(features) @ self.weights.astype("float32").T
        shares: np.ndarray = (1 + compared) / len(self.weights)
        return shares

    def save(self, folder: Path) -> None:
        """See `Alike`."""
        _save(folder, self.standard, "weights", self.weights)


class Shape(BaseModel):
    """What kernel.json says of a Gaussian kernel."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gamma: float = Field(gt=0, le=1000)
    ridge: float = Field(ge=LEAST_RIDGE, le=1000)


@dataclass(frozen=True)
class Gaussian:
    """Pictures compared by the angle between their features.

    Attributes:
        standard: of the features.
        known: float16 (n, f), the training pictures' standardised features, each of length 1.
        shape: of the kernel.
    """

    standard: Standard
    known: np.ndarray
    shape: Shape

    @classmethod
    def fit(cls, features: np.ndarray, ridge: float) -> "Gaussian":
        """Learn from the training pictures' features, float32 (n, f)."""
        standard = Standard.of(features)
        known = _directions(standard.apply(features)).astype("float16")
        return cls(standard, known, Shape(gamma=GAMMA, ridge=ridge))

    def __len__(self) -> int:
        """See `Alike`."""
        return len(self.known)

    def shares(self, features: np.ndarray) -> np.ndarray:
        """See `Alike`."""
        from scipy.linalg import cho_solve

        usual, factor = self._factored
        near = self._near(_directions(self.standard.apply(features)))
        _centre(near, usual)
        # Unchecked: to look through the factor again takes as long as to solve.
        shares: np.ndarray = cho_solve(factor, near.T, check_finite=False).T
        return shares + np.float32(1 / len(self))

    def save(self, folder: Path) -> None:
        """See `Alike`."""
        _save(folder, self.standard, "directions", self.known)
        write_sealed(folder / KERNEL, self.shape.model_dump())

    @cached_property
    def _factored(self) -> tuple[np.ndarray, tuple[np.ndarray, bool]]:
        """How near a training picture is on the mean, (n,), and K + r I by Cholesky, (n, n)."""
        from scipy.linalg import cho_factor  # not before it is needed: the import takes a while

        near = self._near(self._known)
        usual = near.mean(axis=0)
        _centre(near, usual)
        near[np.diag_indices_from(near)] += self.shape.ridge
        return usual, cho_factor(near.T, overwrite_a=True)  # the same, and in LAPACK's order

    @cached_property
    def _known(self) -> np.ndarray:
        """The directions in float32, in which products are fast: (n, f)."""
        return self.known.astype("float32")

    def _near(self, directions: np.ndarray) -> np.ndarray:
        """Compare pictures with the training pictures: (b, f) -> float32 (b, n)."""
        near: np.ndarray = directions @ self._known.T
        near -= 1  # in place, as there may be 10,000 times 10,000 of them
        near *= self.shape.gamma
        return np.exp(near, out=near)


def fit(features: np.ndarray, kernel: Kernel, ridge: float) -> Alike:
    """Learn from the training pictures' features, float32 (n, f)."""
    return (Gaussian if kernel == "gaussian" else Linear).fit(features, ridge)


def load(folder: Path, features: int) -> Alike:
    """Read what `save` wrote.

    Args:
        folder: where.
        features: their number, f.

    Raises:
        InputError: a file is absent, or not one that `save` writes.
    """
    own = read_table(folder / FEATURES, OF_FEATURES)
    standard = Standard(numbers(own["mean"]), numbers(own["scale"]))
    _check_finite(folder / FEATURES, *standard)
    found: Alike
    if (folder / KERNEL).exists():
        found = _load_gaussian(folder, standard, features)
    else:  # which was the only way to compare at first, and needs no file of its own
        found = Linear(standard, _load_rows(folder, "weights", features))
    if len(own) != features:
        raise InputError(
            f"{folder / FEATURES}: expected {features} rows. Received: {len(own)}. {AGAIN}"
        )
    return found


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Read a column; what is absent becomes NaN."""
    return np.asarray(column.to_numpy())


def _save(folder: Path, standard: Standard, name: str, rows: np.ndarray) -> None:
    """Write what there is of the features, and of each picture."""
    folder.mkdir(parents=True, exist_ok=True)
    values = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel(), pa.float16()), rows.shape[1])
    write_table(folder / PICTURES, pa.table([values], names=[name]))
    write_table(folder / FEATURES, pa.table(list(standard), schema=OF_FEATURES))


def _load_gaussian(folder: Path, standard: Standard, features: int) -> Gaussian:
    """Read what `Gaussian.save` wrote, and see that it can be solved."""
    known = _load_rows(folder, "directions", features)
    longest = float(np.linalg.norm(known.astype("float32"), axis=1).max(initial=0))
    if len(known) > MOST or longest > 1.01:
        raise InputError(
            f"{folder / PICTURES}: expected directions of at most {MOST} pictures, of length 1. "
            f"Received: {len(known)}, of length {longest:.3g} at most. {AGAIN}"
        )
    return Gaussian(standard, known, _load_shape(folder / KERNEL))


def _load_rows(folder: Path, name: str, features: int) -> np.ndarray:
    """Read what there is of each picture: float16 (n, f)."""
    schema = pa.schema([(name, pa.list_(pa.float16(), features))])
    column = read_table(folder / PICTURES, schema)[name]
    absent = pa.scalar([np.float16(np.nan)] * features, schema.field(name).type)
    rows = numbers(pc.list_flatten(pc.fill_null(column, absent))).reshape(-1, features)
    _check_finite(folder / PICTURES, rows)
    return rows


def _check_finite(path: Path, *arrays: np.ndarray) -> None:
    """See that what was read are numbers."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise InputError(f"{path}: expected numbers. Received: some that are none. {AGAIN}")


def _load_shape(path: Path) -> Shape:
    """Read kernel.json."""
    try:
        return Shape.model_validate_json(unsealed(path.read_bytes()))
    except (OSError, ValueError) as error:
        told = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise InputError(
            f"{path}: expected gamma and ridge of a kernel. Received: {told}. {AGAIN}"
        ) from error


def _directions(features: np.ndarray) -> np.ndarray:
    """Scale features to a length of 1: (b, f) -> (b, f); those of length 0 stay so."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions: np.ndarray = features / np.where(lengths > 0, lengths, 1)
    return directions


def _centre(near: np.ndarray, usual: np.ndarray) -> None:
    """Centre comparisons, (b, n), in place, as those of the training pictures: means of 0."""
    near -= near.mean(axis=1, keepdims=True)
    near += usual.mean() - usual
