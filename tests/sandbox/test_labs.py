"""A lab is publishable when its reference is accepted and each wrong solution fails the test that it names, and no other but one that asks for all at once."""

import pytest

from sandbox import JudgeRequest, feedback, judge, labs
from sandbox.drivers import default
from sandbox.pool import Pool
from sandbox.probe import probe

LABS = labs.every()
# Candidates get inputs of a secret seed; here a red run must be one that can be run again.
SEED = 20
# Asks for all rules at once, so that a fault that nobody thought of shows at all: one that another test names may show here too.
ALL_AT_ONCE = "keeps_all_rules_at_once"
WRONG = [(lab.slug, name) for lab in LABS for name in lab.wrong()]


@pytest.fixture(scope="module")
def pool() -> Pool:
    with Pool(size=2, driver=default()) as pool:
        yield pool


@pytest.mark.parametrize("slug", [lab.slug for lab in LABS])
def test_the_reference_is_accepted(slug: str, pool: Pool) -> None:
    lab = labs.load(slug)
    outcome = judge(JudgeRequest(lab=slug, source=lab.reference, hidden=True, seed=SEED), pool=pool)
    assert outcome.verdict == "AC", [(test.name, test.verdict, test.message) for test in outcome.tests if test.verdict != "AC"]
    assert outcome.score == outcome.max_score == 28
    assert outcome.flight is not None
    assert outcome.flight["steps"]


@pytest.mark.parametrize("slug", [lab.slug for lab in LABS])
def test_the_reference_passes_the_public_tests_too(slug: str, pool: Pool) -> None:
    assert judge(JudgeRequest(lab=slug, source=labs.load(slug).reference, hidden=False, seed=SEED), pool=pool).verdict == "AC"


@pytest.mark.parametrize(("slug", "name"), WRONG, ids=[f"{slug}/{name}" for slug, name in WRONG])
def test_a_wrong_solution_fails_exactly_the_test_that_it_names(slug: str, name: str, pool: Pool) -> None:
    source, test = labs.load(slug).wrong()[name]
    outcome = judge(JudgeRequest(lab=slug, source=source, hidden=True, seed=SEED), pool=pool)
    assert [result.name for result in outcome.tests if result.verdict != "AC" and result.name != ALL_AT_ONCE] == [test]


@pytest.mark.parametrize("slug", [lab.slug for lab in LABS])
def test_the_starter_loads_and_earns_nothing(slug: str, pool: Pool) -> None:
    outcome = judge(JudgeRequest(lab=slug, source=labs.load(slug).starter, hidden=True, seed=SEED), pool=pool)
    assert {test.verdict for test in outcome.tests} == {"RTE"}
    assert outcome.score == 0


def test_a_batcher_that_reports_far_more_than_its_requests_is_stopped_at_its_first_step(pool: Pool) -> None:
    reports = "    def step(self):\n        return [('r0', 1, None)] * 1000\n"
    source = f"{labs.load('continuous-batcher').reference}\n\nclass ContinuousBatcher(ContinuousBatcher):\n{reports}"
    outcome = judge(JudgeRequest(lab="continuous-batcher", source=source, hidden=True, seed=SEED), pool=pool)
    assert next(test.message for test in outcome.tests if test.name == "matches_solo_runs") == feedback.REASONS["form"]


@pytest.mark.parametrize("slug", [lab.slug for lab in LABS])
def test_it_has_seven_groups_of_four_points_and_enough_wrong_solutions(slug: str) -> None:
    lab = labs.load(slug)
    assert [group.points for group in lab.groups] == [4] * 7
    assert len(lab.wrong()) >= 5


def test_the_probe_judges_both_controls_rightly() -> None:
    report = probe()
    assert report.ok, report.detail
