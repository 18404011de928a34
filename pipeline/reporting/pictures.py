"""The pictures of a comparison or a report, as far as they are at hand."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from pipeline.errors import InputError
from pipeline.images.reading import Picture, read_known
from pipeline.tables import IMAGES, read_table

log = logging.getLogger(__name__)


def read_at_hand(
    image_ids: Iterable[str],
    images: Path,
    raw: Path,
    side: int,
    then: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Image.Image]:
    """Read pictures small; one that is gone, or another file by now, has no entry, which is told.

    A comparison looks back at runs whose pictures may have been changed since.

    Args:
        image_ids: of the pictures.
        images: images.parquet of the work tree, which says where in `raw` each picture stands.
        raw: the data set's folder.
        side: pixels of the longer side, at most.
        then: SHA-256 of pictures in the run that is looked back at, as far as they are known.
    """
    known = _known(images)
    wanted = {image_id: known[image_id] for image_id in image_ids if image_id in known}
    found: dict[str, Image.Image] = {}
    lost: list[InputError] = []
    for image_id, picture in wanted.items():
        try:
            if then.get(image_id, picture.sha256) != picture.sha256:
                raise InputError(f"{image_id}: is another picture by now")
            found[image_id] = read_known(picture, raw, side)
        except InputError as error:
            lost.append(error)
    if lost:
        told = "%d of %d pictures are not shown. The first: %s"
        log.warning(told, len(lost), len(wanted), lost[0])
    return found


def _known(images: Path) -> Mapping[str, Picture]:
    try:
        rows = read_table(images, IMAGES).to_pylist()
    except InputError:  # not there: the captions are worth reading without pictures
        return {}
    return {row["image_id"]: Picture.of(row) for row in rows}
