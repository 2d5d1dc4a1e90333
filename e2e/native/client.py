"""A client on the Python SDK, driven by JSON lines: {"id", "method", "params"} in, {"id", "result"}
or {"id", "error"} out. Methods and snapshot are those of ../page/client.mjs. Ends with its input."""

import asyncio
import json
import math
import sys

from livekit import rtc

SOURCES = {
    "camera": rtc.TrackSource.SOURCE_CAMERA,
    "microphone": rtc.TrackSource.SOURCE_MICROPHONE,
    "screen_share": rtc.TrackSource.SOURCE_SCREENSHARE,
}
NAMES = {number: name for name, number in SOURCES.items()}
RATE = 48_000
FRAMES_PER_SECOND = 15


class Client:
    def __init__(self):
        self.room = rtc.Room()
        self.received = {}  # (identity, source): what has been decoded
        self.local = {}  # source: our own track
        self.tasks = set()
        self.events = {"data": [], "chat": [], "disconnected": None, "left": [], "reconnected": 0}
        self.spoke = set()

    def spawn(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def connect(self, url, token, single=True, autoSubscribe=True, **_):
        room = self.room
        room.on("track_subscribed", self.on_track)
        room.on("data_received", self.on_data)
        room.on("active_speakers_changed", lambda all: self.spoke.update(p.identity for p in all))
        room.on("disconnected", lambda reason: self.events.update(disconnected=int(reason)))
        room.on("reconnected", self.on_reconnected)
        room.on("participant_disconnected", lambda p: self.events["left"].append(p.identity))
        room.register_text_stream_handler("lk.chat", self.on_chat)
        start = asyncio.get_running_loop().time()
        options = rtc.RoomOptions(auto_subscribe=autoSubscribe, single_peer_connection=single)
        await room.connect(url, token, options)
        room.local_participant.register_rpc_method("echo", self.on_rpc)
        return {"ms": (asyncio.get_running_loop().time() - start) * 1000}

    async def on_rpc(self, call):
        return f"{call.caller_identity}:{call.payload}"

    def on_reconnected(self):
        self.events["reconnected"] += 1

    def on_data(self, packet):
        sender = packet.participant.identity if packet.participant else None
        entry = {"from": sender, "text": packet.data.decode(), "topic": packet.topic}
        self.events["data"].append(entry)

    def on_chat(self, reader, identity):
        async def read():
            self.events["chat"].append({"from": identity, "text": await reader.read_all()})

        self.spawn(read())

    def on_track(self, track, publication, participant):
        key = (participant.identity, NAMES.get(publication.source, "unknown"))
        seen = self.received[key] = {"frames": 0, "width": 0, "height": 0, "energy": 0.0}
        video = track.kind == rtc.TrackKind.KIND_VIDEO
        self.spawn(self.watch(track, seen) if video else self.listen(track, seen))

    async def watch(self, track, seen):
        async for event in rtc.VideoStream(track):
            seen["frames"] += 1
            seen["width"], seen["height"] = event.frame.width, event.frame.height

    async def listen(self, track, seen):
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            samples = event.frame.data[::16]
            loudness = sum((sample / 32768) ** 2 for sample in samples) / max(1, len(samples))
            seen["frames"] += 1
            # Comfort noise and rounding are not sound.
            if loudness > 1e-6:
                seen["energy"] += loudness

    async def publish(self, camera=False, microphone=False, width=640, height=360, simulcast=False, **_):
        if camera:
            await self.publish_video("camera", width, height, simulcast)
        if microphone:
            source = rtc.AudioSource(RATE, 1)
            track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
            await self.publish_track("microphone", track, rtc.TrackPublishOptions())
            self.spawn(self.speak(source))

    async def publishScreen(self, **_):
        await self.publish_video("screen_share", 640, 360, False)

    async def publish_video(self, name, width, height, simulcast):
        source = rtc.VideoSource(width, height)
        track = rtc.LocalVideoTrack.create_video_track(name, source)
        options = rtc.TrackPublishOptions(simulcast=simulcast, video_codec=rtc.VideoCodec.VP8)
        await self.publish_track(name, track, options)
        self.spawn(self.paint(source, width, height))

    async def publish_track(self, name, track, options):
        options.source = SOURCES[name]
        self.local[name] = track
        await self.room.local_participant.publish_track(track, options)

    async def paint(self, source, width, height):
        luma = width * height
        for count in range(1_000_000):
            grey = bytes([16 + count * 7 % 200])
            picture = grey * luma + b"\x80" * (luma // 2)
            kind = rtc.VideoBufferType.I420
            source.capture_frame(rtc.VideoFrame(width, height, kind, picture))
            await asyncio.sleep(1 / FRAMES_PER_SECOND)

    async def speak(self, source):
        count = RATE // 100
        tone = [int(9000 * math.sin(2 * math.pi * 400 * i / RATE)) for i in range(RATE)]
        start = 0
        while True:
            frame = rtc.AudioFrame.create(RATE, 1, count)
            for i in range(count):
                frame.data[i] = tone[(start + i) % RATE]
            start = (start + count) % RATE
            await source.capture_frame(frame)

    async def sendData(self, text, topic="test", reliable=True, to=()):
        await self.room.local_participant.publish_data(
            text, reliable=reliable, destination_identities=list(to), topic=topic
        )

    async def sendChat(self, text):
        await self.room.local_participant.send_text(text, topic="lk.chat")

    async def rpc(self, to, payload):
        return await self.room.local_participant.perform_rpc(
            destination_identity=to, method="echo", payload=payload
        )

    async def update(self, metadata=None, attributes=None, name=None):
        me = self.room.local_participant
        if metadata is not None:
            await me.set_metadata(metadata)
        if attributes is not None:
            await me.set_attributes(attributes)
        if name is not None:
            await me.set_name(name)

    async def mute(self, source, muted):
        track = self.local[source]
        track.mute() if muted else track.unmute()

    async def subscribe(self, identity, source, on):
        for publication in self.room.remote_participants[identity].track_publications.values():
            if NAMES.get(publication.source) == source:
                publication.set_subscribed(on)

    async def disconnect(self):
        await self.room.disconnect()

    async def snapshot(self):
        people = self.room.remote_participants.values()
        return {
            "state": "connected" if self.room.isconnected() else "disconnected",
            "sid": self.room.local_participant.sid,
            "identity": self.room.local_participant.identity,
            "participants": {person.identity: self.describe(person) for person in people},
            "spoke": sorted(self.spoke),
            **self.events,
        }

    def describe(self, person):
        tracks = {}
        for publication in person.track_publications.values():
            source = NAMES.get(publication.source, "unknown")
            tracks[source] = {
                "muted": publication.muted,
                "subscribed": publication.subscribed,
                **self.received.get((person.identity, source), {}),
            }
        return {
            "name": person.name,
            "metadata": person.metadata,
            "attributes": dict(person.attributes),
            "tracks": tracks,
        }


async def answer(client, line):
    call = json.loads(line)
    try:
        result = await getattr(client, call["method"])(**call["params"])
        reply = {"id": call["id"], "result": result}
    except Exception as error:  # whatever went wrong is the test's to judge
        reply = {"id": call["id"], "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)


async def main():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    client = Client()
    while line := await reader.readline():
        client.spawn(answer(client, line))
    try:
        await asyncio.wait_for(client.disconnect(), 5)
    except asyncio.TimeoutError:
        pass
    for task in list(client.tasks):
        task.cancel()


asyncio.run(main())
