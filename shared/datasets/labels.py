"""What a picture's file name says of its class."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath


def label_of(file_name: str, classes: Sequence[str]) -> str | None:
    """The class whose name a file's name holds, if it holds exactly one's.

    ``cat.12.jpg`` and ``my-Cat.png`` are cat; ``concat.jpg`` is nothing, for a class counts as
    whole words only, and so is ``cat_and_dog.jpg``. The name of a class may be several words.
    What lies inside the longer name of another class does not count: ``no_parcel.1.jpg`` is
    no_parcel and not parcel.

    Args:
        file_name: folders before it and its suffix say nothing.
        classes: the task's.
    """
    names: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in classes:
        names[_words(name)].append(name)
    names.pop((), None)  # nothing but signs: no file name can hold it
    words = _words(PurePosixPath(file_name.replace("\\", "/")).stem)
    lengths = {len(name) for name in names}
    told: set[str] = set()
    furthest = 0
    for begin in range(len(words)):
        ends = (begin + length for length in lengths if begin + length <= len(words))
        end = max((end for end in ends if words[begin:end] in names), default=0)
        if end > furthest:  # else it lies inside the one before
            told.update(names[words[begin:end]])
            furthest = end
    return told.pop() if len(told) == 1 else None


def _words(name: str) -> tuple[str, ...]:
    """The words of a name, in small letters. A mark belongs to the letter that it stands on."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    kept = (sign if unicodedata.category(sign)[0] in "LNM" else " " for sign in folded)
    return tuple("".join(kept).split())
