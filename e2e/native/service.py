"""One call of the server API by the Python SDK. On standard input is {"url", "method", "request"}
with either {"key", "secret"} or {"token"}; the answer is {"result"} or {"error": {"code", "status"}}."""

import asyncio
import json
import sys

from google.protobuf.json_format import MessageToDict, ParseDict
from livekit import api

REQUESTS = {
    "create_room": api.CreateRoomRequest,
    "list_rooms": api.ListRoomsRequest,
    "delete_room": api.DeleteRoomRequest,
    "update_room_metadata": api.UpdateRoomMetadataRequest,
    "list_participants": api.ListParticipantsRequest,
    "get_participant": api.RoomParticipantIdentity,
    "remove_participant": api.RoomParticipantIdentity,
    "mute_published_track": api.MuteRoomTrackRequest,
    "update_participant": api.UpdateParticipantRequest,
    "update_subscriptions": api.UpdateSubscriptionsRequest,
    "send_data": api.SendDataRequest,
}


async def answer(url, method, request, **credentials):
    names = {"key": "api_key", "secret": "api_secret", "token": "token"}
    credentials = {names[name]: value for name, value in credentials.items()}
    async with api.LiveKitAPI(url, **credentials) as livekit:
        message = ParseDict(request, REQUESTS[method]())
        try:
            return {"result": MessageToDict(await getattr(livekit.room, method)(message))}
        except api.TwirpError as error:
            return {"error": {"code": error.code, "status": error.status}}


print(json.dumps(asyncio.run(answer(**json.load(sys.stdin)))))
