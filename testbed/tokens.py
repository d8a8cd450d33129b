"""Service account tokens with a lifetime that TokenRequest does not give."""

import base64
import json
import math
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from testbed.rest import Json

# go-jose's DefaultLeeway, which kube-apiserver adds to every expiry (pkg/serviceaccount/claims.go).
_LEEWAY = 60


def sign_token(signing_key: bytes, account: Json, issuer: str, seconds: float) -> str:
    """A JWT for the ServiceAccount object `account` that kube-apiserver refuses `seconds` from now.

    `signing_key` is the EC P-256 key the server was given, PEM.
    """
    key = serialization.load_pem_private_key(signing_key, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the signing key is not an elliptic curve key")
    meta = account["metadata"]
    now = time.time()
    claims = {
        "aud": [issuer],
        "iss": issuer,
        "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
        "exp": math.ceil(now + seconds) - _LEEWAY,
        "iat": int(now) - 3600,
        "nbf": int(now) - 3600,
        "kubernetes.io": {
            "namespace": meta["namespace"],
            "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
        },
    }
    signed = f"{_encode(_dump({'alg': 'ES256', 'typ': 'JWT'}))}.{_encode(_dump(claims))}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _dump(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
