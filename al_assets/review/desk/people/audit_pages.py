"""The admin's page of the audit log: who did what to whom."""

import csv
import io
from collections.abc import Iterable
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from al_assets.review.desk.people.audit import AuditFilter
from al_assets.review.desk.people.records import AuditEntry
from al_assets.review.desk.shell.access import Role, needs, person_of
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.pages import page
from al_assets.review.files.vote_files import escape_cell

ON_A_PAGE = 100


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the audit log."""
    admin = needs(Role.ADMIN)

    async def audit_log(request: Request) -> Response:
        """Show the newest entries that match."""
        which = _filter(request)
        found = await run_in_threadpool(desk.people.audit_log, which, ON_A_PAGE + 1)
        asked = {name: getattr(which, name) or "" for name in ("by", "act", "subject")}
        shown = found[:ON_A_PAGE]
        older = urlencode({**asked, "before": shown[-1].seq}) if len(found) > ON_A_PAGE else None
        return page(
            request,
            "people/audit_log.html",
            entries=shown,
            acts=await run_in_threadpool(desk.people.audit_acts),
            asked=asked,
            older=older,
            export=urlencode(asked),
        )

    async def export(request: Request) -> Response:
        """Send all entries that match as CSV."""
        found = await run_in_threadpool(desk.people.audit_log, _filter(request))
        await run_in_threadpool(desk.people.audit, person_of(request).name, "export", "audit log", f"{len(found)} rows")
        headers = {"Content-Disposition": 'attachment; filename="audit-log.csv"'}
        return Response(as_csv(found), media_type="text/csv; charset=utf-8", headers=headers)

    return [Route("/audit-log", admin(audit_log)), Route("/audit-log.csv", admin(export), methods=["GET"])]


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
