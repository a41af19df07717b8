"""Keys come from the environment, a key in the wrong place is told by name, and none is printed."""

import re

import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.tournament.credentials import Credentials, credentials
from tests.tournament.fake_numerai import PUBLIC, SECRET

GOOD = {"NUMERAI_PUBLIC_ID": PUBLIC, "NUMERAI_SECRET_KEY": SECRET}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"NUMERAI_SECRET_KEY": ""}, "^NUMERAI_SECRET_KEY is not set in the environment; make them under"),
        ({"NUMERAI_SECRET_KEY": "", "NUMERAI_PUBLIC_ID": ""}, "^NUMERAI_PUBLIC_ID and NUMERAI_SECRET_KEY are not set"),
        (
            {"NUMERAI_PUBLIC_ID": "", "NUMERAI_PUBLIC_KEY": PUBLIC, "NUMERAI_COMPUTE_ID": "x"},
            r"is not set in the environment \(NUMERAI_PUBLIC_KEY is set, which nlab does not read\)",
        ),
        ({"NUMERAI_PUBLIC_ID": SECRET, "NUMERAI_SECRET_KEY": PUBLIC}, "seem to be exchanged"),
        ({"NUMERAI_PUBLIC_ID": SECRET}, "hold the same key"),
        ({"NUMERAI_SECRET_KEY": f"{SECRET}\r\nX: y"}, "NUMERAI_SECRET_KEY holds blanks, quotes"),
        ({"NUMERAI_PUBLIC_ID": f"'{PUBLIC}'"}, "NUMERAI_PUBLIC_ID holds blanks, quotes"),
        ({"NUMERAI_SECRET_KEY": f"{SECRET}é"}, "NUMERAI_SECRET_KEY holds blanks"),
        ({"MODEL_ID": SECRET}, "MODEL_ID holds the key that belongs into NUMERAI_SECRET_KEY"),
        ({"TRIGGER_ID": PUBLIC}, "TRIGGER_ID holds the key that belongs into NUMERAI_PUBLIC_ID"),
    ],
)
def test_what_is_wrong_is_told_by_name_without_the_key(change: dict[str, str], message: str) -> None:
    with pytest.raises(NlabError, match=message) as caught:
        credentials({**GOOD, **change})
    assert PUBLIC not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_key_on_the_command_line_is_refused_without_printing_it() -> None:
    with pytest.raises(NlabError, match=r"^--model holds the key that belongs into NUMERAI_SECRET_KEY"):
        credentials(GOOD).refuse_as("--model", SECRET)


def test_no_repr_holds_a_key() -> None:
    keys = credentials(GOOD)
    assert keys.token == f"Token {PUBLIC}${SECRET}"
    assert repr(keys) == "Credentials()"
    assert str([keys]) == "[Credentials()]"


def test_texts_of_a_server_are_one_printable_line_without_keys() -> None:
    keys = Credentials("PUB", "SEC")
    assert keys.clean("a\nPUB\x1b[31mSEC\u202eb") == "a *** [31m*** b"
    assert keys.clean(None) == "None"
    assert keys.clean("x" * 1000) == "x" * 300 + " …"
    assert keys.clean("lone \ud800") == "lone ?"
    assert not re.search(r"PUB|SEC", keys.clean({"k": ["PUB", "SEC"]}))
