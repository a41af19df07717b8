"""Files that have a machine predict and submit in every round: cron, GitHub Actions, systemd, a node of Numerai's CLI.

Keys stand in none of them, only the names of the variables or of the file that holds them. Names of runs and models reach a shell
as variables, never as its text.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from numerai_lab.core.errors import NlabError
from numerai_lab.tournament.credentials import MODEL_ID, PUBLIC_ID, SECRET_KEY

Kind = Literal["cron", "github", "systemd", "numerai-node"]
KEYS_FILE = ".config/numerai_lab/keys"
"""Below the home folder."""
OUT = "numerai_live.csv"
ROUNDS = """# Rounds open on Tue to Fri at 12:00 UTC at the earliest, for an hour, and on Sat 12:00 to Sun 14:00.
# So it tries at 5, 25 and 45 minutes past 12 and 13 h UTC on Tue to Sat, and on Sun at 9:05 UTC.
# Every further try finds what is submitted and uploads nothing.
# Exit code 3 of `nlab submit` means that no round is open: no fault."""
KEYS = f"""# Keys: the file ~/{KEYS_FILE}, which you alone may read (chmod 600), with the lines {PUBLIC_ID}=… and
# {SECRET_KEY}=…"""


@dataclass(frozen=True)
class Schedule:
    """What is to be done in each round. variant: None for the run's default."""

    run: Path
    model: str
    variant: str | None = None


def scheduled(kind: Kind, schedule: Schedule) -> str:
    """The text of a schedule's file, or for systemd of two. Raises NlabError for names that it can't hold."""
    for what, name in {"RUN": str(schedule.run), "--model": schedule.model, "--variant": schedule.variant or ""}.items():
        if not name.isprintable() or (kind == "github" and "${{" in name):
            raise NlabError(f"{what}: {name!r} can't stand in a file for {kind}; rename it")
    return WRITERS[kind](schedule)


def _cron(schedule: Schedule) -> str:
    values = {"NLAB": _program(), "RUN": _absolute(schedule.run), **_names(schedule), "OUT": OUT, "KEYS": KEYS_FILE}
    lines = [f"{name}={_cron_value(name, value)}" for name, value in values.items()]
    # `date -u`, since not every cron knows CRON_TZ; % is cron's end of line unless escaped.
    command = (
        '5,25,45 * * * * case "$(date -u +\\%u\\%H)" in [2-6]12|[2-6]13|709) set -a; . "$HOME/$KEYS"; set +a; '
        f'{_live(schedule, "NLAB")} && {{ "$NLAB" submit "$OUT" --model "$MODEL" --wait 10m || [ $? -eq 3 ]; }};; esac'
    )
    head = "# Crontab: add it to yours with `crontab -e`. The machine may be in any time zone."
    return "\n".join([head, ROUNDS, KEYS, "SHELL=/bin/sh", *lines, command, ""])


def _github(schedule: Schedule) -> str:
    values = {"RUN": _inside(schedule.run), **_names(schedule), "OUT": OUT}
    environment = "\n".join(f"      {name}: {json.dumps(value)}" for name, value in values.items())
    return f"""# .github/workflows/numerai.yml, in a private repository that holds numerai_lab and the run folder.
# Keys: the secrets {PUBLIC_ID} and {SECRET_KEY} of the repository (Settings, Secrets and variables, Actions).
{ROUNDS}
name: Numerai submission
on:
  schedule:
    - cron: "5,25,45 12,13 * * 2-6"
    - cron: "5 9 * * 0"
  workflow_dispatch:
permissions:
  contents: read
concurrency:
  group: numerai-submission
jobs:
  submit:
    runs-on: ubuntu-latest
    timeout-minutes: 45
    env:
{environment}
    steps:
      - uses: actions/checkout@v4
        with:
          persist-credentials: false
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
          cache: pip
      - run: pip install --extra-index-url https://download.pytorch.org/whl/cpu .
      - run: {_live(schedule)}
      - run: nlab submit "$OUT" --model "$MODEL" --wait 10m || [ $? -eq 3 ]
        env:
          {PUBLIC_ID}: ${{{{ secrets.{PUBLIC_ID} }}}}
          {SECRET_KEY}: ${{{{ secrets.{SECRET_KEY} }}}}
"""


def _systemd(schedule: Schedule) -> str:
    values = {"RUN": _absolute(schedule.run), **_names(schedule), "OUT": OUT}
    environment = "\n".join(f"Environment={_unit_text(f'{name}={value}')}" for name, value in values.items())
    program, variant = _unit_text(_program()).replace("$", "$$"), " --variant ${VARIANT}" if schedule.variant else ""
    return f"""# Two files: save each part under the name above it, in ~/.config/systemd/user. Then
# `systemctl --user enable --now numerai-submit.timer`, and `loginctl enable-linger` to have it run while nobody is logged in.
{ROUNDS}
{KEYS}

# ---- numerai-submit.service
[Unit]
Description=Predict and submit in Numerai's open round

[Service]
Type=oneshot
WorkingDirectory=%h
EnvironmentFile=%h/{KEYS_FILE}
{environment}
ExecStart={program} live ${{RUN}}{variant} --out ${{OUT}}
ExecStart={program} submit ${{OUT}} --model ${{MODEL}} --wait 10m
SuccessExitStatus=3
TimeoutStartSec=45min

# ---- numerai-submit.timer
[Unit]
Description=When Numerai's rounds open

[Timer]
OnCalendar=Tue..Sat *-*-* 12,13:05,25,45:00 UTC
OnCalendar=Sun *-*-* 09:05:00 UTC
AccuracySec=30s

[Install]
WantedBy=timers.target
"""


def _numerai_node(schedule: Schedule) -> str:
    names = {name: value for name, value in _names(schedule).items() if name != "MODEL"}
    values = {"RUN": _inside(schedule.run), **names, "OUT": OUT}
    environment = "\n".join(f"ENV {name}={_docker_text(value)}" for name, value in values.items())
    command = json.dumps(["sh", "-c", f'{_live(schedule)} && nlab submit "$OUT" --wait 10m'])
    return f"""# Dockerfile of a node of Numerai's CLI (`numerai node`), in a folder that holds numerai_lab and the run folder.
# Numerai calls the node when a round opens.
# `numerai node deploy` gives keys and model id as build arguments, so the image holds them: keep its registry private.
FROM python:3.12-slim
ARG {PUBLIC_ID}
ARG {SECRET_KEY}
ARG {MODEL_ID}
ARG SRC_PATH=.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
WORKDIR /node
COPY ${{SRC_PATH}} .
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu .
ENV {PUBLIC_ID}=${PUBLIC_ID}
ENV {SECRET_KEY}=${SECRET_KEY}
ENV {MODEL_ID}=${MODEL_ID}
{environment}
CMD {command}
"""


WRITERS: Mapping[Kind, Callable[[Schedule], str]] = {
    "cron": _cron,
    "github": _github,
    "systemd": _systemd,
    "numerai-node": _numerai_node,
}


def _names(schedule: Schedule) -> dict[str, str]:
    return {"MODEL": schedule.model, **({"VARIANT": schedule.variant} if schedule.variant else {})}


def _live(schedule: Schedule, program: str = "") -> str:
    """The command that writes the predictions; program: the variable that holds the path of `nlab`, if any."""
    variant = ' --variant "$VARIANT"' if schedule.variant else ""
    nlab = f'"${program}"' if program else "nlab"
    return f'{nlab} live "$RUN"{variant} --out "$OUT"'


def _program() -> str:
    return str(Path(shutil.which("nlab") or "/usr/local/bin/nlab").absolute())


def _absolute(path: Path) -> str:
    return str(path.absolute())


def _inside(path: Path) -> str:
    """A path relative to the folder that the file is for, which is this one."""
    relative = os.path.relpath(path)
    if relative.startswith(".."):
        raise NlabError(f"{path}: not in {Path.cwd()}; go to the folder of the repository, and have the run folder in it")
    return relative


def _cron_value(name: str, value: str) -> str:
    quote = next((quote for quote in "\"'" if quote not in value), None)
    if quote is None:
        raise NlabError(f"{name}: {value} holds both kinds of quotes, which no crontab can say; rename it")
    return f"{quote}{value}{quote}"


def _unit_text(text: str) -> str:
    """A text in quotes as systemd reads it."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text).replace("%", "%%") + '"'


def _docker_text(text: str) -> str:
    return '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'
