"""Time anchors: an authority's word (RFC 3161) that a head of the ledger was there at a time, checked offline.

1. The message that is stamped is the head as text, `SIZE:ROOT`, without a newline; so `openssl ts` can check it too.
2. A request is written to a file and a response read from one: whoever anchors carries them to the authority.
3. The response is an artefact (role `timestamp`) of a `signed` record of stage `anchor`, which names the head.
4. A token holds if it is over the head and its signer's certificate, made for time stamping, leads to one that the
   reader trusts, as of the time that it states.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import TYPE_CHECKING

from catalog.errors import EvidenceError, UsageError
from catalog.ledger import Draft, Kind, Record, Reference
from catalog.tree import Head, Tree, entries_of

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampResponse

STAGE, TOKEN = "anchor", "timestamp"
_HASHES = {
    "2.16.840.1.101.3.4.2.1": hashlib.sha256,
    "2.16.840.1.101.3.4.2.2": hashlib.sha384,
    "2.16.840.1.101.3.4.2.3": hashlib.sha512,
}


def is_anchor(record: Record) -> bool:
    """Whether a record holds a time anchor."""
    return record.kind is Kind.SIGNED and record.stage == STAGE


def request(head: Head) -> bytes:
    """The request (DER) for a token over `head`, with a nonce, and asking for the authority's certificate."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    builder = TimestampRequestBuilder(data=str(head).encode(), hash_algorithm=HashAlgorithm.SHA256)
    return builder.cert_request(cert_request=True).build().as_bytes()


def authorities(data: bytes) -> "list[Certificate]":
    """The certificates (PEM) of authorities that a reader trusts. Raises UsageError where there is none."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(data)
    except ValueError as error:
        raise UsageError("there is no certificate in it", remedy="Give a file of certificates as PEM.") from error


def time_of(response: bytes, head: Head, trusted: "Sequence[Certificate]") -> str:
    """When, in UTC, the authority says that `head` was there. Raises ValueError with the reason why it does not hold.

    Without `trusted` certificates, whose word it is remains open.
    """
    from rfc3161_client import VerifierBuilder
    from rfc3161_client.errors import VerificationError

    token = _decoded(response)
    if not _is_over(token, head):
        raise ValueError(f"it is not over the head {head}")
    if trusted:
        builder = VerifierBuilder()
        for certificate in dict.fromkeys(trusted):
            builder = builder.add_root_certificate(certificate)
        try:
            builder.build().verify_message(token, str(head).encode())
        except VerificationError as error:
            raise ValueError(f"it is not by an authority that you trust: {error}") from error
    return token.tst_info.gen_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def anchored(response: bytes, records: Iterable[Record]) -> Head:
    """The head of a ledger of `records` that `response` is over. Raises EvidenceError where it is over none."""
    try:
        token = _decoded(response)
    except ValueError as error:
        raise EvidenceError(f"this is no response of a time-stamping authority: {error}") from error
    tree = Tree()
    for entry in entries_of(records):
        tree.append(entry)
        if _is_over(token, head := Head(size=tree.size, root=tree.root())):
            return head
    raise EvidenceError("the response is over no head of this ledger", remedy="Request one with `plimsoll anchor`.")


def draft(head: Head, name: str) -> Draft:
    """The record of the response that is stored as `name`."""
    outputs = (Reference(role=TOKEN, digest=name),)
    return Draft(kind=Kind.SIGNED, stage=STAGE, outputs=outputs, parameters={"head": str(head)})


def _decoded(response: bytes) -> "TimeStampResponse":
    """Raises ValueError for what is no response, or one that grants nothing."""
    from rfc3161_client import decode_timestamp_response

    token = decode_timestamp_response(response)
    if token.status not in (0, 1):  # granted, granted with modifications
        raise ValueError(f"the authority refused, with status {token.status} {' '.join(token.status_string)}")
    return token


def _is_over(token: "TimeStampResponse", head: Head) -> bool:
    imprint = token.tst_info.message_imprint
    algorithm = _HASHES.get(imprint.hash_algorithm.dotted_string)
    return algorithm is not None and algorithm(str(head).encode()).digest() == imprint.message
