"""What a mirror did, in numbers."""

from dataclasses import dataclass, field


@dataclass
class Deliveries:
    """What a mirror did, as confirmed by the server."""

    delivered: int = 0  # runs that got their outcome
    found: int = 0  # ends of stages that the server had, though not the ledger
    closed: int = 0  # open runs of dead drivers
    left: set[str] = field(default_factory=set)  # keys of stages whose run another live driver holds
    unreadable: dict[str, str] = field(default_factory=dict)  # by key: stored stages that cannot be delivered, and why
