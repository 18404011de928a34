"""From pictures to captions with nothing but a bundle: what `caption`, `serve` and `export` use."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.captioner import bundle
from pipeline.captioner.captioner import Caption, Captioner, Looks, SearchSettings
from pipeline.images.encoder import Encoder
from pipeline.images.spec import Pooling


class PictureCaptioner:
    """An encoder and the captioner that was trained on its features.

    Args:
        encoder: RGB pictures to features.
        captioner: features to captions.
    """

    def __init__(self, encoder: Encoder, captioner: Captioner) -> None:
        self.encoder = encoder
        self.captioner = captioner

    @classmethod
    def load(cls, folder: Path) -> "PictureCaptioner":
        """Load both from a bundle.

        Raises:
            InputError: it is no bundle, or an incomplete or damaged one.
        """
        captioner = bundle.load_captioner(folder)
        pooled = len(captioner.decoder.feature_shape) == 1
        pooling: Pooling = "average" if pooled else "grid"
        return cls(Encoder.load(folder / bundle.ENCODER, pooling=pooling), captioner)

    @property
    def side(self) -> int:
        """Pixels of a picture's side, as `caption` takes it."""
        return self.encoder.spec.side

    @property
    def attends(self) -> bool:
        """Whether `looks` can tell where the decoder looked."""
        return self.captioner.attends

    def caption(self, pictures: np.ndarray, settings: SearchSettings) -> list[list[Caption]]:
        """Caption pictures.

        Args:
            pictures: uint8 RGB (n, side, side, 3), see `pipeline.images.decode.read_square`.
            settings: of the search.

        Returns:
            For each picture the best captions, best first.
        """
        return self.captioner.caption(self.encoder.encode(pictures), settings)

    def looks(self, pictures: np.ndarray, captions: Sequence[Sequence[str]]) -> list[Looks]:
        """Tell where the decoder looked for each word of each picture's caption.

        Args:
            pictures: uint8 RGB (n, side, side, 3).
            captions: the words of one caption a picture, n.

        Raises:
            InputError: the decoder attends to no grid.
        """
        return self.captioner.looks(self.encoder.encode(pictures), captions)
