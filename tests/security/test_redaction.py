"""Each spelling that docs/redaction.md promises, for secrets of every kind; and what is no secret stays."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spellings import SECRETS, SPELLINGS, without_marks

from siteproof.text.redaction import REDACTED, Redactor
from siteproof.text.search import is_too_short

MARK = REDACTED.encode()
MEBIBYTES_4 = 4 << 20
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n{}-----END OPENSSH PRIVATE KEY-----\n".format(
    "".join(f"{n}b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ{n}AAAAAAAAAB{n}\n" for n in range(4))
)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_found_in_each_spelling(secret: str, spelling: str) -> None:
    redact = Redactor([secret, "another secret", "«redacted»"])
    written = SPELLINGS[spelling](secret)
    redacted = redact(b"<" + written + b">")
    assert MARK in redacted
    assert written not in redacted
    rest = without_marks(redacted)
    assert not [run for run in re.findall(r"[^\W_]{4,}", secret) if run.encode() in rest]
    assert redact(redacted) == redacted


@given(st.text(min_size=4).filter(lambda text: not is_too_short(text)), st.sampled_from(sorted(SPELLINGS)))
def test_any_text_is_found_in_its_plain_and_its_json_spelling(secret: str, frame: str) -> None:
    redact = Redactor([secret])
    for written in (secret, json.dumps(secret), json.dumps(secret, ensure_ascii=False)):
        assert REDACTED in redact.text(f"{frame} {written}")


def test_each_line_of_a_key_is_found() -> None:
    redact = Redactor([KEY])
    for line in KEY.splitlines()[1:-1]:
        assert redact.text(f"  {line}\r\n") == f"  {REDACTED}\r\n"
    assert redact.text(KEY) == f"{REDACTED}\n"
    assert redact.text(json.dumps(KEY).replace("\\n", "\\r\\n")).count(REDACTED) == 1
    assert redact.text("-----BEGIN OPENSSH PRIVATE KEY-----") == "-----BEGIN OPENSSH PRIVATE KEY-----"


def test_words_that_a_configuration_has_in_common_with_others_stay() -> None:
    redact = Redactor(["apiVersion: v1\nclusters:\n- cluster:\n    server: https://10.0.0.1:6443/with-a-token\n"])
    for line in ("apiVersion: v1", "clusters:", "- cluster:"):
        assert redact.text(line) == line
    assert redact.text("server: https://10.0.0.1:6443/with-a-token") == REDACTED


def test_blanks_around_a_secret_are_not_a_part_of_it() -> None:
    assert Redactor([" open sesame \n"]).text("it is open sesame.") == f"it is {REDACTED}."


@pytest.mark.parametrize("text", ["'open se...", "... «redacted»", "'sesam...", 'COMMAND "sh open s…"'])
def test_what_was_cut_is_found(text: str) -> None:
    assert REDACTED in Redactor(["open sesame", "xyz open", "sesamstreet"]).text(text)


def test_secrets_that_overlap_are_one_mark() -> None:
    assert Redactor(["abcdef", "defghi", "abcdefghi"]).text("-abcdefghi-") == f"-{REDACTED}-"


def test_json_stays_json() -> None:
    for secret in SECRETS.values():
        document = {"a": secret, "b": [f"x{secret}y"], "c": 1}
        for said in (json.dumps(document), json.dumps(document, ensure_ascii=False)):
            found = json.loads(Redactor([secret]).text(said))
            assert found["c"] == 1
            assert REDACTED in found["a"], secret


def test_a_format_s_own_words_and_numbers_are_spared() -> None:
    redact = Redactor(["verdict", "1234", "a real secret"]).sparing('{"verdict": ""}')
    assert redact.text('{"verdict": 0.1234, "x": "a real secret"}') == f'{{"verdict": 0.1234, "x": "{REDACTED}"}}'


WORST = {
    "backslashes": b"\\",
    "single quotes": b"'",
    "double quotes": b'"',
    "quotes of a shell": b"'\"'\"'",
    "percents": b"%",
    "escaped letters": b"%41",
    "escaped percents": b"%25",
    "ampersands": b"&amp;",
    "entities": b"&#65;",
    "escapes of JSON": b"\\u0041",
    "many backslashes": b"\\\\\\\\x41",
    "newlines": b"\n",
    "blanks": b" ",
    "letters": b"a",
    "base64": b"YWFh",
    "hex": b"6875",
    "hex with blanks": b"68 75 ",
    "nearly": b"hunter2hunter",
    "dollars": b"$",
    "marks": MARK,
    "ellipses": b"...",
    "the beginning of one": b"hunt...",
}


@pytest.mark.parametrize("unit", WORST.values(), ids=WORST)
def test_no_output_holds_the_run(unit: bytes) -> None:
    redact = Redactor([*SECRETS.values(), KEY, "aaaaaaaaaaaaaaab"])
    data = (unit * (MEBIBYTES_4 // len(unit))) + b" ".join(s.encode() for s in SECRETS.values())
    begin = time.process_time()
    redact(data)
    assert time.process_time() - begin < 60  # a quadratic search takes hours
