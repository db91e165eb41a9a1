import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as some

from shared.datasets.file_names import shown_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat.1.jpg", "cat.1.jpg"),
        ("../../etc/passwd", "passwd"),
        (r"C:\pictures\cat.jpg", "cat.jpg"),
        ("cat\u202egpj.exe", "catgpj.exe"),
        ("\u2067\u05d7\u05ea\u05d5\u05dc\u2069.jpg", "\u05d7\u05ea\u05d5\u05dc.jpg"),
        ("a\r\nb\0c\u2028.png", "abc.png"),
        ("\ud800cat.jpg", "cat.jpg"),
        ("a" * 5000 + ".jpg", "a" * 200),
        (" ", "picture"),
        ("", "picture"),
        ("..", ".."),
    ],
)
def test_a_name_fit_to_be_shown(name: str, shown: str) -> None:
    assert shown_name(name) == shown


@given(some.text(some.characters()))
def test_any_name(name: str) -> None:
    shown = shown_name(name)
    assert 1 <= len(shown) <= 200
    assert not set(shown) & {"/", "\\"}
    assert all(unicodedata.category(sign)[0] != "C" for sign in shown)
