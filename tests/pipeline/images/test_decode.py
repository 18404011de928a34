"""Pictures as bad as they come, each with a clear reason or the right pixels."""

import errno
import hashlib
import io
import os
import pickle
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import InputError
from pipeline.images import decode
from pipeline.images.decode import (
    PictureError,
    Span,
    difference_hash,
    inside,
    inspect,
    read_small,
    read_square,
)

# Pillow remarks on many of the damaged pictures below.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

BOUND = 10**6
SIDE = 16
RED = (255, 0, 0)


def save(folder: Path, picture: Image.Image, name: str, **options: object) -> Path:
    path = folder / name
    picture.save(path, **options)
    return path


def photo(width: int = 64, height: int = 48) -> Image.Image:
    """A smooth gradient with noise: compresses to several kilobytes, so that it can be cut."""
    noise = np.random.default_rng(7).integers(0, 60, (height, width, 3))
    slope = np.linspace(0, 190, width)[None, :, None]
    return Image.fromarray((noise + slope).astype(np.uint8))


def quarters(mode: str = "RGB", size: int = 32) -> Image.Image:
    """Red, green over blue, black: shows which way up a picture is."""
    picture = Image.new("RGB", (size, size))
    half = size // 2
    picture.paste(RED, (0, 0, half, half))
    picture.paste((0, 255, 0), (half, 0, size, half))
    picture.paste((0, 0, 255), (0, half, half, size))
    return picture.convert(mode)


def reason_of(path: Path, bound: int = BOUND) -> str:
    with pytest.raises(PictureError) as caught:
        inspect(path, bound)
    with pytest.raises(PictureError) as caught_again:
        read_square(path, SIDE, bound)
    assert caught.value.reason == caught_again.value.reason
    assert str(path) in caught.value.detail
    return caught.value.reason


# --- inspect


def test_facts_are_of_the_file_as_stored(tmp_path: Path) -> None:
    path = save(tmp_path, photo(), "a.jpg")
    facts = inspect(path, BOUND)
    assert (facts.width, facts.height, facts.mode) == (64, 48, "RGB")
    assert facts.bytes == path.stat().st_size
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {}),
        ("b.jpg", {"progressive": True}),
        ("a.png", {}),
        ("a.gif", {}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("a.ppm", {}),
    ],
)
def test_a_cut_off_file_is_truncated(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    path = save(tmp_path, photo(), name, **options)
    inspect(path, BOUND)
    content = path.read_bytes()
    for share in (0.5, 0.9):
        path.write_bytes(content[: int(share * len(content))])
        assert reason_of(path) == "truncated"


def test_a_large_jpeg_is_decoded_small_and_still_found_cut(tmp_path: Path) -> None:
    path = save(tmp_path, photo(800, 640), "a.jpg")
    content = path.read_bytes()
    path.write_bytes(content[:-200])
    assert reason_of(path) == "truncated"


def test_a_cut_off_webp_or_packed_tiff_is_refused(tmp_path: Path) -> None:
    for name, options in (("a.webp", {}), ("a.tif", {"compression": "tiff_lzw"})):
        path = save(tmp_path, photo(), name, **options)
        inspect(path, BOUND)
        path.write_bytes(path.read_bytes()[:-300])
        assert reason_of(path) in {"truncated", "unreadable", "not_a_picture"}


def test_what_is_no_picture_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    assert reason_of(path) == "missing"
    path.touch()
    assert reason_of(path) == "empty"
    path.write_text("<html>404 not found</html>")
    assert reason_of(path) == "not_a_picture"
    assert reason_of(path / "b.jpg") == "missing"
    assert reason_of(tmp_path / ("n" * 300)) == "missing"
    assert reason_of(tmp_path) == "not_a_file"
    os.mkfifo(tmp_path / "pipe.jpg")  # opening it would wait for ever
    assert reason_of(tmp_path / "pipe.jpg") == "not_a_file"


def test_formats_that_run_programs_are_not_read(tmp_path: Path) -> None:
    path = save(tmp_path, photo(), "a.eps")
    path.rename(tmp_path / "a.jpg")
    assert reason_of(tmp_path / "a.jpg") == "not_a_picture"


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    deep = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    assert reason_of(save(tmp_path, Image.fromarray(deep), "a.tif")) == "unreadable"


def test_too_large_is_told_by_the_header_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6\n20000 20000\n255\n")  # 400 megapixels, and none of them there
    assert reason_of(path) == "too_large"
    assert reason_of(path, 20000 * 20000 - 1) == "too_large"
    assert reason_of(path, 20000 * 20000) == "truncated"


def webp_that_claims(path: Path, width: int, height: int) -> None:
    """Write a size of one's own into the header of a WebP, whichever of its three kinds it is."""
    data = bytearray(path.read_bytes())
    if data[12:16] == b"VP8X":
        data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif data[12:16] == b"VP8L":
        kept = data[24] & 0xF0  # of the bits beside the two sizes
        data[21:25] = (width - 1 | (height - 1) << 14 | kept << 24).to_bytes(4, "little")
    else:
        data[26:30] = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (b"VP8 ", {}),
        (b"VP8L", {"lossless": True}),
        (
            b"VP8X",
            {"lossless": True, "save_all": True, "append_images": [Image.new("RGB", (8, 8))]},
        ),
    ],
    ids=["lossy", "lossless", "animated"],
)
def test_a_webp_is_refused_before_pillow_takes_memory_for_it(
    tmp_path: Path, kind: bytes, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, photo(8, 8), "a.webp", **options)
    assert path.read_bytes()[12:16] == kind
    assert inspect(path, 64).width == 8
    assert reason_of(path, 63) == "too_large"
    webp_that_claims(path, 16383, 16383)
    monkeypatch.setattr(Image, "open", None)  # whoever calls it takes 2 GB
    assert reason_of(path, 16383 * 16383 - 1) == "too_large"


def test_a_webp_that_ends_in_its_header_is_no_picture(tmp_path: Path) -> None:
    content = save(tmp_path, photo(8, 8), "a.webp", lossless=True).read_bytes()
    path = tmp_path / "b.webp"
    for length in range(1, 32):
        path.write_bytes(content[:length])
        assert reason_of(path) in {"not_a_picture", "truncated", "unreadable"}


@pytest.mark.parametrize("piece", [2**20, 7], ids=["at once", "in pieces"])
def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded(
    tmp_path: Path, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "PIECE", piece)
    path = save(tmp_path, photo(), "a.jpg", progressive=True)
    whole = path.read_bytes()
    scan = whole[whole.rindex(b"\xff\xda") : -2]  # the last; the end of the picture follows
    own = whole.count(b"\xff\xda\x00")
    path.write_bytes(whole[:-2] + (decode.MAX_SCANS - own) * scan + whole[-2:])
    inspect(path, BOUND)
    path.write_bytes(whole[:-2] + (decode.MAX_SCANS - own + 1) * scan + whole[-2:])
    assert reason_of(path) == "unreadable"


def jpeg_of_scans(scans: int) -> bytes:
    """Write a JPEG of 8 x 8 pixels that is not progressive, with a component a scan."""

    def segment(marker: int, *content: int) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + bytes(content)

    codes = (1, *[0] * 15, 0)  # one code, of one bit: no difference, or the end of the block
    tables = segment(0xDB, 0, *[1] * 64) + segment(0xC4, 0x00, *codes) + segment(0xC4, 0x10, *codes)
    components = [part for name in (1, 2, 3) for part in (name, 0x11, 0)]
    frame = segment(0xC0, 8, 0, 8, 0, 8, 3, *components)
    one = [segment(0xDA, 1, 1 + scan % 3, 0, 0, 63, 0) + b"\x3f" for scan in range(scans)]
    return b"\xff\xd8" + tables + frame + b"".join(one) + b"\xff\xd9"


def test_scans_of_a_jpeg_that_is_not_progressive_count_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_of_scans(decode.MAX_SCANS))
    assert inspect(path, BOUND).width == 8
    path.write_bytes(jpeg_of_scans(decode.MAX_SCANS + 1))
    assert reason_of(path) == "unreadable"


def test_scans_are_not_counted_where_only_one_is_read(tmp_path: Path) -> None:
    # Whatever follows it, such as the film that some telephones append.
    path = save(tmp_path, photo(), "a.jpg")
    assert decode._has_one_scan(path.read_bytes())
    path.write_bytes(path.read_bytes() + b"\xff\xda\x00" * 1000)
    inspect(path, BOUND)
    progressive = save(tmp_path, photo(), "b.jpg", progressive=True).read_bytes()
    assert not decode._has_one_scan(progressive)
    for length in range(len(progressive)):
        assert not decode._has_one_scan(progressive[:length])


def test_the_bound_is_ours_not_pillows(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = tmp_path / "a.pbm"
    path.write_bytes(b"P4\n20000 9500\n" + bytes(2500 * 9500))  # 190 MP; Pillow's bound is 179
    assert inspect(path, 200_000_000).width == 20000
    assert not recwarn.list


def test_20000_pixels_wide_is_fine_within_the_bound(tmp_path: Path) -> None:
    path = save(tmp_path, Image.new("1", (20000, 3), 1), "a.png")
    assert inspect(path, BOUND).width == 20000
    assert (read_square(path, SIDE, BOUND) == 255).all()


def test_errors_survive_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(PictureError("empty", "a.jpg has zero bytes")))
    assert (error.reason, str(error)) == ("empty", "a.jpg has zero bytes (empty)")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_the_bytes_facts_or_a_picture_error(tmp_path: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["jpeg", "png", "gif", "webp", "bmp", "tiff", "ppm"]))
    buffer = io.BytesIO()
    photo(16, 12).save(buffer, kind)
    content = bytearray(buffer.getvalue())
    for place in data.draw(st.lists(st.integers(0, min(len(content), 700) - 1), max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "a"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        inspect(path, BOUND)
    except PictureError:
        return
    assert read_square(path, SIDE, BOUND).shape == (SIDE, SIDE, 3)


# --- read_square


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "P", "YCbCr"])
def test_every_kind_of_colour_becomes_rgb(tmp_path: Path, mode: str) -> None:
    name = {"CMYK": "a.tif", "YCbCr": "a.jpg"}.get(mode, "a.png")
    path = save(tmp_path, quarters(mode), name, **({"quality": 95} if name == "a.jpg" else {}))
    square = read_square(path, 32, BOUND)
    assert (square.shape, square.dtype) == ((32, 32, 3), np.uint8)
    expected = [[RED, (0, 255, 0)], [(0, 0, 255), (0, 0, 0)]]
    assert np.abs(square[4::24, 4::24].astype(int) - expected).max() < 12


def test_cmyk_jpeg_is_not_shown_as_its_negative(tmp_path: Path) -> None:
    # Pillow writes CMYK as Adobe does, inverted and with Adobe's marker.
    path = save(tmp_path, Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "a.jpg", quality=95)
    assert b"Adobe" in path.read_bytes()
    assert inspect(path, BOUND).mode == "CMYK"
    assert np.abs(read_square(path, SIDE, BOUND).astype(int) - RED).max() < 12


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = save(tmp_path, Image.new("L", (8, 8), 255).convert(mode), "a.png")
    assert (read_square(path, SIDE, BOUND) == 255).all()


def test_the_grey_that_is_transparent_is_white_in_sixteen_bits_too(tmp_path: Path) -> None:
    deep = np.array([[0, 40_000], [65_535, 0]], np.uint16)
    path = tmp_path / "a.png"
    Image.fromarray(deep).save(path, transparency=0)
    assert read_square(path, 2, BOUND)[:, :, 0].tolist() == [[255, 156], [255, 255]]


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, name: str) -> None:
    deep = np.repeat(np.linspace(0, 65535, 32).astype(np.uint16)[None], 32, axis=0)
    path = save(tmp_path, Image.fromarray(deep), name)
    square = read_square(path, 32, BOUND)
    assert np.abs(square[0, :, 0].astype(float) - np.linspace(0, 255, 32)).max() <= 1


def test_sixteen_bit_tiff_of_the_other_byte_order(tmp_path: Path) -> None:
    picture = Image.frombytes("I;16B", (2, 1), bytes([0x80, 0x80, 0xFF, 0xFF]))
    square = read_square(save(tmp_path, picture, "a.tif"), 2, BOUND)
    assert square[0, :, 0].tolist() == [128, 255]


def grey_tiff(folder: Path, bits: int, photometric: int, width: int, row: bytes) -> Path:
    """A TIFF of one row, as scanners write what Pillow does not."""
    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 1}
    tags[279] = len(row)
    padded = row + b"\0" * (len(row) % 2)
    entries = (struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + b"".join(entries) + b"\0" * 4
    path = folder / f"{bits}-{photometric}.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(padded)) + padded + directory)
    return path


def test_twelve_bits_are_scaled_too(tmp_path: Path) -> None:
    row = bytes.fromhex("000800fff000")  # 0, 2048, 4095, 0
    square = read_square(grey_tiff(tmp_path, 12, 1, 4, row), 4, BOUND)
    assert square[0, :, 0].tolist() == [0, 128, 255, 0]


@pytest.mark.parametrize(("photometric", "found"), [(1, [0, 255]), (0, [255, 0])])
def test_white_may_be_nought(tmp_path: Path, photometric: int, found: list[int]) -> None:
    square = read_square(grey_tiff(tmp_path, 16, photometric, 2, b"\0\0\xff\xff"), 2, BOUND)
    assert square[0, :, 0].tolist() == found


def test_transparent_shows_white(tmp_path: Path) -> None:
    for mode, colour in (("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))):
        path = save(tmp_path, Image.new(mode, (8, 8), colour), f"{mode}.png")
        assert (read_square(path, 8, BOUND) == 255).all()
    half = save(tmp_path, Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "half.png")
    assert (read_square(half, 8, BOUND) == 127).all()
    palette = save(tmp_path, Image.new("P", (8, 8), 0), "palette.png", transparency=0)
    assert (read_square(palette, 8, BOUND) == 255).all()
    key = save(tmp_path, Image.new("RGB", (8, 8), RED), "key.png", transparency=RED)
    assert (read_square(key, 8, BOUND) == 255).all()


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, (0, 255, 0))]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with Image.open(path) as picture:
        assert picture.n_frames == 2
    inspect(path, BOUND)
    assert np.abs(read_square(path, 8, BOUND).astype(int) - RED).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_orientation_is_applied(tmp_path: Path, name: str, orientation: int) -> None:
    # Turn the picture so that the tag turns it back.
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    picture = quarters()
    if orientation in back:
        picture = picture.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    square = read_square(save(tmp_path, picture, name, exif=exif), 32, BOUND)
    expected = np.asarray(quarters())
    assert np.abs(square[4::24, 4::24].astype(int) - expected[4::24, 4::24]).max() < 40


def test_damaged_exif_spoils_no_good_picture(tmp_path: Path) -> None:
    path = save(tmp_path, quarters(), "a.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken")
    assert read_square(path, SIDE, BOUND)[1, 1, 0] > 200


def test_the_whole_picture_is_squashed_and_averaged(tmp_path: Path) -> None:
    stripes = np.zeros((40, 400, 3), np.uint8)
    stripes[:, ::2] = 255  # every other column: without averaging all black or all white
    square = read_square(save(tmp_path, Image.fromarray(stripes), "a.png"), SIDE, BOUND)
    assert np.abs(square.astype(int) - 127).max() <= 8


def test_a_large_jpeg_is_read_as_if_decoded_whole(tmp_path: Path) -> None:
    picture = photo(1600, 1200)
    jpeg = read_square(save(tmp_path, picture, "a.jpg", quality=95), 32, 10**7)
    whole = read_square(save(tmp_path, picture, "a.png"), 32, 10**7)
    assert np.abs(jpeg.astype(int) - whole).mean() < 2


def test_a_picture_of_the_right_size_is_left_alone(tmp_path: Path) -> None:
    picture = photo(SIDE, SIDE)
    square = read_square(save(tmp_path, picture, "a.png"), SIDE, BOUND)
    assert (square == np.asarray(picture)).all()


def test_many_threads_read_the_same(tmp_path: Path) -> None:
    paths = [
        save(tmp_path, photo(50 + size, 40), f"{size}.{suffix}")
        for size in range(6)
        for suffix in ("jpg", "png", "webp", "gif", "tif")
    ]
    alone = [read_square(path, SIDE, BOUND) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda path: read_square(path, SIDE, BOUND), paths * 5))
    assert all((one == two).all() for one, two in zip(alone * 5, together, strict=True))


# --- inside


def refused(folder: Path, relative: str) -> str:
    with pytest.raises(PictureError) as caught:
        inside(folder, relative)
    return caught.value.reason


def test_paths_stay_inside(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (raw / "pictures").mkdir(parents=True)
    outside = save(tmp_path, quarters(), "outside.png")
    path = save(raw / "pictures", quarters(), "a.png")
    assert inside(raw, "pictures/a.png") == path
    assert inside(raw, "./pictures//a.png") == path
    for relative in ("../outside.png", "pictures/../../outside.png", str(outside), "", "."):
        assert refused(raw, relative) == "outside_folder"
    assert refused(raw, "pictures/b.png") == "missing"
    assert refused(raw, "pictures/a.png/b.png") == "missing"
    assert refused(raw, "pictures/a\0.png") == "missing"
    assert refused(raw, "pictures") == "not_a_file"


def test_links_may_not_leave(tmp_path: Path) -> None:
    raw, elsewhere = tmp_path / "raw", tmp_path / "elsewhere"
    raw.mkdir()
    (elsewhere / "deep").mkdir(parents=True)
    save(elsewhere, quarters(), "a.png")
    save(tmp_path, quarters(), "secret.png")
    save(raw, quarters(), "real.png")
    (raw / "same.png").symlink_to("real.png")
    (raw / "away.png").symlink_to(tmp_path / "secret.png")
    (raw / "round.png").symlink_to("round.png")
    (raw / "gone.png").symlink_to("nowhere.png")
    (raw / "null.png").symlink_to("/dev/null")
    (raw / "pictures").symlink_to(elsewhere)
    (elsewhere / "up.png").symlink_to(tmp_path / "secret.png")
    (raw / "sub").mkdir()
    (raw / "sub" / "pictures").symlink_to(elsewhere)
    assert inside(raw, "same.png") == raw / "same.png"
    assert inside(raw, "pictures/a.png") == raw / "pictures/a.png"  # the picture folder is linked
    assert refused(raw, "away.png") == "outside_folder"
    assert refused(raw, "pictures/up.png") == "outside_folder"
    assert refused(raw, "sub/pictures/a.png") == "outside_folder"
    assert refused(raw, "null.png") == "outside_folder"
    assert refused(raw, "gone.png") == "missing"
    assert refused(raw, "round.png") in {"missing", "unreadable"}
    linked = tmp_path / "linked"
    linked.symlink_to(raw)  # the data folder is a link itself
    assert inside(linked, "real.png") == linked / "real.png"
    assert refused(linked, "away.png") == "outside_folder"


def test_pipes_and_devices_are_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert refused(tmp_path, "pipe.png") == "not_a_file"


# --- spans, small pictures, what a picture looks like


@pytest.mark.parametrize("read_whole", [0, 2**24], ids=["in pieces", "at once"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "bmp", "tiff", "ppm"])
def test_a_span_of_a_file_is_read_as_the_picture_alone(
    tmp_path: Path, suffix: str, read_whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "READ_WHOLE", read_whole)
    alone = save(tmp_path, photo(), f"a.{suffix}")
    content = alone.read_bytes()
    facts = inspect(alone, BOUND)
    assert (facts.bytes, facts.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    packed = tmp_path / "packed.tar"
    packed.write_bytes(b"x" * 700 + content + b"y" * 900)
    span = Span(700, len(content))
    assert inspect(packed, BOUND, span) == inspect(alone, BOUND)
    assert np.array_equal(read_square(packed, SIDE, BOUND, span), read_square(alone, SIDE, BOUND))


@pytest.mark.parametrize(
    ("span", "reason"),
    [
        (Span(700, 0), "empty"),
        (Span(700, 2000), "truncated"),  # the file ends first
        (Span(700, 400), "truncated"),
        (Span(10**6, 400), "not_a_picture"),
        (Span(0, 400), "not_a_picture"),
    ],
)
def test_a_span_that_holds_no_whole_picture(tmp_path: Path, span: Span, reason: str) -> None:
    content = save(tmp_path, photo(200, 150), "a.jpg").read_bytes()
    packed = tmp_path / "packed.tar"
    packed.write_bytes(b"x" * 700 + content[:1500])
    with pytest.raises(PictureError) as caught:
        inspect(packed, BOUND, span)
    assert caught.value.reason == reason


def test_a_small_picture_keeps_its_shape_and_stands_upright(tmp_path: Path) -> None:
    path = save(tmp_path, photo(640, 480), "a.jpg")
    assert read_small(path, 100, BOUND).size == (100, 75)
    assert read_small(path, 10_000, BOUND).size == (640, 480)  # never made larger
    lying = Image.Exif()
    lying[0x0112] = 6
    turned = save(tmp_path, photo(640, 480), "b.jpg", exif=lying)
    assert read_small(turned, 100, BOUND).size == (75, 100)


def bits_apart(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def test_the_same_picture_smaller_brighter_and_recompressed_looks_the_same(tmp_path: Path) -> None:
    random = np.random.default_rng(3).integers(40, 200, (12, 16, 3)).astype(np.uint8)
    picture = Image.fromarray(random).resize((640, 480), Image.Resampling.BICUBIC)
    looks = difference_hash(picture)
    assert len(looks) == 64
    path = save(tmp_path, picture.resize((320, 240)).point(lambda v: v + 20), "a.jpg", quality=40)
    assert bits_apart(looks, inspect(path, BOUND).dhash) <= 24  # of 256
    other = Image.fromarray(random[::-1]).resize((640, 480), Image.Resampling.BICUBIC)
    assert bits_apart(looks, difference_hash(other)) > 80


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE])
def test_what_the_system_cannot_read_now_is_no_fault_of_the_picture(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be dropped, and its captions with it, because a file server did not answer."""
    path = save(tmp_path, photo(), "a.jpg")

    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    for name, look in (
        ("pathlib.Path.open", lambda: inspect(path, BOUND)),
        ("os.lstat", lambda: inside(tmp_path, path.name)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(name, refused)
            with pytest.raises(InputError, match=f"from the system: {os.strerror(number)}"):
                look()
    assert inspect(path, BOUND).width == 64


def test_a_disk_that_fails_within_a_picture_has_not_cut_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives what stands before the bad block, and its error when it is asked for more."""
    path = save(tmp_path, photo(640, 480), "a.png")
    content = path.read_bytes()[:8192]
    assert len(content) == 8192 < path.stat().st_size

    class Failing(io.RawIOBase):
        given = False

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, *_: int) -> int:
            return 0

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            if self.given:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            self.given = True
            memoryview(buffer)[: len(content)] = content
            return len(content)

    def opened(_: Path, __: str, buffering: int = -1) -> io.RawIOBase | io.BufferedReader:
        return Failing() if buffering == 0 else io.BufferedReader(Failing(), 1)

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.open", opened)
        for look in (lambda: inspect(path, BOUND), lambda: read_square(path, SIDE, BOUND)):
            with pytest.raises(InputError, match=os.strerror(errno.EIO)):
                look()


def test_a_path_says_nothing_of_what_is_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As errors of the system name it, and "eof" is in "videoframes"."""
    folder = tmp_path / "videoframes"
    folder.mkdir()
    path = save(folder, Image.new("RGB", (4, 4)), "a.png")

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "open", refuse)
    assert reason_of(path) == "unreadable"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "RGB", "L"])
def test_laid_on_white_in_bands_it_is_what_it_is_at_once(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "BAND", 7)
    values = np.random.default_rng(3).integers(0, 256, (23, 9, 4), np.uint8)
    whole = Image.fromarray(values)
    image = whole.quantize(16).convert("PA") if mode == "PA" else whole.convert(mode)
    if mode in ("P", "L"):
        image.info["transparency"] = 3
    if mode == "RGB":
        image.info["transparency"] = image.getpixel((2, 2))
    assert image.has_transparency_data
    paper = Image.new("RGBA", image.size, "white")
    expected = Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    assert np.array_equal(decode._to_rgb(image, None), expected)
