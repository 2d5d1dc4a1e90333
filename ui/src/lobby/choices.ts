/** What a person chose before, kept by this browser so that they need not choose again. */
export type Choices = {
  name: string;
  camera: boolean;
  microphone: boolean;
  cameraId: string;
  microphoneId: string;
  speakerId: string;
};

/** The server's bound for a name. */
export const NAME_MAX = 64;

const STORE_KEY = 'umbrella.choices';
const CLIENT_KEY = 'umbrella.client';

const DEFAULTS: Choices = {
  name: '',
  camera: true,
  microphone: true,
  cameraId: '',
  microphoneId: '',
  speakerId: '',
};

export function loadChoices(): Choices {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(STORE_KEY) ?? '{}');
    if (typeof stored !== 'object' || stored === null) return DEFAULTS;
    const merged = { ...DEFAULTS };
    for (const key of Object.keys(DEFAULTS) as (keyof Choices)[]) {
      const value = (stored as Record<string, unknown>)[key];
      if (typeof value === typeof DEFAULTS[key]) Object.assign(merged, { [key]: value });
    }
    return merged;
  } catch {
    return DEFAULTS;
  }
}

export function saveChoices(choices: Choices): void {
  try {
    localStorage.setItem(STORE_KEY, JSON.stringify(choices));
  } catch {
    // Private windows may have no storage: then the choices last as long as the page.
  }
}

/**
 * This tab's own id: kept over a reload, so that the server replaces the old self instead of
 * seeing a second one.
 */
export function clientId(): string {
  try {
    const stored = sessionStorage.getItem(CLIENT_KEY);
    if (stored !== null && /^[A-Za-z0-9_-]{8,64}$/.test(stored)) return stored;
    const fresh = newClientId();
    sessionStorage.setItem(CLIENT_KEY, fresh);
    return fresh;
  } catch {
    return newClientId();
  }
}

function newClientId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
