"""Uploads a pickled model to Numerai, which then runs it in every round, and assigns it to a model of the account."""

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numerai_lab.core.errors import NlabError, NlabFailure, nearest
from numerai_lab.tournament.account import FAILED, Model, wanted_model
from numerai_lab.tournament.client import TOURNAMENT, Client
from numerai_lab.tournament.credentials import credentials
from numerai_lab.tournament.registration import register, store, unique_stem

IMAGES = "query { computePickleDockerImages { id name default deprecated } }"
DATA_VERSIONS = "query { computePickleDataVersions { id name } }"
UPLOAD_AUTH = """query($filename: String! $modelId: String) {
    computePickleUploadAuth(filename: $filename modelId: $modelId) { filename url }
}"""
CREATE = """mutation($filename: String! $tournament: Int! $modelId: String $dataVersionId: String $dockerImageId: String) {
    createComputePickleUpload(
        filename: $filename tournament: $tournament modelId: $modelId dataVersionId: $dataVersionId dockerImageId: $dockerImageId
    ) { id }
}"""
PICKLES = """query($modelId: ID) {
    computePickles(modelId: $modelId) { id filename validationStatus assignedModelSlots triggers { id } }
}"""
ASSIGN = "mutation($modelId: String $pickleId: ID) { assignPickleToModel(modelId: $modelId pickleId: $pickleId) }"
TRIGGER_LOGS = "query($triggerId: ID!) { triggerLogs(triggerId: $triggerId) { timestamp message } }"
VALIDATED = ("validated", "submission_succeeded")
POLL = 20.0
"""Seconds between two questions for the state of an upload."""
LOG_LINES = 20


@dataclass(frozen=True)
class UploadOptions:
    """python: the version that the pickle was packed in, such as 3.12; data_version: such as v5.2, None for Numerai's default;
    wait: seconds to wait for Numerai's validation.
    """

    python: str
    data_version: str | None = None
    wait: float = 1800.0


@dataclass(frozen=True)
class Image:
    """A docker image that Numerai runs models in."""

    id: str
    name: str
    default: bool
    deprecated: bool


@dataclass(frozen=True)
class ModelUpload:
    """An uploaded model. status: Numerai's word for its validation; assigned: whether it runs for the model; notes: to print."""

    id: str
    model: Model
    image: Image
    status: str
    assigned: bool
    notes: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """Plain values of the printed table."""
        return {
            "id": self.id,
            "model": self.model.name,
            "image": self.image.name,
            "status": self.status,
            "assigned": self.assigned,
        }


def consequences(model: str) -> str:
    """What whoever uploads a model must know before saying yes."""
    return (
        f"Numerai can read an uploaded model and runs it on its machines. Submissions by API are then off for {model}; "
        "Numerai submits what the uploaded model predicts"
    )


def upload_model(
    path: Path,
    model: str | None,
    options: UploadOptions,
    confirm: Callable[[str], bool],
    pause: Callable[[float], None] = time.sleep,
) -> ModelUpload:
    """Uploads a pickle for a model, by name or id (None: the environment's MODEL_ID), waits for validation, and assigns it.

    confirm: is told the consequences before anything is uploaded, and answers whether to go on. Raises NlabError for bad input or
    wrong keys, NlabFailure where it is not known to be there or Numerai does not validate it.
    """
    if path.suffix != ".pkl" or not path.is_file():
        raise NlabError(f"{path}: no file that ends in .pkl; `nlab deploy RUN --out DIR` writes one")
    content = path.read_bytes()
    client = Client(credentials(), pause)
    account_model = wanted_model(client, model)
    image, data_version = _image(client, options.python), _data_version(client, options.data_version)
    if not confirm(consequences(account_model.name)):
        raise NlabFailure("not confirmed; nothing was uploaded")
    stem = unique_stem(path.stem, f"nlab{hashlib.sha256(content).hexdigest()[:16]}")
    place = {"filename": f"{stem}.pkl", "modelId": account_model.id}
    stored = store(client, "computePickleUploadAuth", UPLOAD_AUTH, place, content)
    variables = {"filename": stored, "tournament": TOURNAMENT, "modelId": account_model.id}
    choice = {"dataVersionId": data_version, "dockerImageId": image.id}

    def look() -> str | None:
        return next((str(facts["id"]) for facts in _pickles(client, account_model) if stem in str(facts.get("filename"))), None)

    advice = "see the uploads of your account at numer.ai before you upload again"
    id = register(client, "createComputePickleUpload", CREATE, {**variables, **choice}, look, advice)
    return _validated(client, ModelUpload(id, account_model, image, "unknown", False, _notes(image)), options.wait)


def _validated(client: Client, upload: ModelUpload, wait: float) -> ModelUpload:
    """The upload with its validation, assigned where that succeeded."""
    end = time.monotonic() + wait
    while True:
        facts = next((facts for facts in _pickles(client, upload.model) if str(facts["id"]) == upload.id), {})
        status = client.keys.clean(facts.get("validationStatus") or "unknown")
        if status in VALIDATED:
            break
        if status in FAILED:
            logs = "; ".join(_logs(client, facts))
            raise NlabFailure(f"Numerai did not validate upload {upload.id} ({status}){': ' if logs else ''}{logs}")
        if time.monotonic() >= end:
            late = f"its validation is not done after {wait / 60:.0f} min; assign it at numer.ai when it is"
            return ModelUpload(upload.id, upload.model, upload.image, status, False, (*upload.notes, late))
        client.pause(min(POLL, max(end - time.monotonic(), 0.0)))
    slots = [str(slot) for slot in facts.get("assignedModelSlots") or []]
    if upload.model.id not in slots and upload.model.name not in slots:
        # To assign twice is to assign once, so this mutation may be repeated like a query.
        client.query("assignPickleToModel", ASSIGN, {"modelId": upload.model.id, "pickleId": upload.id})
    return ModelUpload(upload.id, upload.model, upload.image, status, True, upload.notes)


def _pickles(client: Client, model: Model) -> list[Mapping[str, Any]]:
    listed = client.query("computePickles", PICKLES, {"modelId": model.id})
    return [facts for facts in listed or [] if isinstance(facts, Mapping) and facts.get("id")]


def _logs(client: Client, facts: Mapping[str, Any]) -> list[str]:
    """The last lines that a failed run of the model wrote, cleaned; none where they can't be had."""
    triggers = [trigger for trigger in facts.get("triggers") or [] if isinstance(trigger, Mapping) and trigger.get("id")]
    try:
        listed = client.query("triggerLogs", TRIGGER_LOGS, {"triggerId": triggers[-1]["id"]}) if triggers else []
    except NlabError:
        return []
    lines = [client.keys.clean(line.get("message")) for line in listed or [] if isinstance(line, Mapping)]
    return lines[-LOG_LINES:]


def _image(client: Client, python: str) -> Image:
    """The image of a Python version; the default one where several have it. Raises NlabError where none has."""
    listed = client.query("computePickleDockerImages", IMAGES)
    images = [
        Image(
            str(facts["id"]), client.keys.clean(facts.get("name")), facts.get("default") is True, facts.get("deprecated") is True
        )
        for facts in listed or []
        if isinstance(facts, Mapping) and facts.get("id")
    ]
    fitting = [image for image in images if re.search(rf"(?<![\d.]){re.escape(python)}(?!\d)", image.name)]
    if not fitting:
        known = ", ".join(image.name for image in images) or "none"
        raise NlabError(f"--python: Numerai has no image with Python {python}; known: {known}")
    return max(fitting, key=lambda image: (not image.deprecated, image.default))


def _data_version(client: Client, wanted: str | None) -> str | None:
    """The id of a data version. Raises NlabError where Numerai has none of this name."""
    if wanted is None:
        return None
    listed = client.query("computePickleDataVersions", DATA_VERSIONS)
    versions = {str(facts.get("name")): str(facts.get("id")) for facts in listed or [] if isinstance(facts, Mapping)}
    if wanted not in versions:
        raise NlabError(f"data.version: Numerai runs no model on {wanted!r}; {nearest(wanted, versions)}")
    return versions[wanted]


def _notes(image: Image) -> tuple[str, ...]:
    notes = [f"{image.name} is deprecated at Numerai; pack the model for a newer Python soon"] if image.deprecated else []
    return tuple(notes if image.default or notes else [f"{image.name} is not Numerai's default image"])
