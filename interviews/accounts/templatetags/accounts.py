"""What the account pages say of the site."""

from django import template

from interviews.accounts.checks import mail_is_logged

register = template.Library()
register.simple_tag(mail_is_logged)
