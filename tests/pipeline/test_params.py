"""Settings: whatever is wrong with them is one clear line."""

from pathlib import Path
from typing import Literal

import pytest
import ruamel.yaml
import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline.errors import InputError
from pipeline.params import NO_YAML, Settings, load, parse_yaml


class Inner(Settings):
    rate: float = Field(gt=0)


class Some(Settings):
    kind: Literal["a", "b"]
    size: int = Field(ge=1)
    share: float = Field(ge=0, le=1)
    inner: Inner


GOOD = "some:\n  kind: a\n  size: 3\n  share: 0.5\n  inner:\n    rate: 0.001\n"


def load_text(folder: Path, text: str) -> Some:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return load(Some, "some", path)


def told(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        load_text(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{folder / 'params.yaml'}: ")
    return message


class Words(Settings):
    words: list[str]


@pytest.mark.parametrize("word", ["true", "False", "2"])
def test_a_word_that_yaml_reads_as_something_else_is_told(tmp_path, word):
    path = tmp_path / "params.yaml"
    path.write_text(f"some: {{words: [dog, {word}]}}")
    with pytest.raises(InputError, match=r"some.words.1: expected a word.* in quotes"):
        load(Words, "some", path)
    path.write_text(f"some: {{words: [dog, '{word}']}}")
    assert load(Words, "some", path).words == ["dog", word]


@pytest.mark.parametrize("word", ["on", "no", "off", "Yes", "y"])
def test_words_are_read_as_dvc_writes_them(tmp_path, word):
    """DVC takes the quotes of these off when it changes another line: `dvc exp run -S`."""
    path = tmp_path / "params.yaml"
    path.write_text(f"some: {{words: [dog, {word}]}}")
    assert load(Words, "some", path).words == ["dog", word]
    assert ruamel.yaml.YAML(typ="safe").load(path) == {"some": {"words": ["dog", word]}}


@pytest.mark.parametrize(
    "written", ["010", "1_000", "0x1F", "0o17", "+3", "-0", "1.5", "-.5", ".inf", "3."]
)
def test_numbers_are_those_that_dvc_reads(written):
    ours = parse_yaml(f"a: {written}")["a"]
    theirs = ruamel.yaml.YAML(typ="safe").load(f"a: {written}")["a"]
    assert (ours, type(ours)) == (theirs, type(theirs))


@pytest.mark.parametrize("text", ["a: !!int", "a: !!timestamp x", "[" * 5000, "a: \t- b"])
def test_what_is_no_yaml_raises_what_is_named(text):
    with pytest.raises(NO_YAML):
        parse_yaml(text)


def test_good_settings_are_read(tmp_path):
    read = load_text(tmp_path, GOOD + "other: {x: 1}\n")
    assert read == Some(kind="a", size=3, share=0.5, inner=Inner(rate=0.001))


@pytest.mark.parametrize("written", ["5e-05", "1e-3", "+.5E-2", "5.e+0", "0.00005"])
def test_numbers_are_read_as_dvc_writes_them(tmp_path, written):
    """DVC writes YAML 1.2, of which `-S train.learning_rate=0.00005` makes 5e-05."""
    read = load_text(tmp_path, GOOD.replace("rate: 0.001", f"rate: {written}"))
    assert read.inner.rate == float(written)


@pytest.mark.parametrize("written", ["1e", "e5", "1e5x", "0x1e-", "1-5", "v1e-3"])
def test_what_only_looks_like_a_number_stays_text(written):
    assert parse_yaml(f"name: {written}") == {"name": written}


def test_what_dvc_writes_comes_back(tmp_path):
    from dvc.utils.hydra import apply_overrides

    (tmp_path / "params.yaml").write_text(GOOD, encoding="utf-8")
    apply_overrides(tmp_path / "params.yaml", ["some.inner.rate=0.00005"])
    assert load(Some, "some", tmp_path / "params.yaml").inner.rate == 0.00005


def test_settings_do_not_change(tmp_path):
    with pytest.raises(ValidationError):
        load_text(tmp_path, GOOD).size = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("size:", "sise:", "some.sise is not a setting. The settings of 'some' are: inner, kind"),
        ("size: 3", "sises: {a: 1}", "some.sises is not a setting: if it is a section, it is"),
        ("size: 3", "", "some.size is missing"),
        ("rate: 0.001", "", "some.inner"),
        ("size: 3", "size: three", "some.size: input should be a valid integer. Received: 'three'"),
        ("size: 3", "size: 3.0", "some.size: input should be a valid integer"),
        ("size: 3", "size: true", "some.size: input should be a valid integer"),
        ("size: 3", "size:", "some.size: input should be a valid integer. Received: None"),
        (
            "size: 3",
            "size: 0",
            "size: input should be greater than or equal to 1. Received: 0",
        ),
        ("share: 0.5", "share: 1.5", "some.share: input should be less than or equal to 1"),
        ("share: 0.5", "share: .nan", "some.share"),
        ("rate: 0.001", "rate: 0", "some.inner.rate: input should be greater than 0"),
        ("rate: 0.001", "rate: e-3", "input should be a valid number. Received: 'e-3'"),
        ("kind: a", "kind: c", "some.kind: input should be 'a' or 'b'. Received: 'c'"),
        ("inner:\n    rate: 0.001", "inner: 3", "inner: expected settings of its own, on lines"),
        ("kind: a", "kind: a\n  share: 0.1", "'share' twice, in lines 3 and 5. Change the"),
        ("inner:\n    rate: 0.001", "inner: {rate: 0.1, rate: 0.2}", "'rate' twice, in lines 5"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(tmp_path, old, new, expected):
    assert expected in told(tmp_path, GOOD.replace(old, new))


def test_a_misspelt_setting_of_a_group_is_told_with_the_group_s_settings(tmp_path):
    message = told(tmp_path, GOOD.replace("rate:", "rat:"))
    assert "some.inner.rat is not a setting. The settings of 'some.inner' are: rate" in message


def test_settings_are_listed_once_however_many_are_misspelt(tmp_path):
    message = told(tmp_path, GOOD.replace("size: 3", "sise: 3\n  more: 3").replace("rate:", "rat:"))
    assert message.count("is not a setting") == 3
    assert message.count("The settings of 'some' are: ") == 1
    assert message.count("The settings of 'some.inner' are: ") == 1


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {x: 1}\nb: &b\n  <<: *a\n  x: 2\nc:\n  <<: *b\n  x: 3\n",
        "a: &a {x: 1}\nb: {<<: [*a, {y: 2}], x: 4}\n",
        "1: a\n'1': b\n",
        "a: &a\n  b: *a\n",
        "? [1, 2]\n: a\n",
        "!!map [[a, b]]",
    ],
)
def test_what_else_is_yaml_is_read_as_it_would_be_without_us(text):
    def read(parse):
        try:
            return repr(parse(text))
        except yaml.YAMLError as error:
            return type(error)

    assert read(parse_yaml) == read(yaml.safe_load)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "sizes: expected a list, which is [] where there is nothing in it"),
        ("1, 3", "sizes: expected a list, such as [1, 3]. Received: '1, 3'"),
        ("{a: 1}", "sizes: expected a list. Received: {'a': 1}"),
    ],
)
def test_what_is_no_list_is_told_with_one(tmp_path, given, expected):
    class Many(Settings):
        sizes: list[int]

    path = tmp_path / "params.yaml"
    path.write_text(f"some:\n  sizes: {given}\n")
    with pytest.raises(InputError) as caught:
        load(Many, "some", path)
    assert expected in str(caught.value)


def test_a_section_that_was_added_at_the_end_is_told(tmp_path):
    """YAML as Python reads it would take it for the whole section; DVC would refuse the file."""
    assert "'some' twice, in lines 1 and 7" in told(tmp_path, GOOD + "some:\n  size: 4\n")


def test_what_contradicts_itself_is_told_without_all_the_rest_of_the_section(tmp_path):
    class Odd(Settings):
        size: int

        @model_validator(mode="after")
        def _check(self) -> "Odd":
            raise ValueError("expected a size that is even. Received: 3. Change it")

    path = tmp_path / "params.yaml"
    path.write_text("some:\n  size: 3\n")
    with pytest.raises(InputError) as caught:
        load(Odd, "some", path)
    assert str(caught.value).endswith("some: expected a size that is even. Received: 3. Change it")


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    message = told(tmp_path, GOOD.replace("size: 3", "sise: 3").replace("0.5", "-1"))
    assert "some.size is missing" in message
    assert "some.sise is not a setting" in message
    assert "some.share" in message


@pytest.mark.parametrize("text", ["", "other: {}\n", "some: 3\n", "some:\n", "- some\n", "some\n"])
def test_an_absent_section_is_told(tmp_path, text):
    assert "expected a section 'some' of settings. Received: none" in told(tmp_path, text)


@pytest.mark.parametrize("text", ["some: [1,\n", "some:\n\tkind: a\n", "a: b: c\n", "!!python/x y"])
def test_what_is_not_yaml_is_told(tmp_path, text):
    assert "expected YAML. Received: " in told(tmp_path, text)


def test_what_is_not_text_is_told(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"some: \xff\xfe")
    with pytest.raises(InputError, match="expected YAML"):
        load(Some, "some", tmp_path / "params.yaml")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"params\.yaml: no such file\. Run from the repository"):
        load(Some, "some", tmp_path / "params.yaml")


def test_a_folder_is_no_file_of_settings(tmp_path):
    with pytest.raises(InputError, match="expected YAML"):
        load(Some, "some", tmp_path)


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        ("some.size: 4", "some.size is not read, as settings stand below their section."),
        ("some.inner.rate: 1.0", "Write `inner.rate:` into the section `some:`"),
        ("somme: {size: 4}", "'somme' is no section. Did you mean 'some'?"),
    ],
)
def test_what_would_be_passed_over_is_refused(tmp_path, beside, expected):
    assert expected in told(tmp_path, f"{GOOD}{beside}\n")


@pytest.mark.parametrize("beside", ["other.size: 4", "3: 4", "mine: {size: 4}"])
def test_what_others_keep_beside_is_their_own(tmp_path, beside):
    assert load_text(tmp_path, f"{GOOD}{beside}\n").size == 3
