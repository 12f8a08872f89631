"""The ciphers behind encryption at rest, all from `cryptography`: a key from a passphrase, keys from a key, a key inside a box.

Nothing here is our own invention: Argon2id (RFC 9106) or scrypt (RFC 7914), HKDF-SHA256 (RFC 5869), AES-256-GCM, X25519 (RFC 7748).
"""

import os
import time
from collections.abc import Iterator
from typing import BinaryIO, Literal

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import BaseModel, ConfigDict, Field

KEY_BYTES = 32
CHUNK_BYTES = 64 * 2**10
NONCE_BYTES = 12
TAG_BYTES = 16
LEAST_KIB = 64 * 2**10
MOST_KIB = 2**20  # a header that asks for more is refused: it was not written by this program
USUAL_KIB = 128 * 2**10
LEAST_PASSES = 4
MOST_PASSES = 64
WORTH_S = 0.6  # what one guess is to cost on the computer on which the passphrase is chosen
_SCRYPT_BLOCK = 8  # r: n · r · 128 bytes of memory

KdfName = Literal["argon2id", "scrypt"]


class Kdf(BaseModel):
    """How a passphrase becomes a key.

    Attributes:
        name: Which function.
        salt: Random, in hex.
        memory_kib: What one guess takes of memory.
        passes: Argon2's passes over it; scrypt's parallelization.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: KdfName
    salt: str = Field(pattern="^[0-9a-f]{32}$")
    memory_kib: int = Field(ge=LEAST_KIB, le=MOST_KIB)
    passes: int = Field(ge=1, le=MOST_PASSES)


def new_kdf() -> Kdf:
    """A fresh salt, and a cost of more than `WORTH_S` a guess on this computer."""
    kdf = Kdf(name="argon2id", salt=os.urandom(16).hex(), memory_kib=USUAL_KIB, passes=LEAST_PASSES)
    try:
        took_s = _time_of(kdf)
    except UnsupportedAlgorithm:  # an OpenSSL before 3.2
        kdf = kdf.model_copy(update={"name": "scrypt", "passes": 1})
        took_s = _time_of(kdf)
    passes = min(MOST_PASSES, max(kdf.passes, round(kdf.passes * WORTH_S / took_s + 0.5)))
    return kdf.model_copy(update={"passes": passes})


def _time_of(kdf: Kdf) -> float:
    """Of this thread alone: a busy computer must not make it look dear."""
    begun = time.thread_time()
    key_of("", kdf)
    return max(time.thread_time() - begun, 0.001)


def key_of(passphrase: str, kdf: Kdf) -> bytes:
    """The key that a passphrase stands for. Takes its time, which is the point of it."""
    secret, salt = passphrase.encode("utf-8"), bytes.fromhex(kdf.salt)
    if kdf.name == "scrypt":
        n = 1 << (kdf.memory_kib * 1024 // (128 * _SCRYPT_BLOCK)).bit_length() - 1
        return Scrypt(salt=salt, length=KEY_BYTES, n=n, r=_SCRYPT_BLOCK, p=kdf.passes).derive(secret)
    return Argon2id(salt=salt, length=KEY_BYTES, iterations=kdf.passes, lanes=1, memory_cost=kdf.memory_kib).derive(secret)


def subkey(key: bytes, purpose: str, salt: bytes = b"") -> bytes:
    """A key for one purpose, from which neither the first key nor one for another purpose can be told."""
    return HKDF(SHA256(), KEY_BYTES, salt or None, f"rlhf-desktop {purpose}".encode()).derive(key)


def wrap(key: bytes, secret: bytes, about: bytes = b"") -> bytes:
    """Encrypt a short secret; `about` must be the same to open it."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, secret, about)


def unwrap(key: bytes, box: bytes, about: bytes = b"") -> bytes | None:
    """What `wrap` encrypted; None: another key, or the box is not as it was."""
    try:
        return AESGCM(key).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], about)
    except (InvalidTag, ValueError):
        return None


def seal_stream(key: bytes, plain: BinaryIO, about: bytes) -> Iterator[bytes]:
    """A stream in encrypted chunks (the STREAM construction of Hoang et al., 2015). A key is used for one stream only.

    Each chunk has its number and whether it is the last in the nonce, so that none can be left out, moved or cut off.
    """
    cipher, number, chunk = AESGCM(key), 0, plain.read(CHUNK_BYTES)
    while True:
        following = plain.read(CHUNK_BYTES)
        yield cipher.encrypt(_nonce(number, last=not following), chunk, about)
        if not following:
            return
        number, chunk = number + 1, following


def open_stream(key: bytes, sealed: BinaryIO, about: bytes) -> Iterator[bytes]:
    """What `seal_stream` was given.

    Raises:
        ValueError: the key is another one, or the stream was changed or cut off.
    """
    cipher, number, chunk = AESGCM(key), 0, sealed.read(CHUNK_BYTES + TAG_BYTES)
    while True:
        following = sealed.read(CHUNK_BYTES + TAG_BYTES)
        try:
            yield cipher.decrypt(_nonce(number, last=not following), chunk, about)
        except InvalidTag:
            raise ValueError(f"chunk {number} does not fit") from None
        if not following:
            return
        number, chunk = number + 1, following


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(NONCE_BYTES - 1, "big") + bytes([last])


def new_pair() -> tuple[bytes, bytes]:
    """A private key, and the public one to which anybody can seal what only the private one opens."""
    private = X25519PrivateKey.generate()
    return private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()), public_of(private)


def public_of(private: X25519PrivateKey) -> bytes:
    """The public key of a private one."""
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def agree_to_seal(public: bytes) -> tuple[bytes, bytes]:
    """For whoever seals: a fresh public key to write down, and the key to encrypt with, which is then forgotten."""
    fresh = X25519PrivateKey.generate()
    mine = public_of(fresh)
    return mine, subkey(fresh.exchange(X25519PublicKey.from_public_bytes(public)), "sealed file", mine + public)


def agree_to_open(private: bytes, theirs: bytes) -> bytes:
    """For whoever opens: the key that `agree_to_seal` made.

    Raises:
        ValueError: `theirs` is no public key.
    """
    mine = X25519PrivateKey.from_private_bytes(private)
    return subkey(mine.exchange(X25519PublicKey.from_public_bytes(theirs)), "sealed file", theirs + public_of(mine))
