"""Learning with safeguards, and records and pictures that can be checked: `trust`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from gainnet.cli.options import Asked, Fields, command
from gainnet.cli.printing import print_json, print_rounds, print_table, rounds_progress, say
from gainnet.core.errors import ConfigError

_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_SETTINGS: dict[str, Any] = {
    "algorithm": "adapter", "clients": 10, "rounds": 6, "num_steps": 2, "batch_size": 6, "rate": 0.1, "rank": 1
}  # fmt: skip
_LEARNING = Fields(
    "gainnet.catalog.records:LearnConfig",
    (*_SETTINGS, "model", "skew", "random_seed", "task", "pictures", "num_pictures"),
    defaults=_SETTINGS,
)
SAFEGUARDS = Fields(
    "gainnet.catalog.records:SafeguardsConfig",
    panels={
        "Safeguards": ("rule", "num_poisoned", "num_groups", "contributions"),
        "Privacy": ("privacy", "epsilon", "delta", "clip_norm", "sample_rate", "noise", "accountant"),
    },
)


@command("learn", _LEARNING, SAFEGUARDS)
def learn(asked: Asked, guarded: Asked, *, out: Path = Path("out/trust"), as_json: bool = False) -> None:
    """Fine-tune together, robust to poison, private, or with updates that the edge cannot read; signed line by line.

    Args:
        out: folder for checkpoint, records and the signed record.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet trust learn --rule trimmed_mean --num-poisoned 1 --clients 5
    """
    from gainnet.catalog.drawing import usual_of
    from gainnet.catalog.learning import open_session
    from gainnet.catalog.records import LearnConfig, SafeguardsConfig
    from gainnet.core.files import check_writable
    from gainnet.learning.page import privacy_line
    from gainnet.learning.save import save

    config = LearnConfig(**usual_of(asked.values, asked.given))
    check_privacy_used(guarded)
    safeguards = SafeguardsConfig(**guarded.values)
    check_writable(out)
    name = config.algorithm
    with rounds_progress(name) as show:
        session = open_session(config, safeguards)
        run = session.run(out, show)
    saved = save(session, run, out, name)
    summary: dict[str, Any] = {"algorithm": name, "out": str(out), "rounds": list(run.rounds)}
    summary |= {"report": str(out / "report.html")}
    summary |= {key: saved[key] for key in ("privacy", "start", "nodes", "took_part", "adapter")}
    if as_json:
        return print_json(summary)
    print_rounds(f"{name}: {out}", saved["curve"], run.rounds)
    say(f"privacy: {privacy_line(saved['privacy'])}")
    say(summary["report"])
    return None


@command("verify")
def verify(
    record: Path,
    *,
    state: Path | None = None,
    edge_key: str | None = None,
    pinned: Path | None = None,
    receipt: Path | None = None,
    against: Path | None = None,
    root: Path | None = None,
    as_json: bool = False,
) -> None:
    """Check where a picture comes from, or which update went into which model: what was signed and what holds.

    Exit code 1 for a picture of which something does not hold, an update that was left out, or a split view.

    Args:
        record: a picture, a record, or the folder of a run.
        state: the model that a record should end with; state.safetensors beside it when left out.
        edge_key: public key of a record's edge, as you know it from elsewhere.
        pinned: JSON file of the clients' public keys by name, as they were at enrolment.
        receipt: a client's receipts, each of which the record must have the update of.
        against: the record that somebody else was given, to find two heads of one round.
        root: root.pem of a picture's edge, as you know it from elsewhere.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet trust verify out/trust/record.jsonl
    """
    from gainnet.learning.safeguards.verification import verify_file

    if root is not None or (record.is_file() and record.suffix.lower() in _PICTURES):
        if any(x is not None for x in (state, edge_key, pinned, receipt, against)):
            raise ConfigError("state: a picture has neither state, keys nor receipts; leave them out")
        return _verify_picture(record, root, as_json)
    found = verify_file(record, state, edge_key, pinned)
    broken = _broken(record, edge_key or found.edge_key, receipt, against)
    if as_json:
        print_json({**asdict(found), **broken})
        return _exit_if(broken)
    models = f"{found.num_models} model{'s' * (found.num_models != 1)}"
    say(f"in order: {models} from {found.num_included} of {found.num_updates} signed updates")
    say(f"edge key  {found.edge_key}" + ("" if edge_key else "  (compare it with one that you have from elsewhere)"))
    say(f"model     {found.model}" + ("" if found.state_checked else "  (no model file to compare it with)"))
    counts = [{"client": client, "num_models": count} for client, count in found.models_of_client.items()]
    print_table("updates in models", ("client", "num_models"), counts)
    if broken["num_omitted"]:
        say(f"{broken['num_omitted']} receipts of updates that the record lacks: the edge has left them out")
    if broken["split_view"]:
        say(f"split view: the edge has signed two heads of round {broken['split_view']}")
    return _exit_if(broken)


def _exit_if(broken: dict[str, int | None]) -> None:
    if any(broken.values()):
        raise typer.Exit(1)


def _broken(record: Path, edge_key: str, receipt: Path | None, against: Path | None) -> dict[str, int | None]:
    """Proofs against the edge that receipts and another view of the record give."""
    from gainnet.learning.safeguards.verification import omitted, read_lines, split_view

    lines = read_lines(record, "record")
    receipts = [] if receipt is None else read_lines(receipt, "receipt")
    num_omitted = sum(omitted(one, lines, edge_key) for one in receipts)
    other = None if against is None else split_view(lines, read_lines(against, "against"), edge_key)
    return {"num_omitted": num_omitted, "split_view": other}


@command("keys")
def keys(folder: Path, *, name: str = "gainnet edge") -> None:
    """Make keys that sign pictures, and the root certificate that readers pin; see serve and generate.

    Args:
        folder: where they are written; it must not be there.
        name: of the signer, which readers are shown.

    Example:
        gainnet trust keys keys
    """
    from gainnet.core.errors import import_extra
    from gainnet.core.files import write_folder

    import_extra("cryptography", "cryptography", "serve")
    from gainnet.wire.keys import write_signing_keys

    # Pictures that were signed with keys that are gone could be checked by nobody.
    if folder.exists():
        raise ConfigError(f"folder: {folder} is there already; give another one")
    write_folder(folder, lambda new: write_signing_keys(new, name))
    say(f"keys in {folder}; readers of the pictures need {folder / 'root.pem'}")


def _verify_picture(picture: Path, root: Path | None, as_json: bool) -> None:
    from gainnet.service.provenance import spelled, verify

    found = verify(picture, root)
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo("\n".join(spelled(found)))
    if found.problems:
        raise typer.Exit(1)


def check_privacy_used(guarded: Asked) -> None:
    """Refuses a setting of privacy that was given and has no effect."""
    privacy = guarded.values["privacy"]
    terms = ("epsilon", "delta", "clip_norm", "sample_rate", "noise", "accountant")
    settings = [name for name in terms if name in guarded.given]
    if settings and privacy == "none":
        raise ConfigError(f"{settings[0]}: nothing is hidden; add --privacy client or example, or leave it out")
    if "sample_rate" in settings and privacy == "client":
        raise ConfigError("sample_rate: rows are drawn where rows are hidden; add --privacy example or leave it out")
