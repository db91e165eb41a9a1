"""``fedbell certificates``: an authority that stays, certificates that do not last."""

import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from shared.command_line.authority import Authority
from shared.command_line.commands import main


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def run(runner: CliRunner, *more: str) -> Result:
    return runner.invoke(main, ["certificates", "--name", "main_server", "--name", "door", *more])


def read(name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(Path("certificates", f"{name}.pem").read_bytes())


def hosts(name: str) -> list[str]:
    extension = read(name).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(each.value) for each in extension.value]


def test_run_again_it_keeps_the_authority(runner: CliRunner) -> None:
    assert run(runner).exit_code == 0
    authority, door = Path("certificates/authority.pem").read_bytes(), read("door")
    assert {path.name: path.stat().st_mode & 0o777 for path in Path("certificates").iterdir()} == {
        f"{name}.{end}": mode
        for name in ("authority", "main_server", "door")
        for end, mode in (("pem", 0o644), ("key", 0o600))
    }
    again = run(runner, "--host", "door=192.0.2.1", "--host", "door=door.example", "--days", "7")
    assert again.exit_code == 0
    assert Path("certificates/authority.pem").read_bytes() == authority
    assert read("door").serial_number != door.serial_number
    assert hosts("door") == ["localhost", "127.0.0.1", "::1", "192.0.2.1", "door.example"]
    assert hosts("main_server") == ["localhost", "127.0.0.1", "::1"]
    lasts = read("door").not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=6) < lasts <= datetime.timedelta(days=7)
    read("door").verify_directly_issued_by(read("authority"))


def test_nothing_lasts_longer_than_the_authority(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path)
    certificate, _ = authority.issue(tmp_path, "door", [], 10_000)
    ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    own = x509.load_pem_x509_certificate((tmp_path / "authority.pem").read_bytes())
    assert ends == own.not_valid_after_utc


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (["--name", "../door"], "is no name"),
        (["--name", "authority"], "is no name"),
        (["--host", "door.example"], "main_server=fedbell.example"),
        (["--host", "window=x"], "there are: main_server, door"),
        (["--host", "door=ä"], "is no host name"),
    ],
)
def test_what_is_wrong_is_named(runner: CliRunner, told: list[str], sentence: str) -> None:
    result = run(runner, *told)
    assert result.exit_code == 1
    assert sentence in result.output


def test_half_an_authority(runner: CliRunner) -> None:
    run(runner)
    Path("certificates/authority.key").unlink()
    result = run(runner)
    assert result.exit_code == 1
    assert "authority.key is missing" in result.output
