"""The admin's pages: who may come, as what, who is here now, and who did what to whom."""

import csv
import io
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, urlencode

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from al_assets.review.desk.people import changes
from al_assets.review.desk.people.records import (
    AuditEntry,
    AuditFilter,
    DeskMember,
    PeopleError,
    checked_name,
    checked_roles,
    written,
)
from al_assets.review.desk.shell.access import Role, needs, person_of
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.pages import page
from al_assets.review.files.vote_files import escape_cell

ON_A_PAGE = 100
ROLES_SAID = {
    Role.RATER: "answers questions, blind",
    Role.ADJUDICATOR: "decides where raters disagree",
    Role.POLICY_OWNER: "sees what raters could not decide, proposes a new text",
    Role.ADMIN: "invites people, sees the audit log and each rater's results",
}
_SESSION_ID = re.compile(r"[0-9a-f]{16}")


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the admin's pages."""
    admin = needs(Role.ADMIN)
    pages = _PeoplePages(desk)
    return [
        Route("/people", admin(pages.everybody)),
        Route("/people/person", admin(pages.person)),
        Route("/people/invite", admin(pages.invite), methods=["POST"]),
        Route("/people/link", admin(pages.link), methods=["POST"]),
        Route("/people/roles", admin(pages.change_roles), methods=["POST"]),
        Route("/people/revoke-invitations", admin(pages.revoke_invitations), methods=["POST"]),
        Route("/people/end-session", admin(pages.end_session), methods=["POST"]),
        Route("/people/end-sessions", admin(pages.end_sessions), methods=["POST"]),
        Route("/people/deactivate", admin(pages.deactivate), methods=["POST"]),
        Route("/audit-log", admin(pages.audit_log)),
        Route("/audit-log.csv", admin(pages.export_audit_log), methods=["GET"]),
    ]


class _PeoplePages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def person(self, request: Request) -> Response:
        return self._person(request, request.query_params.get("name", ""))

    def invite(self, request: Request) -> Response:
        """Invite somebody and show the link, once."""
        form = request.state.form
        name, roles = _text(form, "name"), [str(role) for role in form.getlist("role")]
        try:
            self._refuse_self(request, name, "give yourself other roles")
            self._refuse_other_roles(name, roles)
            token = self._change(request, changes.invite, name, roles)
        except PeopleError as error:
            return self.everybody(request, status=400, problem=str(error), name=name, roles=roles)
        return self.everybody(request, link=self._link(request, token), invited=checked_name(name))

    def link(self, request: Request) -> Response:
        """Show a new link for somebody who is known, once."""
        name = self._named(request)
        token = self._change(request, changes.invite, name, None)
        return self._person(request, name, link=self._link(request, token))

    def change_roles(self, request: Request) -> Response:
        name, roles = self._named(request), [str(role) for role in request.state.form.getlist("role")]
        try:
            self._refuse_self(request, name, "change your own roles")
            self._change(request, changes.change_roles, name, roles)
        except PeopleError as error:
            return self._person(request, name, status=400, problem=str(error))
        return _to_person(name)

    def revoke_invitations(self, request: Request) -> Response:
        """Make a person's open links useless."""
        name = self._named(request)
        self._desk.people.revoke_invitations(name, person_of(request).name)
        return _to_person(name)

    def end_session(self, request: Request) -> Response:
        session_id = _text(request.state.form, "session")
        if not _SESSION_ID.fullmatch(session_id):
            raise HTTPException(404)
        name = self._desk.people.end_session(session_id, person_of(request).name)
        request.app.state.identities.forget()
        if name is None:
            raise HTTPException(404)
        return _to_person(name)

    def end_sessions(self, request: Request) -> Response:
        name = self._named(request)
        self._desk.people.end_sessions(name, person_of(request).name)
        request.app.state.identities.forget()
        return _to_person(name)

    def deactivate(self, request: Request) -> Response:
        name = self._named(request)
        try:
            self._refuse_self(request, name, "deactivate yourself")
            if _text(request.state.form, "sure") != "yes":
                raise PeopleError("Nothing was done: tick the box beside the button first.")
            self._change(request, changes.deactivate, name)
        except PeopleError as error:
            return self._person(request, name, status=400, problem=str(error))
        return _to_person(name)

    def audit_log(self, request: Request) -> Response:
        """Show the newest entries that match."""
        which = _filter(request)
        entries = self._desk.people.audit_log(which, ON_A_PAGE + 1)
        asked = {name: getattr(which, name) or "" for name in ("by", "act", "subject")}
        shown = entries[:ON_A_PAGE]
        older = urlencode({**asked, "before": shown[-1].seq}) if len(entries) > ON_A_PAGE else None
        return page(
            request,
            "people/audit_log.html",
            entries=shown,
            acts=self._desk.people.audit_acts(),
            asked=asked,
            older=older,
            export=urlencode(asked),
        )

    def export_audit_log(self, request: Request) -> Response:
        """Send all entries that match as CSV."""
        entries = self._desk.people.audit_log(_filter(request))
        self._desk.people.audit(person_of(request).name, "export", "audit log", f"{len(entries)} rows")
        headers = {"Content-Disposition": 'attachment; filename="audit-log.csv"'}
        return Response(as_csv(entries), media_type="text/csv; charset=utf-8", headers=headers)

    def everybody(self, request: Request, status: int = 200, **said: Any) -> Response:
        """Show who was invited, and a form to invite."""
        people = self._desk.people.people()
        seen = {each.name: each.seen_at for each in self._desk.people.sessions()}
        known = {each.name for each in people}
        raters = self._desk.ledger.raters
        return page(
            request,
            "people/everybody.html",
            status=status,
            people=[(each, written(each.roles), seen.get(each.name)) for each in people],
            not_invited=[name for name in raters if name not in known],
            roles_said=ROLES_SAID,
            by_header=self._desk.policy.desk.identity_header,
            **{"problem": None, "link": None, "invited": None, "name": "", "roles": [], **said},
        )

    def _person(self, request: Request, name: str, status: int = 200, **said: Any) -> Response:
        member = self._member(name)
        people = self._desk.people
        return page(
            request,
            "people/person.html",
            status=status,
            member=member,
            held=written(member.roles),
            sessions=[each for each in people.sessions() if each.name == member.name],
            invitations=[each for each in people.invitations() if each.name == member.name],
            own_session=request.state.session_id,
            roles_said=ROLES_SAID,
            **{"problem": None, "link": None, **said},
        )

    def _named(self, request: Request) -> str:
        """Return the name that a form holds, as it is on record."""
        return self._member(_text(request.state.form, "name")).name

    def _member(self, name: str) -> DeskMember:
        try:
            member = self._desk.people.member(checked_name(name))
        except PeopleError:
            member = None
        if member is None:
            raise HTTPException(404)
        return member

    def _change(self, request: Request, change: Callable[..., Any], *what: Any) -> Any:
        try:
            return change(self._desk.people, self._desk.ledger, *what, person_of(request).name)
        finally:
            request.app.state.identities.forget()

    def _refuse_self(self, request: Request, name: str, what: str) -> None:
        # So the last admin cannot lock everybody out by a slip.
        if checked_name(name) == person_of(request).name:
            raise PeopleError(f"You cannot {what}: another admin, or the command 'al desk', can.")

    def _refuse_other_roles(self, name: str, roles: list[str]) -> None:
        # A rater who was given another role by a slip can never be one again.
        known = self._desk.people.member(checked_name(name))
        if known is not None and checked_roles(roles) != known.roles:
            raise PeopleError(
                f"name: {known.name!r} is known as {written(known.roles)}; to give the person other roles, use the "
                "page behind the name"
            )

    def _link(self, request: Request, token: str) -> str:
        # Without a public address only this machine's own names get past the gate.
        origin = self._desk.policy.desk.public_url or f"{request.url.scheme}://{request.headers['host']}"
        return f"{origin}/join/{token}"


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _to_person(name: str) -> Response:
    return RedirectResponse(f"/people/person?name={quote(name, safe='')}", 303)


def as_csv(entries: Iterable[AuditEntry]) -> str:
    """Return entries as CSV; a cell that a spreadsheet would run as a formula gets an apostrophe in front."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(["seq", "at", "by", "act", "subject", "detail"])
    for each in entries:
        texts = (each.by, each.act, each.subject, each.detail)
        writer.writerow([each.seq, each.at.isoformat(), *(escape_cell(text) for text in texts)])
    return stream.getvalue()


def _filter(request: Request) -> AuditFilter:
    asked = request.query_params
    before = asked.get("before", "")
    return AuditFilter(
        by=asked.get("by") or None,
        act=asked.get("act") or None,
        subject=asked.get("subject") or None,
        before=int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None,
    )
