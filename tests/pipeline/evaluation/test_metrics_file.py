"""What metrics.json says of the tokens that its scores are of."""

from pipeline.evaluation.metrics_file import other_tokens


def test_other_tokens_are_told_with_their_reason():
    for official in ({}, {"tokenisation": "ptb"}, {"tokenisation": "none"}):  # of no scores
        assert other_tokens(official) is None
    told = other_tokens({"tokenisation": "clean (PTB unavailable: no Java)"})
    assert str(told).endswith("do not compare: clean (PTB unavailable: no Java)")
