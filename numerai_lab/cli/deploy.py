"""`nlab deploy`: a variant of a run as a model that Numerai runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from numerai_lab.cli.outcome import OutcomeFormat, OutcomeOption, file_facts, print_outcome
from numerai_lab.cli.terminal import expanded, put, say, stop

if TYPE_CHECKING:
    from numerai_lab.tournament.deploy import Deployed


def deploy(
    run: Annotated[Path | None, typer.Argument(callback=expanded, help="a finished run folder", show_default=False)] = None,
    variant: Annotated[str | None, typer.Option(help="a variant of the run, by name", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option(callback=expanded, help="a new folder for the model", show_default=False)] = None,
    python: Annotated[
        str | None, typer.Option(help="Python of Numerai's container: 3.11, 3.12, 3.13; default that of nlab, else 3.12")
    ] = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="train the variant again on all resolved eras before; that model is never scored")
    ] = False,
    upload: Annotated[bool, typer.Option("--upload", help="upload the verified model to Numerai, which then runs it")] = False,
    model: Annotated[str | None, typer.Option(help="--upload: name or id of your model; default: MODEL_ID")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="--upload: do not ask")] = False,
    check: Annotated[
        Path | None,
        typer.Option(callback=expanded, help="only list what this pickle imports, without loading it", show_default=False),
    ] = None,
    outcome_format: OutcomeOption = "text",
) -> None:
    """Pack a variant of a run as predict.pkl, and verify it as Numerai's container runs it.

    The model is arrays and one function of numpy and scipy. Its predictions for validation rows are compared with those of the
    run; where they differ, nothing is written. Exit code 1 then, and where a checked pickle imports what no such model needs.
    """
    if check is not None:
        _check(check, outcome_format)
        return
    if run is None or out is None:
        stop("name a run folder and --out, a new folder for the model; or --check, a pickle")
    from numerai_lab.report.progress import progress_display
    from numerai_lab.tournament.deploy import deploy as deploy_run

    done = deploy_run(run, out, progress_display(), variant, python, refit=refit)
    for remark in done.remarks:
        say(remark)
    if outcome_format == "text":
        put(*_lines(done))  # before an upload is confirmed
    uploaded = _upload(done, model, yes) if upload else None
    facts = {"facts": done.facts, "uploaded": uploaded}
    line = [", ".join(f"{key} {value}" for key, value in uploaded.items())] if uploaded else []
    print_outcome(outcome_format, lambda: {"files": file_facts(done.folder), **facts}, line)


def _lines(done: "Deployed") -> list[str]:
    """What was packed and verified."""
    facts = done.facts
    equal, rest = f"{facts['equal to the bit']:.3%}", f"{facts['largest difference']:.1e}"
    return [
        f"{done.folder / 'predict.pkl'}  {facts['bytes']:,} bytes, sha256 {facts['sha256'][:12]}…",
        f"verified on {facts['rows']:,} rows of {facts['eras']} eras with Python {facts['versions']['python']}: "
        f"{equal} as the run predicted them to the bit, the rest within {rest}; "
        f"{facts['seconds']} s and {facts['peak MB']} MB for an era",
    ]


def _upload(done: "Deployed", model: str | None, yes: bool) -> dict[str, Any]:
    """Uploads a verified model once its owner knows what that means. Raises NlabError for a model of synthetic data."""
    from numerai_lab.cli.terminal import confirmed
    from numerai_lab.tournament.model_upload import UploadOptions, upload_model

    facts = done.facts
    if facts["synthetic"]:
        stop(f"--upload: {facts['run']} was trained on SYNTHETIC data, so its model is not uploaded")
    options = UploadOptions(facts["versions"]["python"], facts["data version"])
    uploaded = upload_model(done.folder / "predict.pkl", model, options, lambda text: confirmed(text, yes))
    for note in uploaded.notes:
        say(note)
    return uploaded.row()


def _check(path: Path, how: OutcomeFormat) -> None:
    """Prints what a pickle imports. Raises NlabFailure where that is more than a model of nlab needs."""
    from numerai_lab.core.errors import NlabFailure
    from numerai_lab.tournament.pickle_imports import imports_of

    imports = imports_of(path)
    names = (*imports.names, *imports.modules)
    facts = {"imports": list(names), "beyond": list(imports.beyond)}
    print_outcome(how, lambda: facts, (f"{'!' if name in imports.beyond else ' '} {name}" for name in names))
    if imports.beyond:
        raise NlabFailure(f"{path}: imports {', '.join(imports.beyond)}, which no model of nlab needs; do not load it unasked")
    say("nothing but numpy, pandas, scipy and cloudpickle is imported; what the functions inside do, no list of imports tells")
