"""Pictures from files that nobody has vouched for: checked, then read as RGB squares.

inspect      one picture's facts, after decoding all of it     (`ingest`)
read_square  uint8 (side, side, 3), RGB, orientation applied   (`features`, `caption`)
inside       a path that is sure to stay in the data folder    (`ingest`, `features`)

What `inspect` accepts, `read_square` reads: both decode and convert with the same functions.
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
from io import BufferedReader
from pathlib import Path
from typing import Literal, NamedTuple

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
CUT_OFF = ("truncated", "end of", "eof")
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
ORIENTATION = 0x0112  # the EXIF tag
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


class PictureError(Exception):
    """A picture that cannot be used; `reason` is from a closed list, `detail` is for people."""

    def __init__(self, reason: PictureReason, detail: str) -> None:
        super().__init__(reason, detail)  # both, so that it survives pickling between processes
        self.reason: PictureReason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail} ({self.reason})"


class PictureFacts(NamedTuple):  # a tuple, as these travel between processes by the thousand
    """What is known of a picture file that was decoded to its end."""

    width: int  # pixels, as stored: before EXIF orientation
    height: int
    mode: str  # Pillow's name for the kind of pixels, as stored
    bytes: int  # size of the file
    sha256: str  # of the file's bytes


def inspect(path: Path, max_pixels: int) -> PictureFacts:
    """Hash a picture file and decode all of it.

    Raises:
        PictureError: the file is absent, empty, not a picture, cut off, damaged, or has more
            than `max_pixels` pixels.
    """
    with _opened(path, max_pixels) as (stream, image):
        (width, height), mode = image.size, image.mode
        # An eighth of the size takes half of the time; every byte is still read and unpacked,
        # so a file that was cut off is still found out.
        image.draft(None, (max(1, width // 8), max(1, height // 8)))
        image.load()
        if mode != "RGB":  # one pixel shows whether there is a way to RGB from its kind
            _to_rgb(image.crop((0, 0, 1, 1)), image.format)
        stream.seek(0)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return PictureFacts(width, height, mode, stream.tell(), digest)


def read_square(path: Path, side: int, max_pixels: int) -> npt.NDArray[np.uint8]:
    """Read a picture as RGB, whole, squashed to a square as keras.utils.load_img does.

    EXIF orientation is applied, what is transparent shows white, 16 bits are scaled to 8, and of
    an animation the first frame is taken. The resize is bilinear and antialiased. The same file
    gives the same bytes every time.

    Returns:
        uint8 (side, side, 3); may be a read-only view of Pillow's memory.

    Raises:
        PictureError: as for `inspect`.
    """
    with _opened(path, max_pixels) as (_, image):
        margin = side * SCALED_DECODE_MARGIN
        image.draft(None, (margin, margin))
        image.load()
        rgb = _to_rgb(image, image.format)
        if rgb.size != (side, side):
            rgb = rgb.resize((side, side), Image.Resampling.BILINEAR)
        # Turned after the resize, when there is less to turn: a square stays a square. And after
        # loading: TIFF pictures are turned by Pillow itself, which then takes the tag away.
        turn = TURNS.get(_orientation(image))
        return np.asarray(rgb if turn is None else rgb.transpose(turn))


def inside(folder: Path, relative: str) -> Path:
    """Find the regular file `relative` (with /) in `folder`, and nothing that lies elsewhere.

    `folder` may be a link, and so may a folder that lies directly in it, as people link their
    picture folders into place. Any other link has to stay in one of these two.

    Raises:
        PictureError: "outside_folder", "missing", "not_a_file", or "unreadable" for a name that
            the system cannot look up.
    """
    parts = [part for part in relative.split("/") if part not in ("", ".")]
    if not parts or relative.startswith("/") or ".." in parts:
        raise PictureError(
            "outside_folder", f"expected a path inside {folder}. Received: {relative!r}"
        )
    path = folder.joinpath(*parts)
    with _told_as_picture_errors(path):
        if _has_link(folder, parts):
            real = path.resolve(strict=True)
            homes = [folder.resolve()]
            if len(parts) > 1:  # else it is the file itself that is a link
                homes.append((folder / parts[0]).resolve())
            if not any(real.is_relative_to(home) for home in homes):
                raise PictureError("outside_folder", f"{path} is a link that leaves {folder}")
        _check_regular(path, path.stat())
    return path


def _has_link(folder: Path, parts: list[str]) -> bool:
    """Tell whether folder/a, folder/a/b or folder/a/b/c is a link."""
    step = str(folder)
    for part in parts:
        step = f"{step}/{part}"
        if stat.S_ISLNK(os.lstat(step).st_mode):
            return True
    return False


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[tuple[BufferedReader, Image.Image]]:
    """Open a picture whose header is fine; tell whatever goes wrong as a PictureError."""
    with _told_as_picture_errors(path):
        status = path.stat()
        _check_regular(path, status)
        if status.st_size == 0:
            raise PictureError("empty", f"{path} has zero bytes")
        with path.open("rb") as stream, Image.open(stream, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise PictureError(
                    "too_large",
                    f"{path} has {width} x {height} pixels; the bound (max_pixels) is {max_pixels}",
                )
            yield stream, image


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PictureError("not_a_file", f"{path} is a folder, a device or a pipe, not a file")


@contextmanager
def _told_as_picture_errors(path: Path) -> Iterator[None]:
    """Turn whatever Pillow and the system raise into a PictureError with its reason."""
    try:
        yield
    except PictureError:
        raise
    except Exception as error:
        # All of them: on damaged files Pillow's readers raise OSError, SyntaxError, ValueError,
        # EOFError, struct.error, zlib.error, MemoryError and more.
        told = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(_reason(error), f"{path}: {told}") from error


def _reason(error: Exception) -> PictureReason:
    if isinstance(error, UnidentifiedImageError):
        return "not_a_picture"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "missing"
    if isinstance(error, ValueError) and "null" in str(error):  # a path with a NUL character
        return "missing"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return "missing"
    told = str(error).lower()
    if isinstance(error, EOFError | struct.error) or any(word in told for word in CUT_OFF):
        return "truncated"
    return "unreadable"


def _to_rgb(image: Image.Image, stored_as: str | None) -> Image.Image:
    """Convert a loaded picture to RGB as it would look on white paper."""
    if image.mode in SIXTEEN_BITS or (image.mode == "I" and stored_as in ("PNG", "PPM")):
        # Pillow's own convert clips 16 bits at 255, which turns most of the picture white.
        deep = np.asarray(image).astype(np.uint32)  # (h, w), 0 to 65535
        return Image.fromarray(((deep + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"expected 8 or 16 bits a channel. Received: mode {image.mode}")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(paper, picture).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - as many kinds as above; a bad remark spoils no good picture
        return 1
