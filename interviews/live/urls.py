from django.urls import path

from interviews.live import api, views

urlpatterns = [
    path("", views.home, name="home"),
    path("interviews/new/", views.new, name="interview_new"),
    path("interviews/<uuid:pk>/", views.room, name="room"),
    path("interviews/<uuid:pk>/discard/", views.discard, name="discard"),
    path("api/blueprints/", api.BlueprintList.as_view()),
    path("api/interviews/", api.InterviewList.as_view()),
    path("api/interviews/<uuid:pk>/", api.InterviewState.as_view()),
    path("api/interviews/<uuid:pk>/start/", api.InterviewStart.as_view()),
    path("api/interviews/<uuid:pk>/finish/", api.InterviewFinish.as_view()),
    path("api/interviews/<uuid:pk>/events/", api.InterviewEvents.as_view()),
    path("api/interviews/<uuid:pk>/questions/<uuid:question>/runs/", api.QuestionRuns.as_view()),
    path("api/quantity/", api.ReadQuantity.as_view()),
    path("api/runs/<uuid:pk>/", api.RunDetail.as_view()),
    path("api/runs/<uuid:pk>/abort/", api.RunAbort.as_view()),
]
