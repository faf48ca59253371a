"""Passwords, tokens and keys are masked, and nothing else."""

import json
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

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


SECRET = "hunter2SECRET99"
NAMES = (
    *("password", "db_password", "PGPASSWORD", "passwd", "passphrase", "secret", "client_secret", "api_key", "API-KEY"),
    *("apikey", "X-Api-Key", "access_key", "AWS_SECRET_ACCESS_KEY", "private_key", "AccountKey", "pwd", "MYSQL_PWD"),
    *("token", "access_token", "x-amz-security-token", "HF_TOKEN", "pass", "db_pass", "auth", "sig", "X-Amz-Signature"),
    *("authorization", "Authorization", "credential", "credentials"),
)
FORMS = (
    *(
        "{name}={value}",
        "{name}={value}&x=1",
        "https://h/p?x=1&{name}={value}",
        "export {name}={value}",
        "--{name}={value}",
    ),
    *("--{name} {value} next", "{name}: {value}", "{name} = {value}", "{name} = '{value}'", '{name}="{value}"'),
    *("{{'{name}': '{value}'}}", '{{"{name}": "{value}"}}', '{{"{name}":["{value}"]}}', "{name}: '{value}'"),
    *(
        "  {name}: {value}\n  user: me",
        "{name}%3D{value}",
        "got header b'{name}: {value}'",
        "curl -H '{name}: {value}'",
    ),
)


@pytest.mark.parametrize("form", FORMS)
def test_no_form_shows_the_secret(form: str) -> None:
    for name in (*NAMES, *map(str.upper, NAMES), *map(str.lower, NAMES)):
        shown = masked(form.format(name=name, value=SECRET))
        assert SECRET not in shown
        assert "***" in shown
        assert name in shown, "what was masked can be seen"


letters = st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="{")
secrets = st.text(letters, min_size=8, max_size=40).map(lambda text: f"7{text}zz")


@given(name=st.sampled_from(NAMES), value=secrets)
def test_any_secret_in_json_yaml_and_dumps_of_the_environment(name: str, value: str) -> None:
    record = {"user": "me", name: value, "more": 1}
    quoted = (json.dumps(record), json.dumps({"inner": [record]}), repr(record), json.dumps(json.dumps(record)))
    for text in (*quoted, json.dumps(record, indent=1), yaml.safe_dump(record, default_style='"', width=1000)):
        assert value not in masked(text)
        assert "me" in masked(text)


@given(user=st.text("abc", max_size=3), value=st.text(st.characters(min_codepoint=33, max_codepoint=126,
       exclude_characters="'\""), min_size=8).map(lambda text: f"7{text}zz"))  # fmt: skip
def test_any_password_in_an_address(user: str, value: str) -> None:
    assert value not in masked(f"cannot reach postgresql://{user}:{value}@db.example.org/x")


@pytest.mark.parametrize(
    "key",
    [
        "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "AIza" + "Sy1" * 12, "ya29.a0AfH6SMBx1234567890",
        "ghp_" + "a1" * 18, "github_pat_" + "a1" * 20, "hf_" + "aB" * 17, "xoxb-123456789012-abcdefghijkl",
        "glpat-" + "a1" * 10, "sk-" + "a1" * 20, "dapi" + "0f" * 16, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcDEF12",
    ],
)  # fmt: skip
def test_keys_are_known_by_their_form(key: str) -> None:
    assert masked(f"cannot log in with {key}, retry") == "cannot log in with ***, retry"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Digest username='me', response='{SECRET}'", f"Proxy-Authorization: Basic {SECRET}",
        f"Cookie: session={SECRET}; other=1", f"Set-Cookie: sid={SECRET}; HttpOnly", f"https://h/p?key={SECRET}&x=1",
        f"https://h/?code={SECRET}", f"https://h/#access_token={SECRET}", f"redis://:{SECRET}@h", f"bearer {SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----", f"password:\n  - {SECRET}",
        f"password: |\n  {SECRET}", f"{{'secret': b'{SECRET}'}}", f'{{"secret": "a\\"{SECRET}"}}',
    ],
)  # fmt: skip
def test_headers_cookies_and_blocks(text: str) -> None:
    assert SECRET not in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "encoder.pooling: class token; 17 tokens, width=48", "key=3f2a90c1 of pretrain", "a pass over the data takes 3",
        "sk-learn and task-oriented", "f81d4fae7dec11d0a76500a0c91e6bf6f81d4fae7dec11d0a76500a0c91e6bf6", "pass: 3",
        "compare: baseline, author: Tan", "signature: (x)", "2 of 4 stages run; tokens: 17", "kv heads=2: 97.3%",
        "/home/me/my-secret-project/.study/finetune", "/tmp/tokens/a.png is not an image", "keyboard: qwerty12",
        "data set 'parquet:/data/secrets' was not found",
    ],
)  # fmt: skip
def test_other_text_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    "part", ["password", "a", "x=\"'", "token: ", "-", "eyJ", "://", "\\", "_pwd", "--", "Bearer ", "=%3D"]
)
def test_long_texts_take_linear_time(part: str) -> None:
    began = time.perf_counter()
    masked(f"password='{part * 20_000}")
    assert time.perf_counter() - began < 10
