"""Passwords are masked, and nothing else."""

import pytest

from study.utils.redact import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pass@host:5000/x", "https://***@host:5000/x"),
        ("postgresql://me:p@ss@host/db", "postgresql://***@host/db"),
        ("postgresql://me:p/ss@host/db", "postgresql://***@host/db"),
        ("postgresql+psycopg2://:hunter2@host", "postgresql+psycopg2://***@host"),
        ("http://token@host/", "http://***@host/"),
        ("cannot reach 'http://a:b@c/' and http://d:e@f", "cannot reach 'http://***@c/' and http://***@f"),
        ("https://host/db?user=me&password=hunter2&x=1", "https://host/db?user=me&password=***&x=1"),
        ("AWS_SECRET_ACCESS_KEY=abc rest", "AWS_SECRET_ACCESS_KEY=*** rest"),
        ("sqlite:////home/me/.study/mlflow.db", "sqlite:////home/me/.study/mlflow.db"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("mail me@example.org", "mail me@example.org"),
        ("val_accuracy=0.5, kv heads=2", "val_accuracy=0.5, kv heads=2"),
        ("", ""),
    ],
)
def test_passwords_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
