from django.urls import path

from interviews.live.consumers import AnswerConsumer, InterviewConsumer

websocket_urlpatterns = [
    path("ws/interviews/<uuid:pk>/", InterviewConsumer.as_asgi()),
    path("ws/answers/<uuid:pk>/", AnswerConsumer.as_asgi()),
]
