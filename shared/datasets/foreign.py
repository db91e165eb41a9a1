"""What a file is that is neither JPEG nor PNG, told by its content, and what to do with it."""

from codecs import getincrementaldecoder

_SAVE = "Save it as JPEG or PNG and upload that."
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"})
_BEGINNINGS = (
    (b"GIF8", f"This is a GIF. {_SAVE}"),
    (b"BM", f"This is a BMP. {_SAVE}"),
    (b"II*\0", f"This is a TIFF or a camera's raw file. {_SAVE}"),
    (b"MM\0*", f"This is a TIFF or a camera's raw file. {_SAVE}"),
    (b"8BPS", f"This is a Photoshop file. {_SAVE}"),
    (b"%PDF", "This is a PDF document. Save its page as JPEG or PNG and upload that."),
    (b"PK\x03\x04", "This is a ZIP archive. Unpack it and upload the pictures in it."),
)


def told(data: bytes) -> str:
    """A sentence or two about a file that is no JPEG and no PNG."""
    for beginning, sentence in _BEGINNINGS:
        if data.startswith(beginning):
            return sentence
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return f"This is a WebP. {_SAVE}"
    if data[4:8] == b"ftyp":
        return _told_of_boxes(data[8:12])
    return _told_of_text(data)


def _told_of_boxes(brand: bytes) -> str:
    """Formats that share one container: HEIC, AVIF, videos."""
    if brand in _HEIC:
        return (
            "This is a HEIC photo, as iPhones take them. Export it as JPEG; Settings, Camera, "
            "Formats, Most Compatible makes the phone take JPEG from then on."
        )
    if brand in {b"avif", b"avis"}:
        return f"This is an AVIF. {_SAVE}"
    return "This is a video. Upload a JPEG or PNG of one moment of it."


def _told_of_text(data: bytes) -> str:
    try:
        # What is looked at may end within a letter.
        text = getincrementaldecoder("utf-8")().decode(data[:1000], final=len(data) <= 1000)
    except UnicodeDecodeError:
        text = "\0"
    if not all(sign.isprintable() or sign.isspace() for sign in text):
        return "This is neither a JPEG nor a PNG file. Upload one of those."
    beginning = text.lstrip("\ufeff \t\r\n").lower()
    if beginning.startswith(("<!doctype html", "<html")):
        return (
            "This is a web page (HTML), perhaps saved instead of the picture on it. Save the "
            "picture itself and upload that."
        )
    if beginning.startswith(("<svg", "<?xml")):
        return "This is an SVG drawing or other XML. Export it as PNG and upload that."
    return "This is text and no picture. Upload a JPEG or PNG file."
