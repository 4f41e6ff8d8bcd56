"""Cases of a study on the workers of Ray, on this machine or on a cluster."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError, GainnetError
from gainnet.core.run.cluster import cluster
from gainnet.studies.engine import Evaluate
from gainnet.studies.presets import as_json, validate
from gainnet.studies.registry import find_study
from gainnet.studies.results import commit, versions
from gainnet.studies.study import C, Case, Method, Row, Study, evaluate

NUM_RETRIES = 3
"""How often a case is given to a new worker when one dies over it; after that the case itself is the killer."""


@final
@dataclass(frozen=True)
class RayEngine:
    """Workers that hold the methods and take one case at a time; a worker that dies is replaced, its case repeated.

    this process ==case (JSON)==> worker: method ==row (JSON)==> this process: journal, table

    Workers start on this machine, or on the cluster that the environment variable `RAY_ADDRESS` names. Cases and rows
    travel as text, so that the numbers are those of a run in one process to the last digit.

    Args:
        num_workers: how many, at least 1.

    Raises:
        ConfigError: there is no worker.
    """

    num_workers: int

    def __post_init__(self) -> None:
        if self.num_workers < 1:
            raise ConfigError(f"num_workers: must be at least 1, got {self.num_workers}")

    @contextmanager
    def open(self, study: Study[C], config: C, source: str) -> Iterator[Evaluate]:
        """As `Engine.open`.

        Raises:
            ConfigError: a worker cannot open the study, or has other code or packages than this process.
            MissingExtraError: Ray is not installed.
        """
        with cluster(self.num_workers) as ray:
            # A worker may die any number of times, a case over which it dies only a few times.
            actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=NUM_RETRIES)(Worker)
            folders = [str(Path.cwd()), *sys.path]
            workers = [actor.remote(source, json.dumps(as_json(config)), folders) for _ in range(self.num_workers)]
            for origin in [worker.open.remote() for worker in workers]:
                _check_origin(_answer(ray, origin, "opening the study"))
            yield Pool(ray, tuple(workers))


@final
@dataclass(frozen=True)
class Pool:
    """Workers that are ready.

    Args:
        ray: the library.
        workers: handles of actors of `Worker`.
    """

    ray: Any
    workers: tuple[Any, ...]

    def __call__(self, todo: Iterable[Case]) -> Iterator[tuple[Case, Row, float]]:
        """Each case with its row and the seconds it took, as they finish.

        Raises:
            GainnetError: what a method raised, in its words.
            ConfigError: a case killed its worker again and again.
        """
        waiting, idle = iter(todo), list(self.workers)
        running: dict[Any, tuple[Any, Case]] = {}
        while True:
            while idle and (case := next(waiting, None)) is not None:
                worker = idle.pop()
                running[worker.evaluate.remote(_text_of(case))] = worker, case
            if not running:
                return
            (finished,), _ = self.ray.wait([*running], num_returns=1)
            worker, case = running.pop(finished)
            answer = _answer(self.ray, finished, case.key)
            idle.append(worker)
            yield case, answer["row"], answer["wall_s"]


@final
@dataclass
class Worker:
    """A process that evaluates cases, one at a time.

    Args:
        source: name that finds the study.
        settings: its configuration as JSON.
        folders: where this process finds modules, too.
    """

    source: str
    settings: str
    folders: list[str]
    methods: Mapping[str, Method] = field(default_factory=dict, init=False)

    def open(self) -> str:
        """Loads the methods; JSON with what numbers depend on, or with what went wrong."""
        return _guarded(self._origin)

    def evaluate(self, case: str) -> str:
        """JSON with row and seconds of a case given as JSON, or with what went wrong."""
        return _guarded(lambda: self._row(case))

    def _origin(self) -> dict[str, Any]:
        self._opened()
        return {"commit": commit(), "versions": versions()}

    def _row(self, text: str) -> dict[str, Any]:
        case = Case(**json.loads(text))
        ((_, row, wall_s),) = evaluate(self._opened(), [case])
        return {"row": dict(row), "wall_s": wall_s}

    def _opened(self) -> Mapping[str, Method]:
        """A worker that took the place of a dead one has its first case before any call of `open`."""
        if not self.methods:
            sys.path.extend(folder for folder in self.folders if folder not in sys.path)
            study = find_study(self.source)
            self.methods = study.open(validate(study.config, json.loads(self.settings)))
        return self.methods


def _answer(ray: Any, promise: Any, what: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(ray.get(promise))
    except ray.exceptions.RayActorError:
        raise ConfigError(
            f"num_workers: {NUM_RETRIES + 1} workers died over {what}; give fewer workers if memory ran out"
        ) from None
    if "error" in answer:
        raise ConfigError(answer["error"])
    return answer


def _guarded(compute: Any) -> str:
    """Errors that a user can mend travel as text; whatever else is raised is a fault and comes with its traceback."""
    try:
        return json.dumps(compute())
    except GainnetError as error:
        return json.dumps({"error": str(error)})


def _check_origin(origin: Mapping[str, Any]) -> None:
    if "RAY_ADDRESS" not in os.environ:
        return  # this very installation
    ours = {"commit": commit(), **versions()}
    theirs = {"commit": origin["commit"], **origin["versions"]}
    if other := [f"{name} {theirs.get(name)}" for name in ours if theirs.get(name) != ours[name]]:
        raise ConfigError(f"engine: a worker has {', '.join(other)}; install on every machine what is installed here")


def _text_of(case: Case) -> str:
    return json.dumps({"method": case.method, "values": dict(case.values), "random_seed": case.random_seed})
