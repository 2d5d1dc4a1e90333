/** Why a camera or a microphone cannot be used. */
export type DeviceProblem =
  /** The page was opened over plain HTTP, where browsers hand out no devices. */
  | 'insecure'
  /** The browser knows no cameras and microphones at all. */
  | 'unsupported'
  /** The person, the browser's settings or the system's said no. */
  | 'refused'
  /** There is none. */
  | 'absent'
  /** Another program has it. */
  | 'busy'
  /** It was chosen but is gone, or cannot do what is asked of it. */
  | 'unfit'
  | 'unknown';

export type DeviceKind = 'camera' | 'microphone' | 'screen';

/** Reads the error of `getUserMedia` or `getDisplayMedia`. */
export function deviceProblem(error: unknown): DeviceProblem {
  switch (errorName(error)) {
    case 'NotAllowedError':
    case 'PermissionDeniedError':
    case 'SecurityError':
      return 'refused';
    case 'NotFoundError':
    case 'DevicesNotFoundError':
      return 'absent';
    case 'NotReadableError':
    case 'TrackStartError':
    case 'AbortError':
      return 'busy';
    case 'OverconstrainedError':
    case 'ConstraintNotSatisfiedError':
      return 'unfit';
    default:
      return 'unknown';
  }
}

/** Whether devices can be had here at all; `null` if they can. */
export function pageProblem(
  secure: boolean = isSecureContext,
  devices: MediaDevices | undefined = navigator.mediaDevices,
): DeviceProblem | null {
  if (!secure) return 'insecure';
  return devices?.getUserMedia === undefined ? 'unsupported' : null;
}

/** What to tell the person: what is wrong, and what they can do about it. */
export function problemText(
  kind: DeviceKind,
  problem: DeviceProblem,
): { what: string; todo: string } {
  const name = NAMES[kind];
  switch (problem) {
    case 'insecure':
      return {
        what: `This address is not secure, so the browser gives no ${name}.`,
        todo: 'Open the page by its https address.',
      };
    case 'unsupported':
      return {
        what: `This browser has no access to a ${name}.`,
        todo: 'Open the link in a current Chrome, Firefox, Safari or Edge.',
      };
    case 'refused':
      return {
        what: `The ${name} is not allowed.`,
        todo:
          kind === 'screen'
            ? 'Allow screen sharing for this browser in the settings of your system.'
            : `Allow the ${name} for this page: tap the icon beside the address, or look in the settings of your browser and your system. Then try again.`,
      };
    case 'absent':
      return {
        what: `No ${name} found.`,
        todo: 'Plug one in, or join without it.',
      };
    case 'busy':
      return {
        what: `The ${name} is in use by another program.`,
        todo: 'Close the other program or call, then try again.',
      };
    case 'unfit':
      return {
        what: `The chosen ${name} cannot be used.`,
        todo: 'Choose another one.',
      };
    case 'unknown':
      return {
        what: `The ${name} could not be started.`,
        todo: 'Try again, or choose another one.',
      };
  }
}

const NAMES: Record<DeviceKind, string> = {
  camera: 'camera',
  microphone: 'microphone',
  screen: 'screen',
};

function errorName(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'name' in error) return String(error.name);
  return '';
}
