"""Cameras that speak RTSP, on GStreamer. The system's Python runs it, since that has GStreamer.

Reads one line of JSON: {"ip", "port", "user", "password", "basic", "streams": {PATH: {"video",
"pattern", "width", "height", "rate", "key", "profile", "bframes", "bitrate", "parameters", "audio",
"audio_rate", "channels"}}}. Says `ready` when it listens, and ends with its standard input.
Further lines change it while it runs: {"jump": SECONDS} sets the clock of all streams forward.

video: h264, h265, jpeg; pattern: as of videotestsrc, or beat: the colours change with each second
tick of the sound; key: pictures from one key frame to the next; parameters: in band every so many seconds,
-1 with each key frame, 0 in the description only; audio: aac, pcmu, pcma, g722, opus, none. The
sound is a tick each second. The password is asked for by digest unless it is to be basic.
"""

import json
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

# Payload types that stand for a codec by themselves (RFC 3551); others are agreed upon.
FIXED = {"pcmu": 0, "pcma": 8, "g722": 9}
BEAT = "pattern=ball flip=true"

AUDIO = {
    "aac": "audio/x-raw,rate={rate},channels={channels} ! avenc_aac bitrate=48000 ! aacparse ! rtpmp4gpay",
    "pcmu": "audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay",
    "pcma": "audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay",
    "g722": "audio/x-raw,rate=16000,channels=1 ! avenc_g722 ! rtpg722pay",
    "opus": "audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay",
}


def video(stream):
    """The part of a pipeline that makes pictures."""
    key = stream.get("key", 50)
    bitrate = stream.get("bitrate", 1500)
    parameters = stream.get("parameters", -1)
    pattern = stream.get("pattern", "ball")
    source = (
        "videotestsrc name=pictures is-live=true {} ! video/x-raw,format=I420,width={},height={},framerate={}/1"
    ).format(
        BEAT if pattern == "beat" else f"pattern={pattern}",
        stream.get("width", 640),
        stream.get("height", 360),
        stream.get("rate", 25),
    )
    kind = stream.get("video", "h264")
    if kind == "h264":
        frames = stream.get("bframes", 0)
        tune = "" if frames else "tune=zerolatency"
        profile = stream.get("profile", "constrained-baseline")
        encoder = (
            f"x264enc {tune} speed-preset=ultrafast bframes={frames} b-adapt=false bitrate={bitrate} "
            f"key-int-max={key} ! video/x-h264,profile={profile} ! rtph264pay config-interval={parameters}"
        )
    elif kind == "h265":
        encoder = (
            f"x265enc tune=zerolatency speed-preset=ultrafast bitrate={bitrate} key-int-max={key} "
            f"! h265parse ! rtph265pay config-interval={parameters}"
        )
    else:
        encoder = "jpegenc quality=60 ! rtpjpegpay"
    return f"{source} ! {encoder} name=pay0 pt={26 if kind == 'jpeg' else 96}"


def audio(stream):
    """The part that makes sound, if there is any."""
    kind = stream.get("audio", "none")
    if kind == "none":
        return ""
    encoder = AUDIO[kind].format(rate=stream.get("audio_rate", 16000), channels=stream.get("channels", 1))
    number = FIXED.get(kind, 97)
    return (
        "audiotestsrc name=sound is-live=true wave=ticks sine-periods-per-tick=40 samplesperbuffer=480 "
        f"! audio/x-raw,rate=48000 ! audioconvert ! audioresample ! {encoder} name=pay1 pt={number}"
    )


def credentials(server, user, password, basic):
    """Asks everybody for a password."""
    auth = GstRtspServer.RTSPAuth.new()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    if basic:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    server.set_auth(auth)


class Clock:
    """The clock of all streams, which can jump."""

    def __init__(self):
        self.offset = 0
        self.media = []

    def configure(self, _factory, media):
        """A stream begins to be made."""
        self.media.append(media)
        media.connect("unprepared", self.media.remove)
        self.apply(media)

    def apply(self, media):
        for name in ("pictures", "sound"):
            source = media.get_element().get_by_name(name)
            if source:
                source.set_property("timestamp-offset", self.offset)

    def jump(self, seconds):
        self.offset += int(seconds * Gst.SECOND)
        for media in self.media:
            self.apply(media)


def factory(stream, guarded, clock):
    """Makes the pictures and the sound of one stream, once for all who look."""
    made = GstRtspServer.RTSPMediaFactory()
    made.set_launch(f"( {video(stream)} {audio(stream)} )")
    made.set_shared(True)
    made.set_protocols(GstRtsp.RTSPLowerTrans.UDP | GstRtsp.RTSPLowerTrans.TCP)
    made.connect("media-configure", clock.configure)
    if guarded:
        permissions = GstRtspServer.RTSPPermissions.new()
        permissions.add_permission_for_role("user", "media.factory.access", True)
        permissions.add_permission_for_role("user", "media.factory.construct", True)
        made.set_permissions(permissions)
    return made


def obey(stdin, condition, loop, clock):
    """Takes one line, or ends with the input."""
    line = stdin.readline() if condition & GLib.IOCondition.IN else ""
    if not line:
        loop.quit()
        return False
    clock.jump(json.loads(line)["jump"])
    return True


def main():
    wanted = json.loads(sys.stdin.readline())
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address(wanted.get("ip", "127.0.0.1"))
    server.set_service(str(wanted.get("port", 0)))
    guarded = bool(wanted.get("user"))
    if guarded:
        credentials(server, wanted["user"], wanted["password"], wanted.get("basic", False))
    clock = Clock()
    for path, stream in wanted["streams"].items():
        server.get_mount_points().add_factory(path, factory(stream, guarded, clock))
    if not server.attach(None):
        sys.exit("cannot listen")
    print("ready", server.get_bound_port(), flush=True)
    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin, GLib.IOCondition.IN | GLib.IOCondition.HUP, obey, loop, clock)
    loop.run()


main()
