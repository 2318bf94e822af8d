"""The banks, to read. Editing is the admin site's."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from grading.variants import PUBLISHED
from interviews.bank import access, queries
from interviews.bank.files import in_words, read_variant
from interviews.bank.markdown import render as markdown
from interviews.bank.markdown import render_prompt


@login_required
def packs(request: HttpRequest) -> HttpResponse:
    """All packs and their questions."""
    access.check_reader(request.user)
    return render(request, "bank/pack_list.html", {"packs": queries.packs()})


@login_required
def question(request: HttpRequest, pack: str, slug: str) -> HttpResponse:
    """One question as it stands now, with its rubric, exemplar answers and earlier versions."""
    found = access.question_for(request.user, pack, slug)
    version = found.current
    # Not checked again: a version that was stored before a rule was made must still be seen, to be mended.
    prompt, rubric, exemplars = read_variant(version.files, version.kind, PUBLISHED)
    versions = list(queries.versions_of(found))
    context = {
        "question": found,
        "version": version,
        "versions": versions,
        "answers": sum(one.answers for one in versions),
        "prompt_html": render_prompt(prompt, version.title),
        "rubric": rubric.to_dict(),
        "exemplars": [(e.name, e.level, markdown(in_words(e.answer)), e.answer.code) for e in exemplars],
    }
    return render(request, "bank/question_detail.html", context)
