"""The kinds of claims, one per file. To add one: a file here with a KIND, and a line in CLAIM_KINDS."""

from study.design.claim_kinds import equivalent, greater, interaction, less, non_inferior
from study.design.claim_kinds.claim_kind import ClaimKind

CLAIM_KINDS: dict[str, ClaimKind] = {
    kind.name: kind for kind in (greater.KIND, less.KIND, equivalent.KIND, non_inferior.KIND, interaction.KIND)
}
