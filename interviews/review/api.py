"""The report's and the review desk's HTTP interface."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.gzip import gzip_page
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from interviews.errors import Problem
from interviews.live import access
from interviews.live.models import Interview
from interviews.review import actions, queries


class NewOverride(serializers.Serializer[Any]):
    score_id = serializers.UUIDField()
    criterion_id = serializers.CharField(max_length=80)
    points = serializers.FloatField()
    reason = serializers.CharField(max_length=actions.MAX_NOTE, allow_blank=True)
    after = serializers.IntegerField(required=False, min_value=0)


class NewMarks(serializers.Serializer[Any]):
    score_id = serializers.UUIDField()
    points = serializers.DictField(child=serializers.FloatField())
    reason = serializers.CharField(max_length=actions.MAX_NOTE, allow_blank=True)


class NewPublication(serializers.Serializer[Any]):
    scores = serializers.ListField(child=serializers.UUIDField(), required=False)
    seen = serializers.IntegerField(required=False, min_value=0)


class NewNote(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=actions.MAX_NOTE)
    question_id = serializers.UUIDField(required=False, allow_null=True)


def _over(request: Request, pk: UUID) -> Interview:
    """The interview, once it is over."""
    interview = access.interview_for(request.user, pk)
    if interview.status in (Interview.Status.READY, Interview.Status.RUNNING):
        raise Problem("not_finished", "The interview is not over yet; there is no report.", 409)
    return interview


def given(form: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """What was sent, checked."""
    sent = form(data=request.data)
    sent.is_valid(raise_exception=True)
    return dict(sent.validated_data)


def _report(request: Request, pk: UUID) -> Response:
    """The report as it is now, after a change as before one."""
    return Response(queries.report(_over(request, pk), request.user))


@method_decorator(gzip_page, name="dispatch")  # tens of kilobytes of prose, which shrink to a quarter
class ReportDetail(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, pk: UUID) -> Response:
        return _report(request, pk)


class Overrides(APIView):
    @extend_schema(request=NewOverride, responses=dict)
    def post(self, request: Request, pk: UUID) -> Response:
        interview = _over(request, pk)
        actions.override(interview=interview, actor=request.user, **given(NewOverride, request))
        return _report(request, pk)


class Marks(APIView):
    @extend_schema(request=NewMarks, responses=dict)
    def post(self, request: Request, pk: UUID) -> Response:
        interview = _over(request, pk)
        actions.mark_by_hand(interview=interview, actor=request.user, **given(NewMarks, request))
        return _report(request, pk)


class Notes(APIView):
    @extend_schema(request=NewNote, responses=dict)
    def post(self, request: Request, pk: UUID) -> Response:
        interview = _over(request, pk)
        data = given(NewNote, request)
        actions.add_note(interview=interview, actor=request.user, text=data["text"], question_id=data.get("question_id"))
        return _report(request, pk)


class Publish(APIView):
    @extend_schema(request=NewPublication, responses=dict)
    def post(self, request: Request, pk: UUID) -> Response:
        interview = _over(request, pk)
        address = request.build_absolute_uri(reverse("report", args=[pk]))
        actions.publish(interview=interview, actor=request.user, address=address, **given(NewPublication, request))
        return _report(request, pk)


class Rescore(APIView):
    @extend_schema(request=None, responses=dict)
    def post(self, request: Request, pk: UUID) -> Response:
        interview = _over(request, pk)
        actions.check_reviewer(interview, request.user)
        actions.rescore(interview=interview, actor=request.user)
        return _report(request, pk)
