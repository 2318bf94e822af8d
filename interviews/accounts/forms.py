"""The forms of accounts where the library's own need a word more."""

from typing import Any

from allauth.account.forms import ConfirmEmailVerificationCodeForm


class CodeForm(ConfirmEmailVerificationCodeForm):
    """The code of a mail: nothing else is written on its page, so the cursor is there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        attrs = self.fields["code"].widget.attrs
        attrs.pop("placeholder")
        attrs["autofocus"] = True
