"""What bldr uses of jeepney.auth, which has no types of its own."""

from collections.abc import Iterator

BEGIN: bytes

class AuthenticationError(ValueError): ...

class Authenticator:
    def __iter__(self) -> Iterator[bytes]: ...
    def feed(self, data: bytes) -> None: ...
