import shutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.evaluation import java, ptb
from pipeline.evaluation.java import MetricUnavailable
from pipeline.evaluation.ptb import ptb_tokenize

Official = Callable[[Sequence[Sequence[str]]], list[list[str]]]

LINE_ENDS = "\n\r\x0b\x0c\x85\u2028\u2029"
# "\n" they replace as well; by another line end their captions get the wrong pictures.
LETTERS = st.characters(exclude_characters=LINE_ENDS[1:], exclude_categories=["Cs"])
TEXTS = st.lists(
    st.one_of(
        st.text(LETTERS, max_size=30),
        st.lists(
            st.sampled_from(
                ["A", "dog", "U.S.", "1/2", "2", "(650)", "'s", "-", "--", "<b>", ".", ""]
            )
        ).map(" ".join),
    ),
    min_size=1,
    max_size=300,
)


def joined(texts: Sequence[str]) -> list[str]:
    return [" ".join(tokens) for tokens in ptb_tokenize(texts)]


def flat(groups: Sequence[Sequence[str]]) -> list[str]:
    return [text for group in groups for text in group]


def test_the_example_of_the_module() -> None:
    [tokens] = ptb_tokenize(["A dog's ball (2 1/2 in.), isn't it?"])
    assert ptb.__doc__ is not None
    assert " ".join(tokens).replace("\u00a0", "~") in ptb.__doc__


def test_adversarial_texts(official_tokens: Official, adversarial: list[str]) -> None:
    assert joined(adversarial) == flat(official_tokens([[text] for text in adversarial]))


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=TEXTS)
def test_drawn_texts(official_tokens: Official, texts: list[str]) -> None:
    assert joined(texts) == flat(official_tokens([texts]))


@pytest.mark.parametrize("end", list(LINE_ENDS))
def test_a_line_end_in_a_caption_is_a_space(end: str) -> None:
    assert joined([f"a{end}dog", f"{end}two{end}", "men"]) == ["a dog", "two", "men"]


def test_every_letter_leaves_the_captions_apart() -> None:
    letters = [chr(code) for code in range(0x3000) if chr(code) not in LINE_ENDS]
    letters += [chr(code) for code in range(0xD800, 0xDA00)]  # half of a surrogate pair
    texts = [text for letter in letters for text in (f"dog{letter}", f"{letter}", "cat")]
    assert ptb_tokenize(texts)[2::3] == [["cat"]] * len(letters)


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["a", ""], ["", "a"], ["?", "a"]])
def test_empty_captions_have_no_tokens_and_keep_their_place(texts: list[str]) -> None:
    assert ptb_tokenize(texts) == [["a"] if text == "a" else [] for text in texts]


def test_the_machine_makes_no_difference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = find_spec("pycocoevalcap")
    assert spec
    assert spec.submodule_search_locations
    folder = tmp_path / "naïve Übung 犬"
    shutil.copytree(Path(next(iter(spec.submodule_search_locations))) / "tokenizer", folder)
    monkeypatch.setattr(java, "_program_folder", lambda _: folder)
    for name in ("LC_ALL", "LANG"):
        monkeypatch.setenv(name, "tr_TR.ISO-8859-9")  # in Turkish, I in lower case has no dot
    for name in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"):
        monkeypatch.setenv(name, "-XX:+NoSuchOption")  # Java does not start with it
    monkeypatch.chdir(tmp_path)
    assert joined(["IT IS A CAFÉ 犬"]) == ["it is a café 犬"]


def test_lines_that_do_not_match_the_captions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ptb, "run", lambda *_: "a\ndog")
    with pytest.raises(MetricUnavailable, match="2 lines for 1 captions"):
        ptb_tokenize(["a dog"])


def test_its_time_is_limited() -> None:
    with pytest.raises(MetricUnavailable, match="took longer"):
        ptb_tokenize(["a dog"], timeout=0.001)


@pytest.mark.slow
def test_real_captions(official_tokens: Official, flickr8k_groups: list[list[str]]) -> None:
    assert joined(flat(flickr8k_groups)) == flat(official_tokens(flickr8k_groups))
