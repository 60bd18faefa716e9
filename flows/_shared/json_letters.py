"""JSON that spells half a letter, as JavaScript does where it cuts a text within an emoji."""

import re

# Escapes from the left: what a backslash stands before is read with it, two halves together.
ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
REPLACEMENT = rb"\ufffd"


def whole_letters(text: bytes) -> bytes:
    """A JSON text with the sign for what is no letter in the place of each half of one.

    The same stands there once such a text was sent as UTF-8.
    """
    # Most texts have no escape at all, which is found out at once.
    if b"\\" not in text or (b"\\ud" not in text and b"\\uD" not in text):
        return text
    return ESCAPE.sub(lambda found: REPLACEMENT if found["half"] else found[0], text)
