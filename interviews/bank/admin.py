"""The stock admin, where a question's files are edited as text. Saving adds a version; no version is ever changed."""

from typing import Any

from django import forms
from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest

from interviews.bank.actions import edit_question
from interviews.bank.files import BankError, parse_question
from interviews.bank.models import Pack, Question, QuestionVersion

CHANGED = (
    "Saving this would undo what {who} changed meanwhile. Your text below is kept: open the question in another tab, put your changes into the version "
    "that you find there, and save it."
)
AREA = forms.Textarea(attrs={"rows": 24, "cols": 120, "spellcheck": "true", "style": "font-family: monospace"})


class QuestionForm(forms.ModelForm):  # type: ignore[type-arg]
    """Three files as text. Exemplar answers keep what they are; they come and go with a loaded pack."""

    question_yaml = forms.CharField(widget=AREA, label="question.yaml", strip=False)
    prompt_md = forms.CharField(widget=AREA, label="prompt.md", strip=False)
    rubric_yaml = forms.CharField(widget=AREA, label="rubric.yaml", strip=False)
    base = forms.CharField(widget=forms.HiddenInput)  # the hash of the version that the text began as
    FILES = {"question_yaml": "question.yaml", "prompt_md": "prompt.md", "rubric_yaml": "rubric.yaml"}

    class Meta:
        model = Question
        fields: list[str] = []

    class Media:
        js = ("bank/unsaved.js",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.current:
            for field, path in self.FILES.items():
                self.fields[field].initial = self.instance.current.files[path]
            self.fields["base"].initial = self.instance.current.hash

    def contents(self) -> dict[str, str]:
        """The edited files beside the exemplar answers. Browsers send CRLF; files in git end lines with LF."""
        kept = {path: text for path, text in self.instance.current.files.items() if path not in self.FILES.values()}
        edited = {path: self.cleaned_data[field].replace("\r\n", "\n") for field, path in self.FILES.items()}
        return kept | edited

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        # Locked until the admin site's transaction ends, so that of two that save at once the second sees the first.
        current = Question.objects.select_for_update().get(pk=self.instance.pk).current
        if current and "base" in cleaned and cleaned["base"] != current.hash:
            self.add_error(None, CHANGED.format(who=current.created_by or "a load of the pack"))
        if not self.errors:
            try:
                parsed = parse_question(self.instance.slug, self.contents())
                if parsed.meta["uuid"] != str(self.instance.id):
                    raise BankError("question.yaml", 1, "uuid: it never changes")
            except BankError as error:
                field = next((f for f, path in self.FILES.items() if error.file.endswith(path)), None)
                self.add_error(field, f"line {error.line}: {error.reason}")
        return cleaned


@admin.register(Question)
class QuestionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = QuestionForm
    list_display = ["__str__", "pack", "kind", "version"]
    list_filter = ["pack"]
    search_fields = ["slug", "current__title"]
    list_select_related = ["current", "pack"]

    @admin.display(ordering="current__kind")
    def kind(self, question: Question) -> str:
        return question.current.kind if question.current else ""

    def version(self, question: Question) -> str:
        return question.current.hash[:8] if question.current else ""

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
    list_display = ["title", "question", "hash", "created_at", "created_by"]
    list_filter = ["question__pack", "kind"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
