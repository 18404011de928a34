"""Where JPEG, PNG and WebP files hold an XMP packet: found and replaced without touching pixels.

    JPEG   a segment APP1 before the picture's data (ISO 16684-3); larger packets go on in others
    PNG    a chunk iTXt with the keyword XML:com.adobe.xmp
    WebP   a chunk "XMP ", and a flag for it in the chunk VP8X, which simple files do not have yet

Everything else stays as it is, byte for byte, and in its order. The bytes may be anybody's: what
cannot be followed to its end is refused.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

MAX_PACKET = 16 * 2**20  # bytes; packets are of some thousand
XMP_ID = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED_ID = b"http://ns.adobe.com/xmp/extension/\0"
EXIF_ID = b"Exif\0\0"
MPF_ID = b"MPF\0"
SOI, SOS, EOI, APP0, APP1, APP2 = 0xD8, 0xDA, 0xD9, 0xE0, 0xE1, 0xE2
MAX_SEGMENT = 0xFFFF - 2  # bytes of a JPEG segment without its length
MP_ENTRY = 0xB002
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
PNG_KEYWORD = b"XML:com.adobe.xmp"
XMP_FLAG, ALPHA_FLAG = 0x04, 0x10  # of VP8X


class ContainerError(ValueError):
    """A picture's file that cannot be followed to its end."""


class NoRoomError(ContainerError):
    """A packet that is larger than the format, or this module, allows."""


class Held(NamedTuple):
    """What a picture's file holds beside its pixels.

    Attributes:
        packet: XMP, or None.
        extended: the rest of a packet that is too large for one JPEG segment, or None.
        exif: the TIFF structure, or None.
        told: whether a text chunk of a PNG has the keyword Description.
        replace: puts another packet in the place of this one, and gives the whole file.
    """

    packet: bytes | None
    extended: bytes | None
    exif: bytes | None
    told: bool
    replace: Callable[[bytes], bytes]


def open_container(data: bytes) -> Held | None:
    """Take a picture's file apart; None where its format is none of the three.

    Raises:
        ContainerError: it is damaged, or holds two packets.
    """
    try:
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
        if data.startswith(PNG_HEAD):
            return _png(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError, zlib.error) as error:
        raise ContainerError("the file ends before the picture does") from error
    return None


class _Piece(NamedTuple):
    """A segment of a JPEG file, or a chunk of another."""

    kind: bytes
    start: int  # of all of it
    body: bytes
    end: int


def _one(pieces: list[_Piece]) -> _Piece | None:
    if len(pieces) > 1:
        raise ContainerError(f"it holds {len(pieces)} XMP packets, of which only one can be right")
    return pieces[0] if pieces else None


# ---- JPEG


def _jpeg(data: bytes) -> Held:
    segments = list(_segments(data))
    xmp = _one([piece for piece in segments if _is(piece, APP1, XMP_ID)])
    exif = [piece.body for piece in segments if _is(piece, APP1, EXIF_ID)]
    multiple = [piece for piece in segments if _is(piece, APP2, MPF_ID)]
    place = xmp.start if xmp else _after_head(segments)
    if multiple and multiple[0].start < place:
        raise ContainerError("it holds several pictures, listed before its XMP packet")

    def replace(packet: bytes) -> bytes:
        body = XMP_ID + packet
        if len(body) > MAX_SEGMENT:
            raise NoRoomError(
                f"its XMP packet would be of {len(packet)} bytes; JPEG has room for "
                f"{MAX_SEGMENT - len(XMP_ID)}"
            )
        segment = struct.pack(">BBH", 0xFF, APP1, len(body) + 2) + body
        tail = data[xmp.end if xmp else place :]
        growth = place + len(segment) + len(tail) - len(data)
        for piece in multiple:
            tail = _resized(tail, piece, len(data) - len(tail), growth)
        return data[:place] + segment + tail

    packet = xmp.body[len(XMP_ID) :] if xmp else None
    return Held(packet, _extended(segments), exif[0][6:] if exif else None, False, replace)


def _segments(data: bytes) -> Iterator[_Piece]:
    """Yield what comes before the picture's data."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ContainerError("its JPEG segments cannot be followed")
        while data[at + 1] == 0xFF:  # any number of these may come before a marker
            at += 1
        marker = data[at + 1]
        if marker in (SOS, EOI):
            return
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if marker in (0, 1, SOI) or 0xD0 <= marker <= 0xD7 or length < 2 or end > len(data):
            raise ContainerError("its JPEG segments cannot be followed")
        yield _Piece(bytes([marker]), at, data[at + 4 : end], end)
        at = end


def _is(piece: _Piece, marker: int, identifier: bytes) -> bool:
    return piece.kind[0] == marker and piece.body.startswith(identifier)


def _after_head(segments: list[_Piece]) -> int:
    """Where a packet goes: after JFIF's and Exif's segments, which have to come first."""
    place = 2
    for piece in segments:
        if piece.kind[0] != APP0 and not _is(piece, APP1, EXIF_ID):
            break
        place = piece.end
    return place


def _extended(segments: list[_Piece]) -> bytes | None:
    """Join the parts of an extended packet: identifier, GUID of 32, length, offset, bytes."""
    parts = {}
    for piece in segments:
        if _is(piece, APP1, EXTENDED_ID):
            head = len(EXTENDED_ID) + 32
            length, offset = struct.unpack_from(">II", piece.body, head)
            if length > MAX_PACKET:
                raise NoRoomError(f"its XMP packet is of {length} bytes")
            parts[offset] = piece.body[head + 8 :]
    return b"".join(parts[offset] for offset in sorted(parts)) or None


def _resized(tail: bytes, mpf: _Piece, cut: int, growth: int) -> bytes:
    """Correct the first picture's size in the list of a file's pictures (CIPA DC-007).

    The list's offsets count from itself and stay right, as what has grown comes before it.

    Args:
        tail: of the file, with the list.
        mpf: the list's segment.
        cut: place in the file where `tail` begins.
        growth: bytes by which the first picture has grown.
    """
    head = mpf.start - cut + 4 + len(MPF_ID)  # of the list's TIFF structure, in `tail`
    order = {b"II": "<", b"MM": ">"}.get(tail[head : head + 2])
    if order is None:
        raise ContainerError("it holds several pictures, and their list cannot be followed")
    (directory,) = struct.unpack_from(f"{order}I", tail, head + 4)
    (count,) = struct.unpack_from(f"{order}H", tail, head + directory)
    for row in range(count):
        at = head + directory + 2 + 12 * row
        tag, _, _, value = struct.unpack_from(f"{order}HHII", tail, at)
        if tag == MP_ENTRY:
            place = head + value + 4  # after the first picture's attributes
            (size,) = struct.unpack_from(f"{order}I", tail, place)
            if place + 4 > mpf.end - cut or not 0 <= size + growth < 2**32:
                break
            return tail[:place] + struct.pack(f"{order}I", size + growth) + tail[place + 4 :]
    raise ContainerError("it holds several pictures, and their list cannot be followed")


# ---- PNG


def _png(data: bytes) -> Held:
    chunks = list(_chunks(data))
    texts = [(piece, piece.body.partition(b"\0")[0]) for piece in chunks if piece.kind in _TEXT]
    xmp = _one([piece for piece, keyword in texts if keyword == PNG_KEYWORD])
    exif = [piece.body for piece in chunks if piece.kind == b"eXIf"]
    start, end = (xmp.start, xmp.end) if xmp else (chunks[0].end, chunks[0].end)

    def replace(packet: bytes) -> bytes:
        # Not compressed, as the specification of XMP wants it: so it is found by any program.
        body = b"iTXt" + PNG_KEYWORD + b"\0\0\0\0\0" + packet
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        return data[:start] + chunk + data[end:]

    told = any(keyword == b"Description" for _, keyword in texts)
    return Held(_itxt(xmp.body) if xmp else None, None, exif[0] if exif else None, told, replace)


_TEXT = (b"iTXt", b"tEXt", b"zTXt")


def _chunks(data: bytes) -> Iterator[_Piece]:
    """Yield IHDR to IEND; what follows is not the picture's."""
    at, kind = len(PNG_HEAD), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise ContainerError("the file ends before the picture does")
        if (kind == b"IHDR") != (at == len(PNG_HEAD)):
            raise ContainerError("its PNG chunks cannot be followed")
        yield _Piece(kind, at, data[at + 8 : end - 4], end)
        at = end


def _itxt(body: bytes) -> bytes:
    """The text of an iTXt chunk: keyword, 0, compressed, method, language, 0, keyword, 0, text."""
    _, _, rest = body.partition(b"\0")
    compressed = rest[0]
    text = rest[2:].split(b"\0", 2)[2]
    if not compressed:
        return text
    unpack = zlib.decompressobj()
    found = unpack.decompress(text, MAX_PACKET)
    if unpack.unconsumed_tail:
        raise NoRoomError(f"its XMP packet is of more than {MAX_PACKET} bytes")
    return found


# ---- WebP


def _webp(data: bytes) -> Held:
    (size,) = struct.unpack_from("<I", data, 4)
    whole = 8 + size
    if whole > len(data):
        raise ContainerError("the file ends before the picture does")
    chunks = list(_riff(data, whole))
    xmp = _one([piece for piece in chunks if piece.kind == b"XMP "])
    exif = [piece.body for piece in chunks if piece.kind == b"EXIF"]
    head = _extended_header(chunks[0])
    rest = chunks[1:] if chunks[0].kind == b"VP8X" else chunks

    def replace(packet: bytes) -> bytes:
        parts = [_riff_chunk(b"VP8X", head)]
        parts += [data[piece.start : piece.end] for piece in rest if piece is not xmp]
        body = b"WEBP" + b"".join(parts) + _riff_chunk(b"XMP ", packet)
        return b"RIFF" + struct.pack("<I", len(body)) + body + data[whole:]

    return Held(xmp.body if xmp else None, None, exif[0] if exif else None, False, replace)


def _riff(data: bytes, whole: int) -> Iterator[_Piece]:
    """Yield the chunks; each is filled up to an even length."""
    at = 12
    while at < whole:
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        if end > whole:
            raise ContainerError("its WebP chunks cannot be followed")
        yield _Piece(kind, at, data[at + 8 : at + 8 + length], end)
        at = end


def _riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _extended_header(first: _Piece) -> bytes:
    """The body of VP8X with the flag for XMP: the file's own, or one made for a simple file."""
    if first.kind == b"VP8X":
        return bytes([first.body[0] | XMP_FLAG]) + first.body[1:]
    if first.kind == b"VP8 " and first.body[3:6] == b"\x9d\x01\x2a":
        sides = struct.unpack_from("<HH", first.body, 6)  # 14 bits, and 2 for scaling
        flags, width, height = XMP_FLAG, sides[0] & 0x3FFF, sides[1] & 0x3FFF
    elif first.kind == b"VP8L" and first.body[:1] == b"\x2f":
        (bits,) = struct.unpack_from("<I", first.body, 1)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        flags = XMP_FLAG | (ALPHA_FLAG if bits >> 28 & 1 else 0)
    else:
        raise ContainerError("its WebP chunks cannot be followed")
    if not width or not height:
        raise ContainerError("its WebP chunks cannot be followed")
    canvas = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return bytes([flags, 0, 0, 0]) + canvas
