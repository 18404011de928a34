"""Settings of the stage `report`."""

from pydantic import Field

from pipeline.params import Settings


class ReportSettings(Settings):
    """Section `report` of params.yaml."""

    examples: int = Field(ge=1)  # pictures, or words, of each list
    picture_side: int = Field(ge=16, le=1024)  # pixels of the longer side of an embedded picture
    seed: int  # of the pictures drawn at random
