"""The stock admin, where a question's files are edited as text. Saving adds a version; no version is ever changed."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from interviews.bank.actions import edit_question, take_loaded
from interviews.bank.changes import changes
from interviews.bank.files import ANSWER_NAME, ANSWER_PATH, BankError, parse_question
from interviews.bank.forms import FileField, area
from interviews.bank.models import Pack, Question, QuestionVersion

CHANGED = (
    "Saving this would undo what {who} changed meanwhile. Your text below is kept: open the question in another tab, put your changes into the version "
    "that you find there, and save it."
)
MOVED_ON = (
    "The pack's folder changed after this question was edited here, and the edit stayed. Put in below what you want of the changes, or nothing, and save: that "
    "decides it. What can't be edited here comes with the pack's version as a whole; to take that, mark the question in the list of questions and choose "
    "“Take the pack's version”."
)
NEW_ANSWER = "---\nlevel: L6\n---\n"
TEXT = {"cols": "120", "spellcheck": "true", "style": "font-family: monospace"}


def base_of(question: Question) -> str:
    """The versions that an editor looks at: the one that is edited, and the pack's."""
    return " ".join(version.hash for version in (question.current, question.loaded) if version)


class QuestionForm(forms.ModelForm):  # type: ignore[type-arg]
    """The files as text, and room for another exemplar answer. A generator is not among them: it comes with a loaded pack."""

    question_yaml = FileField(widget=area(24, **TEXT), label="question.yaml")
    prompt_md = FileField(widget=area(24, **TEXT), label="prompt.md")
    rubric_yaml = FileField(widget=area(24, **TEXT), label="rubric.yaml")
    another_name = forms.RegexField(
        rf"\A{ANSWER_NAME}\Z",
        required=False,
        label="Name of another exemplar answer",
        help_text="Lower-case words joined by hyphens, such as l5 or wrong-units. Reports show candidates the best of l5, l6 and l7.",
        error_messages={"invalid": "Lower-case letters and digits, in words joined by hyphens."},
    )
    another = FileField(
        widget=area(8, **TEXT),
        required=False,
        initial=NEW_ANSWER,
        label="Its text",
        help_text="The first lines say the band that it must get: below, L5, L6 or L7.",
    )
    base = forms.CharField(widget=forms.HiddenInput)  # what the text began as
    FILES = {"question_yaml": "question.yaml", "prompt_md": "prompt.md", "rubric_yaml": "rubric.yaml"}  # by box

    class Meta:
        model = Question
        fields: list[str] = []

    class Media:
        js = ("bank/unsaved.js",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.current:
            for field, path in self.FILES.items():
                self.fields[field].initial = self.instance.current.files.get(path)
            self.fields["base"].initial = base_of(self.instance)

    @classmethod
    def with_answers(cls, paths: Iterable[str]) -> type["QuestionForm"]:
        """The form with a box for each of these exemplar answers, named by its path."""
        fields = {path: FileField(widget=area(12, **TEXT), required=False, label=path, help_text="An emptied box removes the answer.") for path in paths}
        return type(cls.__name__, (cls,), {**fields, "FILES": cls.FILES | {path: path for path in fields}})

    def contents(self) -> dict[str, str]:
        """All files, as they are to be. What was not sent stays as it is."""
        sent = {path: self.cleaned_data[field] for field, path in self.FILES.items() if field in self.data}
        if name := self.cleaned_data["another_name"]:
            sent[f"answers/{name}.md"] = self.cleaned_data["another"]
        return {path: text for path, text in (self.instance.current.files | sent).items() if path not in sent or text.strip()}

    def _check_another(self, cleaned: dict[str, Any]) -> None:
        """An answer without a name, or by the name of one that is there, would be lost or replace that one."""
        name, text = cleaned.get("another_name"), cleaned.get("another", "")
        if name and f"answers/{name}.md" in self.fields:
            self.add_error("another_name", "There is an exemplar answer of this name already.")
        elif name and not text.strip():
            self.add_error("another", "Write the answer, or leave out its name.")
        elif name == "" and text.strip() not in ("", NEW_ANSWER.strip()):
            self.add_error("another_name", "Name the answer, or empty its box.")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        # Locked until the admin site's transaction ends, so that of two that save at once the second sees the first.
        question = Question.objects.select_for_update().get(pk=self.instance.pk)
        if "base" in cleaned and cleaned["base"] != base_of(question):
            person = None if question.current and cleaned["base"].startswith(question.current.hash) else question.current_by
            self.add_error(None, CHANGED.format(who=person or "a load of the pack"))
        self._check_another(cleaned)
        if not self.errors:
            try:
                parsed = parse_question(self.instance.slug, self.contents())
                if parsed.meta["uuid"] != str(self.instance.id):
                    raise BankError("question.yaml", 1, "uuid: it never changes")
            except BankError as error:
                path = error.file.removeprefix(f"{self.instance.slug}/")
                boxes = {path: field for field, path in self.FILES.items()} | {f"answers/{cleaned['another_name']}.md": "another"}
                self.add_error(boxes.get(path), f"line {error.line}: {error.reason}")
        return cleaned


@admin.register(Question)
class QuestionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = QuestionForm
    list_display = ["__str__", "pack", "kind", "version", "edits"]
    list_filter = ["pack"]
    search_fields = ["slug", "current__title"]
    list_select_related = ["current", "pack"]
    actions = ["take_the_packs"]

    @admin.display(ordering="current__kind")
    def kind(self, question: Question) -> str:
        return question.current.kind if question.current else ""

    def version(self, question: Question) -> str:
        return question.current.hash[:8] if question.current else ""

    def edits(self, question: Question) -> str:
        if question.pack_moved_on:
            return "edited here, and the pack changed: decide"
        return "added here" if question.added else "edited here" if question.edited else ""

    @admin.display(description="What the pack changed")
    def pack_changes(self, question: Question) -> str:
        """The difference between the pack's version that was edited and the one that came since."""
        before, after = (version.files if version else {} for version in (question.based_on, question.loaded))
        lines = "\n".join(line for change in changes(before, after) for line in change.lines)
        return format_html('<p>{}</p><pre style="white-space: pre-wrap">{}</pre>', MOVED_ON, lines)

    @admin.action(description="Take the pack's version")
    def take_the_packs(self, request: HttpRequest, queryset: QuerySet[Question]) -> None:
        taken = [str(question) for question in queryset if take_loaded(question=question, by=request.user)]
        self.message_user(request, f"As in the pack again: {', '.join(taken)}." if taken else "They are as in the pack, or not in it.")

    def get_readonly_fields(self, request: HttpRequest, obj: Question | None = None) -> list[str]:
        return ["pack_changes"] if obj and obj.pack_moved_on else []

    def get_fields(self, request: HttpRequest, obj: Question | None = None) -> list[str]:
        answers = [] if obj is None else self._answers(request, obj)
        fields = list(QuestionForm.base_fields)
        place = fields.index("another_name")
        return [*self.get_readonly_fields(request, obj), *fields[:place], *answers, *fields[place:]]

    def _answers(self, request: HttpRequest, question: Question) -> list[str]:
        """The exemplar answers that have a box: the question's, and what was sent of one that somebody removed meanwhile."""
        paths = {*(question.current.files if question.current else ()), *request.POST}
        return sorted(filter(ANSWER_PATH.fullmatch, paths))

    def get_form(self, request: HttpRequest, obj: Question | None = None, change: bool = False, **kwargs: Any) -> type[ModelForm]:  # type: ignore[type-arg]
        form = QuestionForm if obj is None else QuestionForm.with_answers(self._answers(request, obj))
        return super().get_form(request, obj, change, form=form, **kwargs)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Question, form: ModelForm, change: bool) -> None:  # type: ignore[type-arg]
        edit_question(question=obj, files=form.contents(), by=request.user)


@admin.register(Pack)
class PackAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["title", "slug"]
    readonly_fields = ["slug", "title", "description", "source"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(QuestionVersion)
class QuestionVersionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["title", "version", "created_at", "created_by"]
    list_filter = ["question__pack", "kind"]
    list_select_related = ["created_by"]
    ordering = ["-created_at", "-id"]
    fields = ["question", "hash", "created_at", "created_by", "texts"]

    @admin.display(ordering="hash")
    def version(self, version: QuestionVersion) -> str:
        return version.hash[:8]

    @admin.display(description="Files")
    def texts(self, version: QuestionVersion) -> str:
        """The files as they were, to be read, or copied into the question's form to have them back."""
        shown = '<details{}><summary>{}</summary><pre style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre></details>'
        edited = QuestionForm.FILES.values()
        ordered = sorted(version.files.items(), key=lambda file: (file[0] not in edited, file[0]))
        return format_html_join("", shown, ((" open" if path in edited else "", path, text) for path, text in ordered))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
