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
        ("api_key=abc apikey=d X-Api-Key=e", "api_key=*** apikey=*** X-Api-Key=***"),
        ("https://host/x?sig=a%2B1&se=2&X-Amz-Signature=b", "https://host/x?sig=***&se=2&X-Amz-Signature=***"),
        ("pwd=a pass=b auth=c db_pass=d", "pwd=*** pass=*** auth=*** db_pass=***"),
        ("Authorization: Bearer abcdefgh.ijk-l", "Authorization: Bearer ***"),
        ("Authorization: Basic bWU6cGFzcw==", "Authorization: Basic ***"),
        ("got 'bearer abcdefgh1234'", "got 'bearer ***'"),
        ('{"password": "hunter 2", "user": "me"}', '{"password": "***", "user": "me"}'),
        ("{'api_key': 'abc'}", "{'api_key': '***'}"),
        ("the bearer of news", "the bearer of news"),
        ("author=Tan, compass=north, design=one", "author=Tan, compass=north, design=one"),
        ("class_token: mean; token: learned", "class_token: mean; token: learned"),
        ("", ""),
    ],
)
def test_passwords_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
