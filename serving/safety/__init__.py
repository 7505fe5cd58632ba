"""Who may ask, how often, from where, and what browsers may do with an answer.

Keys and their file, the rate of each key, the guard at the door, the security headers; no business logic.
"""

from serving.safety.browser_headers import SecurityHeaders, cross_origin
from serving.safety.guard import Guard, open_guard
from serving.safety.key_file import add_key, read_keys, revoke_key
from serving.safety.keyring import Keyring

__all__ = [
    "Guard",
    "Keyring",
    "SecurityHeaders",
    "add_key",
    "cross_origin",
    "open_guard",
    "read_keys",
    "revoke_key",
]
