"""Named sets of inputs that compilers and interpreters need.

``system`` is what a distribution installs for all users; ``none`` is nothing. Every path is optional: what the host
lacks is left out when the spec is resolved. The list was found by tracing builds. It names no file that tells who or
where the host is: the accounts, the resolver, the time zone and the host name are made up inside the sandbox.
"""

from __future__ import annotations

from bldr.errors import SpecError
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NONE", "SYSTEM", "Toolchain", "named"]


@value
class Toolchain:
    """A named set of inputs: the subtrees of ``paths`` without those of ``holes``."""

    name: str
    paths: tuple[str, ...] = ()
    holes: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """What a declaration of this toolchain says of where it came from."""
        return f"toolchain {self.name}"

    def holds(self, path: str) -> bool:
        """Whether a path is in it."""
        from bldr.model.paths import is_within

        return any(is_within(path, one) for one in self.paths) and not any(is_within(path, one) for one in self.holes)

    def there(self, exists: Callable[[str], bool]) -> Toolchain:
        """Return the same toolchain without the paths that a host lacks, which are most of them.

        Args:
            exists: Says whether there is something at a path; a link that leads nowhere counts.
        """
        return Toolchain(self.name, tuple([path for path in self.paths if exists(path)]), self.holes)


# On a merged /usr the first ones are symbolic links, otherwise directories.
_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

# Below /etc: what the dynamic loader, TLS libraries, compilers and interpreters read.
_SETTINGS = (
    "alternatives",
    "ant",
    "ca-certificates.conf",
    "crypto-policies",
    "dpkg",
    "fonts",
    "gnutls",
    "java",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "magic",
    "magic.mime",
    "maven",
    "mime.types",
    "perl",
    "pki/ca-trust/extracted",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "protocols",
    "python3",
    "rpc",
    "rpm",
    "services",
    "sgml",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "texmf",
    "xml",
)

# Build systems branch on the distribution: without debian_version cmake installs to another library directory.
_DISTRIBUTION = (
    "alpine-release",
    "arch-release",
    "centos-release",
    "debian_version",
    "fedora-release",
    "gentoo-release",
    "lsb-release",
    "os-release",
    "redhat-release",
    "SuSE-release",
    "system-release",
)

# Beneath /var: registries of installed compilers' libraries.
_REGISTRIES = ("/var/lib/ghc", "/var/lib/sgml-base", "/var/lib/xml-core")

# Versioned directories are spelt out instead of matched, so that the set is the same on every host.
_JAVA = range(7, 31)
_PYTHON = range(7, 21)

SYSTEM = Toolchain(
    "system",
    (
        *_PROGRAMS,
        *[f"/etc/{name}" for name in (*_SETTINGS, *_DISTRIBUTION)],
        *[f"/etc/java-{release}-openjdk" for release in _JAVA],
        *[f"/etc/python3.{minor}" for minor in _PYTHON],
        *_REGISTRIES,
    ),
    holes=("/usr/local",),
)

NONE = Toolchain("none")


def named(name: str) -> Toolchain:
    """Return the toolchain of a name.

    Raises:
        SpecError: There is none.
    """
    for toolchain in (SYSTEM, NONE):
        if toolchain.name == name:
            return toolchain
    raise SpecError(
        f"there is no toolchain {name!r}",
        code="spec.toolchain-unknown",
        hint="use 'system' for what the distribution installs, or 'none' and declare each input",
    )
