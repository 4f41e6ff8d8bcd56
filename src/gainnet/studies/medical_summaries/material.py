"""Material of the arms: abstracts of fields, the models of edge and cloud, and their sources."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError, ModelError
from gainnet.learning.summaries.rct import OTHER, Collection, field_of, read_collection
from gainnet.models.language import load_language_model
from gainnet.models.loading import weights_sha256
from gainnet.models.trials.abstract import StructuredAbstract, shorten
from gainnet.models.trials.fields import invented_fields
from gainnet.models.trials.writing import write_abstracts
from gainnet.studies.medical_summaries.question import SummariesConfig
from gainnet.training.loop import Training
from gainnet.training.summaries import Library, Size, SummariesTraining, train_pair

SHIPPED = Path(__file__).parents[2] / "models" / "pretrained" / "summaries"
FIELDS_SEED = 1 << 30
"""Invented fields of the study are drawn from here on; `gainnet train summaries` draws its own below."""
TEST_SEED = 1 << 31


@final
@dataclass(frozen=True)
class FieldTexts:
    """Abstracts of one field.

    Args:
        train: what its devices hold.
        test: what is concluded.
    """

    train: tuple[StructuredAbstract, ...]
    test: tuple[StructuredAbstract, ...]


@final
@dataclass(frozen=True, eq=False)
class Models:
    """Models that have not seen the fields of the study.

    Args:
        edge: an edge-end model before it meets its field.
        cloud: the local cloud.
        tokenizer: of both.
    """

    edge: Any
    cloud: Any
    tokenizer: Any


def invented_texts(config: SummariesConfig, field: str, random_seed: int) -> FieldTexts:
    """Abstracts of an invented field that no model was trained on."""
    index = int(field.removeprefix("field_"))
    found = invented_fields(index + 1, FIELDS_SEED + random_seed)[index]
    train = write_abstracts(found, config.num_texts, random_seed)
    return FieldTexts(tuple(train), tuple(write_abstracts(found, config.num_test_texts, TEST_SEED + random_seed)))


def folder_texts(config: SummariesConfig, collection: Collection, field: str) -> FieldTexts:
    """Abstracts of a folder that are of a field.

    Raises:
        ConfigError: none of its test abstracts is of the field.
    """
    train = _learnable(config, [a for a in collection.train if field_of(a) == field])
    test = [_short(config, a) for a in collection.test if field_of(a) == field][: config.num_test_texts]
    if not test:
        raise ConfigError(f"data: no test abstract of {config.data} is of {field}; give more, or set num_fields lower")
    return FieldTexts(tuple(train), tuple(test))


def read_folder(config: SummariesConfig) -> Collection:
    """The abstracts of the folder that the settings name; errors as `read_collection`."""
    return read_collection(Path(config.data))


def shipped_models(config: SummariesConfig) -> Models:
    """The models that the settings name.

    Raises:
        ModelError: a folder of them is missing or damaged.
    """
    folder = models_folder(config)
    if not folder.is_dir():
        raise ModelError(
            f"models: {config.models!r} must be a folder; give summaries or what gainnet train summaries wrote"
        )
    edge, tokenizer = load_language_model(str(folder / "edge"))
    cloud, _ = load_language_model(str(folder / "cloud"))
    return Models(edge, cloud, tokenizer)


def folder_models(config: SummariesConfig, collection: Collection, random_seed: int) -> Models:
    """Models that learned, from nothing, the abstracts of a folder that are of none of its fields.

    Raises:
        ConfigError: there are too few of them.
    """
    others = _learnable(config, [a for a in collection.train if field_of(a) == OTHER])
    if len(others) < 20:
        raise ConfigError(f"data: {len(others)} abstracts of no field are too few to learn from; give at least 20")
    edge, cloud = Size(48, 2, config.folder_edge_steps, 8), Size(96, 3, config.folder_cloud_steps, 8)
    sizes = SummariesTraining(edge, cloud, num_tokens=2000, checkpoint_every=1 << 30)
    # Edge and cloud learn from different halves, as they would belong to different owners.
    library = Library(tuple(others[0::2]), tuple(others[1::2]))
    with tempfile.TemporaryDirectory() as folder:
        return Models(*train_pair(library, sizes, random_seed, Training(Path(folder), {}, sizes.checkpoint_every)))


def models_folder(config: SummariesConfig) -> Path:
    """Where edge and cloud lie."""
    return SHIPPED if config.models == "summaries" else Path(config.models).expanduser()


def identity(config: SummariesConfig) -> Mapping[str, str]:
    """sha256 of the models and of the folder's abstracts."""
    if not config.data:
        folder = models_folder(config)
        return {name: weights_sha256(folder / name) for name in ("edge", "cloud") if (folder / name).is_dir()}

    collection = read_folder(config)
    text = "\n".join(repr(abstract) for abstract in (*collection.train, *collection.test))
    return {"data": sha256(text.encode()).hexdigest()}


def _learnable(config: SummariesConfig, abstracts: Sequence[StructuredAbstract]) -> list[StructuredAbstract]:
    short = [a for a in abstracts if len(a.conclusion.split()) <= config.max_conclusion_words]
    return [_short(config, a) for a in short]


def _short(config: SummariesConfig, abstract: StructuredAbstract) -> StructuredAbstract:
    return shorten(abstract, config.max_document_words, lambda text: len(text.split()))
