import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as some

from shared.datasets.labels import label_of

WORDS = some.text(string.ascii_letters + string.digits + "äöé", min_size=1, max_size=6)
SEPARATORS = some.text("-_. ()+", min_size=1, max_size=3)


@pytest.mark.parametrize(
    ("name", "classes", "label"),
    [
        ("cat.12.jpg", ["cat", "dog"], "cat"),
        ("my-dog.png", ["cat", "dog"], "dog"),
        ("MY_DOG (1).PNG", ["cat", "dog"], "dog"),
        ("cat_and_dog.jpg", ["cat", "dog"], None),
        ("cat-cat.jpg", ["cat", "dog"], "cat"),
        ("concat.jpg", ["cat", "dog"], None),
        ("cat12.jpg", ["cat", "dog"], None),
        ("picture.cat", ["cat", "dog"], None),
        ("cats/1.jpg", ["cats", "dogs"], None),
        (r"C:\cat\dog.jpg", ["cat", "dog"], "dog"),
        ("no_parcel.1.jpg", ["parcel", "no_parcel"], "no_parcel"),
        ("parcel.1.jpg", ["parcel", "no_parcel"], "parcel"),
        ("no_parcel, parcel.jpg", ["parcel", "no_parcel"], None),
        ("hot-DOG 3.jpeg", ["hot dog", "dog"], "hot dog"),
        ("dog_hot.jpeg", ["hot dog", "dog"], "dog"),
        ("a b c.jpg", ["a b", "b c"], None),  # neither lies inside the other
        ("a b c.jpg", ["a b c", "b c", "b"], "a b c"),
        ("Cat.jpg", ["Cat", "cat"], None),
        ("cafe\u0301.1.jpg", ["caf\u00e9", "tea"], "caf\u00e9"),
        ("STRASSE.jpg", ["straße", "weg"], "straße"),
        ("3.png", ["3", "4"], "3"),
        ("+.png", ["+", "-"], None),
        ("", ["cat", "dog"], None),
        (".jpg", ["cat", "dog"], None),
    ],
)
def test_what_a_name_says(name: str, classes: list[str], label: str | None) -> None:
    assert label_of(name, classes) == label


@given(some.lists(WORDS, max_size=5), some.lists(WORDS, max_size=5), SEPARATORS, some.data())
def test_one_class_as_a_word_among_others(
    before: list[str], after: list[str], separator: str, data: some.DataObject
) -> None:
    classes = data.draw(some.lists(WORDS, min_size=1, unique_by=str.casefold))
    chosen = data.draw(some.sampled_from(classes))
    spelled = data.draw(some.sampled_from([chosen, chosen.upper(), chosen.lower()]))
    spelled = unicodedata.normalize(data.draw(some.sampled_from(["NFC", "NFD"])), spelled)
    known = {name.casefold() for name in classes}
    others = [[word for word in words if word.casefold() not in known] for words in (before, after)]
    name = separator.join([*others[0], spelled, *others[1]]) + ".jpg"
    assert label_of(name, classes) == chosen
    if len(classes) > 1:
        other = next(each for each in classes if each != chosen)
        assert label_of(f"{other}{separator}{name}", classes) is None


@given(some.text(), some.lists(some.text(max_size=5)))
def test_any_name_tells_a_class_or_nothing(name: str, classes: list[str]) -> None:
    assert label_of(name, classes) in {None, *classes}


def test_a_long_name_takes_no_time() -> None:
    assert label_of("cat " * 20_000 + ".jpg", ["cat", *map(str, range(999))]) == "cat"
