"""The policy owner's pages: what raters could not decide, and new versions of the policy."""

import secrets
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from al_assets.config import PolicyText
from al_assets.review.desk.policy.drafts import (
    DraftError,
    KnownVersions,
    PolicyDraft,
    draft_from,
    draft_of,
    proposed_text,
    yaml_section,
)
from al_assets.review.desk.policy.gaps import gaps_now
from al_assets.review.desk.policy.proposals import Proposal, ProposalStore
from al_assets.review.desk.policy.text_diff import changes_between, policy_changes
from al_assets.review.desk.shell.access import Role, needs, person_of
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.pages import page
from al_assets.review.desk.shell.texts import guideline
from al_assets.review.policy_versions import second_look, version_notes

EMPTY_EXAMPLES = 1


def routes(desk: Desk) -> list[Route]:
    """Return the policy owner's pages."""
    pages, guard = _PolicyPages(desk), needs(Role.POLICY_OWNER)
    return [
        Route("/policy", guard(pages.overview), methods=["GET"]),
        Route("/policy/propose", guard(pages.form), methods=["GET"]),
        Route("/policy/propose", guard(pages.propose), methods=["POST"]),
        Route("/policy/proposals/{number:int}", guard(pages.proposal), methods=["GET"]),
        Route("/policy/proposals/{number:int}/withdraw", guard(pages.withdraw), methods=["POST"]),
        Route("/policy/proposals/{number:int}/policy.yaml", guard(pages.download), methods=["GET"]),
    ]


class _PolicyPages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._text: PolicyText = desk.policy.policy
        self._proposals = ProposalStore(desk.policy.ledger_url, desk.policy.policy.name)

    def overview(self, request: Request) -> Response:
        """Show the policy, what could not be decided under it, and what is proposed."""
        ledger, policy = self._desk.ledger, self._desk.policy
        texts, again = ledger.policy_texts(), second_look(ledger, policy)
        return self._page(
            request,
            "policy.html",
            guideline=guideline(self._text),
            gaps=gaps_now(ledger, self._desk.secret),
            second_look_votes=again.height,
            second_look_items=again["item_id"].n_unique(),
            notes=version_notes(ledger, policy),
            proposals=[(each, each.status(self._text, texts)) for each in self._proposals.all()],
        )

    def form(self, request: Request) -> Response:
        """Show the form for a new version, filled in with the present one."""
        known = self._known()
        return self._form(request, known, draft_of(known))

    def propose(self, request: Request) -> Response:
        """Add an empty example, show what would change, or keep the proposal."""
        form = request.state.form
        draft, known = draft_from(form), self._known()
        step = str(form.get("step") or "preview")
        if step == "add":
            empty = sum(not (each.text or each.why) for each in draft.examples)
            return self._form(request, known, draft, empty=empty + 1)
        try:
            text = proposed_text(draft, known)
        except DraftError as error:
            return self._form(request, known, draft, problems=error.problems, status=422)
        if step != "propose":
            return self._form(request, known, draft, preview=text)
        by = person_of(request).name
        number = self._proposals.propose(
            text, self._text, draft.note, by, str(form.get("form_id") or secrets.token_hex())
        )
        self._desk.people.audit(by, "propose policy", f"proposal {number}", f"version {text.version}")
        return RedirectResponse(f"/policy/proposals/{number}", 303)

    def proposal(self, request: Request) -> Response:
        proposal = self._asked(request)
        return self._page(
            request,
            "proposal.html",
            proposal=proposal,
            status_now=proposal.status(self._text, self._desk.ledger.policy_texts()),
            changes=policy_changes(proposal.base_text, proposal.text.read_by_raters()),
            section=yaml_section(proposal.text),
        )

    def withdraw(self, request: Request) -> Response:
        proposal, by = self._asked(request), person_of(request).name
        if self._proposals.withdraw(proposal.id, by):
            subject, detail = f"proposal {proposal.id}", f"version {proposal.text.version}"
            self._desk.people.audit(by, "withdraw proposal", subject, detail)
        return RedirectResponse(f"/policy/proposals/{proposal.id}", 303)

    def download(self, request: Request) -> Response:
        """Give a proposal as the section of a policy file."""
        proposal = self._asked(request)
        name = f"{proposal.text.name}-proposal-{proposal.id}.yaml"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(yaml_section(proposal.text), media_type="application/yaml", headers=headers)

    def _known(self) -> KnownVersions:
        return KnownVersions.of(self._text, self._desk.ledger.policy_texts())

    def _asked(self, request: Request) -> Proposal:
        number = request.path_params["number"]
        proposal = next((each for each in self._proposals.all() if each.id == number), None)
        if proposal is None:
            raise HTTPException(404)
        return proposal

    def _form(
        self,
        request: Request,
        known: KnownVersions,
        draft: PolicyDraft,
        *,
        problems: dict[str, str] | None = None,
        preview: PolicyText | None = None,
        empty: int = EMPTY_EXAMPLES,
        status: int = 200,
    ) -> Response:
        return self._page(
            request,
            "propose.html",
            status=status,
            draft=draft.with_empty_examples(empty),
            problems=problems or {},
            changes=changes_between(self._text, preview) if preview else None,
            next_version=known.next_version(),
            form_id=secrets.token_hex(),
        )

    def _page(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        return page(request, f"policy/{template}", status=status, policy=self._text, **context)
