"""What the tests of encryption share: a passphrase that is cheap to try, and a search of every file for words."""

import os

from rlhf_desktop.core import encryption
from rlhf_desktop.core.ciphers import LEAST_KIB, Kdf

PASSPHRASE = "correct horse battery"
OTHER = "another good phrase"


def cheap_kdf() -> Kdf:
    """As little work as a header may ask for."""
    return Kdf(name="argon2id", salt=os.urandom(16).hex(), memory_kib=LEAST_KIB, passes=1)


def forget_all() -> None:
    """As in a process that has just begun."""
    encryption._unlocked.clear()


def holding(folder, *words) -> list[str]:
    """The files with one of these words in them, escaped or not."""
    spelled = {form for word in words for form in (word.encode(), word.encode("utf-16-le"))}
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [str(path.relative_to(folder)) for path in files if any(form in path.read_bytes() for form in spelled)]
