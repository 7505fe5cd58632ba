"""Signed deliveries, in the form of the Standard Webhooks specification.

    webhook-id         same for every attempt: a receiver that has seen it drops the repetition
    webhook-timestamp  Unix seconds of this attempt: old ones are refused, so that none is replayed
    webhook-signature  v1,<base64 of HMAC-SHA256 over "id.timestamp.body">

https://www.standardwebhooks.com
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

__all__ = ["key_of", "signature", "signed_headers", "verify"]

TOLERANCE_SECONDS = 300
_PREFIX = b"whsec_"


def key_of(secret: bytes) -> bytes:
    r"""Key of a secret: the bytes behind ``whsec_``, else the secret itself.

    Examples
    --------
    >>> key_of(b"whsec_AAEC")
    b'\x00\x01\x02'
    """
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            return secret
    return secret


def signature(secret: bytes, identity: str, timestamp: int, body: bytes) -> str:
    """Signature of one delivery.

    Examples
    --------
    >>> signature(b"s" * 16, "evt_1_desk", 1704067200, b"{}")[:10]
    'v1,dc2zspW'
    """
    signed = f"{identity}.{timestamp}.".encode() + body
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def signed_headers(secret: bytes, identity: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Headers of one delivery."""
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, identity, timestamp, body),
    }


def verify(secret: bytes, headers: dict[str, str], body: bytes, now: float) -> bool:
    """What a receiver does: the signature fits, and the delivery is at most five minutes old.

    Parameters
    ----------
    secret : bytes
    headers : dict of str to str
        With names in small letters.
    body : bytes
        As received, not parsed.
    now : float
        Unix seconds.
    """
    try:
        stamp = int(headers["webhook-timestamp"])
        right = signature(secret, headers["webhook-id"], stamp, body)
        given = headers["webhook-signature"].split()
    except (KeyError, ValueError):
        return False
    fits = any(hmac.compare_digest(one.encode(), right.encode()) for one in given)
    return fits and abs(now - stamp) <= TOLERANCE_SECONDS
