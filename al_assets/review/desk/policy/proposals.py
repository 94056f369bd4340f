"""Proposed versions of the policy: kept for ever, withdrawn or adopted, never changed."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import polars as pl
from sqlalchemy import insert, select

from al_assets.config import PolicyText, fingerprint_of
from al_assets.review.desk.people.store import DeskDatabase
from al_assets.storage.ledger.sql_tables import PROPOSAL_WITHDRAWALS, PROPOSALS

Status = Literal["open", "withdrawn", "adopted"]


@dataclass(frozen=True)
class Proposal:
    """A version of the policy that its owner proposed.

    :param text: the whole section of the policy file.
    :param base_version: the version that stood when it was proposed; ``base_text`` is what raters read then.
    :param withdrawn_at: None while it stands.
    """

    id: int
    text: PolicyText
    base_version: str
    base_text: dict[str, Any]
    note: str
    proposed_by: str
    proposed_at: datetime
    withdrawn_by: str | None
    withdrawn_at: datetime | None

    def status(self, current: PolicyText, texts: pl.DataFrame) -> Status:
        """Return what became of it: adopted once the policy file holds, or since then has held, its text.

        :param texts: of ``Ledger.policy_texts``.
        """
        fingerprint = self.text.text_fingerprint()
        # A text that stood before it was proposed was not adopted by standing then.
        later = texts.filter((pl.col("text_fingerprint") == fingerprint) & (pl.col("recorded_at") > self.proposed_at))
        if current.text_fingerprint() == fingerprint or later.height:
            return "adopted"
        return "withdrawn" if self.withdrawn_at else "open"


class ProposalStore:
    """The proposals of one policy, in the ledger's database.

    :param url: of the ledger; tables are created when missing.
    :raises LedgerError: the database cannot be opened.
    """

    def __init__(self, url: str, policy_name: str) -> None:
        self._policy = policy_name
        self._database = DeskDatabase(url)

    def close(self) -> None:
        """Give back the database connections."""
        self._database.close()

    def propose(self, text: PolicyText, current: PolicyText, note: str, by: str, form_id: str) -> int:
        """Keep a proposal and return its number; the same once more gives the number it has.

        :param form_id: names the form; with another text or note, as after going back in the browser, it is another
            proposal.
        """
        key = f"{form_id}:{fingerprint_of([text.model_dump(mode='json'), note])}"
        row = {
            "policy": self._policy,
            "proposal_key": key,
            "version": text.version,
            "text_fingerprint": text.text_fingerprint(),
            "section": text.model_dump_json(),
            "base_version": current.version,
            "base_text": json.dumps(current.read_by_raters(), sort_keys=True),
            "note": note,
            "proposed_by": by,
            "proposed_at": datetime.now(UTC),
        }
        known = select(PROPOSALS.c.id).where(PROPOSALS.c.policy == self._policy, PROPOSALS.c.proposal_key == key)
        with self._database.write() as connection:
            number = connection.execute(known).scalar()
            if number is None:
                number = connection.execute(insert(PROPOSALS).returning(PROPOSALS.c.id), row).scalar_one()
        return int(number)

    def withdraw(self, number: int, by: str) -> bool:
        """Take a proposal back; return whether it stood until now.

        :raises KeyError: there is no such proposal.
        """
        row = {"proposal_id": number, "withdrawn_by": by, "withdrawn_at": datetime.now(UTC)}
        done = select(PROPOSAL_WITHDRAWALS.c.proposal_id).where(PROPOSAL_WITHDRAWALS.c.proposal_id == number)
        known = select(PROPOSALS.c.id).where(PROPOSALS.c.policy == self._policy, PROPOSALS.c.id == number)
        with self._database.write() as connection:
            if connection.execute(known).first() is None:
                raise KeyError(f"proposal: there is none with the number {number}")
            if connection.execute(done).first() is not None:
                return False
            connection.execute(insert(PROPOSAL_WITHDRAWALS), row)
        return True

    def all(self) -> list[Proposal]:
        """Return every proposal, the newest first."""
        joined = PROPOSALS.outerjoin(PROPOSAL_WITHDRAWALS, PROPOSAL_WITHDRAWALS.c.proposal_id == PROPOSALS.c.id)
        query = select(PROPOSALS, PROPOSAL_WITHDRAWALS).select_from(joined).where(PROPOSALS.c.policy == self._policy)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(PROPOSALS.c.id.desc())).mappings().all()
        return [
            Proposal(
                row["id"],
                PolicyText.model_validate_json(row["section"]),
                row["base_version"],
                json.loads(row["base_text"]),
                row["note"],
                row["proposed_by"],
                row["proposed_at"],
                row["withdrawn_by"],
                row["withdrawn_at"],
            )
            for row in rows
        ]
