"""The page on which a question's rubric is tried: a form, and what came of the last try above it."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from interviews.bank import access
from interviews.bank.files import MAX_RUBRIC, BankError, in_words
from interviews.bank.forms import FileField, area
from interviews.bank.markdown import render_prompt
from interviews.bank.models import Question, QuestionVersion
from interviews.errors import Problem
from interviews.review import trying
from interviews.review.models import Tryout

YAML = area(20, spellcheck="false", **{"class": "mono"})
FIELD = "field:"  # before the name of a question's field, which may be any


class TryForm(forms.Form):
    """An answer to a question, what the question asks to be filled in, and the rubric as it shall be tried."""

    text = FileField(label="Answer", required=False, max_length=trying.MAX_CHARACTERS, widget=area(10))
    exemplars = forms.BooleanField(label="Mark the exemplar answers, too", required=False)
    rubric = FileField(label="rubric.yaml", required=False, max_length=MAX_RUBRIC, widget=YAML)

    def __init__(self, version: QuestionVersion, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, label_suffix="", **kwargs)
        self.asked = [field["id"] for field in version.fields]
        for field in version.fields:
            name = FIELD + field["id"]
            self.fields[name] = forms.CharField(label=field["label"], help_text=field.get("hint", ""), required=False, max_length=2000)

    def clean_rubric(self) -> str:
        """The rubric; an empty box stands for the question's own."""
        text = str(self.cleaned_data["rubric"])
        return text if text.strip() else ""

    @property
    def filled_in_fields(self) -> list[forms.BoundField]:
        return [self[FIELD + name] for name in self.asked]

    @property
    def filled_in(self) -> dict[str, str]:
        return {name: self.cleaned_data[FIELD + name] for name in self.asked}


def _begun_with(question: Question, tryout: Tryout | None, exemplar: str) -> dict[str, Any]:
    """What the form holds at first: the last try, or an exemplar answer, of a drawing what it shows in words."""
    version = question.current
    if tryout is None:
        chosen = next((one.answer for one in trying.exemplars_of(version) if one.name == exemplar), None)
        text, fields = (chosen.text, chosen.fields) if chosen else ("", {})
        if chosen and chosen.scene:  # nothing is drawn here
            text = in_words(chosen).strip()
    else:
        own = next((one for one in tryout.answers if not one["name"]), {"text": "", "fields": {}})
        text, fields = own["text"], own["fields"]
    rubric = tryout.rubric if tryout else ""
    return {
        "text": text,
        "exemplars": any(one["name"] for one in tryout.answers) if tryout else True,
        "rubric": rubric or version.files[trying.RUBRIC],
        **{FIELD + name: value for name, value in fields.items()},
    }


def _start(request: HttpRequest, question: Question, form: TryForm) -> Tryout | None:
    """A try of what the form holds, or None with the fault noted in the form."""
    if not form.is_valid():
        return None
    sent = form.cleaned_data
    try:
        return trying.start(question=question, actor=request.user, text=sent["text"], fields=form.filled_in, rubric=sent["rubric"], exemplars=sent["exemplars"])
    except BankError as error:
        where = error.file.removeprefix(f"{question.slug}/")
        form.add_error("rubric", f"line {error.line}: {error.reason}" if where == trying.RUBRIC else str(error))
    except Problem as problem:
        form.add_error(None, str(problem))
    return None


def _keep(request: HttpRequest, question: Question, tryout: Tryout) -> HttpResponse:
    try:
        trying.keep_rubric(tryout=tryout, actor=request.user)
    except (Problem, BankError) as error:
        messages.error(request, str(error))
        return redirect("tryout", question.pack.slug, question.slug, tryout.pk)
    messages.success(request, "The rubric is the question's now. New interviews are marked by it; what was scored before keeps its own.")
    return redirect(question)


def _exemplars(tryout: Tryout | None) -> dict[str, int]:
    """How many exemplar answers were marked, and how many reached just the level that they are meant for."""
    marked = [one for one in tryout.told if one["name"]] if tryout else []
    return {"exemplars": len(marked), "at_level": sum(one["level"] == one["wanted"] for one in marked)}


@login_required
@require_http_methods(["GET", "POST"])
def tryout(request: HttpRequest, pack: str, slug: str, pk: UUID | None = None) -> HttpResponse:
    """The form, and above it what came of a try."""
    question = access.question_for(request.user, pack, slug)
    if not trying.can_be_tried(question.current):
        messages.error(request, "Code is judged in the sandbox: sit an interview with this question to see what an answer earns.")
        return redirect(question)
    found = Tryout.objects.select_related("version", "by").filter(pk=pk, version__question=question).first() if pk else None
    if pk and found is None:
        raise Http404("There is no such try. They are kept for a week.")
    if found and "keep" in request.POST:
        return _keep(request, question, found)
    form = TryForm(question.current, request.POST or None, initial=_begun_with(question, found, request.GET.get("exemplar", "")))
    if request.method == "POST" and (begun := _start(request, question, form)):
        return redirect("tryout", pack, slug, begun.pk)
    edited = form.fields["rubric"].to_python(form["rubric"].value()) not in ("", question.current.files[trying.RUBRIC])
    version = question.current
    context = {"question": question, "version": version, "prompt_html": render_prompt(version.prompt, version.title), "form": form, "found": found}
    return render(request, "review/try.html", {**context, "edited": edited, **_exemplars(found)})
