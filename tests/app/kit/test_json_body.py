from __future__ import annotations

import json

import pytest

from app.kit.json_body import parse_json


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\u0000"}',
        b'{"a": "\\\\\\u0000"}',
        b'{"a": "\xff"}',
        b"{'a': 1}",
        b'{"a": 1} x',
    ],
)
def test_what_is_no_strict_json_is_refused(body):
    with pytest.raises(json.JSONDecodeError):
        parse_json(body)


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "caf\u00e9", "\U0001f600", "a\\b"])
def test_a_string_that_only_looks_like_an_escape_is_kept(text):
    assert parse_json(json.dumps({"a": text}).encode()) == {"a": text}


def test_a_huge_integer_is_parsed_for_validation_to_refuse():
    assert parse_json(b'{"a": 1' + b"0" * 300 + b"}") == {"a": 10**300}
