"""Help, version, completion and exit codes of the command line."""

import pytest
from helpers.paths import ROOT
from typer.main import get_command
from typer.testing import CliRunner

import study
from study.cli.app import app, main
from study.cli.exit_codes import MEANINGS, ExitCode
from study.utils.errors import StudyError

COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]


def invoke(*arguments: str) -> str:
    ended = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "500"})
    assert ended.exit_code == ExitCode.OK, ended.output
    return ended.output


def test_the_version() -> None:
    assert invoke("--version") == f"study {study.__version__}\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_for_itself_and_every_option(command: str, flag: str) -> None:
    shown = invoke(command, flag)
    assert "--help" in shown
    parsed = get_command(app).commands[command]  # type: ignore[attr-defined]
    assert parsed.help
    for parameter in parsed.params:
        if parameter.name != "help":
            assert parameter.help, f"{command} {parameter.name}"


def test_the_help_lists_commands_and_exit_codes() -> None:
    shown = invoke("--help")
    for command in COMMANDS:
        assert f" {command} " in shown
    assert MEANINGS.keys() == set(ExitCode)
    for code, meaning in MEANINGS.items():
        assert f"{code.value} {meaning}" in shown


def test_the_readme_lists_the_exit_codes() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    listed = text.split("Exit codes: ")[1].split(". ")[0]
    assert [int(part.split()[0]) for part in listed.split("; ")] == sorted(ExitCode)


def test_shell_completion_is_offered() -> None:
    assert "--install-completion" in invoke("--help")
    ended = CliRunner().invoke(
        app, [], prog_name="study", env={"_STUDY_COMPLETE": "complete_bash", "COMP_WORDS": "study ", "COMP_CWORD": "1"}
    )
    assert set(COMMANDS) <= set(ended.output.split())


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (StudyError("grid.yaml:3: unknown key"), "error: grid.yaml:3: unknown key"),
        (
            OSError(28, "No space left on device", "reports"),
            "error: reports: No space left on device; fix this and run",
        ),
    ],
)
def test_errors_for_users_are_one_message(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("study.cli.app.app", fail)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == ExitCode.INVALID
    assert capsys.readouterr().err.startswith(message)


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(110, "Connection timed out")

    monkeypatch.setattr("study.cli.app.app", fail)
    with pytest.raises(OSError, match="Connection timed out"):
        main()
