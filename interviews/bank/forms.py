"""What is written in a browser and becomes files: the text of one, and a whole new question."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import escape
from django.utils.text import slugify

from grading import draft_yaml
from interviews.accounts.models import User
from interviews.bank import queries
from interviews.bank.actions import SlugTaken, add_question
from interviews.bank.archive import MAX_ARCHIVE
from interviews.bank.files import BANDS, MAX_RUBRIC, MAX_SLUG, PROSE, SLUG, BankError, content_hash
from interviews.bank.models import Pack, Question

KEPT = "The box holds a rubric that you wrote or edited, and keeps it. For a new draft, empty the box first."


class FileField(forms.CharField):
    """A file as text. Browsers send CRLF; files in git end lines with LF, and that alone is no change."""

    def __init__(self, **options: Any) -> None:
        super().__init__(strip=False, **options)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")

    def validate(self, value: Any) -> None:
        super().validate(value.strip())

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Without `maxlength`: a browser would cut off without a word what is pasted."""
        return {name: value for name, value in super().widget_attrs(widget).items() if name != "maxlength"}


def area(rows: int, **attrs: str) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, **attrs})


class UploadForm(forms.Form):
    """A pack in a zip archive."""

    archive = forms.FileField(
        label="Zip file of a pack",
        help_text="A folder with pack.yaml and a folder for each question, as “Download” gives it. Nothing changes before you have seen what would.",
        widget=forms.FileInput(attrs={"accept": ".zip,application/zip"}),
        error_messages={"required": "Choose a file.", "empty": "The file is empty.", "missing": "Choose a file."},
    )

    def clean_archive(self) -> Any:
        sent = self.cleaned_data["archive"]
        if sent.size > MAX_ARCHIVE:
            raise ValidationError(f"The file is larger than {MAX_ARCHIVE // 2**20} MiB.")
        return sent


class NewQuestionForm(forms.Form):
    """A question that is answered in prose. With `drafting` only what a draft of the rubric is made of has to be there."""

    use_required_attribute = False  # all faults are shown at once, each at its field

    title = forms.CharField(max_length=200)
    slug = forms.CharField(
        label="Name in the address (optional)",
        required=False,
        help_text="Lower-case words joined by hyphens. Without one, it is made from the title. It can't be changed later.",
    )
    pack = forms.ModelChoiceField(Pack.objects.all(), empty_label=None)
    kind = forms.ChoiceField(choices=[(kind, kind) for kind in PROSE])
    minutes = forms.IntegerField(min_value=1, max_value=180, initial=15)
    levels = forms.MultipleChoiceField(label="Levels that it suits", choices=[(level, level) for level in BANDS], widget=forms.CheckboxSelectMultiple)
    topics = forms.CharField(max_length=1000)
    prompt = FileField(max_length=20_000, widget=area(8), help_text="What the candidate reads, in Markdown; $TeX$ becomes a formula.")
    model_answer = FileField(
        max_length=40_000,
        widget=area(12),
        help_text="In Markdown. Candidates read it in their report.",
    )
    level = forms.ChoiceField(label="The level that it stands for", choices=[(level, level) for level in BANDS], initial=BANDS[-1])
    points = forms.IntegerField(label="Points", min_value=1, max_value=1000, initial=28)
    rubric = FileField(max_length=MAX_RUBRIC, widget=area(24, spellcheck="false", **{"class": "mono"}), help_text="In YAML, as the rubrics of the bank.")
    drafted = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)  # the hash of the draft that was put into the box

    DRAFTED_FROM = ("prompt", "model_answer", "points")
    FILES = {"prompt.md": "prompt", "rubric.yaml": "rubric", "answers/": "model_answer"}

    def __init__(self, data: Any = None, *, drafting: bool = False) -> None:
        super().__init__(data)
        self.drafting = drafting
        self.has_draft = False  # which was put into the box just now
        known = escape(", ".join(queries.topics(queries.current())) or "none yet")  # a page takes a help text for HTML
        self.fields["topics"].help_text = f"Separated by commas. In the bank: {known}."
        if drafting:
            for name, field in self.fields.items():
                field.required = name in self.DRAFTED_FROM

    def clean_slug(self) -> str:
        slug = str(self.cleaned_data["slug"])
        if slug and (not SLUG.fullmatch(slug) or len(slug) > MAX_SLUG):
            raise ValidationError(f"Lower-case letters and digits, in words joined by hyphens, such as paged-attention; {MAX_SLUG} characters at most.")
        return slug

    def clean_topics(self) -> list[str]:
        """Topics as the bank has them: "KV cache" is `kv-cache` where there is one."""
        known = {topic.casefold().replace(" ", "-"): topic for topic in queries.topics(queries.current())}
        written = [topic for part in self.cleaned_data["topics"].split(",") if (topic := " ".join(part.split()))]
        if any(len(topic) > 200 for topic in written):
            raise ValidationError("A topic has 200 characters at most.")
        if not written and not self.drafting:
            raise ValidationError("Name one topic at least.")
        return list(dict.fromkeys(known.get(topic.casefold().replace(" ", "-"), topic) for topic in written))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.drafting:
            self._draft(cleaned)
        elif "title" in cleaned and cleaned.get("slug") == "":
            cleaned["slug"] = re.sub("[-_]+", "-", slugify(cleaned["title"]))[:MAX_SLUG].strip("-")
            if not cleaned["slug"]:
                self.add_error("slug", "Nothing of the title can stand in an address. Write a name here.")
        return cleaned

    def _draft(self, cleaned: dict[str, Any]) -> None:
        """Puts a draft into the rubric's box, unless something else stands there than the draft before."""
        if any(name not in cleaned for name in (*self.DRAFTED_FROM, "rubric", "drafted")):
            return
        if cleaned["rubric"].strip() and content_hash(cleaned["rubric"]) != cleaned["drafted"]:
            self.add_error("rubric", KEPT)
            return
        try:
            text = draft_yaml(cleaned["prompt"], cleaned["model_answer"], cleaned["points"])
        except ValueError as error:
            self.add_error("model_answer", f"No rubric can be drafted: {error}.")
            return
        self.data = self.data.copy()
        self.data["rubric"], self.data["drafted"] = text, content_hash(text)
        self.has_draft = True

    def point_out(self) -> None:
        """Has the page begin where something is to be done: at the first fault, or in the draft."""
        faulty = [name for name in self.fields if name in self.errors]
        for name in faulty[:1] or ["rubric"] * self.has_draft:
            self.fields[name].widget.attrs["autofocus"] = True

    def save(self, by: User) -> Question | None:
        """The question, added to the bank; None where that can't be, with the fault at its field."""
        if not self.is_valid():
            return None
        given = self.cleaned_data
        about = {name: given[name] for name in ("title", "kind", "topics", "levels", "minutes")} | {"syllabus": []}
        texts = {name: given[name] for name in ("prompt", "rubric", "model_answer", "level")}
        try:
            return add_question(pack=given["pack"], slug=given["slug"], about=about, **texts, by=by)
        except SlugTaken as error:
            self.add_error("slug", f"{error} Write another name here.")
        except BankError as error:
            path = error.file.removeprefix(f"{given['slug']}/")
            field = next((field for part, field in self.FILES.items() if path.startswith(part)), None)
            self.add_error(field, f"line {error.line}: {error.reason}" if field == "rubric" else error.reason)
        return None
