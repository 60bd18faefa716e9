"""What clients of Prefect are told to trust in tests, where servers speak plain HTTP."""

from pathlib import Path

import certifi

CERTIFICATES_VARIABLE = "PREFECT_API_SSL_CERT_FILE"
END = "-----END CERTIFICATE-----\n"


def one_certificate() -> str:
    """The first of the certificates that clients read otherwise."""
    first, end, _ = Path(certifi.where()).read_text().partition(END)
    return first + end
