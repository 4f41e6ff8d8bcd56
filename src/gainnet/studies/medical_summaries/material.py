"""Material of the arms: abstracts of fields, the models of edge and cloud, and their sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random
from gainnet.learning.summaries.rct import Collection, field_of, read_collection
from gainnet.learning.summaries.scores import encoder_folder
from gainnet.models.language import load_language_model
from gainnet.models.loading import weights_sha256
from gainnet.models.trials.abstract import StructuredAbstract
from gainnet.models.trials.fields import invented_fields
from gainnet.models.trials.writing import write_abstracts
from gainnet.studies.medical_summaries.question import SummariesConfig
from gainnet.training.summaries import FEW_SHOT

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
        few_shot: a local cloud that reads examples of the field; `None` where no arm asks for it.
    """

    edge: Any
    cloud: Any
    tokenizer: Any
    few_shot: Any = None


def invented_texts(config: SummariesConfig, field: str, random_seed: int) -> FieldTexts:
    """Abstracts of an invented field that no model was trained on."""
    index = int(field.removeprefix("field_"))
    found = invented_fields(index + 1, FIELDS_SEED + random_seed)[index]
    train = write_abstracts(found, config.num_texts, random_seed)
    return FieldTexts(tuple(train), tuple(write_abstracts(found, config.num_test_texts, TEST_SEED + random_seed)))


def folds_of(config: SummariesConfig, collection: Collection, field: str, random_seed: int) -> list[FieldTexts]:
    """Abstracts of a folder that are of a field, in folds: each is tested in one and learned from in the others.

    A folder with test files of its own has one fold.

    Args:
        config: number of folds.
        collection: of the folder.
        field: whose.
        random_seed: of the order in which abstracts are dealt to folds.

    Raises:
        ConfigError: there are fewer abstracts than folds.
    """
    train, test = ([a for a in some if field_of(a) == field] for some in (collection.train, collection.test))
    if collection.own_test and train and test:
        return [FieldTexts(tuple(train), tuple(test))]
    every = sorted([*train, *test], key=lambda abstract: abstract.name)
    if len(every) < 2 * config.num_folds or (collection.own_test and not test):
        few = f"{len(every)} abstracts of {config.data} are of {field}, too few for {config.num_folds} folds"
        raise ConfigError(f"data: {few}; give more, or set num_folds or num_fields lower")
    order = Random.of(random_seed).child("folds").generators(field)[0].permutation(len(every))
    parts = [[every[i] for i in order[k :: config.num_folds]] for k in range(config.num_folds)]
    rest = [[a for other in parts if other is not part for a in other] for part in parts]
    return [FieldTexts(tuple(learned), tuple(part)) for learned, part in zip(rest, parts, strict=True)]


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
    few_shot = load_language_model(str(folder / FEW_SHOT))[0] if FEW_SHOT in config.methods else None
    return Models(edge, cloud, tokenizer, few_shot)


def models_folder(config: SummariesConfig) -> Path:
    """Where edge and cloud lie."""
    return SHIPPED if config.models == "summaries" else Path(config.models).expanduser()


def identity(config: SummariesConfig) -> Mapping[str, str]:
    """sha256 of the models, of the folder's abstracts and of the encoder that sentences of theirs are ranked by."""
    folder = models_folder(config)
    names = ("edge", "cloud", *((FEW_SHOT,) if FEW_SHOT in config.methods else ()))
    found = {name: weights_sha256(folder / name) for name in names if (folder / name).is_dir()}
    if not config.data:
        return found
    collection = read_folder(config)
    text = "\n".join(repr(abstract) for abstract in (*collection.train, *collection.test))
    found |= {"data": sha256(text.encode()).hexdigest()}
    return found | ({"encoder": weights_sha256(encoder_folder(config.encoder))} if config.encoder else {})
