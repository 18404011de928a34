"""From pictures to captions with nothing but a bundle: what `caption`, `serve` and `export` use."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.captioner import bundle
from pipeline.captioner.bundle_zip import opened
from pipeline.captioner.captioner import Caption, Captioner, SearchSettings
from pipeline.captioner.looks import Looks
from pipeline.images.decode import PictureError
from pipeline.images.encoder import Encoder
from pipeline.images.encoding import encode_padded
from pipeline.images.loose import Decoded, decode_batches
from pipeline.images.spec import pooling_of

BATCH = 32  # pictures the encoder sees at once
BATCHES = 4  # that are searched together: a step of so many captions at once takes a third less


class Captioned(NamedTuple):
    """What became of a picture file: either captions, best first, or an error."""

    path: Path
    captions: list[Caption]
    error: PictureError | None
    given: str = ""  # as the path was spelt, where that is not how Python spells it: ./a.png

    @property
    def name(self) -> str:
        """The path as it was given."""
        return self.given or str(self.path)


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
    def load(cls, path: Path) -> "PictureCaptioner":
        """Load both from a bundle, which is a folder or a zip of one.

        Raises:
            InputError: it is no bundle, or an incomplete or damaged one.
        """
        with opened(path) as folder:
            return bundle.steadily(folder, lambda: cls._load(folder))

    @classmethod
    def _load(cls, folder: Path) -> "PictureCaptioner":
        captioner = bundle.load_captioner(folder)
        pooling = pooling_of(bundle.read_description(folder).encoder)
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

    def caption_files(
        self,
        paths: Sequence[Path],
        settings: SearchSettings,
        max_pixels: int,
        batch_size: int = BATCH,
    ) -> Iterator[Captioned]:
        """Caption picture files; threads decode the next ones meanwhile.

        Batches have one shape, filled up where pictures are broken or too few, so that nothing is
        compiled twice. Memory does not grow with the pictures.

        Args:
            paths: any files; see `loose.find_pictures`.
            settings: of the search.
            max_pixels: larger pictures are refused.
            batch_size: views of pictures that the encoder sees at once, at most.

        Yields:
            What became of each picture, in order.

        Raises:
            InputError: as for `Captioner.caption`.
        """
        count = math.ceil(len(paths) / max(1, batch_size // self.encoder.views))
        if not count:
            return
        size = math.ceil(len(paths) / count)  # 33 pictures are two batches of 17
        batches = decode_batches(paths, self.side, size, max_pixels)
        while group := list(islice(batches, min(BATCHES, count))):
            found = iter(self._caption_together(group, size, size * min(BATCHES, count), settings))
            for batch in group:
                for path, error in zip(batch.paths, batch.errors, strict=True):
                    yield Captioned(path, [] if error else next(found), error)

    def _caption_together(
        self, group: Sequence[Decoded], size: int, together: int, settings: SearchSettings
    ) -> list[list[Caption]]:
        """Encode batches of up to `size` pictures, and search up to `together` in one."""
        good = [batch.pixels for batch in group if len(batch.pixels)]
        if not good:
            return []
        features = np.concatenate(
            [encode_padded(self.encoder.encode, pixels, size) for pixels in good]
        )
        # Filled up with the first row: what is then found for it is thrown away, and never odd.
        fill = np.repeat(features[:1], together - len(features), axis=0)
        found = self.captioner.caption(np.concatenate([features, fill]), settings)
        return found[: len(features)]

    def looks(self, pictures: np.ndarray, captions: Sequence[Sequence[str]]) -> list[Looks]:
        """Tell where the decoder looked for each word of each picture's caption.

        Args:
            pictures: uint8 RGB (n, side, side, 3).
            captions: the words of one caption a picture, n.

        Raises:
            InputError: the decoder attends to no grid.
        """
        return self.captioner.looks(self.encoder.encode(pictures), captions)
