"""Requests signed with the user's AWS credentials.

Signing and the chain of credentials (variables, profiles, sign-in, roles) are botocore's, an
optional extra. Profiles that need it let botocore ask AWS for credentials, or run a program; the
metadata service of a machine in the cloud is never asked.
"""

import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import anyio
import httpx2

from .aws_profile import INSTALL, PROFILE, library_installed
from .catalog import Provider
from .errors import Locked, Misdirected, Unreachable, UpstreamError

SERVICE = "bedrock"
READ_AGAIN_S = 60.0  # other programs replace the credentials in files
KEPT = ("content-type", "host")
MADE = ("authorization", "x-amz-date", "x-amz-security-token")


def unheard(secrets: Sequence[str]) -> None:
    """For those who keep nothing of what they see."""


class Signer:
    """Signs with credentials that are looked up at first use and kept until they run out.
    `learned` hears every secret before it is used."""

    def __init__(self, learned: Callable[[Sequence[str]], None] = unheard) -> None:
        self.learned = learned
        self.credentials: Any = None
        self.read_at = 0.0
        self.asking = anyio.Lock()

    async def sign(self, provider: Provider, message: httpx2.Request) -> None:
        """Adds the signature of the message as it is. Raises Locked where there are no
        credentials, Misdirected without a region."""
        if not provider.region:
            asked = " or ".join(provider.region_env) or "region"
            raise Misdirected(provider.name, f"its region is not known; set {asked}")
        async with self.asking:
            frozen = await anyio.to_thread.run_sync(
                self.current, provider.name, abandon_on_cancel=True
            )
        message.headers.update(signature(message, frozen, provider.region))

    def current(self, provider: str) -> Any:
        """The credentials of this moment. Slow where AWS must be asked."""
        if not library_installed():
            raise Locked(provider, f"requests cannot be signed; {INSTALL}; nothing was sent")
        known: Any = import_module("botocore.exceptions")
        try:
            frozen = self.looked_up()
        except (known.HTTPClientError, known.ConnectionError) as error:
            raise Unreachable(provider, unsigned(error)) from error
        except (known.BotoCoreError, known.ClientError) as error:
            raise Locked(provider, unsigned(error)) from error
        if frozen is None:
            raise missing(provider)
        self.learned(tuple(filter(None, (frozen.secret_key, frozen.token))))
        return frozen

    def looked_up(self) -> Any:
        now = time.monotonic()
        lasting = hasattr(self.credentials, "refresh_needed")
        if self.credentials is None or not (lasting or now - self.read_at < READ_AGAIN_S):
            self.credentials, self.read_at = found(), now
        return self.credentials and self.credentials.get_frozen_credentials()


def found() -> Any:
    """What botocore finds, without asking the metadata service."""
    session: Any = import_module("botocore.session").Session()
    session.set_config_variable("metadata_service_num_attempts", 0)
    return session.get_credentials()


def unsigned(error: Exception) -> str:
    return (
        f"AWS credentials could not be had ({type(error).__name__}); "
        "check them with: aws sts get-caller-identity; nothing was sent"
    )


def missing(provider: str) -> UpstreamError:
    return Locked(
        provider,
        f"it has neither a key nor AWS credentials; set {PROFILE}; nothing was sent",
    )


def signature(message: httpx2.Request, credentials: Any, region: str) -> dict[str, str]:
    """The headers that sign the message: its method, address, body and what they say of it."""
    asked: Any = import_module("botocore.awsrequest").AWSRequest(
        method=message.method,
        url=str(message.url),
        data=message.content,
        headers={name: message.headers[name] for name in KEPT if name in message.headers},
    )
    import_module("botocore.auth").SigV4Auth(credentials, SERVICE, region).add_auth(asked)
    return {name: asked.headers[name] for name in MADE if name in asked.headers}
