"""The banks, to read, and the pages that add a question or a pack of them. Editing is the admin site's."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from grading.variants import PUBLISHED
from interviews.bank import access, actions, queries, uploads
from interviews.bank.archive import pack_up
from interviews.bank.changes import changes
from interviews.bank.files import BANDS, BankError, ParsedPack, in_words, read_variant
from interviews.bank.forms import NewQuestionForm, UploadForm
from interviews.bank.markdown import render as markdown
from interviews.bank.markdown import render_prompt
from interviews.bank.models import Pack, Question, QuestionVersion, Upload


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
def download(request: HttpRequest, pack: str) -> HttpResponse:
    """A pack as a zip file, as the bank has it now."""
    access.check_keeper(request.user)
    found = get_object_or_404(Pack, slug=pack)
    headers = {"Content-Disposition": f'attachment; filename="{found.slug}.zip"', "Cache-Control": "private, no-store"}
    return HttpResponse(pack_up(found.slug, actions.files_of_pack(found)), content_type="application/zip", headers=headers)


@login_required
@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """Takes a zip file to be looked at."""
    access.check_keeper(request.user)
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if form.is_valid():
        sent = form.cleaned_data["archive"]
        return redirect(uploads.keep_upload(name=sent.name[:200], archive=sent.read(), by=request.user))
    return render(request, "bank/upload.html", {"form": form})


@login_required
@require_http_methods(["GET", "POST"])
def uploaded(request: HttpRequest, id: UUID) -> HttpResponse:
    """What an uploaded pack would change, or what is wrong with it; and the buttons that decide."""
    access.check_keeper(request.user)
    if (sent := Upload.objects.filter(id=id).first()) is None:
        messages.warning(request, "That file was taken or thrown away, or lay here for over a day. Choose it again if it is still to be taken.")
        return redirect("upload_pack")
    if "drop" in request.POST:
        sent.delete()
        messages.info(request, f"{sent.name} was thrown away. Nothing has changed.")
        return redirect("upload_pack")
    taking = "take" in request.POST
    context = {"upload": sent, "form": UploadForm(), "moved_on": taking}
    try:
        pack = uploads.read_upload(bytes(sent.archive))
        if taking and (done := _take(request, pack)):
            sent.delete()
            messages.success(request, _told(pack.title, done))
            return redirect("bank")
        look = uploads.look_at_pack(pack=pack, by=request.user)
    except BankError as error:
        return render(request, "bank/upload.html", context | {"faults": [error, *error.others]}, status=409 if request.method == "POST" else 200)
    changed = [(put, changes(put.before or {}, put.after)) for put in look.changed]
    return render(request, "bank/upload.html", context | {"pack": pack, "look": look, "changed": changed})


def _take(request: HttpRequest, pack: ParsedPack) -> uploads.Uploaded | None:
    """Takes an upload as its page showed it; None where the pack has moved on since."""
    try:
        return uploads.put_pack(pack=pack, by=request.user, ask="ask" in request.POST, state=request.POST.get("state", ""))
    except uploads.MovedOn:
        return None


def _told(title: str, done: uploads.Uploaded) -> str:
    """What an upload did, in a sentence."""
    counts = f"{len(done.added)} new, {len(done.changed)} changed, {len(done.unchanged)} as before"
    return f"“{title}” is taken: {counts}.{' What is new is on hold until you have it asked.' if done.added and done.held else ''}"


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
