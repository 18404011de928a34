"""Where the records of a TFRecord file stand, so that parts of them can be read on their own.

A record is: uint64 length of the data | uint32 its checksum | the data | uint32 its checksum; all
little-endian, one after the other without anything between them, before or behind.
Source: TensorFlow's guide to TFRecord. The checksums are not looked at here: `tfds_layout` reads
the same records with TensorFlow, which does, and compares.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import InputError

HEAD = struct.Struct("<QI")
FOOT = 4  # bytes


class Record(NamedTuple):
    """One record of a file."""

    offset: int  # of the data's first byte in the file
    data: bytes


def records(path: Path) -> Iterator[Record]:
    """Yield the records of a file in their order; one at a time is in memory.

    Raises:
        InputError: the file cannot be read, or ends within a record.
    """
    try:
        with path.open("rb") as stream:
            left = path.stat().st_size
            offset = 0
            while left > 0:
                head = stream.read(HEAD.size)
                length = HEAD.unpack(head)[0] if len(head) == HEAD.size else left
                left -= HEAD.size + length + FOOT
                if left < 0:  # told before anything of that length is asked for
                    raise InputError(
                        f"{path}, byte {offset:,}: expected a TFRecord. The file ends within it:"
                        " it was cut off, or is damaged. Prepare the data set again"
                    )
                offset += HEAD.size
                yield Record(offset, stream.read(length))
                stream.seek(FOOT, 1)
                offset += length + FOOT
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
