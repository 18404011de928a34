"""Pictures from files that nobody has vouched for: checked, then read as RGB squares.

inspect      one picture's facts, after decoding all of it     (`ingest`)
read_square  uint8 (side, side, 3), RGB, orientation applied   (`features`, `caption`)
read_small   the same as a Pillow image of its own shape       (sheets and pages)
inside       a path that is sure to stay in the data folder    (`ingest`, `features`)

What `inspect` accepts, the others read: all decode and convert with the same functions.
A picture is a file, or a range of bytes of one, such as a member of a tar file (`Span`).
Formats: JPEG, PNG, GIF, WebP, BMP, TIFF and PPM. No other reader of Pillow's is ever run, as some
start programs (EPS) and most are hardly tested against hostile files.
All functions may be called from several threads at once; Pillow decodes without holding the lock.
"""

import errno
import hashlib
import os
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import SEEK_CUR, SEEK_END, SEEK_SET, BufferedReader, BytesIO, RawIOBase
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from pipeline.errors import InputError

# Of all that decides on what a picture's bytes come out as: with every change of it, one more.
# Features that are kept for later runs are of one version (and of one of Pillow).
DECODING = 3

PictureReason = Literal[
    "missing",  # no such file
    "empty",  # zero bytes
    "not_a_file",  # a folder, a device, a pipe: never opened
    "outside_folder",  # an absolute path, a `..`, or a link that leaves the data folder
    "not_a_picture",  # of no format named above, or its first bytes are broken
    "truncated",  # the file ends before the picture does
    "too_large",  # more pixels than the bound; told by the header, before decoding
    "unreadable",  # no permission, damaged inside, or pixels of a kind that has no RGB
]

# Imported above, and so registered, before the first thread opens a picture: Pillow would
# otherwise import its readers while another thread is looking through the list of them.
FORMATS = (
    JpegImagePlugin.JpegImageFile.format,
    PngImagePlugin.PngImageFile.format,
    GifImagePlugin.GifImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
    BmpImagePlugin.BmpImageFile.format,
    TiffImagePlugin.TiffImageFile.format,
    PpmImagePlugin.PpmImageFile.format,
)
# Pillow warns above one fixed bound and fails above its double. Ours is a setting, and exact.
Image.MAX_IMAGE_PIXELS = None
# Pillow's remarks on pictures that it can read nevertheless, such as an odd EXIF block.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# What Pillow's readers say of a file that ends too early.
BAND = 256  # rows of a picture with transparency that are laid on white at once
CUT_OFF = ("truncated", "end of", "eof")
# What systems say when it is they who cannot read a file now: too many are open, or a disk or a
# file server does not answer. The same picture may be read the next time.
OF_THE_SYSTEM = {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT),
    *(errno.ENOTCONN, errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED),
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH),
    getattr(errno, "EREMOTEIO", errno.EIO),  # Linux alone has it
}
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
ORIENTATION = 0x0112  # the EXIF tag
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # TIFF's tags, and a value of the last
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# JPEG is decoded at the smallest of its scales (1/1, 1/2, 1/4, 1/8) that leaves this many times
# the side wanted, so that the resize that follows still has enough to average over.
SCALED_DECODE_MARGIN = 2
MAX_SCANS = 500  # of a JPEG: encoders make 10, and libjpeg-turbo's own tests give up here too
JPEG_HEAD, JPEG_SCAN = b"\xff\xd8\xff", b"\xff\xda\x00"
SCAN, SEQUENTIAL = 0xDA, (0xC0, 0xC1)  # markers of segments: a scan, a frame that is no other kind
PLAIN = {0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE}  # and tables, remarks and applications' own
WEBP_HEAD = 30  # bytes in which each kind of WebP tells its size
PIECE = 2**20  # bytes that are looked through at once
READ_WHOLE = 16 * 2**20  # bytes up to which a picture is read at once; larger ones in pieces
GRID = (17, 16)  # brightnesses that `difference_hash` compares


class PictureError(Exception):
    """A picture that cannot be used; `reason` is from a closed list, `detail` is for people."""

    def __init__(self, reason: PictureReason, detail: str) -> None:
        super().__init__(reason, detail)  # both, so that it survives pickling between processes
        self.reason: PictureReason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail} ({self.reason})"


class SystemRefusedError(InputError):
    """A file that the system cannot read now, be it a picture or not."""


class Span(NamedTuple):
    """Where a picture's bytes stand in a file that holds more than one."""

    offset: int  # of the first byte
    length: int  # bytes


class PictureFacts(NamedTuple):  # a tuple, as these travel between processes by the thousand
    """What is known of a picture file that was decoded to its end."""

    width: int  # pixels, before EXIF orientation; of a TIFF, Pillow applies it when it opens it
    height: int
    mode: str  # Pillow's name for the kind of pixels, as stored
    bytes: int  # size of the file, or of the span
    sha256: str  # of these bytes
    dhash: str  # see `difference_hash`


def inspect(path: Path, max_pixels: int, span: Span | None = None) -> PictureFacts:
    """Hash a picture, which is a file or a span of one, and decode all of it.

    Raises:
        PictureError: the file is absent, empty, not a picture, cut off, damaged, or has more
            than `max_pixels` pixels.
        SystemRefusedError: it cannot be read now, which is no fault of the picture's.
    """
    with _opened(path, max_pixels, span) as (stream, image):
        (width, height), mode = image.size, image.mode
        # JPEG at a fraction of its size, and without its colours, takes half of the time; every
        # byte is still read and unpacked, so a file that was cut off is still found out.
        image.draft("L", (GRID[0] * 2, GRID[1] * 2))
        image.load()
        is_plain = image.mode in ("L", "RGB")  # of other kinds it is tried whether they can be read
        looks = difference_hash(image if is_plain else _to_rgb(image, image.format))
        digest = _sha256_of(stream)
        return PictureFacts(width, height, mode, stream.seek(0, SEEK_END), digest, looks)


def _sha256_of(stream: BytesIO | BufferedReader) -> str:
    stream.seek(0)
    return hashlib.file_digest(stream, "sha256").hexdigest()


def difference_hash(picture: Image.Image) -> str:
    """Tell in 256 bits what a picture looks like: near-identical pictures differ in few of them.

    Each bit says whether a place of a 16 x 16 grid is brighter than its right neighbour; scaling,
    recompression and changes of brightness hardly matter to it. As 64 hexadecimal digits.
    The picture is RGB or grey.
    """
    small = picture.resize(GRID, Image.Resampling.BOX)
    grey = small if small.mode == "L" else small.convert("L")
    rows = np.frombuffer(grey.tobytes(), np.uint8).reshape(GRID[::-1])  # (16, 17)
    return np.packbits(rows[:, :-1] > rows[:, 1:]).tobytes().hex()


def read_square(
    path: Path, side: int, max_pixels: int, span: Span | None = None
) -> npt.NDArray[np.uint8]:
    """Read a picture as RGB, whole, squashed to a square as keras.utils.load_img does.

    EXIF orientation is applied, what is transparent shows white, 16 bits are scaled to 8, and of
    an animation the first frame is taken. The resize is bilinear and antialiased. The same file
    gives the same bytes every time.

    Returns:
        uint8 (side, side, 3); may be a read-only view of Pillow's memory.

    Raises:
        PictureError, SystemRefusedError: as for `inspect`.
    """
    return read_hashed_square(path, side, max_pixels, span)[0]


def read_hashed_square(
    path: Path, side: int, max_pixels: int, span: Span | None = None
) -> tuple[npt.NDArray[np.uint8], str]:
    """Read a picture as `read_square` does, and hash the bytes it was decoded from (SHA-256)."""
    with _opened(path, max_pixels, span) as (stream, image):
        pixels = np.asarray(_decoded(image, side, (side, side)))
        return pixels, _sha256_of(stream)


def read_small(path: Path, side: int, max_pixels: int, span: Span | None = None) -> Image.Image:
    """Read a picture as RGB in its own shape, its longer side at most `side` pixels.

    Raises:
        PictureError, SystemRefusedError: as for `inspect`.
    """
    return read_hashed_small(path, side, max_pixels, span)[0]


def read_hashed_small(
    path: Path, side: int, max_pixels: int, span: Span | None = None
) -> tuple[Image.Image, str]:
    """Read a picture as `read_small` does, and hash the bytes it was decoded from (SHA-256)."""
    with _opened(path, max_pixels, span) as (stream, image):
        scale = min(1.0, side / max(image.size))
        width, height = (max(1, round(length * scale)) for length in image.size)
        return _decoded(image, side, (width, height)), _sha256_of(stream)


def _decoded(image: Image.Image, side: int, size: tuple[int, int]) -> Image.Image:
    """Decode an opened picture, at least `side` pixels each way, to RGB of `size`, upright."""
    margin = side * SCALED_DECODE_MARGIN
    image.draft(None, (margin, margin))
    image.load()
    rgb = _to_rgb(image, image.format)
    if rgb.size != size:
        rgb = rgb.resize(size, Image.Resampling.BILINEAR)
    # Turned after the resize, when there is less to turn. And after loading: TIFF pictures are
    # turned by Pillow itself, which then takes the tag away.
    turn = TURNS.get(_orientation(image))
    return rgb if turn is None else rgb.transpose(turn)


def inside(folder: Path, relative: str) -> Path:
    """Find the regular file `relative` (with /) in `folder`, and nothing that lies elsewhere.

    `folder` may be a link, and so may a folder that lies directly in it, as people link their
    picture folders into place. Any other link has to stay in one of these two.

    Raises:
        PictureError: "outside_folder", "missing", "not_a_file", or "unreadable" for a name that
            the system cannot look up.
        SystemRefusedError: the system cannot look it up now.
    """
    parts = [part for part in relative.split("/") if part not in ("", ".")]
    if not parts or relative.startswith("/") or ".." in parts:
        raise PictureError(
            "outside_folder", f"expected a path inside {folder}. Received: {relative!r}"
        )
    path = folder.joinpath(*parts)
    try:
        status = _unless_linked(folder, parts)
        if status is None:
            status = path.stat()
            real = path.resolve(strict=True)
            homes = [folder.resolve()]
            if len(parts) > 1:  # else it is the file itself that is a link
                homes.append((folder / parts[0]).resolve())
            if not any(real.is_relative_to(home) for home in homes):
                raise PictureError("outside_folder", f"{path} is a link that leaves {folder}")
        _check_regular(path, status)
    except PictureError:
        raise
    except Exception as error:
        unless_of_the_system(path, error)
        raise _as_picture_error(path, error) from error
    return path


def _unless_linked(folder: Path, parts: list[str]) -> os.stat_result | None:
    """Look up folder/a/b/c; None where folder/a, folder/a/b or folder/a/b/c is a link."""
    step = str(folder)
    for part in parts:
        step = f"{step}/{part}"
        status = os.lstat(step)
        if stat.S_ISLNK(status.st_mode):
            return None
    return status


@contextmanager
def _opened(
    path: Path, max_pixels: int, span: Span | None
) -> Iterator[tuple[BytesIO | BufferedReader, Image.Image]]:
    """Open a picture whose header is fine; tell whatever goes wrong as a PictureError."""
    try:
        with _bytes_of(path, span) as stream:
            _check_pixels(path, _webp_size(stream), max_pixels)
            _check_scans(path, stream)
            with Image.open(stream, formats=FORMATS) as image:
                _check_pixels(path, image.size, max_pixels)
                yield stream, image
    except PictureError:
        raise
    except Exception as error:  # all of them: see _as_picture_error
        unless_of_the_system(path, error)
        raise _as_picture_error(path, error) from error


def _check_pixels(path: Path, size: tuple[int, int], max_pixels: int) -> None:
    """Raise PictureError "too_large" for a picture of more pixels than the bound."""
    width, height = size
    if width * height > max_pixels:
        raise PictureError(
            "too_large",
            f"{path} has {width} x {height} pixels; the bound (max_pixels) is {max_pixels}",
        )


def _webp_size(stream: BytesIO | BufferedReader) -> tuple[int, int]:
    """Read the size of a WebP's canvas from its first bytes; (0, 0) of anything else.

    Pillow takes memory for the canvas, twice, while it opens a file, before anyone can ask for its
    size: 2.1 GB for the 42 bytes of a file that claims 16383 x 16383. A header that was cut off
    gives any size: Pillow refuses the file. The three kinds of header are those of RFC 9649.
    """
    head = _head(stream, WEBP_HEAD)
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 0, 0
    if head[12:16] == b"VP8X":
        return 1 + _little(head[24:27]), 1 + _little(head[27:30])
    if head[12:16] == b"VP8L":
        both = _little(head[21:25])
        return 1 + (both & 0x3FFF), 1 + (both >> 14 & 0x3FFF)
    return _little(head[26:28]) & 0x3FFF, _little(head[28:30]) & 0x3FFF


def _check_scans(path: Path, stream: BytesIO | BufferedReader) -> None:
    """Raise PictureError "unreadable" for a JPEG of more scans than anyone needs.

    A scan may be a few bytes, and each is work for all pixels: some hundred thousand of them, in a
    file of the size of a photograph, would take a quarter of an hour. Each begins with the same
    three bytes, which compressed pixels never have, and thumbnails in the file a few times.
    """
    if _head(stream, len(JPEG_HEAD)) != JPEG_HEAD or _has_one_scan(_head(stream, PIECE)):
        return
    scans, end = 0, b""
    while piece := stream.read(PIECE):
        scans += (end + piece).count(JPEG_SCAN)
        end = piece[1 - len(JPEG_SCAN) :]  # one that lies across two pieces
    stream.seek(0)
    if scans > MAX_SCANS:
        raise PictureError(
            "unreadable", f"{path} has {scans} scans (JPEG); expected at most {MAX_SCANS}"
        )


def _has_one_scan(head: bytes) -> bool:
    """Whether libjpeg reads but one scan of a JPEG, as of nearly all: then none need be counted.

    So it is where the first scan has all components and is not progressive. False as well where the
    way to the first scan is not plain, or longer than `head`.
    """
    place, components = len(b"\xff\xd8"), -1
    while len(head) >= place + 10 and head[place] == 0xFF:
        marker, length = head[place + 1], int.from_bytes(head[place + 2 : place + 4], "big")
        if marker == SCAN:
            return head[place + 4] == components
        if marker in SEQUENTIAL:
            components = head[place + 9]
        elif marker not in PLAIN or length < 2:
            return False
        place += 2 + length
    return False


def _head(stream: BytesIO | BufferedReader, length: int) -> bytes:
    """Read the first bytes; the stream stands at its beginning again."""
    head = stream.read(length)
    stream.seek(0)
    return head


def _little(number: bytes) -> int:
    return int.from_bytes(number, "little")


def _bytes_of(path: Path, span: Span | None) -> BytesIO | BufferedReader:
    """Open a file, or a span of it as if it were a file."""
    status = path.stat()
    _check_regular(path, status)
    offset, length = span or (0, status.st_size)
    if min(length, status.st_size) == 0:
        raise PictureError("empty", f"{path} has zero bytes")
    length = min(length, max(0, status.st_size - offset))
    if length > READ_WHOLE:
        return BufferedReader(_Part(path, Span(offset, length)))
    # Buffered: where the system stops within the picture, it is asked again, and says why.
    with path.open("rb") as file:
        file.seek(offset)
        return BytesIO(file.read(length))


class _Part(RawIOBase):
    """A span of a file as a file of its own, read where it stands: none of it is copied."""

    def __init__(self, path: Path, span: Span) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._span = span
        self._place = 0  # in the span

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        start = {SEEK_SET: 0, SEEK_CUR: self._place, SEEK_END: self._span.length}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        left = max(0, self._span.length - self._place)
        self._file.seek(self._span.offset + self._place)
        got = self._file.readinto(memoryview(buffer)[:left])
        self._place += got
        return got

    def close(self) -> None:
        self._file.close()
        super().close()


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PictureError("not_a_file", f"{path} is a folder, a device or a pipe, not a file")


def unless_of_the_system(path: Path, error: Exception) -> None:
    """Do nothing, unless it is the system that is to blame, and not what is in the file.

    Raises:
        SystemRefusedError: it is: the picture would be lost for it.
    """
    if isinstance(error, OSError) and error.errno is not None and error.errno in OF_THE_SYSTEM:
        raise SystemRefusedError(
            f"{path}: expected a file that can be read. Received, from the system:"
            f" {os.strerror(error.errno)}. Mend that, and run again; or remove the file, if it is"
            " on a broken part of the disk"
        ) from error


def _as_picture_error(path: Path, error: Exception) -> PictureError:
    """Tell whatever Pillow and the system raise as a PictureError with its reason.

    On damaged files Pillow's readers raise OSError, SyntaxError, ValueError, EOFError,
    struct.error, zlib.error, MemoryError and more.
    """
    told = " ".join(str(error).split()) or type(error).__name__
    return PictureError(_reason(error), f"{path}: {told}")


def _reason(error: Exception) -> PictureReason:
    if isinstance(error, UnidentifiedImageError):
        return "not_a_picture"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "missing"
    if isinstance(error, ValueError) and "null" in str(error):  # a path with a NUL character
        return "missing"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return "missing"
    if isinstance(error, OSError) and error.errno is not None:  # the system's: it names the path
        return "unreadable"
    told = str(error).lower()
    if isinstance(error, EOFError | struct.error) or any(word in told for word in CUT_OFF):
        return "truncated"
    return "unreadable"


def _to_rgb(image: Image.Image, stored_as: str | None) -> Image.Image:
    """Convert a loaded picture to RGB as it would look on white paper."""
    if image.mode in SIXTEEN_BITS or (image.mode == "I" and stored_as in ("PNG", "PPM")):
        # Pillow's own convert clips 16 bits at 255, which turns most of the picture white.
        deep = np.asarray(image).astype(np.uint32)  # (h, w), 0 to 65535
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            deep = _sixteen_bits(deep, image.tag_v2)
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):  # of a PNG: the one grey that is not there
            deep = np.where(deep == transparent, 65535, deep)
        return Image.fromarray(((deep + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"expected 8 or 16 bits a channel. Received: mode {image.mode}")
    if image.has_transparency_data:
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """Lay a picture on white paper, some rows at a time: at once it would be held five times."""
    found = Image.new("RGB", image.size)
    for top in range(0, image.height, BAND):
        rows = image.crop((0, top, image.width, min(top + BAND, image.height))).convert("RGBA")
        paper = Image.new("RGBA", rows.size, "white")
        found.paste(Image.alpha_composite(paper, rows).convert("RGB"), (0, top))
    return found


def _sixteen_bits(deep: npt.NDArray[np.uint32], tags: Any) -> npt.NDArray[np.uint32]:
    """Scale the values of a grey TIFF, of 12 bits say, to 16, white being the greatest."""
    bits = int(tags.get(BITS_PER_SAMPLE, (16,))[0])
    if bits < 16:
        deep = (deep * 65535 + (2**bits - 1) // 2) // (2**bits - 1)
    return 65535 - deep if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else deep


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - as many kinds as above; a bad remark spoils no good picture
        return 1
