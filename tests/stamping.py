"""A time-stamping authority (RFC 3161) of one's own: `openssl ts` on this machine, with certificates made for it."""

import shutil
import subprocess
from pathlib import Path

CONFIGURATION = """
[tsa]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
[stamp]
extendedKeyUsage = critical, timeStamping
basicConstraints = CA:FALSE
"""


def openssl(*arguments: object, at: Path) -> None:
    """Runs one of openssl's commands in the folder `at`."""
    command = [shutil.which("openssl") or "openssl", *map(str, arguments)]
    subprocess.run(command, cwd=at, check=True, capture_output=True, text=True)


class Authority:
    """Answers requests. Its certificate is under the root in `at/root.pem`; `at/strange.pem` is another root."""

    def __init__(self, at: Path) -> None:
        self.at = at
        (at / "tsa.cnf").write_text(CONFIGURATION)
        (at / "serial").write_text("01\n")
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9")
        for name in ("root", "strange"):
            openssl(
                "req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", at=at
            )
        openssl("req", *key[:-2], "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=tsa", at=at)
        signed = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "9")
        stamps = ("-extfile", "tsa.cnf", "-extensions", "stamp", "-out", "tsa.pem")
        openssl("x509", "-req", "-in", "tsa.csr", *signed, *stamps, at=at)

    def __call__(self, asked: bytes) -> bytes:
        """The response to a request."""
        (self.at / "asked.tsq").write_bytes(asked)
        signer = ("-signer", "tsa.pem", "-inkey", "tsa.key", "-config", "tsa.cnf", "-section", "tsa")
        openssl("ts", "-reply", "-queryfile", "asked.tsq", *signer, "-out", "answer.tsr", at=self.at)
        return (self.at / "answer.tsr").read_bytes()
