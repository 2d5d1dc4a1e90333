"""Reads an event by the Python SDK. On standard input is {"body", "authorization", "key", "secret"};
the answer is {"event", "room"} or {"error"}."""

import json
import sys

from livekit import api


def answer(body, authorization, key, secret):
    receiver = api.WebhookReceiver(api.TokenVerifier(key, secret))
    try:
        event = receiver.receive(body, authorization)
        return {"event": event.event, "room": event.room.name}
    except Exception as error:  # what it is refused for is the test's to judge
        return {"error": str(error)}


print(json.dumps(answer(**json.load(sys.stdin))))
