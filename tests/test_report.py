"""The report: what it says, of what, and how it behaves in a browser."""

import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolflow.job import StageError
from poolflow.reporting import content, sources
from poolflow.reporting.page import page
from poolflow.tables import _comparisons, label_savings

COLUMNS = ["dataset", "learner", "initial_pool", "strategy", "variant", "seed", "cycle", "labeled", "test_accuracy"]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def made(seeds=6, pools=("random", "kmeans"), strategies=("random", "margin", "worse"), cycles=4, datasets=("d",)):
    """Return the curves of a study in which margin is 2 to 3 points better than random, and worse as much worse."""
    rng, rows = np.random.default_rng(0), []
    for dataset in datasets:
        for seed in range(seeds):
            for pool in pools:
                for shift, strategy in zip((0, 0.025, -0.025), strategies, strict=False):
                    for cycle in range(cycles + 1):
                        gain = (shift + rng.uniform(-0.005, 0.005)) * (cycle > 0)
                        accuracy = 0.5 + 0.1 * cycle + 0.002 * seed + gain
                        rows.append([dataset, "net", pool, strategy, "", seed, cycle, 10 + 10 * cycle, accuracy])
    return pd.DataFrame(rows, columns=COLUMNS)


def written(tmp_path, table, name="curves.csv"):
    path = tmp_path / name
    table.to_csv(path, index=False)
    return str(path)


def verdicts(source, title):
    """Return the verdicts below a title: [(word, sentence)]."""
    return next(answer["verdicts"] for answer in content.answers(source) if answer["title"].startswith(title))


def test_verdicts_are_those_that_the_curves_were_made_for(tmp_path):
    source = sources.of_file(written(tmp_path, made(9)))
    found = dict(reversed([(sentence.split(" ")[0], (word, sentence)) for word, sentence in verdicts(source, "Query")]))
    assert found["margin"][0] == "holds"
    assert found["worse"][0] == "does not"
    # +2.5 points in four of five cycles, whose first counts half: 2.5 x 3.5 / 4 = 2.19
    assert re.match(
        r"margin is better than random: \+2\.[12] points \[\d\.?\d*, \d\.?\d*\] of test accuracy on average over the "
        r"budget, over all initial pools \(9 seeds, p = 0\.0078 adjusted for 2 comparisons\)$",
        found["margin"][1],
    )
    pools = verdicts(source, "Initial pools")
    assert pools[0][0] == "does not"  # the same start, to the last digit
    assert pools[0][1].startswith("kmeans and random differ by less than 1 point: +0 points [0, 0] of test accuracy in")


def test_a_test_table_by_hand(tmp_path):
    source = sources.of_file(written(tmp_path, made(6, pools=("random",), strategies=("random", "margin"))))
    table = source.table("strategy_tests")
    row = table[(table.score == "end") & (table.family == "reference")].iloc[0]
    curves = source.curves[source.curves.cycle == 4].set_index(["strategy", "seed"]).test_accuracy
    differences = (curves["margin"] - curves["random"]).to_numpy()
    assert (row.strategy, row.other_strategy, row.seeds, row.wins, row.comparisons) == ("margin", "random", 6, 6, 1)
    assert row["mean"] == pytest.approx(differences.mean())
    assert row.spread == pytest.approx(differences.std(ddof=1))
    assert row.p == row.p_holm == 2 / 2**6
    assert row.verdict == "better"


def test_labels_saved_by_hand():
    rows = []
    for seed in range(6):
        for strategy, values in (("random", (0.5, 0.7, 0.9)), ("fast", (0.5, 0.9, 0.95)), ("late", (0.5, 0.6, 0.65))):
            for cycle, value in enumerate(values):
                rows.append(["d", "net", "p", strategy, "", seed, cycle, 10 * (cycle + 1), value])
    source = sources.Source("x", pd.DataFrame(rows, columns=COLUMNS))
    table = label_savings.table(source, "test_accuracy", "random", 0.05, [0.7]).set_index("strategy")
    # random gets there at 20 labels, fast at 10 + 10 x 0.2 / 0.4 = 15: a quarter less; late never does.
    assert table.labels["random"] == pytest.approx(20)
    assert table.labels["fast"] == pytest.approx(15)
    assert table.saved["fast"] == pytest.approx(0.25)
    assert table.verdict["fast"] == "fewer"
    said = "fast needs 25 % [25, 25] fewer labels than random to reach test accuracy 70 %, from p (6 seeds, p = 0.031)"
    assert table.sentence["fast"] == said
    assert np.isnan(table.saved["late"])
    assert table.sentence["late"].endswith("late did not reach it in 6 of 6 seeds")
    automatic = label_savings.table(source, "test_accuracy", "random", 0.05, [])
    assert set(automatic.target) == {0.9}


def test_what_is_missing_is_named_and_in_no_mean(tmp_path):
    table = made(6)
    gone = (table.strategy == "margin") & (table.initial_pool == "random") & (table.seed == 2)
    table = table[~gone & ~((table.strategy == "worse") & (table.seed == 5) & (table.cycle > 2))]
    table.loc[(table.strategy == "random") & (table.initial_pool == "kmeans") & (table.seed == 4), "test_accuracy"] = (
        np.nan
    )
    source = sources.of_file(written(tmp_path, table))
    assert content.missing(source) == [
        "d/net/random/margin: seed 2",
        "d/net/random/worse: seed 5 (3 of 5 cycles)",
        "d/net/kmeans/random: seed 4",
        "d/net/kmeans/worse: seed 5 (3 of 5 cycles)",
    ]
    tests = source.table("strategy_tests")
    row = tests[(tests.initial_pool == "random") & (tests.strategy == "margin") & (tests.score == "area")].iloc[0]
    assert (row.seeds, row.missing) == (5, "2")
    assert "5 seeds, missing: 2" in row.sentence
    assert source.table("scores").value.isna().sum() == 4 * 3


def test_one_seed_one_chain_and_unequal_budgets():
    one = sources.Source("x", made(1))
    assert {word for word, _ in verdicts(one, "Query")} == {"undecided"}
    assert "1 seed: no difference can be significant" in content.answers(one)[0]["note"]
    alone = sources.Source("x", made(2, pools=("random",), strategies=("random",)))
    assert content.answers(alone) == []
    assert "There is one chain" in page([content.content_of(alone)])
    table = made(6, pools=("random",))
    table["labeled"] += np.where(table.strategy == "margin", 5, 0)
    unequal = sources.Source("x", table)
    scores = unequal.table("scores")
    assert set(zip(scores.from_labels, scores.to_labels, strict=True)) == {(15, 50)}  # what all have in common


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-20], "is no whole table"),
        (lambda text: text.replace("strategy", "query", 1), "found no column strategy"),
        (lambda text: text.replace(",10,0.5", ",10,half", 1), "line 2, test_accuracy: found 'half', expected a number"),
        (lambda text: text + text.splitlines()[1] + "\n", "line 302, cycle|chain, seed and cycle for the second time"),
        (lambda text: text.replace(",0,10,", ",0.5,10,", 1), r"line 2, cycle: found 0.5, expected 0, 1, 2"),
        (lambda text: text.partition("\n")[0] + "\n", "is no whole table"),
        (lambda text: "", "is no whole table"),
    ],
)
def test_a_curves_file_that_is_none_is_refused(tmp_path, change, message):
    path = tmp_path / "curves.csv"
    path.write_text(change(made().to_csv(index=False)))
    with pytest.raises(StageError, match=message):
        sources.of_file(str(path))


def test_a_metric_that_is_not_there_is_named():
    with pytest.raises(StageError, match=r"curves\.csv: found no test_loss, as there are no such images"):
        _comparisons.settings_of(made(), "test_loss")


def test_a_loss_is_better_where_it_is_less():
    table = made(6, pools=("random",)).assign(test_loss=lambda rows: 1 - rows.test_accuracy)
    source = sources.Source("x", table, {"metric": "test_loss"})
    found = source.table("strategy_tests").query("family == 'reference' and score == 'area'").set_index("strategy")
    assert found["mean"]["margin"] < 0
    assert found.verdict["margin"] != "worse"
    assert found.wins["margin"] == 6


def test_a_strategy_on_another_kind_of_network_is_compared_with_its_control():
    table = made(6, pools=("random",))
    table["strategy"] = table.strategy.replace({"worse": "random_dropout"})
    dbal = table[table.strategy == "random_dropout"].assign(strategy="dbal")
    table = pd.concat([table, dbal])
    table["variant"] = np.where(table.strategy.isin(["dbal", "random_dropout"]), "dropout", "")
    tests = sources.Source("x", table).table("strategy_tests")
    pairs = tests[(tests.family == "reference") & (tests.score == "area")]
    assert dict(zip(pairs.strategy, pairs.other_strategy, strict=True)) == {
        "margin": "random",
        "random_dropout": "random",
        "dbal": "random_dropout",
    }


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_any_name_is_shown_as_it_is_written_and_nothing_of_it_is_run(one, other):
    table = made(2, pools=("random",), strategies=("random", f"a{one}"), datasets=(f"d{other}",))
    text = page([content.content_of(sources.Source("x", table))])
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data[0]["settings"][0]["chains"][1]["strategy"] == f"a{one}"
    assert data[0]["settings"][0]["name"] == f"d{other}, net"
    assert text.count("<script") == text.count("</script>") == 2


# The finished study


def test_the_report_of_a_study(finished):
    report = finished.folder / "results/tiny/report.html"
    text = report.read_text()
    assert report.stat().st_size < 2_000_000
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)  # nothing is fetched
    for title in ("Answers", "Learning curves", "What each strategy asked for", "What it cost", "Make it again"):
        assert f"<h2>{title}</h2>" in text
    figures = {
        str(p.relative_to(finished.folder / "results/tiny"))
        for p in finished.folder.glob("results/tiny/figures/**/*.png")
    }
    assert figures
    assert figures == set(re.findall(r"<figcaption>(.*?)</figcaption>", text))
    assert len(re.findall(r"<img [^>]*alt=\"[^\"]+\"", text)) == text.count("<img ")
    assert "study: tiny" in text  # its config


def test_snakemake_s_own_report_has_the_tables_and_figures_with_their_captions(finished, tmp_path):
    out = tmp_path / "report.html"
    finished.snakemake("--report", str(out))
    text = out.read_text()
    for path in finished.folder.glob("results/tiny/figures/**/*.png"):
        assert path.name in text
    assert "strategy_tests.csv; what its columns are, the docstring of" in text


def test_the_report_command_of_files_folders_and_a_study_cut_short(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    folder = project.folder / "results/tiny"
    done = project.poolflow("report", "results/tiny", "results/tiny/curves.csv", "--out", "both.html")
    assert done.returncode == 0, done.stdout
    assert (project.folder / "both.html").read_text().count("<h1>") == 2
    assert "both.html" in done.stdout
    assert "undecided" in done.stdout
    gone = next(folder.glob("**/random/entropy/seed0/cycle2/metrics.json"))
    gone.unlink()
    (folder / "curves.csv").unlink()
    refused = project.poolflow("report", "results/tiny")
    assert (refused.returncode, refused.stdout.count("\n")) == (1, 1)
    assert "found no curves.csv, as the study is not finished" in refused.stdout
    partial = project.poolflow("report")
    assert partial.returncode == 0, partial.stdout
    assert "missing: digits/small_cnn/random/entropy: seed 0 (2 of 3 cycles)" in partial.stdout
    assert "Not all is there" in (folder / "report.html").read_text()
    for arguments in (["nowhere"], ["nowhere.csv"], ["--configfile", "nowhere.yaml"], ["--config", "cycles=many"]):
        refused = project.poolflow("report", *arguments)
        assert (refused.returncode, refused.stdout.count("\n")) == (1, 1), refused.stdout
        assert "Traceback" not in refused.stdout


# In a browser

CHECKS = """
<script>
const said = {};
const section = document.querySelector("section.curves"), form = section.querySelector("form");
const set = (name, value) => { form[name].value = value; form.dispatchEvent(new Event("change")); };
const texts = of => [...of].map(one => one.textContent);
const numbers = () => [...section.querySelectorAll(".numbers tbody tr")].map(row => texts(row.children));
said.panels = section.querySelectorAll(".panels svg").length;
set("panel", "strategy"); said.byStrategy = texts(section.querySelectorAll(".panels .title"));
said.numbers = numbers();
set("show", "difference"); said.difference = numbers();
said.zero = section.querySelectorAll(".panels .zero").length;
set("show", "value"); set("panel", "pool");
section.querySelector(".legend button:last-child").click(); said.hidden = numbers().map(row => row[1]);
section.querySelector(".legend button:last-child").click();
const svg = section.querySelector(".panels svg"); svg.focus();
svg.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}));
said.tip = section.querySelector(".tip").textContent;
said.wide = document.documentElement.scrollWidth - innerWidth;
said.broken = [...document.images].filter(image => !image.src.startsWith("data:")).length;
dispatchEvent(new Event("beforeprint")); said.closed = document.querySelectorAll("details:not([open])").length;
const out = document.createElement("pre"); out.id = "said"; out.textContent = JSON.stringify(said);
document.body.append(out);
</script>"""


@pytest.fixture(scope="module")
def browsed(tmp_path_factory):
    """Return what the page of a made study said in a browser, what the browser logged, and the study's curves."""
    if not BROWSER:
        pytest.skip("no Chromium here: apt-get install chromium")
    folder = tmp_path_factory.mktemp("page")
    table = made(3)
    text = page([content.content_of(sources.Source("made", table))])
    (folder / "page.html").write_text(text.replace("</body>", f"{CHECKS}</body>"))
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=360,800", "--dump-dom"]
    command += ["--enable-logging=stderr", f"--user-data-dir={folder}/profile"]
    done = subprocess.run([*command, f"file://{folder}/page.html"], capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="said">(.*?)</pre>', done.stdout)
    assert found, done.stderr[-2000:]
    return (json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")), done.stderr, table)


def test_the_curves_in_a_browser_have_the_numbers_of_the_table(browsed):
    said, log, table = browsed
    assert "CONSOLE" not in log, log  # no error, and no request: the page's own policy forbids any, and would say so
    assert said["panels"] == 2
    assert said["byStrategy"] == ["random", "margin", "worse"]
    of = table.groupby(["strategy", "initial_pool", "cycle"], sort=False).test_accuracy.agg(["mean", "std"])
    expected = [
        [
            strategy,
            pool,
            "3",
            *(
                f"{100 * of['mean'][strategy, pool, c]:.1f} ± {100 * of['std'][strategy, pool, c]:.1f}"
                for c in range(5)
            ),
        ]
        for strategy in ("random", "margin", "worse")
        for pool in ("random", "kmeans")
    ]
    assert said["numbers"] == expected
    assert [row[:2] for row in said["difference"]] == [
        [s, p] for s in ("margin", "worse") for p in ("random", "kmeans")
    ]
    mean = 100 * (of["mean"]["margin", "random", 4] - of["mean"]["random", "random", 4])
    assert said["difference"][0][-1].startswith(f"{mean:.1f} [")
    assert said["zero"] == 2
    assert "worse" not in said["hidden"]
    assert re.fullmatch(r"random, random, 20 labels: 60(\.\d)? ± 0\.\d+ \(3 seeds\)", said["tip"])
    assert said["wide"] <= 0  # narrow screens scroll in tables alone
    assert said["broken"] == said["closed"] == 0
