"""Where the main server's store is, as it is told; told to nobody else."""

from pathlib import Path

import pytest

from main_server.settings import MainServerSettings
from shared.errors import ConfigurationError

URL = "postgresql://fedbell:a-secret@127.0.0.1:5432/fedbell"


def test_it_is_read_from_the_environment_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    settings = MainServerSettings.load()
    assert settings.secret("database_url") == URL
    assert "a-secret" not in repr(settings) + str(settings)


def test_it_is_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "database_url"
    file.write_text(f"{URL}\n")
    monkeypatch.setenv("DATABASE_URL_FILE", str(file))
    assert MainServerSettings.load().secret("database_url") == URL
    file.write_text("")
    with pytest.raises(ConfigurationError, match=r"DATABASE_URL_FILE: .* is empty"):
        MainServerSettings.load().secret("database_url")


def test_without_it_the_store_is_a_file() -> None:
    assert MainServerSettings.load().secret("database_url") == ""
