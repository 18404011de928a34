"""Section `validate` of params.yaml."""

import pytest
from pydantic import ValidationError

from pipeline.checks.settings import ValidateSettings


@pytest.mark.parametrize(
    "changes",
    [
        {"min_captions": 4},  # above max_captions
        {"min_words": 13},
        {"max_odd": 1.1},
        {"near_bits": 33},
        {"same_picture": "fatal"},
        {"modes": []},
        {"min_pictures": {"train": 1, "val": 1}},
        {"max_wrods": 3},
    ],
)
def test_wrong_settings_are_refused(settings, changes):
    with pytest.raises(ValidationError):
        ValidateSettings.model_validate({**settings.model_dump(), **changes})
