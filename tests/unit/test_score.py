"""The scorer: what counts as found, misclassified, missed, natural, and a false alarm; and its exit codes."""

from __future__ import annotations

import json

import duckdb
import pytest

from demo.score import compare, main
from demo.world import generate
from demo.world.truth import add_signals, expected_signals, load_erp_plants, load_truth, signal


def truth(planted=(), natural=()):
    return {
        "planted": [{"id": f"{kind}-1", "kind": kind, "signals": list(signals)} for kind, *signals in planted],
        "natural": [{"kind": "n", "open_at_cut_off": still, "signals": [s]} for still, s in natural],
    }


def items(*signals):
    return {(s["recon"], s["class"], s["owner"], s["reference"]): ["2026-10"] for s in signals}


FEE = (signal("R7", "fee", "po_1"), signal("R9", "fee", "po_1"))
TRANSIT = signal("R8", "timing_in_transit", "po_2")


def test_all_signals_of_a_plant_have_to_show():
    whole = compare(truth([("payout_short_fee", *FEE)]), items(*FEE))
    assert (whole.found, whole.missed, whole.passed) == (1, [], True)
    half = compare(truth([("payout_short_fee", *FEE)]), items(FEE[0]))
    assert half.found == 0
    assert [m["expected"]["recon"] for m in half.missed] == ["R9"]
    assert not half.passed


@pytest.mark.parametrize("change", [{"class": "amount"}, {"owner": "AR"}])
def test_wrong_class_or_owner_is_misclassified_and_no_false_alarm(change):
    score = compare(truth([("payout_short_fee", *FEE)]), items(FEE[0], {**FEE[1], **change}))
    assert [m["id"] for m in score.misclassified] == ["payout_short_fee-1"]
    assert (score.found, score.missed, score.false_alarms) == (0, [], [])


def test_right_and_wrong_class_together_are_misclassified():
    score = compare(truth([("payout_short_fee", *FEE)]), items(*FEE, {**FEE[0], "class": "amount"}))
    assert score.found == 0
    assert len(score.misclassified) == 1


def test_what_nobody_planted_is_a_false_alarm():
    stranger = signal("R7", "fee", "po_9")
    score = compare(truth([("payout_short_fee", *FEE)]), items(*FEE, stranger))
    assert [(a["reference"], a["periods"]) for a in score.false_alarms] == [("po_9", ["2026-10"])]
    assert score.found == 1
    assert not score.passed


def test_same_reference_in_another_reconciliation_is_a_false_alarm():
    score = compare(truth([("payout_short_fee", *FEE)]), items(*FEE, signal("R8", "fee", "po_1")))
    assert [a["recon"] for a in score.false_alarms] == ["R8"]


def test_natural_items_are_neither_found_nor_false():
    score = compare(truth(natural=[(True, TRANSIT)]), items(TRANSIT))
    assert score.natural == {"expected": 1, "classed": 1, "missing": [], "earlier_month_ends": 0}
    assert score.passed
    silent = compare(truth(natural=[(True, TRANSIT)]), {})
    assert [m["reference"] for m in silent.natural["missing"]] == ["po_2"]
    wrong = compare(truth(natural=[(True, TRANSIT)]), items({**TRANSIT, "class": "missing_right"}))
    assert len(wrong.misclassified) == 1
    assert not wrong.passed


def test_timing_of_earlier_month_ends_may_show_or_not():
    for seen in ({}, items(TRANSIT)):
        score = compare(truth(natural=[(False, TRANSIT)]), seen)
        assert score.passed
        assert score.natural["expected"] == 0
        assert score.natural["earlier_month_ends"] == len(seen)


def test_an_item_can_be_planted_and_natural_under_two_classes():
    """Usage of one item left out in spring, and its last month not billed yet."""
    planted, natural = signal("R3", "missing_right", "sub:price"), signal("R3", "timing_in_transit", "sub:price")
    score = compare(truth([("usage_not_invoiced", planted)], [(True, natural)]), items(planted, natural))
    assert (score.found, score.natural["classed"], score.passed) == (1, 1, True)


def test_an_erp_plant_that_was_never_carried_out_is_missed():
    score = compare(truth([("altered_erp_journal",)]), {})
    assert score.missed[0]["expected"] is None
    assert not score.passed


def publish(home, signals):
    """A published file with the columns the scorer reads; each item is carried through two periods."""
    (home / "published").mkdir(exist_ok=True)
    with duckdb.connect(str(home / "published" / "finance.duckdb")) as connection:
        connection.execute("create schema finance.finance")
        connection.execute(
            "create table finance.finance.recon_item (item_id varchar, recon_code varchar, category varchar,"
            " owner_team varchar, reference varchar, source_reference varchar, target_reference varchar,"
            " period varchar)"
        )
        rows = [
            (f"{n}", s["recon"], s["class"], s["owner"], s["reference"], None, None, period)
            for n, s in enumerate(signals)
            for period in ("2026-09", "2026-10")
        ]
        rows.append(("matched", "R7", None, "Treasury", "po_fine", None, None, "2026-10"))
        connection.executemany("insert into finance.finance.recon_item values (?, ?, ?, ?, ?, ?, ?, ?)", rows)


@pytest.fixture
def home(tmp_path):
    generate(3, 20, 6).write(tmp_path / "demo" / "world")
    for plant in load_erp_plants(tmp_path / "demo" / "world"):
        add_signals(tmp_path / "demo" / "world", plant["id"], expected_signals(plant, f"MOVE-{plant['id']}"))
    return tmp_path


def planted_signals(home):
    return [s for p in load_truth(home / "demo" / "world")["planted"] for s in p["signals"]]


def test_a_clean_run_exits_with_zero(home, capsys):
    publish(home, planted_signals(home))
    assert main(["--home", str(home), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["planted"] == result["found"] == len(load_truth(home / "demo" / "world")["planted"])
    assert result["misclassified"] == result["false_alarms"] == result["missed"] == []


def test_one_missing_signal_exits_with_one_and_is_named(home, capsys):
    signals = planted_signals(home)
    publish(home, signals[1:])
    assert main(["--home", str(home)]) == 1
    assert signals[0]["reference"] in capsys.readouterr().out


def test_nothing_published_exits_with_two(home, capsys, monkeypatch):
    monkeypatch.setenv("REVENUE_HOME", str(home))
    assert main([]) == 2
    assert "run the demo first" in capsys.readouterr().err
