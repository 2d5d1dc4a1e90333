/** The bounds that the server sets for the admin's password, in characters. */
export const PASSWORD_MIN = 8;
export const PASSWORD_MAX = 1024;

/** What is wrong with a new password, or `null`. */
export function passwordProblem(password: string, repeated: string): string | null {
  const length = [...password].length;
  if (length < PASSWORD_MIN) return `Use at least ${PASSWORD_MIN} characters.`;
  if (length > PASSWORD_MAX) return `Use at most ${PASSWORD_MAX} characters.`;
  if (password !== repeated) return 'The two passwords are not the same.';
  return null;
}
