"""Settings of the stage `explore`."""

from pydantic import Field

from pipeline.params import Settings


class ExploreSettings(Settings):
    """Section `explore` of params.yaml."""

    samples: int = Field(ge=1)  # pictures on the sheet
    extremes: int = Field(ge=1)  # pictures shown with the most alike captions, and with the least
    top_words: int = Field(ge=1)  # words, pairs and triples listed
    agreement_pictures: int = Field(ge=2)  # of a split, at most: what people's agreement is told by
    picture_side: int = Field(ge=16, le=1024)  # pixels of the longer side of an embedded picture
    seed: int  # of the choice of pictures
