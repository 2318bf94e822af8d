"""The banks, to read, and the page that adds a question. Editing is the admin site's."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from grading.variants import PUBLISHED
from interviews.bank import access, actions, queries
from interviews.bank.files import BANDS, in_words, read_variant
from interviews.bank.forms import NewQuestionForm
from interviews.bank.markdown import render as markdown
from interviews.bank.markdown import render_prompt
from interviews.bank.models import Pack, Question, QuestionVersion


@login_required
def packs(request: HttpRequest) -> HttpResponse:
    """All packs and their questions, or those that are looked for."""
    access.check_reader(request.user)
    packs = queries.packs()
    choices = {
        "kind": QuestionVersion.Kind.values,
        "topic": sorted({topic for _, questions in packs for question in questions for topic in question.current.topics}),
        "level": BANDS,
    }
    chosen = {name: request.GET.get(name, "") for name in choices}
    # What the page offers no longer, it can't show as chosen either.
    search = queries.Search(text=request.GET.get("q", "").strip(), **{name: value for name, value in chosen.items() if value in choices[name]})
    found = [(pack, list(filter(search.finds, questions))) for pack, questions in packs]
    searching = search != queries.Search()
    context = {
        "packs": [(pack, questions) for pack, questions in found if questions or not searching],
        "search": search,
        "searching": searching,
        "choices": [(name, getattr(search, name), values) for name, values in choices.items()],
        "count": sum(len(questions) for _, questions in found),
        "total": sum(len(questions) for _, questions in packs),
    }
    return render(request, "bank/pack_list.html", context)


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
        "exemplars": [(e.name, e.level, markdown(in_words(e.answer, version.fields)), e.answer.code) for e in exemplars],
    }
    return render(request, "bank/question_detail.html", context)


@login_required
@require_POST
def hold(request: HttpRequest, pack: str, slug: str) -> HttpResponse:
    """Takes a question out of what new interviews ask, or puts it back: which of both the button says that was pressed."""
    access.check_keeper(request.user)
    found = access.question_for(request.user, pack, slug)
    held = "ask" not in request.POST
    if actions.set_held(question=found, held=held, by=request.user):
        said = "is on hold: no new interview asks it. Those that are set up keep it." if held else "may be asked: new interviews that fit choose from it, too."
        messages.success(request, f"“{found}” {said}")
    return redirect(found)


@login_required
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Adds a question. What was written stays on the page, with a draft of its rubric or with what is wrong, until it is saved."""
    access.check_keeper(request.user)
    # Only its button saves; a form that was sent otherwise is shown again.
    form = NewQuestionForm(request.POST if request.method == "POST" else None, drafting="draft" in request.POST)
    if "save" in request.POST and (question := form.save(by=request.user)):
        messages.success(request, f"“{question}” is in the bank now, on hold until you have it asked.{_lacks(question)}")
        return redirect(question)
    form.point_out()
    return render(request, "bank/new_question.html", {"form": form, "any_pack": Pack.objects.exists()})


def _lacks(question: Question) -> str:
    """That a rubric is a draft yet, where some claim can be said and contradicted in one way only."""
    claims = [claim for criterion in question.current.rubric.body["criteria"] for claim in criterion.get("claims", [])]
    if all(claim.get("paraphrases") and claim.get("contradictions") for claim in claims):
        return ""
    return " Its rubric is a draft: “Try the rubric” shows what it finds and what it misses, while you add paraphrases and contradictions to its claims."
