"""The original layout of Flickr8k; *scenes* and many small data sets copy it.

    Flickr8k.token.txt          image.jpg#0<TAB>caption       any *.token.txt
    Flickr_8k.trainImages.txt   image.jpg                     any *.trainImages.txt
    Flickr_8k.devImages.txt     image.jpg                     ... becomes split `val`
    Flickr_8k.testImages.txt    image.jpg
    Flicker8k_Dataset/          the pictures                  a folder of any name

Source: Hodosh, Young and Hockenmaier, JAIR 2013. Its quirks, and what becomes of them:
    the captions of 2258277193_586949ec62.jpg.1, which does not exist   dropped: missing
    captions of pictures in no split list                               dropped: no_split
    Flickr8k.lemma.token.txt, the captions again, as lemmas             not read
Copies without any of the three lists are split by `ingest`; one or two lists are refused.
"""

from pathlib import Path

from pipeline.datasets.layout import Layout, Listing
from pipeline.datasets.split_lists import FLICKR8K_LISTS, matching_files
from pipeline.datasets.text_layout import only_file, read_text_layout
from pipeline.datasets.token_file import TOKENS

PATTERN = "*.token.txt"


def recognises(raw: Path) -> bool:
    """Tell whether the folder holds captions as Flickr8k has them."""
    return bool(_token_files(raw))


def read(raw: Path) -> Listing:
    """Read the captions and, where there are any, the split lists.

    Raises:
        InputError: there are several files of captions, one of the lists is absent and others are
            not, or it stands there twice, no picture is listed, or no folder holds the pictures.
    """
    captions = only_file(raw, PATTERN, _token_files(raw))
    return read_text_layout(raw, captions, TOKENS, FLICKR8K_LISTS)


def _token_files(raw: Path) -> list[Path]:
    found = matching_files(raw, PATTERN)
    return [path for path in found if not path.name.endswith(".lemma.token.txt")]


FLICKR8K = Layout(
    name="flickr8k",
    looks_for="*.token.txt with *.trainImages.txt, *.devImages.txt and *.testImages.txt, or alone",
    recognises=recognises,
    read=read,
)
