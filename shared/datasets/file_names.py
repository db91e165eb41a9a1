"""What to call a file whose name somebody else chose."""

import re
import unicodedata

_LONGEST = 200


def shown_name(file_name: str) -> str:
    """A file's name without folders, fit to be shown and kept, at most 200 characters long.

    Signs that cannot be seen go: controls, line breaks, and those that turn the direction of
    what follows, which make ``exe.gpj`` of a name.
    """
    last = re.split(r"[/\\]", file_name)[-1]
    seen = (
        sign
        for sign in unicodedata.normalize("NFC", last)
        if (kind := unicodedata.category(sign))[0] != "C" and kind not in {"Zl", "Zp"}
    )
    return "".join(seen).strip()[:_LONGEST] or "picture"
