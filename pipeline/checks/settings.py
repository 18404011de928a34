"""Section `validate` of params.yaml."""

from typing import Literal

from pydantic import Field, model_validator

from pipeline.params import Settings


class MinPictures(Settings):
    """Pictures that a split must have for its purpose; fewer stop the run."""

    train: int = Field(ge=1)
    val: int = Field(ge=1)
    test: int = Field(ge=1)


class ValidateSettings(Settings):
    """Section `validate` of params.yaml. Values live there; no defaults here.

    A bound on single pictures or captions (`min_side`, `max_words`, ...) brings a warning when
    more than the share `max_odd` of them lie outside of it.
    """

    min_pictures: MinPictures
    min_train_share: float = Field(ge=0, lt=1)  # of all pictures
    max_left_out: float = Field(ge=0, le=1)  # share of pictures, and of captions, lost in `ingest`

    min_side: int = Field(ge=1)  # pixels of a picture's shorter side
    max_aspect: float = Field(ge=1)  # longer side / shorter side
    modes: list[str] = Field(min_length=1)  # Pillow's, of pictures as expected
    same_picture: Literal["error", "warning"]  # the same bytes in two splits
    near_bits: int = Field(ge=0, le=32)  # of 256, up to which two pictures look the same

    min_captions: int = Field(ge=1)  # of a picture that has any
    max_captions: int = Field(ge=1)
    min_words: int = Field(ge=0)  # of a caption
    max_words: int = Field(ge=1)
    max_characters: int = Field(ge=1)  # longer is no caption: stops the run
    max_same_caption: float = Field(gt=0, le=1)  # share of the pictures that one caption is given
    max_unknown_words: float = Field(ge=0, le=1)  # share of words in val, test, not seen in train
    max_non_ascii: float = Field(ge=0, le=1)  # share of captions
    max_spoiled: float = Field(ge=0, le=1)  # share of captions with markup, addresses, ...
    max_odd: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _check_ranges(self) -> "ValidateSettings":
        for low, high in (("min_captions", "max_captions"), ("min_words", "max_words")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} must not be above {high}")
        return self
