"""What an agent or a registry refuses, and an agent that is not there."""

from __future__ import annotations


class AgentError(Exception):
    """A request that an agent has refused, or a lease that has failed.

    code is one of the codes of the node's interface, such as "not_found"; codes
    are stable and messages are not.
    """

    def __init__(self, code: str, message: str):
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"

    @classmethod
    def of_wire(cls, error: object) -> AgentError:
        """Makes an error of the JSON that an agent sends."""
        if not isinstance(error, dict):
            return cls("internal", "the agent has sent an error that is none")
        return cls(str(error.get("code", "internal")), str(error.get("message", "the agent does not say why")))


class NoAgent(AgentError):
    """No agent answers at the address."""

    def __init__(self, message: str):
        super().__init__("unavailable", message)

    def __reduce__(self):
        return NoAgent, (self.message,)


class ProtocolError(AgentError):
    """What an agent has sent is not what it should be, and was not used."""

    def __init__(self, message: str):
        super().__init__("internal", message)

    def __reduce__(self):
        return ProtocolError, (self.message,)


class NotMapped(AgentError):
    """What was asked for is not on the GPU, or not at its place, at the moment."""

    def __init__(self, message: str):
        super().__init__("unavailable", message)

    def __reduce__(self):
        return type(self), (self.message,)


class Stale(NotMapped):
    """A tensor of a version that others have taken the place of."""


class HubError(OSError):
    """A request for files that a registry or an agent has refused.

    status is that of HTTP. What is not there is FileNotFoundError instead, and what
    one may not have PermissionError.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status

    def __reduce__(self):
        return HubError, (self.status, str(self))


class ProgramError(Exception):
    """What the program ingot could not do.

    code is one of the codes of the program or of the registry, such as "unreachable"
    or "tag_moved"; exit is how the program ended.
    """

    def __init__(self, code: str, message: str, exit: int = 1):
        super().__init__(code, message, exit)
        self.code = code
        self.message = message
        self.exit = exit

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class TagMoved(ProgramError):
    """Somebody else has moved the tag: another publisher writes to it."""
