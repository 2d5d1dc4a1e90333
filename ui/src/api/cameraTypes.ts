// The types of the server's HTTP API, generated from crates/server/src/http/api.rs.
// Do not edit: `UPDATE_TYPES=1 cargo test -p umbrella page_types` rewrites this file.

/**
 * A camera that is set, and how it stands.
 */
export type CameraEntry = {
  /**
   * `CA_…`.
   */
  id: string;
  /**
   * Shown to people.
   */
  name: string;
  /**
   * Where it is seen.
   */
  room: string;
  /**
   * Its better stream, or its only one.
   */
  main: CameraSource;
  /**
   * Its small one.
   */
  sub: CameraSource | null;
  /**
   * How packets come.
   */
  transport: CameraTransport;
  /**
   * Sound is wanted.
   */
  audio: boolean;
  /**
   * Connected also while nobody watches.
   */
  alwaysOn: boolean;
  /**
   * Fingerprints of certificates that were confirmed.
   */
  pins: Array<string>;
  /**
   * It comes from the configuration and can only be changed there.
   */
  configured: boolean;
  /**
   * How it stands.
   */
  state: CameraState;
  /**
   * Why there is no picture, where that is known.
   */
  why: string | null;
  /**
   * Seconds until the next attempt.
   */
  retryInS: number | null;
  /**
   * Of a certificate that nobody vouches for, for the operator to confirm.
   */
  fingerprint: string | null;
  /**
   * What the pictures are.
   */
  video: CameraVideo | null;
  /**
   * What the sound is.
   */
  sound: CameraSound | null;
  /**
   * What is not as it should be.
   */
  notes: Array<string>;
  /**
   * Somebody watches.
   */
  watched: boolean;
  /**
   * Bits per second that come.
   */
  bitrate: number;
  /**
   * Bytes that are kept for those who come.
   */
  cachedBytes: number;
};

/**
 * Where a stream comes from, as far as it is shown.
 */
export type CameraSource = {
  /**
   * Without user and password; what makers hide in a path is `…`.
   */
  address: string;
  /**
   * Who looks.
   */
  user: string | null;
  /**
   * There is a password.
   */
  hasPassword: boolean;
};

/**
 * How packets come.
 */
export   type CameraTransport = "tcp" | "udp";;

/**
 * How a camera stands.
 */
export   type CameraState = "live" | "connecting" | "reconnecting" | "idle" | "refused";;

/**
 * What pictures are.
 */
export type CameraVideo = {
  /**
   * `H264` or `H265`.
   */
  codec: string;
  /**
   * `High`, for instance.
   */
  profile: string;
  /**
   * Pixels.
   */
  width: number;
  /**
   * Pixels.
   */
  height: number;
};

/**
 * What sound is.
 */
export type CameraSound = {
  /**
   * What is sent to people: `opus`, for instance.
   */
  codec: string;
  /**
   * What the camera sends: `AAC, 16000 Hz, mono`.
   */
  source: string;
};

/**
 * Sets a camera, or changes one.
 */
export type CameraSettings = {
  /**
   * 1 to 64 characters.
   */
  name: string;
  /**
   * Where it is to be seen.
   */
  room: string;
  /**
   * Its better stream, or its only one.
   */
  main: CameraStream;
  /**
   * Its small one.
   */
  sub: CameraStream | null;
  /**
   * How packets come.
   */
  transport: CameraTransport;
  /**
   * Sound is wanted.
   */
  audio: boolean;
  /**
   * Connected also while nobody watches.
   */
  alwaysOn: boolean;
  /**
   * Fingerprints of certificates that are the camera's.
   */
  pins: Array<string>;
};

/**
 * Where a stream comes from, as it is entered. As the address, what was shown means that it stays
 * as it is. A password that is not given stays, unless another host or port is given.
 */
export type CameraStream = {
  /**
   * May have user and password in it: `rtsp://user:password@192.168.1.20/stream1`.
   */
  address: string;
  /**
   * Who looks; empty is nobody, and no password.
   */
  user: string | null;
  /**
   * Secret.
   */
  password: string | null;
};

/**
 * Looks at a camera once.
 */
export type TestCamera = {
  /**
   * The camera whose password is used where none is given, on its own host and port only.
   */
  id: string | null;
  /**
   * What to look at.
   */
  stream: CameraStream;
  /**
   * How packets come.
   */
  transport: CameraTransport;
  /**
   * Sound is wanted.
   */
  audio: boolean;
  /**
   * Fingerprints of certificates that are the camera's.
   */
  pins: Array<string>;
};

/**
 * What a look at a camera has shown.
 */
export type CameraTested = {
  /**
   * What was found, if there are pictures.
   */
  found: CameraFindings | null;
  /**
   * Why there is nothing, or why it ended early.
   */
  why: string | null;
  /**
   * Of a certificate that nobody vouches for, for the operator to confirm.
   */
  fingerprint: string | null;
};

/**
 * What was found.
 */
export type CameraFindings = {
  /**
   * What the pictures are.
   */
  video: CameraVideo;
  /**
   * What the sound is.
   */
  sound: CameraSound | null;
  /**
   * What is not as it should be.
   */
  notes: Array<string>;
  /**
   * Milliseconds until the first picture.
   */
  firstPictureMs: number;
  /**
   * Pictures per second.
   */
  frameRate: number | null;
  /**
   * Milliseconds between key frames.
   */
  keyFrameIntervalMs: number | null;
  /**
   * Bits per second of pictures.
   */
  bitrate: number;
  /**
   * The last key frame.
   */
  still: CameraStill | null;
};

/**
 * A key frame, for a decoder of the browser's.
 */
export type CameraStill = {
  /**
   * RFC 6381: `avc1.4D0029`, for instance.
   */
  codec: string;
  /**
   * With start codes and parameter sets, in base64.
   */
  annexB: string;
};

/**
 * The operator says that a certificate is the camera's.
 */
export type ConfirmCamera = {
  /**
   * The one that was shown: another one may have come meanwhile.
   */
  fingerprint: string;
};

/**
 * Sets the cameras of another program's configuration.
 */
export type ImportCameras = {
  /**
   * Where they are to be seen.
   */
  room: string;
  /**
   * The text of `go2rtc.yaml`.
   */
  text: string;
};

/**
 * What came of it.
 */
export type ImportedCameras = {
  /**
   * Names of cameras that are set now.
   */
  added: Array<string>;
  /**
   * What was left out.
   */
  skipped: Array<SkippedCamera>;
};

/**
 * What was left out.
 */
export type SkippedCamera = {
  /**
   * As it is called there.
   */
  name: string;
  /**
   * Why.
   */
  why: string;
};
