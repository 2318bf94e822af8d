"""The room's HTTP interface."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from grading.units import UnitError, read_quantity, spelled
from interviews.errors import Problem
from interviews.live import access, actions, queries
from interviews.live.models import Blueprint


class NewInterview(serializers.Serializer[Any]):
    """A blueprint by name, or a level, a length and topics."""

    blueprint = serializers.SlugField(required=False)
    level = serializers.ChoiceField(choices=actions.LEVELS, required=False)
    minutes = serializers.IntegerField(required=False)
    topics = serializers.ListField(child=serializers.CharField(max_length=80), max_length=50, default=list)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "blueprint" not in attrs and not {"level", "minutes"} <= attrs.keys():
            raise serializers.ValidationError("Name a blueprint, or a level and minutes.")
        return attrs


class NewRun(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=["public", "hidden"])


class QuantityText(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=200)


class BlueprintList(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request) -> Response:
        return Response([queries.blueprint_json(blueprint) for blueprint in Blueprint.objects.all()])


class InterviewList(APIView):
    @extend_schema(request=NewInterview, responses=dict)
    def post(self, request: Request) -> Response:
        form = NewInterview(data=request.data)
        form.is_valid(raise_exception=True)
        data = form.validated_data
        if slug := data.get("blueprint"):
            wanted = actions.plan_of(slug)
        else:
            wanted = actions.plan(level=data["level"], minutes=data["minutes"], topics=data["topics"])
        interview = actions.create_interview(candidate=request.user, blueprint=wanted)
        return Response({"id": str(interview.pk), "url": interview.get_absolute_url()}, status=201)


class InterviewState(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(queries.state(access.interview_for(request.user, pk), request.user))


class InterviewStart(APIView):
    @extend_schema(request=None, responses=dict)
    def post(self, request: Request, pk: UUID) -> Response:
        interview = actions.start(interview=access.interview_for(request.user, pk, own=True), actor=request.user)
        return Response(queries.state(interview, request.user))


class InterviewFinish(APIView):
    @extend_schema(request=None, responses=dict)
    def post(self, request: Request, pk: UUID) -> Response:
        interview = actions.finish(interview=access.interview_for(request.user, pk, own=True), actor=request.user)
        return Response(queries.state(interview, request.user))


class InterviewEvents(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, pk: UUID) -> Response:
        interview = access.interview_for(request.user, pk)
        try:
            since = max(0, int(request.query_params.get("since", 0)))
        except ValueError as error:
            raise Problem("bad_since", "`since` is the number of the last event that you have.") from error
        return Response(queries.events_since(interview, since, request.user))


class ReadQuantity(APIView):
    @extend_schema(parameters=[QuantityText], responses=dict)
    def get(self, request: Request) -> Response:
        """How the scorer would read what stands in a field, or why it can't. It says nothing about whether the number is right."""
        form = QuantityText(data=request.query_params)
        form.is_valid(raise_exception=True)
        try:
            return Response({"read": spelled(read_quantity(form.validated_data["text"]))})
        except UnitError as error:
            return Response({"problem": str(error)})


class QuestionRuns(APIView):
    @extend_schema(request=NewRun, responses=dict)
    def post(self, request: Request, pk: UUID, question: UUID) -> Response:
        form = NewRun(data=request.data)
        form.is_valid(raise_exception=True)
        asked = access.question_for(request.user, pk, question, own=True)
        run = actions.request_run(question=asked, actor=request.user, kind=form.validated_data["kind"])
        return Response(queries.run_state(run, asked.pk), status=201)


class RunDetail(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, pk: UUID) -> Response:
        run, question = access.run_for(request.user, pk)
        return Response(queries.flown(run, question, request.user))


class RunAbort(APIView):
    @extend_schema(request=None, responses=dict)
    def post(self, request: Request, pk: UUID) -> Response:
        run, question = access.run_for(request.user, pk, own=True)
        return Response(queries.run_state(actions.abort_run(run=run, question=question), question.pk))
