"""Forms as `multipart/form-data` (RFC 7578) whose fields are texts; files are refused."""

import re

_BOUNDARY = re.compile(r'boundary="?([^";,\s]{1,70})"?', re.IGNORECASE)
_NAME = re.compile(rb';\s*name="((?:[^"\\\r\n]|\\.)*)"', re.IGNORECASE)
_FILE = re.compile(rb";\s*filename\*?=", re.IGNORECASE)
_DISPOSITION = b"content-disposition:"
_PREVIEW = 40


def parts_of(body: bytes, parameters: str, most: int) -> list[tuple[str, str]]:
    """Return the name and value of each part, in their order.

    `parameters` are those of the content type. Raises `ValueError` that says what is wrong, for
    more than `most` parts too.
    """
    found = _BOUNDARY.search(parameters)
    if found is None:
        raise ValueError("its content type names no boundary")
    line = b"\r\n--" + found[1].encode()
    _, *sections = (b"\r\n" + body).split(line, most + 1)
    if not sections or not sections[-1].startswith(b"--"):
        raise ValueError(f"it does not end with its boundary, or has more than {most} fields")
    return [_part(section) for section in sections[:-1]]


def _part(section: bytes) -> tuple[str, str]:
    head, blank, value = section.partition(b"\r\n\r\n")
    lines = [line.strip() for line in head.split(b"\r\n")]
    disposition = next((one for one in lines if one.lower().startswith(_DISPOSITION)), b"")
    name = _NAME.search(disposition)
    if not blank or name is None:
        raise ValueError("a part has no name")
    if _FILE.search(disposition):
        shown = name[1][:_PREVIEW].decode("ascii", "replace")
        raise ValueError(f"`{shown}` is a file, and no file is expected here")
    return name[1].replace(b'\\"', b'"').decode(), value.decode()
