"""A picture's description in its own file, or in a text file beside it.

    embed        into the XMP packet of a JPEG, PNG or WebP file; pixels stay byte for byte
    write_beside photo.jpg -> photo.jpg.alt.txt, one line of UTF-8
    embedded     what a picture's file says of itself already: XMP, IPTC, Exif or PNG text

A description that is there already is never replaced unless this is asked for.

No library is used for this: those that write XMP without encoding the picture anew are under the
GPL (pyexiv2, exiv2), or need a library of the system (python-xmp-toolkit with Exempi). Pillow reads
Exif and IPTC here; it can write metadata only together with the pixels, which changes them in JPEG.
"""

import os
import shutil
import stat
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image, IptcImagePlugin

from pipeline.files import write_text, written_whole
from pipeline.images import xmp
from pipeline.images.containers import ContainerError, Held, NoRoomError, open_container

SIDE_FILE = ".alt.txt"  # added to the whole name: photo.jpg and photo.png may lie side by side
MAX_BYTES = 2**30  # of a picture's file, which is read whole
IMAGE_DESCRIPTION = 0x010E  # of Exif
CAPTION = (2, 120)  # of IPTC
# What cameras write into every picture is no description.
CAMERAS = (
    "DIGITAL CAMERA",
    "SONY DSC",
    "DIGITAL STILL CAMERA",
    "CSC PICTURES",
    "EXIF_JPEG_PICTURE",
)

Reason = Literal[
    "format",  # no place for a description, or none that is known here
    "described",  # there is one already
    "damaged",  # the file, or its packet, cannot be followed
    "no_room",  # the packet would be too large
    "protected",  # read-only, or in a folder that is
]


class DescriptionError(Exception):
    """A description that was not written; `reason` is from a closed list, `detail` for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason: Reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


def embedded(data: bytes) -> str | None:
    """Tell what a picture's file says of itself; None where it says nothing.

    Raises:
        DescriptionError: "format", "damaged".
    """
    return _embedded(data, _held(data))


def with_description(data: bytes, text: str, force: bool = False) -> bytes:
    """Put a description into a picture's file.

    Args:
        data: all of the file.
        text: of the description.
        force: replace one that is there. Those in Exif and IPTC stay, as they may hold more.

    Returns:
        The file with it; the pixels' bytes and all other metadata are as they were.

    Raises:
        DescriptionError: "format", "described", "damaged", "no_room".
    """
    held = _held(data)
    if not force and (there := _embedded(data, held)) is not None:
        raise DescriptionError("described", f"has a description already: {there[:60]!r}")
    try:
        if held.extended is not None and _said(held.extended):
            raise DescriptionError("no_room", "its description is in an extended XMP packet")
        new = held.replace(xmp.without_padding(xmp.described(held.packet, text)))
    except (ContainerError, xmp.PacketError) as error:
        raise DescriptionError(_reason(error), str(error)) from error
    return new


def embed(path: Path, text: str, force: bool = False) -> None:
    """Put a description into a picture's file, which is replaced at once or not at all.

    A link stays a link; what it leads to is written. Another name of the same file (a hard link)
    keeps the file as it was. Mode, owner and extended attributes stay; the time of the last change
    becomes now, as for backups the file has changed.

    Raises:
        DescriptionError: as `with_description`, and "protected" for a file that its owner may not
            write, such as one in DVC's cache.
    """
    try:
        real = path.resolve(strict=True)
        status = real.stat()
        if not status.st_mode & stat.S_IWUSR:
            raise DescriptionError("protected", "is read-only")
        new = with_description(_read(real, status), text, force)
        with written_whole(real) as temporary:
            with temporary.open("wb") as stream:
                stream.write(new)
                stream.flush()
                os.fsync(stream.fileno())  # or a power cut could leave the new name, and no bytes
            with suppress(OSError):  # only the owner, or root, may give files away
                os.chown(temporary, status.st_uid, status.st_gid)
            shutil.copystat(real, temporary)
            os.utime(temporary)
    except DescriptionError as error:
        raise DescriptionError(error.reason, f"{path}: {error.detail}") from error
    except OSError as error:
        told = error.strerror or str(error)
        raise DescriptionError("protected", f"{path}: cannot be written: {told}") from error


def is_described(path: Path) -> bool:
    """Whether `embed` would refuse for a description that is there; False if it cannot be told."""
    try:
        return embedded(_read(path, path.stat())) is not None
    except (DescriptionError, OSError, ValueError):
        return False


def beside(path: Path) -> Path:
    """Name the text file beside a picture."""
    return path.with_name(path.name + SIDE_FILE)


def write_beside(path: Path, text: str, force: bool = False) -> Path:
    """Write a description beside a picture; where the picture is a link, beside the link.

    Returns:
        The text file.

    Raises:
        DescriptionError: "described": the text file is there; "protected": it cannot be written.
    """
    out = beside(path)
    if not force and os.path.lexists(out):
        raise DescriptionError("described", f"{out}: is there already")
    try:
        write_text(out, f"{text}\n")
    except OSError as error:
        told = error.strerror or str(error)
        raise DescriptionError("protected", f"{out}: cannot be written: {told}") from error
    return out


def _read(path: Path, status: os.stat_result) -> bytes:
    """Read a file, and nothing that could have no end."""
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
        raise DescriptionError("format", f"is not a file of up to {MAX_BYTES} bytes")
    return path.read_bytes()


def _held(data: bytes) -> Held:
    try:
        held = open_container(data)
    except ContainerError as error:
        raise DescriptionError(_reason(error), str(error)) from error
    if held is None:
        raise DescriptionError("format", "holds no description: only JPEG, PNG and WebP do")
    return held


def _embedded(data: bytes, held: Held) -> str | None:
    """The first description that is found, in the order in which programs look for them."""
    try:
        packets = [packet for packet in (held.packet, held.extended) if packet is not None]
        found = [text for packet in packets for text in xmp.texts(packet)]
    except xmp.PacketError as error:
        raise DescriptionError("damaged", str(error)) from error
    found += [_iptc(data), _exif(held.exif), "Description" if held.told else ""]
    return next((text for text in found if text), None)


def _said(packet: bytes) -> bool:
    return bool(xmp.texts(packet))


def _iptc(data: bytes) -> str:
    """IPTC's caption of a JPEG file, which older programs write."""
    try:
        with Image.open(BytesIO(data), formats=("JPEG",)) as image:
            found = (IptcImagePlugin.getiptcinfo(image) or {}).get(CAPTION, b"")
        first = found[0] if isinstance(found, list) else found
        return first.decode("utf-8", "replace").strip()
    except Exception:  # noqa: BLE001 - readers raise anything; a bad remark spoils no good picture
        return ""


def _exif(block: bytes | None) -> str:
    """Exif's description, but for what cameras write into every picture."""
    try:
        exif = Image.Exif()
        exif.load(block or b"")
        text = str(exif.get(IMAGE_DESCRIPTION, "")).strip("\0 \t\r\n")
    except Exception:  # noqa: BLE001 - as above
        return ""
    return "" if text.upper().endswith(CAMERAS) else text


def _reason(error: Exception) -> Reason:
    return "no_room" if isinstance(error, NoRoomError) else "damaged"
