"""Printed schedules are valid where they are for, run at the right times, survive odd names, and hold no key."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from numerai_lab.core.errors import NlabError
from numerai_lab.tournament.schedule import WRITERS, Kind, Schedule, scheduled
from tests.forks import nlab
from tests.tournament.fake_numerai import PUBLIC, SECRET

ODD = Schedule(Path("runs/a b$(touch broken)"), 'm"%o`d$e\\l', "raw+pca; x")
PLAIN = Schedule(Path("runs/x"), "alpha")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the file is made in, with an `nlab` on PATH that writes its arguments down."""
    (tmp_path / "bin 1").mkdir()
    program = tmp_path / "bin 1/nlab"
    program.write_text(
        '#!/bin/sh\nfor a in "$@"; do printf "%s\\n" "$a" >> "$LOG"; done; printf "%s\\n" "key $NUMERAI_SECRET_KEY" >> "$LOG"\n'
        'if [ "$1" = submit ]; then exit "${SUBMIT:-0}"; else exit "${LIVE:-0}"; fi\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin 1'}:{os.environ['PATH']}")
    monkeypatch.setenv("NUMERAI_PUBLIC_ID", PUBLIC)
    monkeypatch.setenv("NUMERAI_SECRET_KEY", SECRET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("schedule", [ODD, PLAIN])
def test_no_key_stands_in_it_and_their_names_do(kind: Kind, schedule: Schedule) -> None:
    text = scheduled(kind, schedule)
    assert PUBLIC not in text
    assert SECRET not in text
    assert "NUMERAI_PUBLIC_ID" in text
    assert "NUMERAI_SECRET_KEY" in text
    assert text.endswith("\n")
    assert max(map(len, text.splitlines())) < 900  # a line of a crontab may have 998 characters


def crontab(text: str) -> tuple[dict[str, str], list[str], str]:
    """The variables, the five fields and the command of a crontab with one line, as cron reads them."""
    variables, entries = {}, []
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if name := re.match(r"(\w+)=", line):
            value = line[name.end() :]
            quoted = value[:1] in "\"'" and value[-1] == value[0]
            variables[name[1]] = value[1:-1] if quoted else value
        else:
            entries.append(line)
    (entry,) = entries
    *fields, command = entry.split(None, 5)
    assert "%" not in re.sub(r"\\%", "", command), "a bare % ends the command"
    return variables, fields, command.replace("\\%", "%")


def run_cron(
    folder: Path, text: str, weekday_and_hour: str, *, keys: str = "NUMERAI_SECRET_KEY=from_file\n", **environment: str
) -> tuple[int, list[str]]:
    """What the entry does at a time: its exit code, and the arguments of the calls of `nlab`."""
    (folder / "date").write_text(f'#!/bin/sh\n[ "$*" = "-u +%u%H" ] && echo {weekday_and_hour}\n')
    (folder / "date").chmod(0o755)
    path = folder / ".config/numerai_lab/keys"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(keys)
    log = folder / "log"
    log.unlink(missing_ok=True)
    variables, fields, command = crontab(text)
    assert fields == ["5,25,45", "*", "*", "*", "*"]
    values = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder), "LOG": str(log), **environment, **variables}
    code = subprocess.run(["/bin/sh", "-c", command], env=values, cwd=folder, check=False).returncode
    return code, log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize("schedule", [PLAIN, Schedule(ODD.run, ODD.model.replace('"', ""), ODD.variant), ODD])
def test_the_crontab_predicts_and_then_submits(folder: Path, schedule: Schedule) -> None:
    text = scheduled("cron", schedule)
    code, calls = run_cron(folder, text, "212")
    variant = ["--variant", schedule.variant] if schedule.variant else []
    live = ["live", str(folder / schedule.run), *variant, "--out", "numerai_live.csv", "key from_file"]
    submit = ["submit", "numerai_live.csv", "--model", schedule.model, "--wait", "10m", "key from_file"]
    assert (code, calls) == (0, live + submit)
    assert not (folder / "broken").exists()


def test_the_crontab_acts_when_rounds_may_be_open(folder: Path) -> None:
    text = scheduled("cron", PLAIN)
    opened = {f"{day}{hour:02d}" for day in range(1, 8) for hour in range(24) if run_cron(folder, text, f"{day}{hour:02d}")[1]}
    assert opened == {f"{day}{hour}" for day in range(2, 7) for hour in (12, 13)} | {"709"}


def test_the_crontab_fails_where_something_failed_and_not_where_no_round_is_open(folder: Path) -> None:
    text = scheduled("cron", PLAIN)
    assert run_cron(folder, text, "512", SUBMIT="3")[0] == 0
    assert run_cron(folder, text, "512", SUBMIT="1")[0] == 1
    code, calls = run_cron(folder, text, "512", LIVE="2")
    assert (code, "submit" in calls) == (2, False)


def test_a_name_that_no_crontab_can_hold_is_refused() -> None:
    with pytest.raises(NlabError, match="MODEL: .* both kinds of quotes"):
        scheduled("cron", Schedule(Path("runs/x"), "a\"b'c"))


def test_the_workflow_is_yaml_whose_steps_run(folder: Path) -> None:
    flow = yaml.safe_load(scheduled("github", ODD))
    assert [entry["cron"] for entry in flow[True]["schedule"]] == [
        "5,25,45 12,13 * * 2-6",
        "5 9 * * 0",
    ]  # YAML 1.1 reads on as true
    (job,) = flow["jobs"].values()
    assert job["env"] == {"RUN": str(ODD.run), "MODEL": ODD.model, "VARIANT": ODD.variant, "OUT": "numerai_live.csv"}
    assert flow["permissions"] == {"contents": "read"}
    *_, live, submit = job["steps"]
    names = ("NUMERAI_PUBLIC_ID", "NUMERAI_SECRET_KEY")
    assert submit["env"] == {name: f"${{{{ secrets.{name} }}}}" for name in names}
    assert "env" not in live, "keys are there for the step that needs them alone"
    environment = {"PATH": os.environ["PATH"], "LOG": str(folder / "log"), **job["env"]}
    for step in (live, submit):
        subprocess.run(["bash", "-e", "-c", step["run"]], env={**environment, "SUBMIT": "3"}, cwd=folder, check=True)
    calls = (folder / "log").read_text().splitlines()
    assert calls[:5] == ["live", str(ODD.run), "--variant", ODD.variant, "--out"]
    assert ODD.model in calls
    assert not (folder / "broken").exists()


def test_a_name_that_github_would_evaluate_is_refused() -> None:
    with pytest.raises(NlabError, match=r"--model: .* can't stand in a file for github"):
        scheduled("github", Schedule(Path("runs/x"), "${{ secrets.NUMERAI_SECRET_KEY }}"))


@pytest.mark.parametrize("kind", ["github", "numerai-node"])
def test_a_run_outside_of_the_repository_is_refused(kind: Kind) -> None:
    with pytest.raises(NlabError, match="go to the folder of the repository"):
        scheduled(kind, Schedule(Path("/elsewhere/runs/x"), "alpha"))


def units(text: str) -> dict[str, str]:
    """The unit files by their names."""
    parts = re.split(r"^# ---- (\S+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("schedule", [ODD, PLAIN])
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_takes_the_units_and_the_times(folder: Path, schedule: Schedule) -> None:
    files = units(scheduled("systemd", schedule))
    for name, text in files.items():
        (folder / name).write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", *map(str, map(folder.joinpath, files))], capture_output=True, text=True, check=False
    )
    complaints = [line for line in checked.stderr.splitlines() if "numerai-submit" in line]
    assert (checked.returncode, complaints) == (0, []), checked.stderr
    times = re.findall(r"^OnCalendar=(.*)$", files["numerai-submit.timer"], flags=re.MULTILINE)
    for time in times:
        subprocess.run(["systemd-analyze", "calendar", time], capture_output=True, check=True)
    assert len(times) == 2


def test_the_service_predicts_and_then_submits() -> None:
    service = units(scheduled("systemd", ODD))["numerai-submit.service"]
    live, submit = re.findall(r"^ExecStart=(.*)$", service, flags=re.MULTILINE)
    assert shlex.split(live)[1:] == ["live", "${RUN}", "--variant", "${VARIANT}", "--out", "${OUT}"]
    assert shlex.split(submit)[1:] == ["submit", "${OUT}", "--model", "${MODEL}", "--wait", "10m"]
    (model,) = re.findall(r"^Environment=(.*MODEL.*)$", service, flags=re.MULTILINE)
    assert model == '"MODEL=m\\"%%o`d$e\\\\l"'
    assert "SuccessExitStatus=3" in service


def test_the_dockerfile_has_known_instructions_and_a_command_that_runs(folder: Path) -> None:
    text = scheduled("numerai-node", ODD)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert {line.split()[0] for line in lines} == {"FROM", "ARG", "RUN", "WORKDIR", "COPY", "ENV", "CMD"}
    command = yaml.safe_load(lines[-1].removeprefix("CMD "))
    set_there = dict(re.match(r"ENV (\w+)=(.*)", line).groups() for line in lines if line.startswith("ENV"))  # type: ignore[union-attr]
    assert set_there["MODEL_ID"] == "$MODEL_ID"
    values = {name: re.sub(r"\\(.)", r"\1", value[1:-1]) for name, value in set_there.items() if value.startswith('"')}
    assert values == {"RUN": str(ODD.run), "VARIANT": ODD.variant, "OUT": "numerai_live.csv"}
    environment = {"PATH": os.environ["PATH"], "LOG": str(folder / "log"), **values}
    subprocess.run(command, env=environment, cwd=folder, check=True)
    calls = (folder / "log").read_text().splitlines()
    assert calls[1] == str(ODD.run)
    assert calls[-4:-1] == ["numerai_live.csv", "--wait", "10m"], "the model is that of MODEL_ID"


def test_what_is_to_be_filled_in_is_told(folder: Path) -> None:
    done = nlab("schedule", "--as", "github", cwd=folder)
    assert done.returncode == 0
    assert 'RUN: "runs/RUN"' in done.stdout
    assert "note: set the run folder and --model in the file" in done.stderr
