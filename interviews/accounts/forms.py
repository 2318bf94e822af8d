"""The forms of accounts where the library's own need a word more."""

from typing import Any

from allauth.account.forms import ConfirmEmailVerificationCodeForm
from allauth.account.models import EmailAddress
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.core.exceptions import ValidationError

from interviews.accounts.actions import LastAdmin, keep_an_admin
from interviews.accounts.models import Role


class CodeForm(ConfirmEmailVerificationCodeForm):
    """The code of a mail: nothing else is written on its page, so the cursor is there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        attrs = self.fields["code"].widget.attrs
        attrs.pop("placeholder")
        attrs["autofocus"] = True


class NobodyElses:
    """Refuses a second address of another account: whoever was given it as well would be locked out by whom it signs in."""

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).lower()
        if EmailAddress.objects.filter(email=email).exclude(user_id=self.instance.pk).exists():
            raise ValidationError("Another account has this as its second address. Remove it there first, or choose another.")
        return email


class PersonForm(NobodyElses, UserChangeForm):
    """A person in the admin site, where the last admin stays one."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        lowered = "role" in cleaned and cleaned["role"] != Role.ADMIN
        if lowered or not cleaned.get("is_active"):
            try:
                keep_an_admin(without=[self.instance.pk])
            except LastAdmin as error:
                self.add_error("role" if lowered else "is_active", str(error))
        return cleaned


class NewPersonForm(NobodyElses, AdminUserCreationForm):
    """A person whom an admin enters."""
