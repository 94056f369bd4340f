"""What the answers are called: the policy's names and the ledger's own."""

from al_assets.config import LabelNames
from al_assets.storage.ledger import LABELS


def label_names(names: LabelNames) -> dict[str, str]:
    """Return the label that each accepted name stands for; names are compared without regard to case.

    :raises ValueError: one of the policy's names already means another label.
    """
    meanings = {label: label for label in LABELS}
    for label in LABELS:
        name = str(getattr(names, label)).strip().casefold()
        if meanings.setdefault(name, label) != label:
            raise ValueError(f"policy.labels.{label}: {name!r} already means {meanings[name]}; choose another name")
    return meanings
