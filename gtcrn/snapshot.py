"""A stream's state as bytes outside the kernel that wrote them: signed on request, judged before they are used."""

from gtcrn import kernel
from gtcrn.errors import AudioError

SIGNED = b"GTCRNkey"  # begins a signed snapshot; then the signature, then the kernel's bytes
SIGNATURE_BYTES = 32


def sign(saved: bytes, key: bytes | None) -> bytes:
    """The snapshot with an HMAC-SHA256 in front of it, or as it is for want of a key."""
    return saved if key is None else SIGNED + _signature(saved, key) + saved


def verify(saved: bytes, key: bytes | None) -> bytes:
    """What `sign` was given. Raises AudioError where a signature is wrong, missing, or there is no key for it."""
    if not isinstance(saved, bytes | bytearray | memoryview):
        raise AudioError(f"a snapshot must be bytes, not {type(saved).__name__}.")
    saved = bytes(saved)
    if key is None and saved.startswith(SIGNED):
        raise AudioError("the snapshot is signed; resuming it needs its key.")
    if key is None:
        return saved
    start = len(SIGNED) + SIGNATURE_BYTES
    from hmac import compare_digest  # OpenSSL takes its time to load

    if not compare_digest(saved[:start], SIGNED + _signature(saved[start:], key)):
        raise AudioError("the snapshot is not signed with this key.")
    return saved[start:]


def form(saved: bytes) -> tuple[int, int, int, str]:
    """Sample rate, channels, the network's channels and the weights' fingerprint of a snapshot.

    Raises AudioError if it is none.
    """
    found = kernel.snapshot_form(saved)
    if isinstance(found, int):
        raise refusal(found)
    rate, channels, network, fingerprint = found
    return rate, channels, network, f"{fingerprint:016x}"


def refusal(code: int) -> AudioError:
    """The kernel's reason not to take a snapshot as an error."""
    if code == kernel.VERSION_ERROR:
        return AudioError("the snapshot was made by another version; this one cannot read it.")
    return AudioError("the bytes are not the snapshot of such a stream, or are damaged.")


def _signature(saved: bytes, key: bytes) -> bytes:
    from hmac import digest

    return digest(key, saved, "sha256")
