"""Descriptions in pictures' files: what is written is read back, and nothing else changes."""

import os
import random
import stat
import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin, MpoImagePlugin  # noqa: F401 - registers MPO for writing

from pipeline.images import xmp
from pipeline.images.containers import EXTENDED_ID, XMP_ID, open_container
from pipeline.images.description import (
    DescriptionError,
    beside,
    embed,
    embedded,
    is_described,
    with_description,
    write_beside,
)

FORMATS = ("JPEG", "PNG", "WEBP")
DESCRIPTION = "a red dog & a <blue> bird"
# Any text that XML can hold. What is at its ends is not kept, so there it has something.
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff")
    | st.sampled_from("\r\n\t<>&'\"]")
).map(lambda text: f"x{text}x")
OTHER = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Some program"><!-- kept -->'
    '<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<r:Description r:about="uuid:1" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    " xmp:Rating='5' xmp:Label='dc:description=\"no\"'>"
    '<d:subject xmlns:d="http://purl.org/dc/elements/1.1/"><r:Bag><r:li>dog</r:li></r:Bag>'
    "</d:subject>{here}</r:Description></r:RDF></x:xmpmeta>"
)
ALT = (
    '<d:description xmlns:d="http://purl.org/dc/elements/1.1/"><r:Alt>'
    '<r:li xml:lang="x-default">{text}</r:li><r:li xml:lang="fr">{text}</r:li></r:Alt>'
    "</d:description>"
)


def picture(mode: str = "RGB", side: int = 23) -> Image.Image:
    noise = random.Random(1).randbytes(side * (side + 4) * len(mode))
    return Image.frombytes(mode, (side, side + 4), noise)


def encoded(kind: str, mode: str = "RGB", **options) -> bytes:
    stream = BytesIO()
    picture(mode).save(stream, kind, **options)
    return stream.getvalue()


def decoded(data: bytes) -> tuple:
    with Image.open(BytesIO(data)) as image:
        image.load()
        return image.size, image.mode, image.tobytes(), image.info.get("icc_profile")


def packet(data: bytes) -> bytes:
    """The packet as Pillow finds it, which is a reader that is not ours."""
    with Image.open(BytesIO(data)) as image:
        image.load()
        found = image.info["xmp"]
    return found if isinstance(found, bytes) else found.encode()


def refused(data: bytes, force: bool = False) -> DescriptionError:
    with pytest.raises(DescriptionError) as told:
        with_description(data, DESCRIPTION, force)
    return told.value


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "L", {"progressive": True}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "L", {"icc_profile": b"profile"}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("WEBP", "RGB", {"icc_profile": b"profile"}),
        ("WEBP", "RGBA", {"quality": 40}),
    ],
)
def test_a_description_is_found_by_others_and_pixels_stay(kind, mode, options):
    data = encoded(kind, mode, **options)
    assert embedded(data) is None
    new = with_description(data, DESCRIPTION)
    assert decoded(new) == decoded(data)
    assert embedded(new) == DESCRIPTION
    with Image.open(BytesIO(new)) as image:
        image.load()
        rdf = image.getxmp()["xmpmeta"]["RDF"]["Description"]
    for name in ("description", "AltTextAccessibility"):
        assert rdf[name]["Alt"]["li"] == {"lang": "x-default", "text": DESCRIPTION}


@pytest.mark.parametrize("kind", FORMATS)
def test_all_bytes_but_the_packet_s_own_are_those_of_before(kind):
    """The old file comes back when what was put in is cut out."""
    data = encoded(kind, exif=_exif({0x010F: "A camera"}), icc_profile=b"profile")
    new = with_description(data, DESCRIPTION)
    start = next(at for at in range(len(data)) if data[at] != new[at])
    if kind == "WEBP":  # its head holds the size and the flag; the packet comes last
        assert new[12:20] == data[12:20]
        assert new[20] == data[20] | 4
        assert new[21 : len(data)] == data[21:]
        return
    grown = len(new) - len(data)
    [again] = [
        at for at in range(max(0, start - 4), start + 1) if new[:at] + new[at + grown :] == data
    ][:1]
    assert again <= start


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_any_text_comes_back(kind, text):
    assert embedded(with_description(SMALL[kind], text)) == text


SMALL = {kind: encoded(kind) for kind in FORMATS}


@pytest.mark.parametrize("text", ["a\0b", "\x1b[2J", "\ud800", "\ufffe"])
def test_a_text_that_xml_cannot_hold_is_refused(text):
    with pytest.raises(DescriptionError, match="XML can hold"):
        with_description(SMALL["PNG"], text)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_description_is_replaced_only_by_force(kind):
    data = with_description(SMALL[kind], "the first & best")
    error = refused(data)
    assert error.reason == "described"
    assert "the first & best" in error.detail
    new = with_description(data, DESCRIPTION, force=True)
    assert embedded(new) == DESCRIPTION
    assert b"best" not in new
    assert with_description(new, "the first & best", force=True) == data


# ---- packets of other programs


def _jpeg_with(*bodies: bytes) -> bytes:
    segments = b"".join(struct.pack(">BBH", 255, 0xE1, len(body) + 2) + body for body in bodies)
    return SMALL["JPEG"][:2] + segments + SMALL["JPEG"][2:]


@pytest.mark.parametrize("kind", FORMATS)
def test_another_program_s_packet_stays_and_gains_a_description(kind):
    old = OTHER.format(here="").encode()
    data = open_container(SMALL[kind]).replace(old)
    assert packet(data) == old
    new = packet(with_description(data, DESCRIPTION))
    at = old.index(b"</r:RDF>")
    assert new.startswith(old[:at])
    assert new.endswith(old[at:])
    assert b'rdf:about="uuid:1"' in new  # about the same as the rest


@pytest.mark.parametrize(
    "here",
    [
        ALT.format(text="an old one"),
        '<d:description xmlns:d="http://purl.org/dc/elements/1.1/">an old one</d:description>',
        '<i:AltTextAccessibility xmlns:i="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/">an old one'
        "</i:AltTextAccessibility>",
    ],
)
def test_another_program_s_description_is_replaced_in_place(here):
    old = OTHER.format(here=here).encode()
    data = open_container(SMALL["PNG"]).replace(old)
    assert refused(data).reason == "described"
    assert xmp.described(old, DESCRIPTION) == xmp.described(
        OTHER.format(here="").encode(), DESCRIPTION
    )


def test_a_description_that_is_an_attribute_is_replaced():
    attribute = ' xmlns:d="http://purl.org/dc/elements/1.1/"\n  d:description = "old &lt; text"'
    old = OTHER.format(here="").replace(" xmp:Rating", attribute + " xmp:Rating").encode()
    assert xmp.texts(old) == ["old < text"]
    new = xmp.described(old, DESCRIPTION)
    assert xmp.texts(new) == [DESCRIPTION] * 2
    assert b"old" not in new
    assert b"xmp:Label='dc:description=\"no\"'" in new


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_description_is_none(text):
    old = OTHER.format(here=ALT.format(text=text)).encode()
    new = with_description(_jpeg_with(XMP_ID + old), DESCRIPTION)
    assert xmp.texts(packet(new)) == [DESCRIPTION] * 2


def test_the_description_of_an_ingredient_is_another_one():
    nested = f'<m:From xmlns:m="m:"><r:Description>{ALT.format(text="no")}</r:Description></m:From>'
    old = OTHER.format(here=nested).encode()
    assert xmp.texts(old) == []
    assert xmp.texts(xmp.described(old, DESCRIPTION)) == [DESCRIPTION] * 2


@pytest.mark.parametrize(
    "tag", ["<r:RDF xmlns:r='{}'/>", "<a:b xmlns:a='a'><r:RDF xmlns:r='{}'  /></a:b>"]
)
def test_a_packet_without_content_gains_a_description(tag):
    old = tag.format(xmp.RDF).encode()
    assert xmp.texts(xmp.described(old, DESCRIPTION)) == [DESCRIPTION] * 2


@pytest.mark.parametrize(
    "old",
    [
        b"",
        b"<x/>",
        b"not XML",
        b"\xff\xfe<\0",
        b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]>" + OTHER.format(here="").encode(),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_a_packet_that_is_none_is_left_alone(old, force):
    assert refused(open_container(SMALL["PNG"]).replace(old), force).reason == "damaged"


def test_padding_gives_way_and_a_packet_too_large_is_told():
    padded = OTHER.format(here="").encode() + b" " * 60_000 + b'<?xpacket end="w"?>'
    new = with_description(_jpeg_with(XMP_ID + padded), "y" * 20_000)
    assert packet(new).endswith(b'\n<?xpacket end="w"?>')
    assert embedded(new) == "y" * 20_000
    large = OTHER.format(here=f"<!--{'x' * 60_000}-->").encode()
    with pytest.raises(DescriptionError) as told:
        with_description(_jpeg_with(XMP_ID + large), "y" * 20_000)
    assert told.value.reason == "no_room"


def test_a_description_in_an_extended_packet_counts_and_stays():
    extended = OTHER.format(here=ALT.format(text="far away")).encode()
    halves = (extended[:100], extended[100:])
    bodies = [
        EXTENDED_ID + b"0" * 32 + struct.pack(">II", len(extended), offset) + half
        for offset, half in ((100, halves[1]), (0, halves[0]))
    ]
    data = _jpeg_with(XMP_ID + OTHER.format(here="").encode(), *bodies)
    assert embedded(data) == "far away"
    assert refused(data).reason == "described"
    assert refused(data, force=True).reason == "no_room"


def test_an_extended_packet_of_other_things_stays():
    extended = EXTENDED_ID + b"0" * 32 + struct.pack(">II", 300, 0)
    extended += OTHER.format(here="").encode()
    data = _jpeg_with(XMP_ID + OTHER.format(here="").encode(), extended)
    new = with_description(data, DESCRIPTION)
    assert embedded(new) == DESCRIPTION
    assert extended in new


def test_two_packets_are_refused():
    body = XMP_ID + OTHER.format(here="").encode()
    assert refused(_jpeg_with(body, body)).reason == "damaged"


def test_a_compressed_packet_of_a_png_is_read():
    old = OTHER.format(here="").encode()
    body = b"iTXtXML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(old)
    data = SMALL["PNG"]
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    new = with_description(data[:33] + chunk + data[33:], DESCRIPTION)
    assert packet(new) == xmp.described(old, DESCRIPTION)
    bomb = b"iTXtXML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2**25))
    chunk = struct.pack(">I", len(bomb) - 4) + bomb + struct.pack(">I", zlib.crc32(bomb))
    assert refused(data[:33] + chunk + data[33:]).reason == "no_room"


# ---- descriptions elsewhere in the file


def _exif(tags: dict[int, str]) -> bytes:
    exif = Image.Exif()
    exif.update(tags)
    return exif.tobytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_exif_s_description_counts_unless_a_camera_wrote_it(kind):
    data = encoded(kind, exif=_exif({0x010E: "our garden"}))
    assert embedded(data) == "our garden"
    assert refused(data).reason == "described"
    new = with_description(data, DESCRIPTION, force=True)
    assert embedded(new) == DESCRIPTION
    with Image.open(BytesIO(new)) as image:
        assert image.getexif()[0x010E] == "our garden"
    assert embedded(encoded(kind, exif=_exif({0x010E: "OLYMPUS DIGITAL CAMERA   "}))) is None


def test_iptc_s_caption_counts():
    dataset = b"\x1c\x02\x78" + struct.pack(">H", 10) + b"our garden"
    resource = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(dataset)) + dataset + b"\0"
    body = b"Photoshop 3.0\0" + resource
    segment = struct.pack(">BBH", 255, 0xED, len(body) + 2) + body
    data = SMALL["JPEG"][:2] + segment + SMALL["JPEG"][2:]
    assert embedded(data) == "our garden"


def test_a_description_in_a_png_s_text_counts():
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Description", "our garden")
    assert refused(encoded("PNG", pnginfo=info)).reason == "described"


def test_the_head_of_a_jpeg_comes_first():
    data = encoded("JPEG", exif=_exif({0x010F: "A camera"}))
    new = with_description(data, DESCRIPTION)
    at = new.index(XMP_ID) - 4
    assert new[:at] == data[:at]
    assert b"Exif\0\0" in new[:at]


def test_further_pictures_of_a_file_are_still_found():
    stream = BytesIO()
    others = [picture("RGB", side) for side in (11, 17)]
    picture().save(stream, "MPO", save_all=True, append_images=others)
    data = stream.getvalue()
    new = with_description(data, DESCRIPTION)
    for longer in (new, with_description(new, DESCRIPTION * 9, force=True)):
        with Image.open(BytesIO(data)) as old, Image.open(BytesIO(longer)) as image:
            assert image.n_frames == 3
            grown = image.mpinfo[0xB002][0]["Size"] - old.mpinfo[0xB002][0]["Size"]
            assert grown == len(longer) - len(data)
            for frame in range(3):
                old.seek(frame)
                image.seek(frame)
                assert image.tobytes() == old.tobytes()


# ---- whatever the bytes are


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_files_are_refused_or_keep_their_pixels(kind, data):
    whole = bytearray(with_description(SMALL[kind], DESCRIPTION))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    old = bytes(whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))])
    try:
        new = with_description(old, "another", force=True)
    except DescriptionError:
        return
    assert embedded(new) == "another"
    try:
        before = decoded(old)
    except Exception:  # noqa: BLE001 - of many kinds
        return  # it was no picture before either
    assert decoded(new) == before


@settings(max_examples=200, deadline=None)
@given(
    head=st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBP"]),
    rest=st.binary(max_size=200),
)
def test_any_bytes_give_a_file_or_one_clear_error(head, rest):
    try:
        new = with_description(head + rest, DESCRIPTION, force=True)
    except DescriptionError as error:
        told = str(error)
    else:
        assert embedded(new) == DESCRIPTION
        return
    assert told.isprintable()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_change_of_a_packet_gives_a_packet_or_one_clear_error(data):
    old = bytearray(OTHER.format(here=ALT.format(text="old")).encode())
    for at in data.draw(st.lists(st.integers(0, len(old) - 1), min_size=1, max_size=5)):
        old[at] = data.draw(st.sampled_from(b"<>/\"'&:= r\0\xff"))
    try:
        new = xmp.described(bytes(old), DESCRIPTION)
    except xmp.PacketError:
        return
    assert xmp.texts(new) == [DESCRIPTION] * 2


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM"])
def test_other_formats_are_told(kind):
    error = refused(encoded(kind))
    assert error.reason == "format"
    assert "only JPEG, PNG and WebP" in str(error)


# ---- files


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(SMALL["JPEG"])
    return path


def test_a_file_keeps_its_mode_and_is_replaced_whole(photo):
    photo.chmod(0o640)
    os.utime(photo, (1, 1))
    embed(photo, DESCRIPTION)
    assert embedded(photo.read_bytes()) == DESCRIPTION
    status = photo.stat()
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert status.st_mtime > 1  # for backups it has changed
    assert [path.name for path in photo.parent.iterdir()] == ["photo.jpg"]


def test_links_stay_links_and_other_names_keep_the_old_file(photo):
    link, other = photo.with_name("link.jpg"), photo.with_name("other.jpg")
    link.symlink_to("photo.jpg")
    other.hardlink_to(photo)
    embed(link, DESCRIPTION)
    assert link.is_symlink()
    assert is_described(photo)
    assert is_described(link)
    assert other.read_bytes() == SMALL["JPEG"]


@pytest.mark.parametrize("name", ["photo.jpg", "link.jpg"])
def test_a_read_only_file_is_left_alone_even_as_root(photo, name):
    """As those are that DVC links into place from its cache."""
    photo.with_name("link.jpg").symlink_to(photo)
    photo.chmod(0o444)
    with pytest.raises(DescriptionError, match=rf"{name}: is read-only") as told:
        embed(photo.with_name(name), DESCRIPTION, force=True)
    assert told.value.reason == "protected"
    assert photo.read_bytes() == SMALL["JPEG"]


def test_nothing_is_left_behind_where_writing_fails(photo, monkeypatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DescriptionError, match=r"photo\.jpg: cannot be written: No space"):
        embed(photo, DESCRIPTION)
    assert photo.read_bytes() == SMALL["JPEG"]
    assert [path.name for path in photo.parent.iterdir()] == ["photo.jpg"]


def test_what_is_no_file_is_told(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("pipe.jpg", "absent.jpg", ".", "nul\0"):
        assert not is_described(tmp_path / name)
    for name in ("pipe.jpg", "absent.jpg", "."):
        with pytest.raises(DescriptionError):
            embed(tmp_path / name, DESCRIPTION)


def test_a_text_file_beside_is_written_once(photo):
    out = write_beside(photo, DESCRIPTION)
    assert out == beside(photo)
    assert out.name == "photo.jpg.alt.txt"
    assert out.read_text() == f"{DESCRIPTION}\n"
    with pytest.raises(DescriptionError, match="is there already") as told:
        write_beside(photo, "another")
    assert told.value.reason == "described"
    assert out.read_text() == f"{DESCRIPTION}\n"
    write_beside(photo, "another", force=True)
    assert out.read_text() == "another\n"


@pytest.mark.parametrize(
    ("packet", "left"),
    [
        (b'<a/>  <?xpacket end="w"?>', b'<a/>\n<?xpacket end="w"?>'),
        (b'<a/>  <?xpacket end="w"?> \n', b'<a/>\n<?xpacket end="w"?>'),
        (b'<a/><?xpacket end="w"?>', b'<a/><?xpacket end="w"?>'),
        (b"<a/>  \n", b"<a/>\n"),
        (b"<a/>", b"<a/>"),
        (b"<a> </a>", b"<a> </a>"),
        (b"", b""),
    ],
)
def test_padding_is_what_stands_at_the_end(packet, left):
    assert xmp.without_padding(packet) == left


def test_white_space_elsewhere_takes_no_time():
    packet = b"<a>" + b" " * 100_000 + b"</a>"
    assert xmp.without_padding(packet) == packet  # by a search that goes back it took days
