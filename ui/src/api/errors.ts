import { CallError } from './client.ts';

/** What to tell a person about a failed call. */
export function errorText(error: unknown): string {
  if (error instanceof CallError) {
    if (error.retryAfterS !== null && error.retryAfterS > 0) {
      return `${error.message} Try again in ${waitText(error.retryAfterS)}.`;
    }
    return error.message;
  }
  return 'Something went wrong in this page. Reload it and try again.';
}

/** Whether the admin has to sign in (again) before the call can work. */
export function needsLogin(error: unknown): boolean {
  return error instanceof CallError && (error.code === 'unauthorized' || error.status === 401);
}

function waitText(seconds: number): string {
  if (seconds < 60) return seconds === 1 ? '1 second' : `${seconds} seconds`;
  const minutes = Math.ceil(seconds / 60);
  return minutes === 1 ? '1 minute' : `${minutes} minutes`;
}
