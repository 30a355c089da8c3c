from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, parse_database_url


def test_the_database_is_a_file_in_the_data_folder_by_default(tmp_path):
    settings = Settings(data_dir=tmp_path)
    assert settings.is_embedded
    assert settings.url.database == str(tmp_path / "headroom.db")


def test_a_relative_sqlite_path_is_one_of_the_folder_now(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert parse_database_url("sqlite:///x.db").database == str(tmp_path / "x.db")


@pytest.mark.parametrize("url", ["postgresql://a@b/c", "postgres://a@b/c"])
def test_plain_postgresql_urls_get_the_driver(url):
    settings = Settings(database_url=url)
    assert settings.url.drivername == "postgresql+psycopg"
    assert not settings.is_embedded


@pytest.mark.parametrize("url", ["mysql://a/b", "sqlite://", "sqlite:///:memory:", "nonsense", ""])
def test_a_database_that_cannot_be_used_is_refused_with_a_remedy(url):
    with pytest.raises(ValidationError, match="postgresql://"):
        Settings(database_url=url)


def test_a_child_process_gets_the_same_settings(monkeypatch, tmp_path):
    settings = Settings(data_dir=tmp_path, max_body_bytes="2MiB", heartbeat_s=0.5)
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


def test_the_data_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HEADROOM_DATA_DIR", "~/somewhere")
    assert Settings().data_dir == Path.home() / "somewhere"
