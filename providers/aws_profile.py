"""What the environment and the files of AWS's own tools say: nothing here asks anybody.

`environ` names the files (AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE, else those in ~/.aws) and
the profile (AWS_PROFILE). A file that cannot be read says nothing.
"""

from collections.abc import Iterator, Mapping
from configparser import ConfigParser, Error
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

VARIABLE = "AWS_ACCESS_KEY_ID"
PROFILE = "AWS_PROFILE"
HIDDEN_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
HIDDEN = ("aws_secret_access_key", "aws_session_token")
# The settings of which one makes a profile a source of credentials.
SOURCES = (
    "aws_access_key_id",
    "credential_process",
    "login_session",
    "role_arn",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
)
FILES = (
    ("AWS_CONFIG_FILE", "config"),
    ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
)

INSTALL = "pip install 'roundhouse-mcp[bedrock]'"

Sections = Mapping[str, Mapping[str, str]]


def source(environ: Mapping[str, str]) -> str | None:
    """Where AWS credentials seem to be, in words; None: nowhere."""
    if environ.get(VARIABLE):
        return VARIABLE
    said = profile(environ)
    return f"AWS profile {chosen(environ)}" if any(name in said for name in SOURCES) else None


@lru_cache
def library_installed() -> bool:
    """Is botocore there, which signs and reads binary frames? It is not loaded here."""
    return find_spec("botocore") is not None


def region(environ: Mapping[str, str]) -> str | None:
    """The region of the profile; AWS_REGION and AWS_DEFAULT_REGION go before it."""
    return profile(environ).get("region")


def secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Every secret in the variables and the files, of all profiles."""
    found = [environ.get(name, "") for name in HIDDEN_VARIABLES]
    for sections in read_files(environ):
        found += (said.get(name, "") for said in sections.values() for name in HIDDEN)
    return tuple(filter(None, found))


def chosen(environ: Mapping[str, str]) -> str:
    return environ.get(PROFILE) or environ.get("AWS_DEFAULT_PROFILE") or "default"


def profile(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Everything that both files say of the profile."""
    name = chosen(environ)
    said: dict[str, str] = {}
    for sections in read_files(environ):
        said |= {**sections.get(name, {}), **sections.get(f"profile {name}", {})}
    return said


def read_files(environ: Mapping[str, str]) -> Iterator[Sections]:
    home = environ.get("HOME") or environ.get("USERPROFILE")
    for variable, name in FILES:
        if given := environ.get(variable):
            yield read(Path(given).expanduser())
        elif home:
            yield read(Path(home, ".aws", name))


def read(path: Path) -> Sections:
    parser = ConfigParser(interpolation=None, strict=False, default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, Error, UnicodeDecodeError):
        return {}
    return {name: dict(parser[name]) for name in parser.sections()}
