"""Pictures that people upload to this device: received, checked, kept, told, deleted.

A call goes through calls.py, receiving.py (the form, within limits) and intake.py (file by file:
shared/datasets/cleaning.py makes a clean picture of each) to kept.py, which changes what is kept;
reading.py asks for it.
"""

from shared.device.uploads.kept import Kept, Split, Uploads

__all__ = ["Kept", "Split", "Uploads"]
