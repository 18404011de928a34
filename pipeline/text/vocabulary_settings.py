"""Section `vocabulary` of params.yaml; apart from `vocabulary.py`, which other stages depend on."""

from pathlib import PurePath

from pydantic import Field, field_validator

from pipeline.params import Settings
from pipeline.text.embedding_layout import Format


class EmbeddingSettings(Settings):
    """Group `vocabulary.embeddings`: pretrained word vectors."""

    file: str | None = Field(min_length=1)  # in the folder; null: no pretrained vectors
    folder: str  # for dvc.yaml: the command line has it
    format: Format
    seed: int = Field(ge=0)  # of the vectors of words that the file has not

    @field_validator("file")
    @classmethod
    def _check_file(cls, file: str | None) -> str | None:
        if file and (PurePath(file).is_absolute() or ".." in PurePath(file).parts):
            raise ValueError("expected the name of a file in vocabulary.embeddings.folder")
        return file


class VocabularySettings(Settings):
    """Section `vocabulary` of params.yaml."""

    min_count: int = Field(ge=1)  # words seen less often in training captions become unknown
    embeddings: EmbeddingSettings
