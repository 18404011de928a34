"""How captions are searched: the settings, and what contradicts what."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.params import Settings

WIDEST = 100  # beam
MOST_WORDS = 200  # of a caption that is searched
# Settings by which a search is more than a beam, which is all that `sweep` tries.
BEYOND = ("method", "min_words", "block_ngrams", "forbidden_words", "required_words")
ALTERNATIVE = "|"  # between words of which one is enough: dog|dogs
Word = Annotated[str, Field(min_length=1, pattern=r"^\S+$")]


class DiverseSettings(Settings):
    """Groups of beams that keep out of each other's way (Vijayakumar et al. 2018)."""

    groups: int = Field(ge=1, le=100)
    strength: float = Field(ge=0, le=100)  # what a word of an earlier group costs, in nats


class SamplingSettings(Settings):
    """Nucleus sampling (Holtzman et al. 2020)."""

    # Chance of the words drawn from; 1: all. Far smaller ones are 0 in float32, which are no words.
    top_p: float = Field(ge=0.001, le=1)
    temperature: float = Field(ge=0.01, le=100)  # below 1: likely words become likelier
    samples: int = Field(ge=1, le=1000)  # captions drawn a picture
    seed: int = Field(ge=0)


class SearchSettings(Settings):
    """How captions are searched."""

    method: Literal["beam", "diverse", "sample"]
    beam_width: int = Field(ge=1, le=WIDEST)  # captions kept; 1: greedy
    length_penalty: float = Field(ge=0, le=5)  # exponent of the length; 0: none
    max_words: int = Field(ge=1, le=MOST_WORDS)  # bound on a caption's words
    min_words: int = Field(ge=0)
    # No words in a row, as many as this, come twice; 0: they may.
    block_ngrams: int = Field(ge=0, le=MOST_WORDS)
    forbidden_words: list[Word]
    required_words: list[Word]  # each must occur; of dog|dogs, one of them
    guide: float = Field(ge=0, le=1000)  # weight of the words to be expected; 0: none
    diverse: DiverseSettings
    sampling: SamplingSettings
    consensus: float = Field(ge=0, le=1000)  # weight of the CIDEr to be expected; 0: none

    @classmethod
    def plain(cls, *, beam_width: int, length_penalty: float, max_words: int) -> "SearchSettings":
        """Make settings of a beam, or of greedy search where it is 1 wide, and nothing else."""
        return SearchSettings(
            method="beam",
            beam_width=beam_width,
            length_penalty=length_penalty,
            max_words=max_words,
            min_words=0,
            block_ngrams=0,
            forbidden_words=[],
            required_words=[],
            consensus=0.0,
            guide=0.0,
            diverse=DiverseSettings(groups=1, strength=0.0),
            sampling=SamplingSettings(top_p=1.0, temperature=1.0, samples=1, seed=0),
        )

    @classmethod
    def usual(cls) -> "SearchSettings":
        """What captions are searched with where nobody says how: as section `evaluate` begins."""
        return SearchSettings.plain(beam_width=3, length_penalty=0.5, max_words=20)

    @property
    def beyond_a_beam(self) -> list[str]:
        """The settings by which captions are neither found by a beam nor chosen among its own."""
        usual = SearchSettings.usual()
        return [name for name in BEYOND if getattr(self, name) != getattr(usual, name)]

    @property
    def captions_kept(self) -> int:
        """How many captions of a picture are in memory together."""
        if self.method == "sample":
            return self.sampling.samples
        return self.beam_width * (len(self.required_words) + 1)

    @property
    def required_sets(self) -> list[list[str]]:
        """The words of which one must occur, of each required word and its alternatives."""
        return [entry.split(ALTERNATIVE) for entry in self.required_words]

    @field_validator("min_words")
    @classmethod
    def _fits(cls, value: int, info: ValidationInfo) -> int:
        most = info.data.get("max_words", value)
        if value > most:
            raise ValueError(f"must not be above max_words, {most}: lower it, or raise max_words")
        return value

    @field_validator("required_words")
    @classmethod
    def _possible(cls, value: list[str], info: ValidationInfo) -> list[str]:
        words = [word for entry in value for word in entry.split(ALTERNATIVE)]
        most = info.data.get("max_words", len(value))
        both = sorted(set(words) & set(info.data.get("forbidden_words", [])))
        if "" in words:
            raise ValueError(f"expected words on both sides of {ALTERNATIVE!r}")
        if len(set(words)) < len(words):
            raise ValueError("must not name a word twice: leave one out")
        if both:
            raise ValueError(f"must not name forbidden words, such as {both[0]!r}: take one side")
        if len(value) > most:
            raise ValueError(f"must not be more than max_words, {most}: raise max_words")
        if value and info.data.get("method", "beam") != "beam":
            raise ValueError("need method: beam; leave them out, or change the method")
        return value

    @field_validator("consensus")
    @classmethod
    def _chooses(cls, value: float, info: ValidationInfo) -> float:
        name, found = "beam_width", info.data.get("beam_width")
        if info.data.get("method") == "sample" and "sampling" in info.data:
            name, found = "sampling.samples", info.data["sampling"].samples
        if value > 0 and found == 1:
            raise ValueError(f"chooses among captions, and {name} is 1: set it to 0, or raise that")
        return value

    @field_validator("diverse")
    @classmethod
    def _even(cls, value: DiverseSettings, info: ValidationInfo) -> DiverseSettings:
        width = info.data.get("beam_width", value.groups)
        if info.data.get("method") == "diverse" and width % value.groups:
            raise ValueError(
                f"beam_width, {width}, must be a multiple of groups, {value.groups}: change either"
            )
        return value
